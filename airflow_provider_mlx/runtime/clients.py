"""
Clients of object stores, by what the image has: a table of small classes.

Each streams, none is imported before it is needed, and each translates "not found" to ``FileNotFoundError`` and
"exists" to ``FileExistsError``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Mapping, Protocol, Sequence  # noqa: UP035  (Python 3.9)

from .addresses import split_uri
from .refusals import ArtifactError, JobMisconfigured

ATOMIC_CREATE_BYTES = 64 * 1024 * 1024
"""Up to this size one conditional request creates the object; larger ones go up in parts, after a look."""


class Client(Protocol):
    """What a job needs of an object store."""

    modules: ClassVar[Sequence[str]]
    package: ClassVar[str]

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None: ...

    def read(self, uri: str, sink: BinaryIO) -> None:
        """Stream the object into the sink."""

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file; ``FileExistsError`` when it is there."""

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = split_uri(uri)[1].partition("/")
    if not bucket or not key:
        raise ArtifactError(f"{uri!r} names no object: bucket and key are needed")
    return bucket, key


class ObstoreClient:
    """obstore: one dependency-free wheel for S3, GCS and Azure."""

    modules: ClassVar[Sequence[str]] = ("obstore",)
    package: ClassVar[str] = "obstore"

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        self._scheme = scheme
        self._options = dict(options)
        self._stores: dict[str, Any] = {}

    def _store(self, uri: str) -> tuple[Any, str]:
        import obstore.store

        bucket, key = _bucket_and_key(uri)
        if bucket not in self._stores:
            config: dict[str, Any] = {}
            if self._scheme == "s3":
                # obstore's names for what StoreAccess.options says in boto3's words.
                names = {"endpoint_url": "endpoint", "region": "region"}
                config = {names[key]: value for key, value in self._options.items() if key in names}
            http = str(self._options.get("endpoint_url", "")).startswith("http://")
            self._stores[bucket] = obstore.store.from_url(
                f"{self._scheme}://{bucket}", client_options={"allow_http": True} if http else None, **config
            )
        return self._stores[bucket], key

    def read(self, uri: str, sink: BinaryIO) -> None:
        """Stream the object into the sink."""
        import obstore

        store, key = self._store(uri)
        for chunk in obstore.get(store, key).stream():
            sink.write(memoryview(chunk))

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file; conditional up to 64 MiB."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        store, key = self._store(uri)
        try:
            if path.stat().st_size <= ATOMIC_CREATE_BYTES:
                obstore.put(store, key, path, mode="create", use_multipart=False)
                return
        except AlreadyExistsError as error:
            raise FileExistsError(uri) from error
        if self.exists(uri):
            raise FileExistsError(uri)
        obstore.put(store, key, path)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        import obstore

        store, key = self._store(uri)
        try:
            obstore.head(store, key)
        except FileNotFoundError:
            return False
        return True


class Boto3Client:
    """boto3, which every SageMaker image has."""

    modules: ClassVar[Sequence[str]] = ("boto3",)
    package: ClassVar[str] = "boto3"

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        import boto3

        self._s3 = boto3.client(
            "s3", endpoint_url=options.get("endpoint_url") or None, region_name=options.get("region") or None
        )

    def read(self, uri: str, sink: BinaryIO) -> None:
        """Stream the object into the sink."""
        bucket, key = _bucket_and_key(uri)
        try:
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
        except self._s3.exceptions.ClientError as error:
            raise _translated(error, uri) from error
        for chunk in body.iter_chunks(1024 * 1024):
            sink.write(chunk)

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file; conditional up to 64 MiB, and where this boto3 knows ``IfNoneMatch``."""
        bucket, key = _bucket_and_key(uri)
        known = self._s3.meta.service_model.operation_model("PutObject").input_shape.members
        if path.stat().st_size <= ATOMIC_CREATE_BYTES and "IfNoneMatch" in known:
            try:
                with path.open("rb") as reader:
                    self._s3.put_object(Bucket=bucket, Key=key, Body=reader, IfNoneMatch="*")
            except self._s3.exceptions.ClientError as error:
                raise _translated(error, uri) from error
            return
        if self.exists(uri):
            raise FileExistsError(uri)
        self._s3.upload_file(str(path), bucket, key)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        bucket, key = _bucket_and_key(uri)
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except self._s3.exceptions.ClientError as error:
            translated = _translated(error, uri)
            if isinstance(translated, FileNotFoundError):
                return False
            raise translated from error
        return True


def _translated(error: Any, uri: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in ("NoSuchKey", "NoSuchBucket", "404", "NotFound"):
        return FileNotFoundError(uri)
    if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
        return FileExistsError(uri)
    if code in ("AccessDenied", "403"):
        return PermissionError(f"{uri}: {error}")
    return ArtifactError(f"{uri}: {error}")


class GoogleClient:
    """google-cloud-storage, which Google's own images have."""

    modules: ClassVar[Sequence[str]] = ("google.cloud.storage",)
    package: ClassVar[str] = "google-cloud-storage"

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        from google.cloud import storage

        self._client = storage.Client()

    def _blob(self, uri: str) -> Any:
        bucket, key = _bucket_and_key(uri)
        return self._client.bucket(bucket).blob(key)

    def read(self, uri: str, sink: BinaryIO) -> None:
        """Stream the object into the sink."""
        from google.api_core.exceptions import NotFound

        try:
            self._blob(uri).download_to_file(sink)
        except NotFound as error:
            raise FileNotFoundError(uri) from error

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file, atomically at any size (generation 0 means "not there")."""
        from google.api_core.exceptions import PreconditionFailed

        try:
            self._blob(uri).upload_from_filename(str(path), if_generation_match=0)
        except PreconditionFailed as error:
            raise FileExistsError(uri) from error

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        return bool(self._blob(uri).exists())


class FsspecClient:
    """fsspec with the scheme's own package: the widest net, and it cannot create conditionally."""

    modules: ClassVar[Sequence[str]] = ("fsspec",)
    package: ClassVar[str] = "fsspec"

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        import fsspec

        settings: dict[str, Any] = {}
        if scheme == "s3" and options.get("endpoint_url"):
            settings["endpoint_url"] = options["endpoint_url"]
        if scheme == "s3" and options.get("region"):
            settings["client_kwargs"] = {"region_name": options["region"]}
        self._files = fsspec.filesystem(scheme, **settings)

    def read(self, uri: str, sink: BinaryIO) -> None:
        """Stream the object into the sink."""
        with self._files.open(uri, "rb") as reader:
            while chunk := reader.read(1024 * 1024):
                sink.write(chunk)

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file, after a look."""
        if self.exists(uri):
            raise FileExistsError(uri)
        self._files.put_file(str(path), uri)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        return bool(self._files.exists(uri))


# The order is the order of trial. fsspec needs the scheme's own package beside it, so both are looked for.
CLIENTS: Mapping[str, Sequence[tuple[type[Client], Sequence[str]]]] = {
    "s3": ((ObstoreClient, ()), (Boto3Client, ()), (FsspecClient, ("s3fs",))),
    "gs": ((ObstoreClient, ()), (GoogleClient, ()), (FsspecClient, ("gcsfs",))),
    "az": ((ObstoreClient, ()), (FsspecClient, ("adlfs",))),
    "abfs": ((ObstoreClient, ()), (FsspecClient, ("adlfs",))),
    "abfss": ((ObstoreClient, ()), (FsspecClient, ("adlfs",))),
    "memory": ((FsspecClient, ()),),  # one process only: for tests and notebooks
}


def client_for(scheme: str, options: Mapping[str, str]) -> Client:
    """
    The first client for a scheme that this interpreter can import.

    :raises JobMisconfigured: the scheme is unknown, or the image has none of its clients.
    """
    rows = CLIENTS.get(scheme)
    if rows is None:
        raise JobMisconfigured(
            f"no client of ours reads `{scheme}://`", f"use one of {', '.join(sorted(CLIENTS))}, or mount the store"
        )
    for client, beside in rows:
        if all(_importable(module) for module in (*client.modules, *beside)):
            return client(scheme, options)
    choices = " or ".join(" with ".join((client.package, *beside)) for client, beside in rows)
    raise JobMisconfigured(
        f"the job cannot reach `{scheme}://`: its image has no client for it",
        f"install {choices} in the image, add it to requirements=, or let the stack install or mount one",
    )


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
