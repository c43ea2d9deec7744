"""
A folder or archive of wheels from which a step's requirements are installed, and nothing from a network's index.

It is read through the job's own store: a mounted folder is used where it lies, the rest is downloaded. What is in it
is known by its listing (names, sizes, the store's versions), so that a finished environment needs no download.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Iterator  # noqa: UP035  (Python 3.9)

from .addresses import allowed_uri
from .refusals import JobMisconfigured

if TYPE_CHECKING:
    from typing import Sequence  # noqa: UP035  (Python 3.9)

    from .clients import Listed
    from .store import Store

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
_COPY_BYTES = 1024 * 1024


def is_archive(uri: str) -> bool:
    """Whether a wheelhouse is one file, by its name."""
    return uri.lower().endswith(ARCHIVES)


class Wheelhouse:
    """
    The wheels at one place.

    :param uri: of a folder with wheels in it, or of a zip or tar of wheels.
    :param allowed: prefixes from which the job may read.
    :raises ArtifactError: it lies outside them, or cannot be listed.
    :raises JobMisconfigured: there is nothing.
    """

    def __init__(self, uri: str, store: Store, allowed: Sequence[str]) -> None:
        self.uri = allowed_uri(uri, allowed)
        self._store = store
        self._found = sorted(self._list())
        if not self._found:
            raise JobMisconfigured(
                f"there are no wheels at {uri}", "put wheels (`*.whl`) there, or correct `wheelhouse`"
            )

    @property
    def digest(self) -> str:
        """Of what is there: other wheels make another environment."""
        return hashlib.sha256(json.dumps(self._found).encode()).hexdigest()

    def bring(self, folder: Path) -> Path:
        """A folder of this machine that has the wheels: their own where it is mounted, else ``folder``."""
        local = self._store.local_path(self.uri)
        if local is not None and not is_archive(self.uri):
            return local
        folder.mkdir()
        for item in self._found:
            name = item.uri.rpartition("/")[2]
            self._store.download(item.uri, folder / name)
        if is_archive(self.uri):
            archive = folder / self._found[0].uri.rpartition("/")[2]
            count = _extract_wheels(archive, folder)
            archive.unlink()
            if not count:
                raise JobMisconfigured(f"there are no wheels in {self.uri}", "put wheels (`*.whl`) into it")
        return folder

    def _list(self) -> list[Listed]:
        if not is_archive(self.uri):
            # Of the folder itself, as pip's own --find-links has it.
            base = self.uri.rstrip("/")
            listed = self._store.list(base)
            return [item for item in listed if _is_wheel_in(item.uri, base)]
        parent = self.uri.rpartition("/")[0]
        return [item for item in self._store.list(parent) if item.uri == self.uri]


def _is_wheel_in(uri: str, folder: str) -> bool:
    from urllib.parse import unquote

    parent, _, name = uri.rpartition("/")
    return parent == folder and _WHEEL.fullmatch(unquote(name)) is not None


def _extract_wheels(archive: Path, folder: Path) -> int:
    """The wheels of an archive, whatever folders it has, flat; how many."""
    count = 0
    for name, reader in _members(archive):
        base = name.rpartition("/")[2]
        if not _WHEEL.fullmatch(base):
            continue
        try:
            with reader, (folder / base).open("xb") as writer:
                shutil.copyfileobj(reader, writer, _COPY_BYTES)
        except FileExistsError:
            raise JobMisconfigured(f"{archive.name} has two wheels named {base}", "remove one of them") from None
        count += 1
    return count


def _members(archive: Path) -> Iterator[tuple[str, BinaryIO]]:
    import tarfile
    import zipfile

    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as zipped:
                for entry in zipped.infolist():
                    if not entry.is_dir():
                        yield entry.filename, zipped.open(entry)  # type: ignore[misc]
            return
        with tarfile.open(archive) as taped:
            for member in taped:
                content = taped.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield member.name, content  # type: ignore[misc]
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise JobMisconfigured(f"the wheelhouse {archive.name} cannot be read: {error}", "write it anew") from error
