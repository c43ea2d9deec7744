"""The codec of scikit-learn's estimators. Frameworks are imported in the functions."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from .codec_parts import at_least, first_lines
from .codecs import HashingWriter
from .refusals import ArtifactError

_SCHEMA = "schema.json"


def save_sklearn(value: Any, sink: HashingWriter) -> None:
    """skops' zip of JSON and arrays, without its times and its random names."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(value))) as found, zipfile.ZipFile(sink, "w") as archive:
        names: dict[str, str] = {}
        schema = _numbered(json.loads(found.read(_SCHEMA)), {}, names)
        for name, new in names.items():
            archive.writestr(zipfile.ZipInfo(new), found.read(name))
        archive.writestr(zipfile.ZipInfo(_SCHEMA), json.dumps(schema))


def _numbered(state: Any, ids: dict[int, int], names: dict[str, str]) -> Any:
    """
    The same schema, with objects numbered in their order: skops takes their places in memory, and names files by them.

    A user's own key ``__id__`` or ``file`` holds a node there, which is neither a number nor text.
    """
    if isinstance(state, list):
        return [_numbered(item, ids, names) for item in state]
    if not isinstance(state, dict):
        return state
    found = {key: _numbered(item, ids, names) for key, item in state.items()}
    if isinstance(found.get("__id__"), int):
        found["__id__"] = ids.setdefault(found["__id__"], len(ids) + 1)
    if isinstance(found.get("file"), str):
        name = found["file"]
        found["file"] = names.setdefault(name, f"{len(names) + 1}{PurePosixPath(name).suffix}")
    return found


def describe_sklearn(value: Any) -> list[str]:
    """As scikit-learn prints it."""
    return first_lines(str(value))


def load_sklearn(path: Path, type_name: str) -> Any:
    """
    An estimator of scikit-learn's, NumPy's and SciPy's own types.

    :raises ArtifactError: it holds another type, which could run code of its own while it is loaded; or the file is
        damaged.
    """
    import skops
    import skops.io

    at_least(skops, (0, 13), "lets a file of trusted types run code (CVE-2025-54412, CVE-2025-54413)")
    try:
        found = set(skops.io.get_untrusted_types(file=path))
        if not found - TRUSTED:
            return skops.io.load(path, trusted=sorted(found))
    except (zipfile.BadZipFile, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"the model of {path.name} cannot be read: {type(error).__name__}: {error}") from error
    raise ArtifactError(
        f"the model holds types that are not trusted and was not loaded: {', '.join(sorted(found - TRUSTED))}",
        "annotate the parameter with `Path` and load the file yourself with `skops.io.load(path, trusted=[…])`, "
        "after you have looked at the list",
    )


_KERNELS = (
    "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Matern", "Product", "RBF",
    "RationalQuadratic", "Sum", "WhiteKernel",
)  # fmt: skip
_SPLITTERS = ("GroupKFold", "KFold", "RepeatedKFold", "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedKFold",
              "StratifiedShuffleSplit", "TimeSeriesSplit")  # fmt: skip

# Types that scikit-learn's own fitted estimators hold and that skops does not trust by itself (measured with
# scikit-learn 1.9 and skops 0.16). Each is data without code in its construction, and none opens a file; functions are
# not listed, since skops would let a file call them. Trees hold raw indices, which scikit-learn does not check when it
# predicts: a forged one can crash the job that uses it, or have it read its own memory (docs/security.md).
TRUSTED = frozenset({
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",  # histogram gradient boosting
    "sklearn.metrics._dist_metrics.EuclideanDistance64",  # k nearest neighbours
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",  # grid searches
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",  # multi-layer perceptrons
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",  # trees and forests
    "sklearn.utils._bunch.Bunch",  # stacking and voting
    *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
    *(f"sklearn.model_selection._split.{name}" for name in _SPLITTERS),
})  # fmt: skip
