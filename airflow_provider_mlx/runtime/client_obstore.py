"""obstore: S3, GCS and Azure by one dependency-free wheel."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .clients import SINGLE_REQUEST_BYTES, Listed, bucket_and_key
from .transfer import NoAnswer, ObjectChanged, Part, one_line, part_bytes, parts_at_once

_NAMES = {"endpoint_url": "endpoint", "region": "region"}
"""obstore's names for what ``StoreAccess.options`` says of S3 in boto3's words."""

# The whole of one request, its body included; a read that takes longer goes on where it was.
_CLIENT_OPTIONS = {"connect_timeout": "10s", "timeout": "120s"}
# A short outage of a single request; longer ones are waited for by `transfer.Patience`, which says so.
_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
_DEFINITE = ("NotSupportedError", "InvalidPathError", "UnknownConfigurationKeyError", "NotImplementedError")


class ObstoreClient:
    """One store per bucket."""

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        self._scheme = scheme
        self._config = {_NAMES[key]: value for key, value in options.items() if key in _NAMES and scheme == "s3"}
        # The context's own store is reached before any options are known, by the environment alone.
        endpoint = options.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL", "")
        self._plain_http = {"allow_http": True} if scheme == "s3" and endpoint.startswith("http://") else {}
        self._stores: dict[str, Any] = {}

    def open(self, uri: str, start: int = 0, version: str = "") -> Part:
        """Ask for an object from a byte on; only for the object of this version, if one is given."""
        store, key = self._store(uri)
        return open_part(store, key, uri, start, version)

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file: one conditional request up to 64 MiB, above it parts, after a look."""
        import obstore

        store, key = self._store(uri)
        size = path.stat().st_size
        with answers(uri):
            if size <= SINGLE_REQUEST_BYTES:
                obstore.put(store, key, path, mode="create", use_multipart=False)
                return
        if self.exists(uri):
            raise FileExistsError(uri)
        with answers(uri):  # obstore aborts an upload that fails
            obstore.put(store, key, path, chunk_size=part_bytes(size), max_concurrency=parts_at_once(size))

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        import obstore

        store, key = self._store(uri)
        try:
            with answers(uri):
                obstore.head(store, key)
        except FileNotFoundError:
            return False
        return True

    def listed(self, uri: str) -> Iterator[Listed]:
        """Every object under a prefix, which is taken as a folder."""
        import obstore

        store, key = self._store(uri)
        bucket = bucket_and_key(uri)[0]
        with answers(uri):
            for batch in obstore.list(store, key.rstrip("/")):
                for meta in batch:
                    version = str(meta.get("e_tag") or meta.get("last_modified") or "")
                    yield Listed(f"{self._scheme}://{bucket}/{meta['path']}", int(meta["size"]), version)

    def delete(self, uri: str) -> None:
        """Remove the object; none being there is fine."""
        import obstore

        store, key = self._store(uri)
        with suppress(FileNotFoundError), answers(uri):
            obstore.delete(store, key)

    def _store(self, uri: str) -> tuple[Any, str]:
        import obstore.store

        bucket, key = bucket_and_key(uri)
        if bucket not in self._stores:
            settings: Any = {"client_options": {**_CLIENT_OPTIONS, **self._plain_http}, **self._config}
            self._stores[bucket] = obstore.store.from_url(
                f"{self._scheme}://{bucket}", retry_config=_RETRIES, **settings
            )
        return self._stores[bucket], key


def open_part(store: Any, key: str, uri: str, start: int, version: str) -> Part:
    """
    The rest of an object of any obstore store, for Airflow's side too.

    obstore itself resumes a broken body a few times and compares ETags; what outlasts that is ours.
    """
    import obstore

    options: dict[str, Any] = {}
    if start:
        options["range"] = {"offset": start}
    if version:
        options["if_match"] = version
    try:
        with answers(uri):
            found = obstore.get(store, key, options=options or None)  # type: ignore[arg-type]
    except FileExistsError as error:
        raise ObjectChanged("it was replaced while it was read") from error
    return Part(found.range[0], found.meta["size"], found.meta["e_tag"] or "", _chunks(found, uri))


def _chunks(found: Any, uri: str) -> Iterator[memoryview]:
    with answers(uri):
        for chunk in found.stream(min_chunk_size=1024 * 1024):
            yield memoryview(chunk)


@contextmanager
def answers(uri: str) -> Iterator[None]:
    """
    What obstore raises, in the words of :class:`~.clients.Client`.

    What is no answer has no cause: a printed traceback would show the client's own text, in which headers stand.
    """
    from obstore import exceptions

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise FileExistsError(uri) from error
    except FileNotFoundError:
        raise
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionError(one_line(error)) from None
    except (exceptions.BaseError, TimeoutError, ConnectionError) as error:
        if type(error).__name__ in _DEFINITE or _is_refusal(error):
            raise
        raise NoAnswer(one_line(error)) from None


def _is_refusal(error: BaseException) -> bool:
    """Whether the server said that the request is wrong; obstore has the status in its text only."""
    import re

    found = re.search(r"status code: (\d{3})", str(error))
    return found is not None and found[1].startswith("4") and found[1] not in ("408", "409", "429")
