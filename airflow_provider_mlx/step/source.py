"""
From a function object to its slice: the files and objects of the world, at the edge of the pure :mod:`.slicing`.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from airflow_provider_mlx.exceptions import InvalidStep

from .slicing import SourceSlice, slice_function

WRITE_A_DEF: Final = "write a `def` at module level or inside the @dag function, and decorate that"


class Location(NamedTuple):
    """Where Python says that a function was written; ``first_line`` is the line of its first decorator."""

    path: str
    qualname: str
    first_line: int
    package: str | None


def source_stamp(path: str) -> tuple[int, int]:
    """Changes when the file does: modification time and size, of the zip file for a file inside one."""
    file = Path(path)
    archive = None if file.is_file() else split_archive(file)
    try:
        stat = (archive[0] if archive else file).stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def split_archive(path: Path) -> tuple[Path, str] | None:
    """A path inside a zip file as the archive and the member, ``/dags/all.zip/sub/dag.py``; None for any other path."""
    for parent in path.parents:
        if parent.is_file():
            return (parent, path.relative_to(parent).as_posix()) if zipfile.is_zipfile(parent) else None
    return None


def read_source(path: str) -> str:
    """
    The text of a Python file, decoded as PEP 263 says, also when it lies inside a zip file.

    :raises InvalidStep: there is no such file, or its bytes are not in the encoding that it declares.
    """
    file = Path(path)
    try:
        if archive := None if file.is_file() else split_archive(file):
            with zipfile.ZipFile(archive[0]) as opened:
                data = opened.read(archive[1])
        else:
            data = file.read_bytes()
        return importlib.util.decode_source(data)
    except (OSError, KeyError) as error:
        what = f"the source file `{path}` cannot be read: {error}"
        raise InvalidStep(what, remedy="keep the DAG file where it was loaded from") from error
    except (UnicodeDecodeError, SyntaxError) as error:
        raise InvalidStep(
            f"the source file `{path}` is not in the encoding that it declares: {error}",
            remedy="save it as UTF-8, or name its encoding in the first line",
        ) from error


def locate(function: Callable[..., Any]) -> Location:
    """
    Where the function's own ``def`` stands, below any ``functools.wraps``.

    :raises InvalidStep: there is no ``def`` to find: a lambda, a partial, a callable object, a builtin, a method, or a
        function made by ``exec``.
    """
    inner = inspect.unwrap(function)
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    reason, remedy = "", WRITE_A_DEF
    if isinstance(inner, functools.partial):
        reason = f"a partial of `{getattr(inner.func, '__name__', inner.func)}` is not a function"
        remedy = "decorate the function, and pass the values when the step is called"
    elif inspect.ismethod(inner):
        reason = f"`{name}` is a method; its object cannot be sent to a job"
    elif inspect.isbuiltin(inner) or inspect.isclass(inner):
        reason = f"`{name}` is a {'class' if inspect.isclass(inner) else 'builtin'}, not a function of a DAG file"
    elif not inspect.isfunction(inner):
        reason = f"an object of class `{name}` is not a function, although it can be called"
    elif inner.__name__ == "<lambda>":
        reason = "a lambda cannot be cut out of its line"
    elif inner.__code__.co_filename.startswith("<"):
        reason = f"`{name}` has no source file: it was made by exec or typed at a prompt"
        remedy = "write it into a file"
    if reason:
        raise InvalidStep(f"{reason}.", remedy=remedy)
    package = inner.__globals__.get("__package__") or None
    return Location(inner.__code__.co_filename, name, inner.__code__.co_firstlineno, package)


def slice_callable(function: Callable[..., Any], *, bundle_root: str | None = None) -> SourceSlice:
    """
    :func:`slice_function` for a function object; the file is read again only when it changed.

    :param bundle_root: the DAG bundle's folder; the slice's ``origin`` is relative to it.
    :raises InvalidStep: there is no source to find, or it cannot be sliced.
    """
    place = locate(function)
    path = Path(place.path)
    inside = bundle_root is not None and path.is_relative_to(bundle_root)
    origin = path.relative_to(bundle_root).as_posix() if inside and bundle_root else path.name
    source = _read_again_if_changed(place.path, source_stamp(place.path))
    return slice_function(
        source,
        filename=place.path,
        qualname=place.qualname,
        first_line=place.first_line,
        origin=origin,
        package=place.package,
    )


@lru_cache(maxsize=64)
def _read_again_if_changed(path: str, stamp: tuple[int, int]) -> str:
    return read_source(path)
