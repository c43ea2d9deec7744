"""What ``doctor`` thinks of the settings of lineage: pure judgements, each with the way to mend it."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .doctor_checks import Check, Status

_ABOUT: Final = "lineage"
_TRANSPORT: Final = "[openlineage] transport"
_SHORTEST: Final = 32
"""Characters of a token that nobody guesses."""
_LONGEST: Final = 5.0
"""Seconds that one try to send may take."""


def lineage(
    transport: Mapping[str, Any] | None, *, store: str, token: str, in_thread: bool, elsewhere: bool = False
) -> Iterator[Check]:
    """
    Whether events leave, and whether the store takes them.

    :param transport: ``[openlineage] transport``; ``None`` where there is none.
    :param store: ``[mlx] lineage_store``.
    :param token: ``[mlx] lineage_token``.
    :param in_thread: ``[openlineage] execute_in_thread``.
    :param elsewhere: the transport is set in a file, a connection or an environment variable.
    """
    found = [*_sending(transport or {}, in_thread), *_keeping(transport, store, token, elsewhere)]
    if not found:
        by = f"sent by {transport['type']}" if transport and transport.get("type") else "no transport here"
        where = "kept by the API server" if store else "not kept by the API server"
        yield Check(Status.OK, _ABOUT, f"{by}, {where}")
    yield from found


def _sending(transport: Mapping[str, Any], in_thread: bool) -> Iterator[Check]:
    kind = transport.get("type")
    if kind == "async_http" and not in_thread:
        yield Check(
            Status.FAIL, _TRANSPORT, "`async_http` says that events are sent that never leave: the provider forks",
            "use `http`, or set `[openlineage] execute_in_thread` to true",
        )  # fmt: skip
    if kind == "http" and not _is_short(transport.get("timeout")):
        yield Check(
            Status.WARN, _TRANSPORT, "an address that swallows packets holds up Airflow's own events",
            'add `"timeout": 2, "retry": {"total": 1}`',
        )  # fmt: skip
    address = urlsplit(str(transport.get("url") or ""))
    if address.scheme == "http" and transport.get("auth") and not _is_near(address.hostname):
        yield Check(Status.WARN, _TRANSPORT, "its token travels in plain text", "use an `https://` address")


def _keeping(transport: Mapping[str, Any] | None, store: str, token: str, elsewhere: bool) -> Iterator[Check]:
    if not store:
        return
    if not token:
        yield Check(
            Status.FAIL, _ABOUT, "there is a store, and nothing of this Airflow's may send to it",
            "set `[mlx] lineage_token`, and the same as `apiKey` of `[openlineage] transport`",
        )  # fmt: skip
    elif len(token) < _SHORTEST:
        yield Check(
            Status.WARN, "[mlx] lineage_token", f"it has fewer than {_SHORTEST} characters",
            "make a long random one: `openssl rand -hex 32`",
        )  # fmt: skip
    if transport is None and not elsewhere:
        yield Check(
            Status.FAIL, _ABOUT, "there is a store, and nothing is sent to it",
            "set `[openlineage] transport`; the guide on lineage has the line",
        )  # fmt: skip
    auth = (transport or {}).get("auth")
    key = auth.get("apiKey") or auth.get("api_key") if isinstance(auth, Mapping) else None
    ours = "mlx/lineage" in f"{(transport or {}).get('url')} {(transport or {}).get('endpoint')}"
    if token and ours and not hmac.compare_digest(str(key or "").encode(), token.encode()):
        yield Check(
            Status.FAIL, _TRANSPORT, "its `apiKey` is not `[mlx] lineage_token`, so the store refuses what it sends",
            "set both to the same text",
        )  # fmt: skip


def _is_short(timeout: Any) -> bool:
    return isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and 0 < timeout <= _LONGEST


def _is_near(host: str | None) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")
