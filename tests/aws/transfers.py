"""Objects to files and files to objects, as SageMaker moves them."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import AwsError
from .objects import RoleObjects, split_uri


class TransferFailed(Exception):
    """A download or an upload that ends a job; the text is its FailureReason."""


NO_OBJECTS = (
    'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in the '
    'selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" has "s3:ListBucket" '
    'permissions on bucket "{bucket}".'
)
"""As users report it of CreateTrainingJob: https://github.com/aws/amazon-sagemaker-examples/issues/2489."""


def download(
    objects: RoleObjects, source: Mapping[str, Any], folder: Path, *, host: int, hosts: int, seed: int | None = None
) -> None:
    """
    Bring a data source to one instance.

    API_S3DataSource (and API_ProcessingS3Input, which is alike): a prefix is a prefix of names, so ``s3://b/train``
    brings ``train.csv`` too; of sharded sources every instance gets about one in ``hosts`` objects.

    :param host: the instance's place, from 0.
    :param seed: of ShuffleConfig.
    :raises TransferFailed: nothing is there, or it may not be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = _listed(objects, source)
        if seed is not None:
            random.Random(seed).shuffle(found)
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            found = found[host::hosts]
        for bucket, key, relative in found:
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(objects.read(bucket, key))
    except AwsError as refused:
        raise TransferFailed(
            f"ClientError: Data download failed:{refused.code} ({refused.status}): {refused.message}"
        ) from None
    except (NotADirectoryError, IsADirectoryError, FileExistsError):  # the words are as users report them
        raise TransferFailed(
            "ClientError: Data download failed:Failed to download data. Please check your s3 objects and ensure that "
            "there is no object that is both a folder as well as a file."
        ) from None


def _listed(objects: RoleObjects, source: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Bucket, key and relative path of all objects of a source."""
    bucket, prefix = split_uri(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        return _of_manifest(objects.read(bucket, prefix))
    found = [(bucket, key, relative_path(key, prefix)) for key in objects.keys(bucket, prefix) if key[-1:] != "/"]
    if not found:
        raise AwsError("NoSuchKey", f"No S3 objects found under {source['S3Uri']}", 404)
    return found


def _of_manifest(text: bytes) -> list[tuple[str, str, str]]:
    """``[{"prefix": "s3://bucket/some/"}, "path/a", …]``: API_S3DataSource, S3Uri."""
    head, *suffixes = json.loads(text)
    return [(*split_uri(head["prefix"] + suffix), suffix.lstrip("/")) for suffix in suffixes]


def relative_path(key: str, prefix: str) -> str:
    """Where the object of a key lies in the channel of a prefix; a prefix that is the key gives its base name."""
    if prefix and key.startswith(prefix) and key != prefix and (prefix.endswith("/") or key[len(prefix)] == "/"):
        return key[len(prefix) :].lstrip("/")
    return key[prefix.rfind("/") + 1 :]


class Mirror:
    """
    A folder that follows a prefix in S3, or the other way.

    Nothing is ever deleted in S3.
    """

    def __init__(self, objects: RoleObjects, folder: Path, uri: str) -> None:
        self._objects, self._folder = objects, folder
        self._bucket, prefix = split_uri(uri)
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._seen: dict[Path, tuple[int, int]] = {}

    def pull(self) -> None:
        """Bring what is there; nothing there is no error."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for key in self._objects.keys(self._bucket, self._prefix):
            if not key.endswith("/"):
                target = self._folder / key[len(self._prefix) :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._objects.read(self._bucket, key))
                self._seen[target] = _state(target)

    def push(self) -> None:
        """Upload what is new or changed."""
        for file in files_of(self._folder):
            try:
                state = _state(file)
                if self._seen.get(file) != state:
                    self._objects.write(self._bucket, self._key(file), file.read_bytes())
                    self._seen[file] = state
            except FileNotFoundError:  # the job renamed it meanwhile
                continue

    def _key(self, file: Path) -> str:
        return f"{self._prefix}{file.relative_to(self._folder).as_posix()}"


def files_of(folder: Path) -> list[Path]:
    """
    All files below a folder, in order.

    build-your-own-processing-container.html: "Symlinks are not followed when uploading output data".
    """
    found = folder.rglob("*") if folder.is_dir() else ()
    return sorted(file for file in found if file.is_file() and not file.is_symlink())


def archive(folders: Iterable[Path]) -> bytes:
    """One compressed archive of what several instances wrote (your-algorithms-training-algo-output: "aggregates")."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for folder in folders:
            for child in sorted(folder.iterdir()):
                tar.add(child, child.name)
    return buffer.getvalue()


def _state(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_mtime_ns, facts.st_size
