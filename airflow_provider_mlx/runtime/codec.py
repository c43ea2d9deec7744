"""
What a codec is: one row of the table in ``codecs.py``, ours or one that an installed package brings.

A row says which types it takes, by their public dotted names, so that neither side imports a framework to look; the
functions that do the work live in the row's ``home`` and are imported when they are called.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Mapping, Sequence  # noqa: UP035  (Python 3.9)

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
    :param kind: ``data`` or ``model``; Airflow's processes never load a model.
    :param suffix: of the object's name.
    :param home: module with ``save_<name>(value, sink)``, ``load_<name>(path, type_name)`` and, if a person can be told
        more of a value than its type and size, ``describe_<name>(value)``; a bare name is a module of ours.
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

    def describe(self, value: Any) -> Sequence[str]:
        """A few short lines about a value, for the task's log; none if there is nothing to say."""
        describe = getattr(self._home(), f"describe_{self.name}", None)
        return () if describe is None else describe(value)

    def packages_of(self, type_name: str) -> tuple[str, ...]:
        """The packages, as pip knows them, without which a value of this type can be neither written nor read."""
        rows = self.packages or {}
        return rows.get(ALIASES.get(type_name, type_name), rows.get("*", ()))

    def _home(self) -> Any:
        return importlib.import_module(self.home if "." in self.home else f"{__package__}.{self.home}")


def dotted_name(kind: type) -> str:
    """Module and name of a type, without private modules and without ``builtins``."""
    top, *rest = kind.__module__.split(".")
    parts = [top, *(part for part in rest if not part.startswith("_"))]
    full = ".".join([*parts, kind.__qualname__]).replace("builtins.", "")
    short = f"{top}.{kind.__qualname__}"
    return short if short in _HOMELESS else full


# Types that packages keep in inner modules: pandas.core.frame.DataFrame, pyarrow.lib.Table, pathlib._local.Path.
_HOMELESS = {
    "pandas.DataFrame",
    "polars.DataFrame",
    "pyarrow.Table",
    "pathlib.PosixPath",
    "pathlib.Path",
    "pathlib.PurePath",
}
ALIASES = {
    "None": "NoneType",
    "typing.List": "list",
    "typing.Dict": "dict",
    "typing.Tuple": "tuple",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "polars.dataframe.frame.DataFrame": "polars.DataFrame",
    "pyarrow.lib.Table": "pyarrow.Table",
}
