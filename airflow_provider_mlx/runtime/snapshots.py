"""
Snapshots of a folder in an object store: each is whole, or is not there.

::

    <uri>/snapshots/000002-00000007-9f3a6c1e.json    attempt, number, writer; written last, names every file
    <uri>/objects/000002-9f3a6c1e/41                 the bytes of a file, created once by that writer

A snapshot refers to objects of its own writer alone, and a writer removes only what it or an earlier attempt has
written. So whoever is late (a frozen attempt that wakes up, the second of two processes of one attempt) can neither
overwrite nor take away what another writer's snapshot needs; and the highest attempt's snapshots are tried first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Protocol  # noqa: UP035  (Python 3.9)

from .extraction import name_problem
from .refusals import ArtifactError
from .uris import join

FORMAT = 1
SNAPSHOTS_FOLDER = "snapshots"
OBJECTS_FOLDER = "objects"
COPY_BYTES = 1024 * 1024

_NAME = re.compile(r"(\d{6,})-(\d{8,})-([0-9a-f]{8})\.json")
_OBJECT = re.compile(r"(\d{6,})-([0-9a-f]{8})/\d+")

Say = Callable[[str], None]


class Objects(Protocol):
    """What snapshots need of a store; ``runtime/store.py`` has it."""

    def list(self, uri: str) -> Iterable[Any]:
        """Every object below a folder, with ``uri``."""

    def read_bytes(self, uri: str) -> bytes:
        """A small object; ``ArtifactError`` if it is not there."""

    def download(self, uri: str, path: Path) -> None:
        """Into a new file; ``ArtifactError`` if it is not there."""

    def upload(self, path: Path, uri: str) -> None:
        """Create the object from a file."""

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Create a small object."""

    def delete(self, uri: str) -> None:
        """Remove an object; ``ArtifactError`` if that is not allowed."""


class Name(NamedTuple):
    """A snapshot's name; the greatest is the newest."""

    attempt: int
    number: int
    writer: str

    def __str__(self) -> str:
        return f"{self.attempt:06d}-{self.number:08d}-{self.writer}"

    def is_mine(self, attempt: int, writer: str) -> bool:
        """Whether this writer may remove it: its own, or an earlier attempt's."""
        return self.attempt < attempt or (self.attempt, self.writer) == (attempt, writer)


class StoredFile(NamedTuple):
    """A file of a snapshot: its path in the folder, what it holds, and which object has its bytes."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
    object: str


class Damaged(Exception):
    """A snapshot that cannot be restored as it was."""


class Snapshots:
    """The snapshots of one folder."""

    def __init__(self, objects: Objects, uri: str) -> None:
        self._objects = objects
        self.uri = uri

    def names(self) -> list[Name]:
        """All of them, the newest first."""
        listed = self._objects.list(join(self.uri, SNAPSHOTS_FOLDER))
        found = [_NAME.fullmatch(item.uri.rpartition("/")[2]) for item in listed]
        return sorted((Name(int(m[1]), int(m[2]), m[3]) for m in found if m), reverse=True)

    def read(self, name: Name) -> list[StoredFile]:
        """
        The files of a snapshot.

        :raises Damaged: it is gone, does not say what a snapshot says, or names what lies elsewhere.
        """
        try:
            with _gone_is_damaged():
                body = json.loads(self._objects.read_bytes(self._manifest(name)))
            if body["snapshot"] != FORMAT:
                raise Damaged(f"its format is {body['snapshot']!r}")
            files = [StoredFile(*(entry[key] for key in StoredFile._fields)) for entry in body["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(f"it cannot be read: {type(error).__name__}: {error}") from error
        for file in files:
            _check(file)
        return files

    def write(self, name: Name, files: Iterable[StoredFile], written_at: str) -> None:
        """Make a snapshot of objects that are all there."""
        body = {"snapshot": FORMAT, "written_at": written_at, "files": [file._asdict() for file in files]}
        self._objects.write_bytes(self._manifest(name), json.dumps(body, indent=1).encode())

    def upload(self, path: Path, name: str) -> None:
        """Create an object."""
        self._objects.upload(path, self._object(name))

    def restore(self, folder: Path, say: Say) -> Name | None:
        """
        The newest snapshot that is whole, as a new folder; ``None`` if there is none at all.

        :raises ArtifactError: there are some, and none of them is whole; or the store gives no answer, which must not
            look like "there is none".
        """
        tried: dict[Name, str] = {}
        while names := [name for name in self.names() if name not in tried]:
            # Only the newest of a listing: while it was tried, its writer may have made a newer one and removed it.
            name = names[0]
            try:
                self._fetch(name, folder)
                return name
            except Damaged as error:
                shutil.rmtree(folder, ignore_errors=True)
                tried[name] = str(error)
                say(f"the checkpoint {name} cannot be restored, trying the one before: {error}")
        if tried:
            raise ArtifactError(
                f"none of the {len(tried)} checkpoints at {self.uri} can be restored; "
                f"the newest: {next(iter(tried.values()))}",
                "look at the store and its permissions; to start without a checkpoint, clear the task",
            )
        return None

    def remove_old(self, attempt: int, writer: str, keep: int) -> set[str]:
        """
        Keep the newest snapshots, and remove what else this writer may remove.

        :returns: the objects of this writer that are still needed.
        :raises ArtifactError: the job may not remove anything.
        :raises Damaged: what is still needed cannot be told; nothing was removed.
        """
        names = self.names()
        doomed = [name for name in names[keep:] if name.is_mine(attempt, writer)]
        needed = {
            file.object
            for name in names
            if name.is_mine(attempt, writer) and name not in doomed
            for file in self.read(name)
        }
        for name in reversed(doomed):
            self._objects.delete(self._manifest(name))
        for item in self._objects.list(join(self.uri, OBJECTS_FOLDER)) if doomed else ():
            found = _OBJECT.fullmatch("/".join(item.uri.split("/")[-2:]))
            if found is None or found[0] in needed:
                continue
            if Name(int(found[1]), 0, found[2]).is_mine(attempt, writer):
                self._objects.delete(self._object(found[0]))
        return {name for name in needed if name.startswith(f"{owner(attempt, writer)}/")}

    def _fetch(self, name: Name, folder: Path) -> None:
        files = self.read(name)
        folder.mkdir(parents=True)
        for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with _gone_is_damaged():
                self._objects.download(self._object(file.object), path)
            found = digest_of(path)
            if found != file.sha256:
                raise Damaged(f"{file.path!r} is {found} and not {file.sha256}")
            os.utime(path, ns=(file.mtime_ns, file.mtime_ns))

    def _manifest(self, name: Name) -> str:
        return join(self.uri, SNAPSHOTS_FOLDER, f"{name}.json")

    def _object(self, name: str) -> str:
        return join(self.uri, OBJECTS_FOLDER, name)


def owner(attempt: int, writer: str) -> str:
    """The folder of a writer's objects."""
    return f"{attempt:06d}-{writer}"


def digest_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as reader:
        while chunk := reader.read(COPY_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check(file: StoredFile) -> None:
    """What somebody else may have written into the store must not lead out of it, nor out of the folder."""
    if not (isinstance(file.path, str) and isinstance(file.object, str) and isinstance(file.mtime_ns, int)):
        raise Damaged("it is not one that the runtime writes")
    problem = name_problem(file.path)
    if problem or not _OBJECT.fullmatch(file.object):
        raise Damaged(f"it names {file.path!r} as {file.object!r}: {problem or 'that is no object of a checkpoint'}")


@contextmanager
def _gone_is_damaged() -> Iterator[None]:
    """An object that is gone is an answer; any other refusal of the store is none, and goes on its way."""
    try:
        yield
    except ArtifactError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise Damaged(error.what) from error
