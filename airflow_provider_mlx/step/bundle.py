"""
The bundle: one deterministic zip of the step's code and of the runtime that runs it, named by its SHA-256.

The same files give the same bytes on every machine: members are sorted and stored (another zlib would compress to other
bytes), and carry no time, no user and no mode of the machine. User code lies under ``source/``, which the job extracts;
the runtime is imported from the zip itself.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

if TYPE_CHECKING:
    from .slicing import SourceSlice

SLICE_MODULE: Final = "mlx_step_source"
SOURCE_FOLDER: Final = "source"
MAX_BUNDLE_BYTES: Final = 50 * 1024 * 1024

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can tell
_REGULAR_FILE: Final = 0o100644 << 16  # Unix mode in the upper half of external_attr (zip APPNOTE 4.4.15)
_UNIX: Final = 3
_MAX_SEGMENT_BYTES: Final = 255  # NAME_MAX of Linux file systems
_LARGEST: Final = 10

_PACKAGE: Final = "airflow_provider_mlx"
_INIT_TEMPLATE: Final = "bundle_init.py"


@dataclass(frozen=True)
class Bundle:
    """
    The zip file's bytes, their hex SHA-256 and their number, and the names inside, sorted.

    ``repr`` leaves the bytes out.
    """

    data: bytes
    sha256: str
    size: int
    files: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Bundle(sha256={self.sha256!r}, size={self.size}, files={len(self.files)})"


def build_bundle(files: Mapping[str, bytes], *, max_bytes: int = MAX_BUNDLE_BYTES) -> Bundle:
    """
    Zip files by their names in the bundle; equal files give equal bytes.

    :param max_bytes: what the files may have together.
    :raises InvalidStep: names that cannot be extracted safely everywhere, or too many bytes; all at once.
    """
    problems = [*_name_problems(files)]
    total = sum(map(len, files.values()))
    if total > max_bytes:
        problems.append(_too_large(files, total, max_bytes))
    if problems:
        raise InvalidStep("the step's files cannot be bundled.", problems)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system, member.external_attr = _UNIX, _REGULAR_FILE
            archive.writestr(member, files[name], zipfile.ZIP_STORED)
    data = target.getvalue()
    return Bundle(data, hashlib.sha256(data).hexdigest(), len(data), tuple(sorted(files)))


def _name_problems(files: Mapping[str, bytes]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in sorted(files):
        if reason := _unsafe(name):
            yield Problem(f"the file name {name!r} {reason}", "rename the file, or leave it out of `include`")
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            what = f"the file names {first!r} and {name!r} are one where case does not count"
            yield Problem(what, "rename one of the two")
    folders = {name[:i].casefold() for name in files for i, letter in enumerate(name) if letter == "/"}
    for name in sorted(name for folded, name in seen.items() if folded in folders):
        yield Problem(f"{name!r} is a file and a folder at once", "rename one of the two")


def _unsafe(name: str) -> str | None:
    segments = name.split("/")
    try:
        too_long = any(len(segment.encode()) > _MAX_SEGMENT_BYTES for segment in segments)
    except UnicodeEncodeError:
        return "is not valid Unicode"
    reasons = {
        "is empty": not name,
        "is absolute": name.startswith("/") or (len(name) > 1 and name[1] == ":"),
        "has a NUL in it": "\0" in name,
        "has a backslash in it": "\\" in name,
        "has an empty, `.` or `..` part": bool(name) and any(segment in ("", ".", "..") for segment in segments),
        f"has a part of more than {_MAX_SEGMENT_BYTES} bytes": too_long,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _too_large(files: Mapping[str, bytes], total: int, max_bytes: int) -> Problem:
    largest = sorted(files, key=lambda name: (-len(files[name]), name))[:_LARGEST]
    listed = ", ".join(f"{name} ({_readable(len(files[name]))})" for name in largest)
    what = f"the files have {_readable(total)}, the limit is {_readable(max_bytes)}; the largest: {listed}"
    return Problem(what, "leave data out of `include`: read it as a Dataset, or put it into the image")


def _readable(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB" if size >= 100 * 1024 else f"{size} bytes"


@lru_cache(maxsize=1)
def runtime_files() -> Mapping[str, bytes]:
    """
    The runtime as it stands in the bundle: ``airflow_provider_mlx/runtime/*.py``, below a package of its own.

    The package's ``__init__.py`` in a bundle is not the provider's, which knows Airflow: it is ``bundle_init.py``.
    """
    folder = resources.files(f"{_PACKAGE}.runtime")
    sources = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".py")}
    files = {f"{_PACKAGE}/runtime/{name}": data for name, data in sources.items() if name != _INIT_TEMPLATE}
    return MappingProxyType({**files, f"{_PACKAGE}/__init__.py": sources[_INIT_TEMPLATE]})


def step_bundle(
    source: SourceSlice | None, packages: Mapping[str, bytes], *, max_bytes: int = MAX_BUNDLE_BYTES
) -> Bundle:
    """
    Everything that a job runs: the slice, the packages it needs, and the runtime.

    :param source: None for entry points and scripts, whose code is in ``packages``.
    :param packages: files below ``source/``.
    :raises InvalidStep: a package takes the slice's or the runtime's name, or the files cannot be bundled.
    """
    user = dict(packages)
    taken = {f"{SLICE_MODULE}.py", f"{SLICE_MODULE}/__init__.py"} & user.keys()
    taken |= {name for name in user if name.partition("/")[0] in (_PACKAGE, f"{_PACKAGE}.py")}
    if taken:
        problems = [Problem(f"{name!r} has a name that the bundle needs itself", "rename it") for name in sorted(taken)]
        raise InvalidStep("the step's files cannot be bundled.", problems)
    if source is not None:
        user[f"{SLICE_MODULE}.py"] = source.text.encode()
    files = {f"{SOURCE_FOLDER}/{name}": data for name, data in user.items()}
    return build_bundle({**runtime_files(), **files}, max_bytes=max_bytes)
