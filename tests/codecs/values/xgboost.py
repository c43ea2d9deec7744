"""A booster, and the scikit-learn wrappers with their parameters."""

import numpy as np
import xgboost


def _rows():
    x = np.random.default_rng(7).random((80, 3))
    return x, (x[:, 0] * 3).astype(int)


def make():
    x, y = _rows()
    return xgboost.XGBClassifier(n_estimators=4, max_depth=2, n_jobs=1, random_state=0).fit(x, y)


def others():
    x, y = _rows()
    named = xgboost.DMatrix(x, y, feature_names=["a", "b", "c"])
    early = xgboost.XGBRegressor(n_estimators=30, early_stopping_rounds=2, n_jobs=1)
    return {
        "a booster": xgboost.train({"max_depth": 2, "nthread": 1}, named, 3),
        "two classes": xgboost.XGBClassifier(n_estimators=2, n_jobs=1, missing=-1.0).fit(x, y > 0),
        "stopped early": early.fit(x, x[:, 1], eval_set=[(x[:10], x[:10, 2])], verbose=False),
        "a ranker": xgboost.XGBRanker(n_estimators=2, n_jobs=1).fit(x, y, qid=np.repeat([0, 1], 40)),
        "a forest": xgboost.XGBRFRegressor(n_estimators=3, n_jobs=1).fit(x, y),
    }


def same(made, got):
    assert type(got) is type(made)
    x, _ = _rows()
    if isinstance(made, xgboost.Booster):
        assert got.feature_names == made.feature_names
        x = xgboost.DMatrix(x, feature_names=made.feature_names)
    else:
        np.testing.assert_equal(got.get_params(), made.get_params())
        assert getattr(got, "n_classes_", None) == getattr(made, "n_classes_", None)
    np.testing.assert_array_equal(got.predict(x), made.predict(x))


def refused():
    x, y = _rows()
    coded = xgboost.XGBRegressor(n_estimators=1, n_jobs=1, eval_metric=lambda a, b: 0.0)
    mine = type("Mine", (xgboost.XGBRegressor,), {})
    return {
        "one that is not fitted": xgboost.XGBClassifier(),
        "a parameter that is code": coded.fit(x, y),
        "a class of somebody else's": mine(n_estimators=1, n_jobs=1).fit(x, y),
    }
