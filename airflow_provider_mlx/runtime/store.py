"""
Objects in the job: plain files where the store is mounted, else the first client that the image has.

A job creates objects and overwrites none. Where the store can say so atomically (a hard link, ``If-None-Match``) it
does; the clients that cannot are asked for existence first. A store that gives no answer is asked again for a while
(``transfer.py``), and says so in the log: a step's work must not be lost to a minute's outage.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Callable, Iterator, TypeVar  # noqa: UP035  (Python 3.9)

from .addresses import file_path, mounted_path, split_uri
from .refusals import AlreadyWritten, ArtifactError
from .transfer import (
    READ_PATIENCE_SECONDS,
    WRITE_PATIENCE_SECONDS,
    NoAnswer,
    ObjectChanged,
    Patience,
    Sink,
    read_resuming,
)
from .uris import join

if TYPE_CHECKING:
    from .clients import Client, Listed, Row
    from .protocol import Mount, StoreAccess

COPY_BYTES = 1024 * 1024

_Answer = TypeVar("_Answer")


class Store:
    """
    Access to objects by URI.

    :param access: mounts and client options of the context; empty while the context itself is being read.
    :param scratch: folder for objects on their way to a remote store.
    """

    def __init__(self, access: StoreAccess | None = None, scratch: Path | None = None) -> None:
        self._mounts = [mount for mount in (access or {}).get("mounts", ()) if _counts(mount)]
        self._options = dict((access or {}).get("options", {}))
        self._scratch = scratch
        self._clients: dict[tuple[str, Row], Client] = {}
        self._gave_up = False

    def local_path(self, uri: str) -> Path | None:
        """The object as a file of this job, if its store is mounted here; whether it exists is another question."""
        return mounted_path(uri, self._mounts) or file_path(uri)

    def read_bytes(self, uri: str) -> bytes:
        """
        A small object, whole.

        :raises ArtifactError: it does not exist or cannot be read.
        """
        import io

        sink = io.BytesIO()
        self.read_into(uri, sink)
        return sink.getvalue()

    def read_into(self, uri: str, sink: Sink) -> None:
        """
        Stream an object into a binary file.

        :raises ArtifactError: it does not exist or cannot be read.
        """
        local = self.local_path(uri)
        if local is None:
            self._read_remote(uri, sink)
            return
        with self._answers(uri), local.open("rb") as reader:
            while chunk := reader.read(COPY_BYTES):
                sink.write(chunk)

    def download(self, uri: str, path: Path) -> None:
        """Copy an object into a new file."""
        with path.open("xb") as sink:
            self.read_into(uri, sink)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        local = self.local_path(uri)
        if local is not None:
            return local.exists()
        with self._answers(uri):
            return self._patiently(uri, READ_PATIENCE_SECONDS, lambda: self._client(uri).exists(uri))

    def version(self, uri: str) -> str | None:
        """
        The store's own word for an object's content, its ETag or generation; None where it cannot be told.

        For what is only nice to know: no error, and no patience with a store that gives no answer.
        """
        if mounted_path(uri, self._mounts) is not None:
            return None  # a copy of the object says nothing of the object
        try:
            local = file_path(uri)
            if local is None:
                return self._client(uri).open(uri).version.strip('"') or None
            facts = local.stat()
        except Exception:  # a store's client raises what it likes
            return None
        # As object_store's local files have it, so that Airflow's side finds the same version.
        return f"{facts.st_ino:x}-{facts.st_mtime_ns // 1000:x}-{facts.st_size:x}" if local.is_file() else None

    def below(self, uri: str) -> list[str]:
        """The URIs of all objects under a prefix that is taken as a folder; sorted."""
        return [item.uri for item in self.list(uri)]

    def write_bytes(self, uri: str, data: bytes) -> None:
        """
        Create a small object. The same content being there already is fine: a repeated write is one write.

        :raises AlreadyWritten: other content is there.
        """
        try:
            with self.writing(uri) as sink:
                sink.write(data)
        except AlreadyWritten:
            if self.read_bytes(uri) != data:
                raise

    def upload(self, path: Path, uri: str) -> None:
        """
        Create an object from a file.

        :raises AlreadyWritten: an object is there already.
        """
        local = self.local_path(uri)
        if local is None:
            self._create_remote(path, uri)
            return
        with self.writing(uri) as sink, path.open("rb") as reader:
            while chunk := reader.read(COPY_BYTES):
                sink.write(chunk)

    @contextmanager
    def writing(self, uri: str) -> Iterator[BinaryIO]:
        """
        A binary file that becomes the object when the block ends without an exception, all at once.

        On a mounted store the bytes go straight to their final folder, elsewhere through a file in the scratch folder.

        :raises AlreadyWritten: an object is there already (checked at the end, by the store itself where it can).
        """
        local = self.local_path(uri)
        if local is not None:
            local.parent.mkdir(parents=True, exist_ok=True)
            folder = local.parent
        else:
            folder = self._scratch or Path.cwd()
        draft = folder / f".{os.urandom(8).hex()}.tmp"
        try:
            with draft.open("xb") as sink:
                yield sink
            if local is None:
                self._create_remote(draft, uri)
            else:
                _publish(draft, local, uri)
        finally:
            draft.unlink(missing_ok=True)

    def _read_remote(self, uri: str, sink: Sink) -> None:
        with self._answers(uri):
            read_resuming(partial(self._client(uri).open, uri), sink, self._patience(uri, READ_PATIENCE_SECONDS))

    def list(self, uri: str) -> list[Listed]:
        """
        Every object below a folder, sorted; none where there is no such folder.

        :raises ArtifactError: the job may not list it.
        """
        local = self.local_path(uri)
        with self._answers(uri):
            if local is None:
                return self._patiently(uri, READ_PATIENCE_SECONDS, lambda: sorted(self._client(uri).listed(uri)))
            return list(_files_below(local, uri))

    def delete(self, uri: str) -> None:
        """
        Remove an object; none being there is fine.

        :raises ArtifactError: the job may not.
        """
        local = self.local_path(uri)
        with self._answers(uri):
            if local is None:
                self._patiently(uri, READ_PATIENCE_SECONDS, lambda: self._client(uri).delete(uri))
            else:
                local.unlink(missing_ok=True)

    def _create_remote(self, path: Path, uri: str) -> None:
        client = self._client(uri, creating=path.stat().st_size)
        try:
            with self._answers(uri):
                self._patiently(uri, WRITE_PATIENCE_SECONDS, lambda: client.create(path, uri))
        except FileExistsError as error:
            raise AlreadyWritten(f"{uri} exists already; a job overwrites nothing") from error

    def _patiently(self, uri: str, seconds: float, request: Callable[[], _Answer]) -> _Answer:
        patience = self._patience(uri, seconds)
        while True:
            try:
                return request()
            except NoAnswer as error:
                patience.wait(error)

    def _patience(self, uri: str, seconds: float) -> Patience:
        """A store that was given up once is not waited for as long again: the job must come to its end."""
        return Patience(seconds / 15 if self._gave_up else seconds, f"no answer for {uri}")

    @contextmanager
    def _answers(self, uri: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ArtifactError(
                f"there is no object {uri}", "was it removed by a clean-up or a lifecycle rule?"
            ) from error
        except PermissionError as error:
            raise ArtifactError(
                f"the job has no access to {uri}: {error}",
                "give the job's identity the right to read the artifact root and to create objects under it",
            ) from error
        except ObjectChanged as error:
            raise ArtifactError(
                f"{uri} was not read: {error}", "run the step again when nobody writes to the object"
            ) from error
        except NoAnswer as error:
            self._gave_up = True
            raise ArtifactError(
                f"the store gave no answer for {uri}: {error}",
                "look at the network between the job and its store and at the job's credentials, then clear the task",
            ) from error

    def _client(self, uri: str, *, creating: int = 0) -> Client:
        from .clients import choose_row

        scheme, _ = split_uri(uri)
        row = choose_row(scheme, creating)
        if (scheme, row) not in self._clients:
            self._clients[scheme, row] = row.make(scheme, self._options.get(scheme, {}))
        return self._clients[scheme, row]


def _counts(mount: Mount) -> bool:
    if not mount.get("otherwise"):
        return True
    if "MLX_INSTALL_CLIENT" in os.environ:
        return False  # it will have one
    from .clients import CLIENTS

    scheme, _ = split_uri(mount["uri"])
    return not any(row.importable for row in CLIENTS.get(scheme, ()))


def _files_below(folder: Path, uri: str) -> Iterator[Listed]:
    from urllib.parse import quote

    from .clients import Listed

    for path in sorted(folder.rglob("*")):
        if path.is_file():
            facts, below = path.stat(), path.relative_to(folder).as_posix()
            there = join(uri, quote(below) if uri.startswith("file:") else below)
            yield Listed(there, facts.st_size, str(facts.st_mtime_ns))


def _publish(draft: Path, final: Path, uri: str) -> None:
    """Give a finished file its name unless the name is taken: link(2) is the only such call that POSIX has."""
    try:
        os.link(draft, final)
    except FileExistsError as error:
        raise AlreadyWritten(f"{uri} exists already; a job overwrites nothing") from error
    except OSError:
        # Mounted buckets (gcsfuse, Mountpoint for S3) and some network shares have no hard links.
        try:
            with final.open("xb") as sink, draft.open("rb") as reader:
                while chunk := reader.read(COPY_BYTES):
                    sink.write(chunk)
        except FileExistsError as error:
            raise AlreadyWritten(f"{uri} exists already; a job overwrites nothing") from error
