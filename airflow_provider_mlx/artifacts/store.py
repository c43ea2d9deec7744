"""
Objects in the artifact root, on Airflow's side: one small interface over obstore.

An error that is an answer (not found, exists already) is a return value; an error that is no answer raises
:class:`~airflow_provider_mlx.exceptions.BackendUnavailable`, because unknown is not failed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from airflow_provider_mlx.exceptions import ArtifactError, BackendUnavailable, JobMisconfigured, first_line
from airflow_provider_mlx.runtime.client_obstore import open_part
from airflow_provider_mlx.runtime.codec import HashingWriter
from airflow_provider_mlx.runtime.transfer import (
    NoAnswer,
    ObjectChanged,
    Patience,
    part_bytes,
    parts_at_once,
    read_resuming,
)
from airflow_provider_mlx.runtime.uris import is_within, normalize, split_uri

if TYPE_CHECKING:
    from obstore.store import ObjectStore as ObstoreStore

SINGLE_REQUEST_BYTES: Final = 8 * 1024 * 1024
"""Up to this size one conditional request creates an object; larger ones go up in parts, after a look."""

COPY_BYTES: Final = 5 * 1024**3
"""Up to this size S3 copies an object in one request; source: the API reference of ``CopyObject``."""

_STALL_SECONDS: Final = 20.0
"""A download that gets nothing for so long is no answer: the caller knows how long to wait, and says why."""


@dataclass(frozen=True)
class ObjectFacts:
    """What a store says about an object without reading it."""

    uri: str
    size: int
    version: str
    modified: datetime | None = None
    """When it was written last, UTC, by the store's own clock."""


class ObjectStore:
    """
    Reads and creates objects under one or more buckets with one set of credentials.

    :param options: client settings for every bucket, as ``endpoint`` and ``region``; credentials come from
        ``credentials``, a callable that obstore asks again when they expire.
    """

    def __init__(self, options: Mapping[str, Any] | None = None, credentials: Any = None) -> None:
        self._options = dict(options or {})
        self._credentials = credentials
        self._stores: dict[tuple[str, str], ObstoreStore] = {}

    def read(self, uri: str, *, limit: int | None = None) -> bytes | None:
        """
        A whole object, or ``None`` if there is none.

        :param limit: refuse objects of more bytes.
        :raises ArtifactError: the object is larger than ``limit``.
        """
        facts = self.facts(uri) if limit is not None else None
        if limit is not None and facts is None:
            return None
        if facts is not None and limit is not None and facts.size > limit:
            raise ArtifactError(f"{uri} has {facts.size} bytes, over the limit of {limit}")
        store, path = self._open(uri)
        try:
            with _answers(uri):
                import obstore

                return bytes(obstore.get(store, path).bytes())
        except FileNotFoundError:
            return None

    def facts(self, uri: str) -> ObjectFacts | None:
        """Size and version of an object, or ``None`` if there is none."""
        store, path = self._open(uri)
        try:
            with _answers(uri):
                import obstore

                meta = obstore.head(store, path)
        except FileNotFoundError:
            return None
        version = meta.get("version") or meta.get("e_tag") or ""
        return ObjectFacts(uri, meta["size"], str(version).strip('"'), meta.get("last_modified"))

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object unless there is one already; whether this call wrote it."""
        import obstore

        store, path = self._open(uri)
        try:
            with _answers(uri), _bucket_exists(uri):
                obstore.put(store, path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def write(self, uri: str, data: bytes) -> None:
        """Write an object, over what is there: only for what may be lost, as a log's cursor."""
        import obstore

        store, path = self._open(uri)
        with _answers(uri), _bucket_exists(uri):
            obstore.put(store, path, data)

    def replace(self, file: Path, uri: str) -> None:
        """Stream a file into an object, over what is there: only for what may be lost, as a job's log."""
        store, path = self._open(uri)
        with _answers(uri), _bucket_exists(uri):
            _put_in_parts(store, path, file)

    def upload(self, file: Path, uri: str) -> None:
        """
        Stream a file into a new object; an object that is there already stays, since ours are named by content.

        obstore aborts an upload in parts that fails, so that no part of it stays.
        """
        import obstore

        store, path = self._open(uri)
        small = file.stat().st_size <= SINGLE_REQUEST_BYTES
        if not small and self.facts(uri) is not None:
            return
        try:
            with _answers(uri), _bucket_exists(uri):
                if small:
                    obstore.put(store, path, file, mode="create")
                else:
                    _put_in_parts(store, path, file)
        except FileExistsError:
            return

    def download(self, uri: str, file: Path) -> str:
        """
        Stream an object into a file; a connection that breaks goes on where it was, with the same object.

        :returns: hex SHA-256 of what was written.
        :raises ArtifactError: there is no such object, or it was replaced while it was read.
        """
        store, path = self._open(uri)
        try:
            with file.open("wb") as target, _answers(uri):
                hashing = HashingWriter(target)
                read_resuming(partial(open_part, store, path, uri), hashing, Patience(_STALL_SECONDS))
        except FileNotFoundError as error:
            raise ArtifactError(
                f"there is no object at {uri}",
                remedy="if it was removed to save space, clear the step that produced it",
            ) from error
        except ObjectChanged as error:
            raise ArtifactError(
                f"{uri} was not read: {error}", remedy="clear the step that produced it, or find out who writes there"
            ) from error
        return hashing.sha256

    def copy(self, source: str, target: str) -> None:
        """
        A new object of another one's bytes in the same bucket, by the store itself; one that is there already stays.

        What is too large for one request of the store's goes through this process.
        """
        import obstore

        facts = self.facts(source)
        if facts is None or self.facts(target) is not None:
            return
        if facts.size > COPY_BYTES:
            with tempfile.NamedTemporaryFile(suffix=".copy") as file:
                self.download(source, Path(file.name))
                self.upload(Path(file.name), target)
            return
        (store, path), (_, there) = self._open(source), self._open(target)
        with _answers(target):
            obstore.copy(store, path, there)

    def list(self, uri: str) -> Iterator[ObjectFacts]:
        """Every object under a prefix."""
        import obstore

        store, path = self._open(uri)
        scheme, authority, _ = split_uri(uri)
        with _answers(uri), _names_are_readable(uri):
            for batch in obstore.list(store, path):
                for meta in batch:
                    version = str(meta.get("version") or meta.get("e_tag") or "").strip('"')
                    found = quote(meta["path"], safe="/@") if scheme == "file" else meta["path"]
                    there = f"{scheme}://{authority}/{found}"
                    yield ObjectFacts(there, meta["size"], version, meta.get("last_modified"))

    def delete(self, uri: str) -> bool:
        """Remove an object; ``False`` where there was none, as far as the store says so."""
        import obstore

        store, path = self._open(uri)
        try:
            with _answers(uri):
                obstore.delete(store, path)
        except FileNotFoundError:
            return False
        return True

    def renew(self, uri: str, data: bytes, *, older_than: timedelta, now: datetime) -> None:
        """
        Have an object of this content, and a young one: what is named by its content and cleaned up by its age.

        :param older_than: an object of this age is written again; a younger one is left alone.
        """
        facts = self.facts(uri)
        if facts is None:
            self.create(uri, data)
        elif facts.modified is None or now - facts.modified > older_than:
            self.write(uri, data)

    def _open(self, uri: str) -> tuple[ObstoreStore, str]:
        try:
            scheme, authority, path = split_uri(uri)
        except ValueError as error:
            raise ArtifactError(str(error)) from error
        key = (scheme, authority)
        if key not in self._stores:
            self._stores[key] = self._connect(scheme, authority)
        path = unquote(path) if scheme == "file" else path  # file URIs are percent-encoded, bucket keys are not
        return self._stores[key], "/".join(part for part in path.split("/") if part)

    def _connect(self, scheme: str, authority: str) -> ObstoreStore:
        from obstore import store

        if scheme == "file":
            return store.LocalStore(prefix="/", automatic_cleanup=False)
        if scheme == "memory":
            return store.MemoryStore()
        url = f"{scheme}://{authority}"
        # Waiting is the caller's (it knows the deadline, says why it waits, and does not spend a try).
        plain = str(self._options.get("endpoint", "")).startswith("http:")
        settings: Any = {
            "config": self._options,
            "credential_provider": self._credentials,
            "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
            "client_options": {"timeout": "60s", "allow_http": plain},
        }
        try:
            opened: ObstoreStore = store.from_url(url, **settings)
            return opened
        except Exception as error:
            raise JobMisconfigured(
                f"the artifact store {url} cannot be opened: {type(error).__name__}",
                remedy="check the connection that the stack's `artifacts: conn_id` names",
            ) from error


class Gate:
    """
    Decides which URIs may be read.

    :param prefixes: the stack's artifact root and its allowed dataset prefixes.
    """

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self.prefixes = tuple(normalize(prefix) for prefix in prefixes)

    def check(self, uri: str) -> str:
        """
        The URI in its one spelling.

        :raises ArtifactError: it lies outside every prefix, or is no proper URI.
        """
        try:
            if any(is_within(uri, (prefix,)) and _links_stay_inside(uri, prefix) for prefix in self.prefixes):
                return normalize(uri)
        except ValueError as error:
            raise ArtifactError(str(error)) from error
        raise ArtifactError(
            f"{uri} lies neither under the stack's artifact root nor under one of its allowed prefixes",
            remedy=f"allowed are {', '.join(self.prefixes)}; add a prefix under `artifacts: allowed` of the stack",
        )


def _links_stay_inside(uri: str, prefix: str) -> bool:
    """Whether a file lies below the prefix also when its links are followed, as the runtime asks in the job."""
    scheme, _, path = split_uri(uri)
    if scheme != "file":
        return True
    root = Path("/", unquote(split_uri(prefix)[2])).resolve()
    return Path("/", unquote(path)).resolve().is_relative_to(root)


@contextmanager
def _answers(uri: str) -> Iterator[None]:
    """
    Let through what is an answer, turn what is a refusal or no answer into our errors.

    These have no cause: a printed traceback would show the client's own text, in which request headers stand.
    """
    from obstore import exceptions

    try:
        yield
    except exceptions.AlreadyExistsError as error:
        raise FileExistsError(uri) from error
    except exceptions.PreconditionError as error:
        raise FileExistsError(uri) from error
    except FileNotFoundError:
        raise
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError):
        raise JobMisconfigured(
            f"the artifact store refuses access to {uri}",
            remedy="check the permissions of the connection that the stack's `artifacts: conn_id` names: "
            "read, list and create under the artifact root",
        ) from None
    except (exceptions.BaseError, NoAnswer, OSError, TimeoutError) as error:
        raise BackendUnavailable(f"the artifact store gave no answer for {uri}: {first_line(error)}") from None


@contextmanager
def _names_are_readable(uri: str) -> Iterator[None]:
    """
    While a folder is listed: a key with an empty or relative segment has no path, and no waiting gives it one.

    :raises ArtifactError: somebody has written such an object.
    """
    from obstore import exceptions

    try:
        yield
    except exceptions.InvalidPathError as error:
        raise ArtifactError(
            f"below {uri} there is an object whose name is no path: {first_line(error)}",
            remedy="nothing of ours writes such names: look at who did, and remove it with the store's own tools",
        ) from None


@contextmanager
def _bucket_exists(uri: str) -> Iterator[None]:
    """While something is written, "not found" speaks of the bucket: an answer, and nothing that waiting cures."""
    try:
        yield
    except FileNotFoundError as error:
        raise JobMisconfigured(
            f"there is no bucket for {uri}",
            remedy="create it, or correct the stack's `artifacts: root`",
        ) from error


def _put_in_parts(store: ObstoreStore, path: str, file: Path) -> None:
    import obstore

    size = file.stat().st_size
    obstore.put(store, path, file, chunk_size=part_bytes(size), max_concurrency=parts_at_once(size))
