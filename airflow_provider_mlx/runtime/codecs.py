"""
The codec table: how a value becomes an object's bytes, keyed by strings so that neither side imports a framework.

``kind`` separates *data* from *models*: Airflow's processes never load a model codec. Nothing here pickles. Packages
add rows of their own under the entry point group ``airflow_provider_mlx.codecs`` (name → ``module:ROW``); ours win.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .codec import DATA, MODEL, Codec, HashingWriter, dotted_name, spellings
from .wire import NotPlain, encode

__all__ = [
    "CODECS", "DATA", "FOLDER_SUFFIX", "IMPORT_NAMES", "MODEL", "SAME_PACKAGES", "Codec", "HashingWriter", "codec_for",
    "codec_for_type_name", "codec_named", "dotted_name", "packages_for", "plain", "type_name", "way_out",
    "way_out_of_type_name",
]  # fmt: skip

GROUP = "airflow_provider_mlx.codecs"
FOLDER_SUFFIX = ".tar"
"""Of the rows whose object is a folder: a parameter annotated ``Path`` gets it extracted."""

_ROWS = (
    # Wire JSON (wire.py): NaN, infinities, aware datetimes and references survive.
    Codec("json", DATA, ".json", "codec_files", types=("NoneType", "bool", "int", "float", "list", "tuple", "dict")),
    # A dict with a key `mlx` of its own cannot be wire JSON; it is kept word for word and never taken for a reference.
    Codec("verbatim", DATA, ".json", "codec_files"),
    Codec("text", DATA, ".txt", "codec_files", types=("str",)),
    Codec("bytes", DATA, ".bin", "codec_files", types=("bytes", "bytearray")),
    # A Path result is a file or a folder: `codec_for` looks at the disk.
    Codec("file", DATA, "", "codec_files", types=("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath")),
    Codec("directory", DATA, FOLDER_SUFFIX, "codec_files"),
    # The same by `Annotated[Path, Model("churn")]`: what a framework wrote, whatever it is, that Airflow must not load.
    Codec("model_file", MODEL, "", "codec_files"),
    Codec("model_directory", MODEL, FOLDER_SUFFIX, "codec_files"),
    # One columnar file for the three frame libraries; pandas keeps index and dtypes through Arrow's own metadata. A
    # Series is a frame of one column, and comes back as a Series.
    Codec(
        "parquet", DATA, ".parquet", "codec_frames",
        types=("pandas.DataFrame", "pandas.Series", "polars.DataFrame", "pyarrow.Table"),
        packages={
            "pandas.DataFrame": ("pandas", "pyarrow"), "pandas.Series": ("pandas", "pyarrow"),
            "polars.DataFrame": ("polars",), "pyarrow.Table": ("pyarrow",),
        },
        cannot={
            "polars.Series": "return `series.to_frame()`",
            "polars.LazyFrame": "return `frame.collect()`, or write a file and return its Path",
        },
    ),
    # NumPy's own format without pickle; a masked or record array is refused, since .npy would drop what makes it one.
    Codec("npy", DATA, ".npy", "codec_arrays", types=("numpy.ndarray", "numpy.memmap"), packages={"*": ("numpy",)}),
    Codec("npz", DATA, ".npz", "codec_arrays", members=("numpy.ndarray",), packages={"*": ("numpy",)}),
    # The five forms that SciPy's own file has.
    Codec(
        "sparse", DATA, ".npz", "codec_arrays",
        types=tuple(
            f"scipy.sparse.{form}_{kind}" for kind in ("array", "matrix")
            for form in ("bsr", "coo", "csc", "csr", "dia")
        ),
        packages={"*": ("scipy",)},
        cannot={
            f"scipy.sparse.{form}_{kind}": "return `value.tocsr()`" for kind in ("array", "matrix")
            for form in ("dok", "lil")
        },
    ),
    # The boosters' own formats. A scikit-learn wrapper of XGBoost is its booster and its parameters; one of LightGBM
    # also holds label encoders that no native format keeps.
    Codec(
        "xgboost", MODEL, ".ubj", "codec_boosters",
        types=(
            "xgboost.Booster", "xgboost.XGBClassifier", "xgboost.XGBRegressor", "xgboost.XGBRanker",
            "xgboost.XGBRFClassifier", "xgboost.XGBRFRegressor",
        ),
        packages={"xgboost.Booster": ("xgboost",), "*": ("xgboost", "scikit-learn")},
        cannot={"xgboost.XGBModel": "return `model.get_booster()`, or a class of XGBoost's own"},
    ),
    Codec(
        "lightgbm", MODEL, ".txt", "codec_boosters",
        types=("lightgbm.Booster",), packages={"*": ("lightgbm",)},
        cannot={
            f"lightgbm.LGBM{name}": "return `model.booster_`, and the class labels beside it"
            for name in ("Model", "Classifier", "Regressor", "Ranker")
        },
    ),
    # `save_pretrained`'s folder as a tar, weights in safetensors only; of transformers' own classes.
    Codec(
        "transformers", MODEL, FOLDER_SUFFIX, "codec_transformers",
        bases=("transformers.PreTrainedModel", "transformers.PreTrainedTokenizerBase"),
        members=("transformers.PreTrainedModel", "transformers.PreTrainedTokenizerBase"),
        families=("transformers",), packages={"*": ("transformers", "torch", "safetensors")},
    ),
    Codec(
        "safetensors", MODEL, ".safetensors", "codec_torch",
        members=("torch.Tensor",), packages={"*": ("torch", "safetensors")},
        cannot={
            "torch.nn.Module": "return `model.state_dict()`, and load it into the model's class where it is used",
            "torch.Tensor": "return `tensor.numpy(force=True)`, or a dict of tensors by name",
        },
    ),
    Codec("onnx", MODEL, ".onnx", "codec_onnx", types=("onnx.ModelProto",), packages={"*": ("onnx",)}),
    # skops writes a zip of JSON and arrays; loading trusts scikit-learn's own types only.
    Codec(
        "sklearn", MODEL, ".skops", "codec_sklearn",
        bases=("sklearn.base.BaseEstimator",), families=("sklearn",), packages={"*": ("scikit-learn", "skops")},
    ),
    # What a person looks at. A Matplotlib figure is its picture; Plotly's is its JSON, and comes back.
    Codec(
        "figure", DATA, ".png", "codec_pictures",
        types=("matplotlib.figure.Figure",), packages={"*": ("matplotlib",)},
        cannot={"matplotlib.axes.Axes": "return `axes.figure`"},
    ),
    Codec(
        "plotly", DATA, ".json", "codec_pictures",
        types=("plotly.graph_objects.Figure",), packages={"*": ("plotly",)},
    ),
    Codec("image", DATA, ".png", "codec_pictures", bases=("PIL.Image.Image",), packages={"*": ("pillow",)}),
    Codec("markdown", DATA, ".md", "codec_texts", types=("airflow_provider_mlx.Markdown",)),
    Codec("html", DATA, ".html", "codec_texts", types=("airflow_provider_mlx.Html",)),
    Codec("table", DATA, ".json", "codec_texts", types=("airflow_provider_mlx.Table",)),
    # What a step logged over time, as JSON lines.
    Codec("series", DATA, ".jsonl", "codec_texts", types=("airflow_provider_mlx.runtime.shown.Series",)),
)  # fmt: skip

CODECS: dict[str, Codec] = {row.name: row for row in _ROWS}


def codec_named(name: str) -> Codec | None:
    """The row of this name, ours or an installed package's; None when nobody brings one."""
    return CODECS.get(name) or installed_codecs().get(name)


@cache
def installed_codecs() -> Mapping[str, Codec]:
    """
    The rows that installed packages bring, by name; ours cannot be replaced. A row that cannot be had is left out, and
    is said so: it must not keep other steps from their own.
    """
    from importlib.metadata import entry_points

    every: Any = entry_points()
    # Python 3.9 has a dict of groups.
    points = every.select(group=GROUP) if hasattr(every, "select") else every.get(GROUP, ())
    found: dict[str, Codec] = {}
    for point in points:
        try:
            row = point.load()
            if not isinstance(row, Codec) or row.name != point.name:
                raise TypeError(f"it must be a Codec named {point.name!r}")
        except Exception as error:
            print(f"mlx: the codec {point.name} ({point.value}) cannot be used: {type(error).__name__}: {error}")
            continue
        if row.name not in CODECS:
            found[row.name] = row
    return found


_BY_TYPE = tuple(row for row in _ROWS if row.home != "codec_files" or row.name == "bytes")
"""The rows whose types say enough; what is JSON, text or a path is decided by the value."""


def _rows() -> Iterator[Codec]:
    """Ours, then the installed ones, which are looked for only if none of ours answers."""
    yield from _ROWS
    yield from installed_codecs().values()


IMPORT_NAMES = {"pillow": "PIL", "scikit-learn": "sklearn"}
"""Packages of the table whose import name differs."""
SAME_PACKAGES = {"polars-lts-cpu": "polars", "xgboost-cpu": "xgboost"}
"""Builds of a package under another name: beside one, the package itself must not be installed."""


def codec_for(value: Any) -> Codec | None:
    """
    The row that takes a value, None when none does.

    JSON is decided by the value as a whole: a list of frames is a list, and yet no JSON.
    """
    if isinstance(value, Path):
        return CODECS["directory"] if value.is_dir() else CODECS["file"]
    row = _asked(value, _BY_TYPE)
    if row is not None:
        return row if row.matches(value) else None
    if isinstance(value, str):
        return CODECS["text"]
    try:
        encode(plain(value))
        return CODECS["json"]
    except (NotPlain, RecursionError):
        pass
    if isinstance(value, (dict, list, tuple)) and _is_json(value):
        return CODECS["verbatim"]
    row = _asked(value, installed_codecs().values())
    return row if row is not None and row.matches(value) else None


def _asked(value: Any, rows: Iterable[Codec]) -> Codec | None:
    """The first row that knows the value's type, to take it or to refuse it."""
    return next((row for row in rows if row.matches(value) or row.way_out(type(value))), None)


def way_out(value: Any) -> str:
    """What to do instead with a value that a row refuses by name; empty when none does."""
    return next((way for row in _rows() if (way := row.way_out(type(value)))), "")


def codec_for_type_name(dotted: str) -> Codec | None:
    """
    The row for an annotation, by its public dotted name (``pandas.DataFrame``); None when no codec takes the type.

    ``Path`` answers ``file``, which stands for ``directory`` too: only the value tells which.
    """
    for row in _rows():
        if row.named(dotted):
            return row
        if _refused(row, dotted):
            return None
    return CODECS["json"] if dotted.startswith("dict[") else None  # a dict of other things: the value tells


def way_out_of_type_name(dotted: str) -> str:
    """What to do instead of returning a type that a row refuses by name; empty when none does."""
    return next((way for row in _rows() if (way := _refused(row, dotted))), "")


def _refused(row: Codec, dotted: str) -> str:
    return next((way for name, way in (row.cannot or {}).items() if name in spellings(dotted)), "")


def packages_for(dotted: str) -> tuple[str, ...]:
    """The packages, as pip knows them, that a value of this type needs in order to be written and read."""
    row = codec_for_type_name(dotted)
    return row.packages_of(dotted) if row is not None else ()


def type_name(kind: type) -> str:
    """
    The public name of a type: ``pandas.DataFrame``, ``sklearn.ensemble.RandomForestClassifier``, ``dict``.

    Known types are named by their top package, wherever the package keeps them; private modules are left out.
    """
    dotted = dotted_name(kind)
    return next((name for name in spellings(dotted) if any(name in row.types for row in _ROWS)), dotted)


def plain(value: Any) -> Any:
    """Turn NumPy's scalars, at any depth of lists and dicts, into Python's own; everything else stays as it is."""
    if isinstance(value, (str, bytes, type(None), bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if any(f"{kind.__module__}.{kind.__qualname__}" == "numpy.generic" for kind in type(value).__mro__):
        return value.item()
    return value


def _is_json(value: Any) -> bool:
    """JSON in itself, whatever its keys mean to us."""
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(_is_json(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(plain(value), (str, bool, int, float))
