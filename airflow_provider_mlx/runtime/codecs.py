"""
The codec table: how a value becomes an object's bytes, keyed by strings so that neither side imports a framework.

``kind`` separates *data* from *models*: Airflow's processes never load a model codec. Nothing here pickles. Packages
add rows of their own under the entry point group ``airflow_provider_mlx.codecs`` (name → ``module:ROW``); ours win.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .codec import ALIASES, DATA, MODEL, Codec, HashingWriter, dotted_name
from .wire import NotPlain, encode

__all__ = ["CODECS", "DATA", "IMPORT_NAMES", "MODEL", "Codec", "HashingWriter", "codec_for", "codec_for_type_name",
           "codec_named", "dotted_name", "packages_for", "plain", "type_name"]  # fmt: skip

GROUP = "airflow_provider_mlx.codecs"

_ROWS = (
    # Wire JSON (wire.py): NaN, infinities, aware datetimes and references survive.
    Codec("json", DATA, ".json", "codec_files", types=("NoneType", "bool", "int", "float", "list", "tuple", "dict")),
    # A dict with a key `mlx` of its own cannot be wire JSON; it is kept word for word and never taken for a reference.
    Codec("verbatim", DATA, ".json", "codec_files"),
    Codec("text", DATA, ".txt", "codec_files", types=("str",)),
    Codec("bytes", DATA, ".bin", "codec_files", types=("bytes", "bytearray")),
    # A Path result is a file or a folder: `codec_for` looks at the disk.
    Codec("file", DATA, "", "codec_files", types=("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath")),
    Codec("directory", DATA, ".tar", "codec_files"),
    # The same by `Annotated[Path, Model("churn")]`: what a framework wrote, whatever it is, that Airflow must not load.
    Codec("model_file", MODEL, "", "codec_files"),
    Codec("model_directory", MODEL, ".tar", "codec_files"),
    # One columnar file for the three frame libraries; pandas keeps index and dtypes through Arrow's own metadata.
    Codec(
        "parquet", DATA, ".parquet", "codec_frames",
        types=("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"),
        packages={
            "pandas.DataFrame": ("pandas", "pyarrow"), "polars.DataFrame": ("polars",), "pyarrow.Table": ("pyarrow",),
        },
    ),
    # NumPy's own format without pickle; a masked or record array is refused, since .npy would drop what makes it one.
    Codec("npy", DATA, ".npy", "codec_frames", types=("numpy.ndarray", "numpy.memmap"), packages={"*": ("numpy",)}),
    # skops writes a zip of JSON and arrays; loading trusts scikit-learn's own types only.
    Codec(
        "sklearn", MODEL, ".skops", "codec_frames",
        bases=("sklearn.base.BaseEstimator", "sklearn.BaseEstimator"), families=("sklearn",),
        packages={"*": ("scikit-learn", "skops")},
    ),
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


def _rows() -> Iterator[Codec]:
    """Ours, then the installed ones, which are looked for only if none of ours answers."""
    yield from _ROWS
    yield from installed_codecs().values()


IMPORT_NAMES = {"scikit-learn": "sklearn"}
"""Packages of the table whose import name differs."""


def codec_for(value: Any) -> Codec | None:
    """
    The row that takes a value, None when none does.

    JSON is decided by the value as a whole: a list of frames is a list, and yet no JSON.
    """
    if isinstance(value, str):
        return CODECS["text"]
    if isinstance(value, Path):
        return CODECS["directory"] if value.is_dir() else CODECS["file"]
    try:
        encode(plain(value))
        return CODECS["json"]
    except (NotPlain, RecursionError):
        pass
    if isinstance(value, (dict, list, tuple)):
        return CODECS["verbatim"] if _is_json(value) else None
    return next((row for row in _rows() if row.name not in ("json", "file") and row.matches(value)), None)


def codec_for_type_name(dotted: str) -> Codec | None:
    """
    The row for an annotation, by its public dotted name (``pandas.DataFrame``); None when no codec takes the type.

    ``Path`` answers ``file``, which stands for ``directory`` too: only the value tells which.
    """
    name = ALIASES.get(dotted, dotted)
    for row in _rows():
        if name in row.types or name in row.bases or name.split(".")[0] in row.families:
            return row
    return None


def packages_for(dotted: str) -> tuple[str, ...]:
    """The packages, as pip knows them, that a value of this type needs in order to be written and read."""
    row = codec_for_type_name(dotted)
    return row.packages_of(dotted) if row is not None else ()


def type_name(kind: type) -> str:
    """
    The public name of a type: ``pandas.DataFrame``, ``sklearn.ensemble.RandomForestClassifier``, ``dict``.

    Known types are named by their top package, wherever the package keeps them; private modules are left out.
    """
    short = f"{kind.__module__.split('.')[0]}.{kind.__qualname__}"
    if any(short in row.types for row in _ROWS):
        return short
    return dotted_name(kind)


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
