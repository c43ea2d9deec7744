"""Addresses of pages as they leave: whole enough to lead there, without what lets anybody in."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from airflow_provider_mlx.scrub import MASK, is_sensitive, scrub

LIMIT: Final = 1000
"""Characters; a longer address is none."""

_PLACE: Final = re.compile(r"!?[A-Za-z0-9._~/:@%-]*")
"""A fragment by which a page's own code finds its way, as SageMaker's and MLflow's; anything else may be a token."""


def page_address(url: str) -> str | None:
    """An http address without user, password, sensitive parameters; ``None`` for what is none."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or len(url) > LIMIT:
        return None
    kept = [(name, value) for name, value in parse_qsl(parts.query) if not is_sensitive(name) and _is_plain(value)]
    fragment = parts.fragment if _PLACE.fullmatch(parts.fragment) and _is_plain(parts.fragment) else ""
    path = parts.path if _is_plain(parts.path) else ""
    return urlunsplit((parts.scheme, host, path, urlencode(kept), fragment))


def _is_plain(text: str) -> bool:
    """Whether nothing in a text has the form of a secret."""
    return MASK not in scrub(text, limit=LIMIT)
