"""
The codec table: how a value becomes an object's bytes, keyed by strings so that neither side imports a framework.

A row says which types it takes, by their public dotted names; the functions that do the work live in
``codec_files.py`` and ``codec_frames.py`` and are imported when they are called. ``kind`` separates *data* from
*models*: Airflow's processes never load a model codec. Nothing here pickles.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Mapping  # noqa: UP035  (Python 3.9)

from .wire import NotPlain, encode

DATA = "data"
MODEL = "model"


class HashingWriter:
    """
    A binary file that hashes and counts what passes through it into another one.

    Readable frameworks ask for more than ``write``, so the few other calls of a file that only grows are here too.
    """

    closed = False
    mode = "wb"

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        """Write any bytes-like object."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        self._digest.update(view)
        self._sink.write(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        """The position, which is always the end."""
        return self.size

    def flush(self) -> None:
        """Hand what is buffered to the file below."""
        self._sink.flush()

    def close(self) -> None:
        """Do nothing: whoever opened the file below closes it."""

    def writable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """No."""
        return False

    def seekable(self) -> bool:
        """No: what was hashed cannot be changed."""
        return False


@dataclass(frozen=True)
class Codec:
    """
    One row of the table.

    :param name: what an artifact's ``codec`` says.
    :param kind: ``data`` or ``model``.
    :param suffix: of the object's name.
    :param home: module with ``save_<name>`` and ``load_<name>``.
    :param types: dotted names it takes, exactly: a subclass may hold more than its base, and would lose it silently.
    :param bases: dotted names whose subclasses it takes too.
    :param families: top packages of types it takes by annotation.
    :param packages: packages that must be importable, by type where that differs (``*`` is any other).
    """

    name: str
    kind: str
    suffix: str
    home: str
    types: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, ...]] | None = None

    def matches(self, value: object) -> bool:
        """Whether this row takes the value; imports nothing."""
        lineage = [dotted_name(kind) for kind in type(value).__mro__]
        return lineage[0] in self.types or any(name in self.bases for name in lineage)

    def save(self, value: Any, sink: BinaryIO | HashingWriter) -> None:
        """
        Write the value.

        :raises ValueError: the value is of a type that the row takes, but not of a form that it can write.
        """
        getattr(self._home(), f"save_{self.name}")(value, sink)

    def load(self, path: Path, type_name: str) -> Any:
        """
        Read a value.

        :param type_name: dotted name of the type that is wanted, for rows that can give more than one.
        :raises ArtifactError: the content is damaged, or must not be loaded.
        """
        return getattr(self._home(), f"load_{self.name}")(path, type_name)

    def packages_of(self, type_name: str) -> tuple[str, ...]:
        """The packages, as pip knows them, without which a value of this type can be neither written nor read."""
        rows = self.packages or {}
        return rows.get(_ALIASES.get(type_name, type_name), rows.get("*", ()))

    def _home(self) -> Any:
        return importlib.import_module(f"{__package__}.{self.home}")


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
    return next((row for row in _ROWS if row.name not in ("json", "file") and row.matches(value)), None)


def codec_for_type_name(dotted: str) -> Codec | None:
    """
    The row for an annotation, by its public dotted name (``pandas.DataFrame``); None when no codec takes the type.

    ``Path`` answers ``file``, which stands for ``directory`` too: only the value tells which.
    """
    name = _ALIASES.get(dotted, dotted)
    for row in _ROWS:
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


def dotted_name(kind: type) -> str:
    """Module and name of a type, without private modules and without ``builtins``."""
    top, *rest = kind.__module__.split(".")
    parts = [top, *(part for part in rest if not part.startswith("_"))]
    full = ".".join([*parts, kind.__qualname__]).replace("builtins.", "")
    short = f"{top}.{kind.__qualname__}"
    return short if short in _HOMELESS else full


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


# Types that packages keep in inner modules: pandas.core.frame.DataFrame, pyarrow.lib.Table, pathlib._local.Path.
_HOMELESS = {
    "pandas.DataFrame",
    "polars.DataFrame",
    "pyarrow.Table",
    "pathlib.PosixPath",
    "pathlib.Path",
    "pathlib.PurePath",
}
_ALIASES = {
    "None": "NoneType",
    "typing.List": "list",
    "typing.Dict": "dict",
    "typing.Tuple": "tuple",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "polars.dataframe.frame.DataFrame": "polars.DataFrame",
    "pyarrow.lib.Table": "pyarrow.Table",
}
