"""
Clients of object stores, by what the image has: a table, and what each row's class must do.

Each streams, none is imported before it is needed, and each says in the same few words what the store answered.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple, Protocol, Sequence, cast  # noqa: UP035  (Python 3.9)

from .addresses import split_uri
from .refusals import ArtifactError, JobMisconfigured
from .transfer import Part

ANY_SIZE = 2**63
SINGLE_REQUEST_BYTES = 64 * 1024 * 1024
"""Up to this size one request creates an object, and the object is in memory once; larger ones go up in parts."""


class Listed(NamedTuple):
    """
    An object in a listing.

    :param version: the store's own word for its content: an ETag, a generation, a time.
    """

    uri: str
    size: int
    version: str


class Client(Protocol):
    """
    What a job needs of an object store.

    Every method raises ``FileNotFoundError``, ``FileExistsError``, ``PermissionError`` or ``ObjectChanged`` for what is
    an answer, and ``NoAnswer`` for what is none.
    """

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None: ...

    def open(self, uri: str, start: int = 0, version: str = "") -> Part:
        """Ask for an object from a byte on; only for the object of this version, if one is given."""

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file; what is there stays."""

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""

    def listed(self, uri: str) -> Iterator[Listed]:
        """Every object under a prefix, which is taken as a folder."""

    def delete(self, uri: str) -> None:
        """Remove the object; none being there is fine."""


class Row(NamedTuple):
    """
    A client for a scheme.

    :param home: module and class.
    :param modules: what must be importable.
    :param packages: what to install, as people say it.
    :param creates: up to how many bytes it creates an object only if there is none, in one decision of the store's;
        above, it looks first.
    """

    home: str
    modules: Sequence[str]
    packages: str
    creates: int

    @property
    def importable(self) -> bool:
        """Whether this interpreter has it."""
        return all(_importable(module) for module in self.modules)

    def make(self, scheme: str, options: Mapping[str, str]) -> Client:
        """A client of this kind."""
        module, name = self.home.split(":")
        return cast("Client", getattr(importlib.import_module(f"{__package__}.{module}"), name)(scheme, options))


# obstore is one dependency-free wheel, and takes no condition for a multipart upload.
_OBSTORE = Row("client_obstore:ObstoreClient", ("obstore",), "obstore", SINGLE_REQUEST_BYTES)
# Every SageMaker image has it. It takes If-None-Match for a multipart upload since 2024; older ones look first.
_BOTO3 = Row("client_boto3:Boto3Client", ("boto3",), "boto3", ANY_SIZE)
# Google's own images have it; generation 0 means "not there", at any size.
_GOOGLE = Row("client_google:GoogleClient", ("google.cloud.storage",), "google-cloud-storage", ANY_SIZE)


def _fsspec(module: str, packages: str) -> Row:
    """fsspec with the scheme's own package: the widest net, and it cannot create conditionally."""
    return Row("client_fsspec:FsspecClient", ("fsspec", module), packages, 0)


# The order is the order of trial.
CLIENTS: Mapping[str, Sequence[Row]] = {
    "s3": (_OBSTORE, _BOTO3, _fsspec("s3fs", "fsspec with s3fs")),
    "gs": (_OBSTORE, _GOOGLE, _fsspec("gcsfs", "fsspec with gcsfs")),
    "az": (_OBSTORE, _fsspec("adlfs", "fsspec with adlfs")),
    "abfs": (_OBSTORE, _fsspec("adlfs", "fsspec with adlfs")),
    "abfss": (_OBSTORE, _fsspec("adlfs", "fsspec with adlfs")),
    "memory": (_fsspec("fsspec", "fsspec"),),  # one process only: for tests and notebooks
}


def choose_row(scheme: str, creating: int = 0) -> Row:
    """
    The first client for a scheme that this interpreter can import and that creates so many bytes in one decision of the
    store's; where none does, the first one.

    :raises JobMisconfigured: the scheme is unknown, or the image has none of its clients.
    """
    rows = CLIENTS.get(scheme)
    if rows is None:
        raise JobMisconfigured(
            f"no client of ours reads `{scheme}://`", f"use one of {', '.join(sorted(CLIENTS))}, or mount the store"
        )
    first = None
    for row in rows:
        if row.importable:
            if row.creates >= creating:
                return row
            first = first or row
    if first is None:
        raise JobMisconfigured(
            f"the job cannot reach `{scheme}://`: its image has no client for it",
            f"install {' or '.join(row.packages for row in rows)} in the image, add it to requirements=, or let the "
            "stack install or mount one",
        )
    return first


def bucket_and_key(uri: str) -> tuple[str, str]:
    """
    The two parts of an object's address.

    :raises ArtifactError: the URI names no object.
    """
    bucket, _, key = split_uri(uri)[1].partition("/")
    if not bucket or not key:
        raise ArtifactError(f"{uri!r} names no object: bucket and key are needed")
    return bucket, key


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
