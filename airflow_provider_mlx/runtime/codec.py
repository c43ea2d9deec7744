"""
What a codec is: one row of the table in ``codecs.py``, ours or one that an installed package brings.

A row says which types it takes, by their public dotted names, so that neither side imports a framework to look; the
functions that do the work live in the row's ``home`` and are imported when they are called.
"""

from __future__ import annotations

import hashlib
import importlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Collection, Mapping, Sequence  # noqa: UP035  (Python 3.9)

from .refusals import ArtifactError

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

    def read(self, size: int = -1) -> bytes:
        """Fail, as a file that is open for writing does; NumPy asks whether there is such a call at all."""
        raise io.UnsupportedOperation("not readable")

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
        The package and the class are enough where the package keeps a class in an inner module (``pandas.DataFrame``).
    :param bases: dotted names whose subclasses it takes too.
    :param members: dotted names of what may stand in a dict that it takes: text → values of these types and their
        subclasses, and nothing else.
    :param families: top packages of types it takes by annotation.
    :param cannot: dotted name → the way out, for types that are refused, subclasses too, before a later row is asked.
    :param packages: packages that must be importable, by type where that differs (``*`` is any other).
    """

    name: str
    kind: str
    suffix: str
    home: str
    types: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, ...]] | None = None
    cannot: Mapping[str, str] | None = None

    def matches(self, value: object) -> bool:
        """Whether this row takes the value; imports nothing."""
        if self.members and isinstance(value, dict) and value:
            return all(isinstance(key, str) and _is_a(type(item), self.members) for key, item in value.items())
        kind = type(value)
        return not spellings(dotted_name(kind)).isdisjoint(self.types) or _is_a(kind, self.bases) is not None

    def named(self, dotted: str) -> bool:
        """Whether this row takes the type of this name, as far as a name can tell; ``dict[torch.Tensor]`` is a dict."""
        if dotted.startswith("dict["):
            member = dotted[len("dict[") : -1]
            return not spellings(member).isdisjoint(self.members) or (
                bool(self.members) and _top(member) in self.families
            )
        names = spellings(dotted)
        return not names.isdisjoint(self.types + self.bases) or _top(dotted) in self.families

    def way_out(self, kind: type) -> str | None:
        """What to do instead with a value of a type that this row refuses by name; None where it does not."""
        name = _is_a(kind, self.cannot or {})
        return (self.cannot or {}).get(name or "")

    def suffix_of(self, value: object) -> str:
        """The suffix of an object's name: a file keeps its own where the row has none."""
        return "".join(value.suffixes[-2:]) if not self.suffix and isinstance(value, Path) else self.suffix

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
        try:
            return getattr(self._home(), f"load_{self.name}")(path, type_name)
        except ValueError as error:
            raise ArtifactError(f"{path.name} cannot be read by the codec {self.name!r}: {error}") from error

    def describe(self, value: Any) -> Sequence[str]:
        """A few short lines about a value, for the task's log; none if there is nothing to say."""
        describe = getattr(self._home(), f"describe_{self.name}", None)
        return () if describe is None else describe(value)

    def packages_of(self, type_name: str) -> tuple[str, ...]:
        """The packages, as pip knows them, without which a value of this type can be neither written nor read."""
        rows = self.packages or {}
        return next((rows[name] for name in spellings(type_name) if name in rows), rows.get("*", ()))

    def _home(self) -> Any:
        return importlib.import_module(self.home if "." in self.home else f"{__package__}.{self.home}")


def _top(dotted: str) -> str:
    return dotted.partition(".")[0]


def spellings(dotted: str) -> frozenset[str]:
    """
    The names by which a row may know a type: the one given, or the public one for it, and package and class alone.

    Packages keep classes in inner modules, and move them there: ``pandas.core.frame.DataFrame``, ``pyarrow.lib.Table``.
    """
    top, _, rest = dotted.partition(".")
    short = (f"{top}.{rest.rpartition('.')[2]}",) if rest else ()
    return frozenset((ALIASES.get(dotted, dotted), *short))


def dotted_name(kind: type) -> str:
    """Module and name of a type, without private modules and without ``builtins``."""
    top, *rest = kind.__module__.split(".")
    parts = [top, *(part for part in rest if not part.startswith("_"))]
    return ".".join([*parts, kind.__qualname__]).replace("builtins.", "")


def _is_a(kind: type, names: Collection[str]) -> str | None:
    """The first of the names that is the type's, or that of a type it derives from."""
    if not names:
        return None
    return next((name for base in kind.__mro__ for name in spellings(dotted_name(base)) if name in names), None)


ALIASES = {
    "None": "NoneType",
    "typing.List": "list",
    "typing.Dict": "dict",
    "typing.Tuple": "tuple",
    "plotly.graph_objs.Figure": "plotly.graph_objects.Figure",
    "torch.nn.modules.module.Module": "torch.nn.Module",
}
"""Public names, where package and class alone are not what people write."""
