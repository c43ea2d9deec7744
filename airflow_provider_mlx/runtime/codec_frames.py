"""Codecs of frameworks' values: frames, arrays, scikit-learn estimators. Frameworks are imported in the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .codecs import HashingWriter, type_name
from .refusals import ArtifactError

CHUNK_BYTES = 64 * 1024 * 1024
"""A frame is converted and written in row groups of about this size, so that it is never held twice."""


def save_parquet(value: Any, sink: HashingWriter) -> None:
    """Parquet, in row groups; pandas' index and dtypes travel in Arrow's schema metadata."""
    kind = type_name(type(value))
    if kind == "polars.DataFrame":
        value.write_parquet(sink)
    elif kind == "pyarrow.Table":
        import pyarrow.parquet as parquet

        with parquet.ParquetWriter(sink, value.schema) as writer:
            writer.write_table(value, row_group_size=_rows_per_group(value.nbytes, value.num_rows))
    else:
        _save_pandas(value, sink)


def _save_pandas(frame: Any, sink: HashingWriter) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        schema = pyarrow.Schema.from_pandas(frame)
        _check_labels(frame, schema)
        rows = _rows_per_group(int(frame.memory_usage(index=True).sum()), len(frame))
        with parquet.ParquetWriter(sink, schema) as writer:
            for start in range(0, max(len(frame), 1), rows):
                part = pyarrow.Table.from_pandas(_named_as(schema, frame.iloc[start : start + rows]), schema=schema)
                # The part's own metadata describes the part's index; the file's describes the whole.
                writer.write_table(part.replace_schema_metadata(schema.metadata))
    except (pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the DataFrame cannot be written as Parquet: {error}. Every column needs one type and a name of its own; "
            "convert the column, rename mixed labels to text, or write a file and return its Path"
        ) from error


def _check_labels(frame: Any, schema: Any) -> None:
    """Parquet's names are text; Arrow restores labels of one type, and would return mixed ones as text."""
    again = schema.empty_table().to_pandas()
    if list(again.columns) != list(frame.columns) or again.index.names != frame.index.names:
        raise ValueError(f"the labels {list(frame.columns)[:20]} (index {list(frame.index.names)}) would not come back")


def _named_as(schema: Any, part: Any) -> Any:
    """The part under the schema's names, which are text: pyarrow looks columns and index levels up by them."""
    columns, levels = schema.names[: part.shape[1]], schema.names[part.shape[1] :]
    part = part.set_axis(columns, axis="columns")
    if levels:  # a RangeIndex is metadata only
        part.index = part.index.set_names([None if name.startswith("__index_level_") else name for name in levels])
    return part


def _rows_per_group(size: int, rows: int) -> int:
    return max(1, int(rows * min(1.0, CHUNK_BYTES / max(size, 1))))


def load_parquet(path: Path, type_name: str) -> Any:
    """A pandas or polars DataFrame or an Arrow table, as ``type_name`` says; pandas for anything else."""
    if type_name == "polars.DataFrame":
        import polars

        return polars.read_parquet(path)
    import pyarrow
    import pyarrow.parquet as parquet

    _at_least(pyarrow, (14, 0, 1), "unpickles what it finds in a file's schema")
    table = parquet.ParquetFile(path).read()
    if type_name == "pyarrow.Table":
        return table
    # Columns are freed as they are converted.
    return table.to_pandas(split_blocks=True, self_destruct=True)


def save_npy(value: Any, sink: HashingWriter) -> None:
    """NumPy's .npy, without pickle."""
    import numpy

    if value.dtype.hasobject:
        raise ValueError(
            f"an array of Python objects (dtype {value.dtype}) cannot be written without pickle: give it a numeric, "
            "text or datetime dtype, or return a list"
        )
    numpy.lib.format.write_array(sink, numpy.asarray(value), allow_pickle=False)


def load_npy(path: Path, type_name: str) -> Any:
    """An array; ``numpy.load`` would also take a zip of arrays, which is none."""
    import numpy

    try:
        with path.open("rb") as reader:
            return numpy.lib.format.read_array(reader, allow_pickle=False)
    except (ValueError, SyntaxError, EOFError) as error:
        raise ArtifactError(f"the array of {path.name} cannot be read: {error}") from error


def save_sklearn(value: Any, sink: HashingWriter) -> None:
    """skops' zip of JSON and arrays."""
    import skops.io

    skops.io.dump(value, sink)


def load_sklearn(path: Path, type_name: str) -> Any:
    """
    An estimator of scikit-learn's, NumPy's and SciPy's own types.

    :raises ArtifactError: it holds another type, which could run code of its own while it is loaded; or the file is
        damaged.
    """
    import zipfile

    import skops
    import skops.io

    _at_least(skops, (0, 13), "lets a file of trusted types run code (CVE-2025-54412, CVE-2025-54413)")
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


def _at_least(package: Any, version: tuple[int, ...], why: str) -> None:
    """Refuse a release of a package that cannot be trusted with somebody else's file."""
    import re

    found = tuple(int(part) for part in re.findall(r"\d+", package.__version__)[: len(version)])
    if found < version:
        wanted = ".".join(map(str, version))
        raise ArtifactError(
            f"{package.__name__} {package.__version__} {why}, and nothing was loaded",
            f"use {package.__name__} {wanted} or newer in the image, or add '{package.__name__}>={wanted}' to "
            "requirements=",
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
