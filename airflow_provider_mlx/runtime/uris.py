"""The one gate for every URI that is read, in the job and in Airflow: a pure check, before any request leaves."""

from __future__ import annotations

from typing import Iterable  # noqa: UP035  (Python 3.9 evaluates these)
from urllib.parse import unquote

SCHEMES = ("file", "s3", "gs", "az", "abfs", "abfss", "memory")


def split_uri(uri: str) -> tuple[str, str, str]:
    """
    Split a URI into scheme, authority (bucket) and path without its leading slash, refusing what could mislead.

    :raises ValueError: the scheme is not one of :data:`SCHEMES`, or the URI holds credentials, ``..``, a backslash,
        a control character, or (``file://``) a host.
    """
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"{uri!r} is not a URI of a store that is known here ({', '.join(SCHEMES)})")
    authority, _, path = rest.partition("/")
    decoded = unquote(unquote(path))
    if "\\" in decoded or any(ord(character) < 32 or ord(character) == 127 for character in unquote(uri)):
        raise ValueError(f"{uri!r} holds a backslash or a control character")
    if any(segment in (".", "..") for segment in decoded.split("/")):
        raise ValueError(f"{uri!r} holds a relative path segment")
    if "@" in authority and scheme not in ("abfs", "abfss"):
        raise ValueError("the URI holds credentials or an '@' before its path")  # not repeated: it may be a secret
    if scheme == "file" and authority not in ("", "localhost"):
        raise ValueError(f"{uri!r} names a host; file URIs are written file:///absolute/path")
    if scheme not in ("file", "memory") and not authority:
        raise ValueError(f"{uri!r} names no bucket")
    return scheme, "" if scheme == "file" else authority, path.strip("/")


def normalize(uri: str) -> str:
    """
    One spelling for one object: lower-case scheme, no doubled or trailing slashes.

    :raises ValueError: see :func:`split_uri`.
    """
    scheme, authority, path = split_uri(uri)
    clean = "/".join(segment for segment in path.split("/") if segment)
    return f"{scheme}://{authority}/{clean}" if clean else f"{scheme}://{authority}/"


def is_within(uri: str, prefixes: Iterable[str]) -> bool:
    """
    Whether ``uri`` is one of ``prefixes`` or lies under one, by whole path segments.

    :raises ValueError: see :func:`split_uri`.
    """
    target = normalize(uri)
    return any(target == base or target.startswith(base.rstrip("/") + "/") for base in map(normalize, prefixes))


def without_credentials(text: str) -> str:
    """
    A text of somebody else's (an installer, a store's client) without what URLs and headers hold of secrets.

    User information of every URL, the values of signed queries, and what follows ``Authorization`` or ``Bearer``.
    """
    import re

    signed = r"sig|x-amz-[a-z-]+|x-goog-[a-z-]+|[a-z_-]*token|awsaccesskeyid"
    text = re.sub(r"(\w+://)[^/\s'\"<>]+@", r"\1***@", text)
    text = re.sub(rf"(?i)([?&](?:{signed})=)[^&\s'\"<>]+", r"\1***", text)
    text = re.sub(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*)[^\n]*", r"\1***", text)
    return re.sub(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=:-]{4,}", r"\1***", text)


def join(base: str, *parts: str) -> str:
    """``base`` with path segments appended."""
    return "/".join((base.rstrip("/"), *(part.strip("/") for part in parts)))
