"""A booster; the scikit-learn wrappers hold more than their file would."""

import lightgbm
import numpy as np


def _rows():
    x = np.random.default_rng(7).random((80, 3))
    return x, (x[:, 0] > 0.5).astype(int)


PARAMETERS = {"verbose": -1, "num_leaves": 4, "num_threads": 1, "deterministic": True, "seed": 1}


def make():
    x, y = _rows()
    return lightgbm.train({"objective": "binary", **PARAMETERS}, lightgbm.Dataset(x, y), 3)


def others():
    x, y = _rows()
    kinds = {"linear trees": {"linear_tree": True}, "classes": {"objective": "multiclass", "num_class": 2}}
    found = {name: lightgbm.train({**PARAMETERS, **kind}, lightgbm.Dataset(x, y), 2) for name, kind in kinds.items()}
    train = lightgbm.Dataset(x, x[:, 1], feature_name=["a", "b", "c"])
    stop = lightgbm.early_stopping(2, verbose=False)
    parameters = {**PARAMETERS, "metric": "l2"}
    found["stopped early"] = lightgbm.train(
        parameters, train, 40, valid_sets=[train.create_valid(x[:10], x[:10, 2])], callbacks=[stop]
    )
    return found


def same(made, got):
    assert type(got) is type(made)
    x, _ = _rows()
    assert got.feature_name() == made.feature_name()
    np.testing.assert_array_equal(got.predict(x), made.predict(x))


def refused():
    x, y = _rows()
    return {"a wrapper": lightgbm.LGBMClassifier(n_estimators=1, verbose=-1, n_jobs=1).fit(x, y)}
