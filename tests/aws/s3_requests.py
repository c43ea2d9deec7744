"""
What a request to S3 is, and which permissions it needs.

The table is https://docs.aws.amazon.com/AmazonS3/latest/API/s3-api-permissions.html ("Required permissions for Amazon S3
API operations"), for the operations that clients of objects use; buckets are the first part of the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from .policy import Need

_LISTINGS: Final = {
    "location": ("GetBucketLocation", "s3:GetBucketLocation"),
    "uploads": ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
    "versions": ("ListObjectVersions", "s3:ListBucketVersions"),
    "versioning": ("GetBucketVersioning", "s3:GetBucketVersioning"),
    "tagging": ("GetBucketTagging", "s3:GetBucketTagging"),
    "policy": ("GetBucketPolicy", "s3:GetBucketPolicy"),
}
_ON_OBJECTS: Final = {
    ("GET", "uploadId"): ("ListParts", "s3:ListMultipartUploadParts"),
    ("GET", "tagging"): ("GetObjectTagging", "s3:GetObjectTagging"),
    ("GET", "acl"): ("GetObjectAcl", "s3:GetObjectAcl"),
    ("GET", "attributes"): ("GetObjectAttributes", "s3:GetObject"),
    ("GET", "versionId"): ("GetObject", "s3:GetObjectVersion"),
    ("GET", ""): ("GetObject", "s3:GetObject"),
    ("HEAD", "versionId"): ("HeadObject", "s3:GetObjectVersion"),
    ("HEAD", ""): ("HeadObject", "s3:GetObject"),
    ("PUT", "tagging"): ("PutObjectTagging", "s3:PutObjectTagging"),
    ("PUT", "acl"): ("PutObjectAcl", "s3:PutObjectAcl"),
    ("PUT", "partNumber"): ("UploadPart", "s3:PutObject"),
    ("PUT", ""): ("PutObject", "s3:PutObject"),
    ("POST", "uploads"): ("CreateMultipartUpload", "s3:PutObject"),
    ("POST", "uploadId"): ("CompleteMultipartUpload", "s3:PutObject"),
    ("DELETE", "uploadId"): ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
    ("DELETE", "tagging"): ("DeleteObjectTagging", "s3:DeleteObjectTagging"),
    ("DELETE", "versionId"): ("DeleteObject", "s3:DeleteObjectVersion"),
    ("DELETE", ""): ("DeleteObject", "s3:DeleteObject"),
}

_PARTS: Final = ("CreateMultipartUpload", "UploadPart", "UploadPartCopy")


@dataclass(frozen=True)
class S3Request:
    """One request; :attr:`needs` is empty where nothing is known of it, which a policy then denies."""

    operation: str
    bucket: str
    key: str
    needs: tuple[Need, ...]
    keys: tuple[str, ...] = ()
    """Of DeleteObjects, what is to go; each has its need."""

    @property
    def params(self) -> dict[str, str]:
        """As the API reference names them."""
        return {name: value for name, value in (("Bucket", self.bucket), ("Key", self.key)) if value}


def object_need(action: str, bucket: str, key: str, context: Mapping[str, str] | None = None) -> Need:
    """A permission on an object."""
    return Need(action, f"arn:aws:s3:::{bucket}/{key}", context or {})


def put_need(bucket: str, key: str, headers: Mapping[str, str] | None = None, operation: str = "PutObject") -> Need:
    """
    The permission to write, with the keys by which a policy can ask for conditional writes.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html: the requests that only prepare
    an object are no creation of one, since they take no condition.
    """
    given = {name: value for name in ("if-none-match", "if-match") if (value := (headers or {}).get(name)) is not None}
    creates = "false" if operation in _PARTS else "true"
    context = {"s3:ObjectCreationOperation": creates, **{f"s3:{name}": value for name, value in given.items()}}
    return object_need("s3:PutObject", bucket, key, context)


def list_need(bucket: str, prefix: str | None) -> Need:
    """The permission to list a bucket; a prefix that is not asked for is no condition key."""
    return Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", {} if prefix is None else {"s3:prefix": prefix})


def read_s3_request(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> S3Request:
    """
    Say what a request wants.

    :param path: percent-encoding undone.
    :param body: of a DeleteObjects request, else empty.
    """
    asked = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return S3Request("ListBuckets", "", "", (Need("s3:ListAllMyBuckets", "*", {}),))
    if not key:
        return _on_bucket(method, bucket, asked, body)
    word = next((name for verb, name in _ON_OBJECTS if verb == method and name and name in asked), "")
    operation, action = _ON_OBJECTS.get((method, word), (f"{method} {word}", ""))
    if not action:
        return S3Request(operation, bucket, key, ())
    source = headers.get("x-amz-copy-source")
    if source:
        operation = "UploadPartCopy" if word == "partNumber" else "CopyObject"
    is_put = action == "s3:PutObject"
    needs = [put_need(bucket, key, headers, operation) if is_put else object_need(action, bucket, key)]
    if source:
        from_bucket, _, from_key = unquote(source.partition("?")[0]).lstrip("/").partition("/")
        needs.append(object_need("s3:GetObject", from_bucket, from_key))
    if method in ("PUT", "POST") and headers.get("x-amz-tagging"):
        needs.append(object_need("s3:PutObjectTagging", bucket, key))
    if method in ("PUT", "POST") and headers.get("x-amz-acl"):
        needs.append(object_need("s3:PutObjectAcl", bucket, key))
    return S3Request(operation, bucket, key, tuple(needs))


def _on_bucket(method: str, bucket: str, asked: Mapping[str, str], body: bytes) -> S3Request:
    arn = f"arn:aws:s3:::{bucket}"
    if method == "GET":
        for word, (operation, action) in _LISTINGS.items():
            if word in asked:
                return S3Request(operation, bucket, "", (Need(action, arn, _listing_context(asked)),))
        operation = "ListObjectsV2" if asked.get("list-type") == "2" else "ListObjects"
        return S3Request(operation, bucket, "", (Need("s3:ListBucket", arn, _listing_context(asked)),))
    if method == "HEAD":
        return S3Request("HeadBucket", bucket, "", (Need("s3:ListBucket", arn, {}),))
    if method == "POST" and "delete" in asked:
        keys = tuple(keys_to_delete(body))
        needs = tuple(object_need("s3:DeleteObject", bucket, key) for key in keys)
        return S3Request("DeleteObjects", bucket, "", needs, keys)
    operation = {"PUT": "CreateBucket", "DELETE": "DeleteBucket"}.get(method, method)
    if asked:
        return S3Request(f"{operation} {' '.join(asked)}", bucket, "", ())
    return S3Request(operation, bucket, "", (Need(f"s3:{operation}", arn, {}),))


def _listing_context(asked: Mapping[str, str]) -> dict[str, str]:
    return {f"s3:{word}": asked[word] for word in ("prefix", "delimiter", "max-keys") if word in asked}


def keys_to_delete(body: bytes) -> list[str]:
    """Of a DeleteObjects request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
    return [
        element.text or "" for element in ElementTree.fromstring(body).iter() if element.tag.rpartition("}")[2] == "Key"
    ]
