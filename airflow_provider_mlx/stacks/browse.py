"""Where a person can look at a folder of the artifact root: a page of the store's own console; pure."""

from __future__ import annotations

import string
from typing import Final
from urllib.parse import quote

from airflow_provider_mlx.runtime.uris import split_uri

FIELDS: Final = ("bucket", "key", "uri")


def browse_url(template: str | None, uri: str) -> str | None:
    """
    The page of a folder.

    :param template: of the stack, as ``https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={key}/``.
    """
    if not template:
        return None
    _, bucket, key = split_uri(uri)
    return template.format(bucket=quote(bucket, safe=""), key=quote(key, safe="/"), uri=quote(uri, safe=""))


def template_problem(template: str) -> str:
    """What is wrong with a template; empty if nothing is."""
    if not template.startswith(("https://", "http://")):
        return "it is no web address"
    try:
        fields = [name for _, name, spec, conversion in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        return str(error)
    unknown = sorted(set(fields) - set(FIELDS))
    return f"it has the field {{{unknown[0]}}}" if unknown else "" if fields else "it names no folder"
