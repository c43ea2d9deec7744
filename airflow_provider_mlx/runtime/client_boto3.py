"""boto3, which every SageMaker image has: S3, with multipart uploads that create and never overwrite."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .clients import SINGLE_REQUEST_BYTES, Listed, bucket_and_key
from .refusals import ArtifactError
from .transfer import NoAnswer, ObjectChanged, Part, one_line, part_bytes, parts_at_once

# Source: Amazon S3 API reference, error responses; a 5xx is none either.
_NO_ANSWERS = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequestsException"}
# Another writer was at work: whether there is an object now, only the next try can tell.
_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted", "NoSuchUpload"}


class Boto3Client:
    """One client; botocore retries a request twice, and what outlasts that is waited for by ``transfer.Patience``."""

    def __init__(self, scheme: str, options: Mapping[str, str]) -> None:
        import boto3
        from botocore.config import Config

        self._s3 = boto3.client(
            "s3", endpoint_url=options.get("endpoint_url") or None, region_name=options.get("region") or None,
            config=Config(retries={"mode": "standard", "total_max_attempts": 3}),
        )  # fmt: skip

    def open(self, uri: str, start: int = 0, version: str = "") -> Part:
        """Ask for an object from a byte on; only for the object of this version, if one is given."""
        bucket, key = bucket_and_key(uri)
        conditions = {"IfMatch": version} if version else {}
        if start:
            conditions["Range"] = f"bytes={start}-"
        try:
            with _answers(uri):
                found = self._s3.get_object(Bucket=bucket, Key=key, **conditions)
        except FileExistsError as error:
            raise ObjectChanged("it was replaced while it was read") from error
        # Without it the whole object came: some servers do not know ranges.
        begins = start if "ContentRange" in found else 0
        return Part(begins, begins + found["ContentLength"], found.get("ETag", ""), _chunks(found["Body"], uri))

    def create(self, path: Path, uri: str) -> None:
        """Create the object from a file: one request up to 64 MiB, above it parts; conditional either way."""
        bucket, key = bucket_and_key(uri)
        size = path.stat().st_size
        where = {"Bucket": bucket, "Key": key}
        if size > SINGLE_REQUEST_BYTES:
            self._create_in_parts(path, size, where, uri)
            return
        condition = self._only_if_absent("PutObject", uri)
        with _answers(uri), path.open("rb") as reader:
            self._s3.put_object(**where, Body=reader, **condition)

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        bucket, key = bucket_and_key(uri)
        try:
            with _answers(uri):
                self._s3.head_object(Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        return True

    def listed(self, uri: str) -> Iterator[Listed]:
        """Every object under a prefix, which is taken as a folder."""
        bucket, key = bucket_and_key(uri)
        with _answers(uri):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key.rstrip("/") + "/")
            for page in pages:
                for item in page.get("Contents", ()):
                    yield Listed(f"s3://{bucket}/{item['Key']}", int(item["Size"]), str(item.get("ETag", "")))

    def delete(self, uri: str) -> None:
        """Remove the object; none being there is fine."""
        bucket, key = bucket_and_key(uri)
        with _answers(uri):
            self._s3.delete_object(Bucket=bucket, Key=key)

    def _create_in_parts(self, path: Path, size: int, where: dict[str, Any], uri: str) -> None:
        """boto3's own ``upload_file`` takes no condition, so the parts are sent here."""
        condition = self._only_if_absent("CompleteMultipartUpload", uri)
        with _answers(uri):
            upload = {**where, "UploadId": self._s3.create_multipart_upload(**where)["UploadId"]}
        try:
            with _answers(uri):
                parts = {"Parts": self._send_parts(path, size, upload)}
                self._s3.complete_multipart_upload(**upload, MultipartUpload=parts, **condition)
        except BaseException:
            self._abort(upload)
            raise

    def _send_parts(self, path: Path, size: int, upload: dict[str, Any]) -> list[dict[str, Any]]:
        from concurrent.futures import ThreadPoolExecutor

        step = part_bytes(size)
        shape = self._s3.meta.service_model.shape_for("CompletedPart").members

        def send(number: int) -> dict[str, Any]:
            with path.open("rb") as reader:
                reader.seek((number - 1) * step)
                answer = self._s3.upload_part(**upload, PartNumber=number, Body=reader.read(step))
            # The ETag, and the checksum that newer clients send of themselves.
            return {"PartNumber": number, **{name: value for name, value in answer.items() if name in shape}}

        pool = ThreadPoolExecutor(parts_at_once(size))
        try:
            return list(pool.map(send, range(1, -(-size // step) + 1)))
        finally:
            pool.shutdown(cancel_futures=True)  # a stop or an error leaves nobody sending to an upload that is aborted

    def _abort(self, upload: dict[str, Any]) -> None:
        """Parts that nobody completes would stay, unseen and paid for."""
        try:
            self._s3.abort_multipart_upload(**upload)
        except Exception as error:
            print(f"mlx: the parts of a failed upload may be left in {upload['Bucket']}: {one_line(error)}", flush=True)

    def _only_if_absent(self, operation: str, uri: str) -> dict[str, str]:
        """The condition, where this boto3 knows it; else a look."""
        if "IfNoneMatch" in self._s3.meta.service_model.operation_model(operation).input_shape.members:
            return {"IfNoneMatch": "*"}
        if self.exists(uri):
            raise FileExistsError(uri)
        return {}


def _chunks(body: Any, uri: str) -> Iterator[bytes]:
    with _answers(uri):
        yield from body.iter_chunks(1024 * 1024)


@contextmanager
def _answers(uri: str) -> Iterator[None]:
    """What boto3 raises, in the words of :class:`~.clients.Client`."""
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise _answer(error, uri) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError) as error:
        raise NoAnswer(one_line(error)) from error


def _answer(error: Any, uri: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _NO_ANSWERS or code in _CONFLICTS or status >= 500 or status == 429:
        return NoAnswer(one_line(error))
    if code in ("NoSuchKey", "NoSuchBucket", "404", "NotFound"):
        return FileNotFoundError(uri)
    if code in ("PreconditionFailed", "412"):
        return FileExistsError(uri)
    if status in (401, 403):
        return PermissionError(one_line(error))
    return ArtifactError(f"{uri}: {one_line(error)}")
