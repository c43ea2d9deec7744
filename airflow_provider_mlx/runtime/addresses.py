"""
URIs: what they name here, and whether they may be read.

``allowed_uri`` is the one gate through which every reference passes before a byte of it is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Iterable  # noqa: UP035  (Python 3.9)

from .refusals import ArtifactError
from .uris import is_within, normalize
from .uris import split_uri as split

if TYPE_CHECKING:
    from .protocol import Mount


def split_uri(uri: str) -> tuple[str, str]:
    """
    Scheme and the rest behind ``://``, by the rules of ``uris.py``.

    :raises ArtifactError: it is no proper URI of a store.
    """
    try:
        scheme, _, _ = split(uri)
    except ValueError as error:
        raise ArtifactError(str(error), "write it as `s3://…` or `file:///…`") from error
    return scheme, uri.partition("://")[2]


def file_path(uri: str) -> Path | None:
    """The path of a ``file://`` URI (percent-decoded once); None for any other scheme."""
    scheme, rest = split_uri(uri)
    if scheme != "file":
        return None
    return Path("/" + _decode(rest.partition("/")[2]))


def mounted_path(uri: str, mounts: Iterable[Mount]) -> Path | None:
    """Where the object lies in this job's file system, through its longest mounted prefix; None when it does not."""
    best: tuple[int, Path] | None = None
    for mount in mounts:
        prefix = mount["uri"].rstrip("/")
        if uri == prefix or uri.startswith(prefix + "/"):
            below = uri[len(prefix) :].lstrip("/")
            below = _decode(below) if prefix.lower().startswith("file:") else below
            if best is None or len(prefix) > best[0]:
                best = (len(prefix), Path(mount["path"]) / below)
    return best[1] if best else None


def allowed_uri(uri: str, prefixes: Iterable[str]) -> str:
    """
    Return the URI if it lies below one of the prefixes, by the rules of ``uris.py`` that Airflow's side applies too.

    :raises ArtifactError: it does not, or is written as if it could mean another place (``..``, backslashes, control
        characters, doubled slashes, also percent-encoded), or a link of this file system leads out of its prefix.
    """
    prefixes = list(prefixes)
    try:
        normal = normalize(uri)
        below = [prefix for prefix in prefixes if is_within(uri, [prefix])]
    except ValueError as error:
        raise ArtifactError(f"the address {uri!r} was refused: {error}") from error
    scheme, rest = split_uri(uri)
    if normal != f"{scheme}://{rest}".rstrip("/"):
        raise ArtifactError(f"the address {uri!r} was refused: it is not in its normal form, {normal!r}")
    if not any(_links_stay_inside(uri, prefix) for prefix in below):
        raise ArtifactError(
            f"the address {uri!r} was refused: it lies outside {', '.join(prefixes) or 'every allowed prefix'}",
            "inputs come from the stack's artifact root or its allowed dataset prefixes",
        )
    return normal


def _links_stay_inside(uri: str, prefix: str) -> bool:
    path, root = file_path(uri), file_path(prefix)
    if path is None or root is None:
        return True
    inside, outside = os.path.realpath(path), os.path.realpath(root)
    return inside == outside or inside.startswith(outside.rstrip("/") + "/")


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)
