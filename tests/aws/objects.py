"""SageMaker's own hand in S3: what it downloads and uploads for a job, judged by the job's role."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from .errors import AwsError
from .roles import Principal, Roles
from .s3_requests import list_need, object_need, put_need


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as bucket and key."""
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


class RoleObjects:
    """
    Objects as somebody may reach them; moto's are in this process, and are taken from there.

    :raises AwsError: of every method: ``AccessDenied``, ``NoSuchBucket``, ``NoSuchKey``.
    """

    def __init__(self, account: str, roles: Roles, principal: Principal) -> None:
        self._backend: Any = s3_backends[account]["aws"]
        self._roles, self._principal = roles, principal

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """All keys with a prefix, in S3's order: by their UTF-8 bytes."""
        self._roles.check(self._principal, list_need(bucket, prefix))
        return sorted((key for key in list(self._bucket(bucket).keys) if key.startswith(prefix)), key=str.encode)

    def read(self, bucket: str, key: str) -> bytes:
        """An object whole."""
        self._roles.check(self._principal, object_need("s3:GetObject", bucket, key))
        found = self._bucket(bucket).keys.get(key)
        if found is None:
            raise AwsError("NoSuchKey", f"The specified key does not exist: {key}", 404)
        data: bytes = found.value
        return data

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Put an object there, over what is there: SageMaker's uploads have no condition."""
        self._roles.check(self._principal, put_need(bucket, key))
        self._bucket(bucket)
        self._backend.put_object(bucket, key, data)

    def _bucket(self, name: str) -> Any:
        try:
            return self._backend.get_bucket(name)
        except MissingBucket:
            raise AwsError("NoSuchBucket", f"The specified bucket does not exist: {name}", 404) from None
