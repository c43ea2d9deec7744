"""
What is sent to the store: by whom, how much at once, and what is answered.

A list is answered as OpenLineage's batch: 200 if all of it was taken, 207 with the reasons if some was, 422 if none.
"""

from __future__ import annotations

import hmac
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import HTTPException, Request

from airflow_provider_mlx.lineage.store.rows import Source
from airflow_provider_mlx.lineage.store.told import read_json
from airflow_provider_mlx.lineage.store.writing import Report

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes of one request."""
MAX_EVENTS: Final = 1_000
"""Of one request."""
EVENTS_A_SECOND: Final = 200.0
"""Of one sender, over a while."""
BURST: Final = 5_000
"""Events of one sender at once: a DAG run with a thousand tasks begins and ends."""


@dataclass
class Limiter:
    """
    A bucket of tokens for each sender: an event takes one, time puts them back.

    :param clock: seconds.
    """

    rate: float = EVENTS_A_SECOND
    burst: int = BURST
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, sender: str, events: int) -> None:
        """
        Take as many.

        :raises HTTPException: 429, with the seconds to wait.
        """
        now = self.clock()
        left, at = self._left.get(sender, (float(self.burst), now))
        left = min(float(self.burst), left + (now - at) * self.rate)
        if events > left:
            self._left[sender] = (left, now)
            wait = int((events - left) / self.rate) + 1
            raise HTTPException(
                429, f"`{sender}` sends more than {self.rate:g} events a second → send again in {wait} seconds",
                headers={"Retry-After": str(wait)},
            )  # fmt: skip
        self._left[sender] = (left - events, now)


def source_of(authorization: str, tokens: Mapping[str, Source]) -> Source:
    """
    Who sends, by the token.

    :raises HTTPException: 401.
    """
    word, _, given = authorization.partition(" ")
    for token, source in tokens.items():
        if word.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return source
    raise HTTPException(
        401, "no such token → send `Authorization: Bearer` with `[mlx] lineage_token`, or a sender's password",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


async def read_body(request: Request) -> bytes:
    """
    The request's body, unpacked, read no further than it may be long.

    :raises HTTPException: 413, 415 or 400.
    """
    packing = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip"):
        raise HTTPException(415, f"the encoding {packing[:20]!r} is not taken → send gzip, or the plain text")
    unpacker = zlib.decompressobj(wbits=31) if packing == "gzip" else None
    found = bytearray()
    async for chunk in request.stream():
        try:
            found += unpacker.decompress(chunk, MAX_BODY + 1 - len(found)) if unpacker else chunk
        except zlib.error:
            raise HTTPException(400, "the body is no gzip") from None
        if len(found) > MAX_BODY:
            raise HTTPException(413, f"a request has at most {MAX_BODY:,} bytes → send fewer events at once")
    if unpacker is not None and not unpacker.eof:
        raise HTTPException(400, "the body is no whole gzip")
    return bytes(found)


def documents_in(body: bytes) -> tuple[list[Any], bool]:
    """
    The events, and whether they came as a list.

    :raises HTTPException: 400 or 413.
    """
    try:
        given = read_json(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON → send an event, or a list of events") from None
    if not isinstance(given, list):
        return [given], False
    if len(given) > MAX_EVENTS:
        raise HTTPException(413, f"a request has at most {MAX_EVENTS:,} events → send the rest in another one")
    return given, True


def batch_answer(report: Report) -> tuple[int, dict[str, Any]]:
    """Status and body, by OpenLineage's schema of a batch's answer; ``known`` and ``ignored`` are ours."""
    failed = len(report.refused)
    taken = report.stored + report.known + report.ignored
    status, word = (200, "success") if not failed else (207, "partial_success") if taken else (422, "error")
    return status, {
        "status": word,
        "summary": {
            "received": taken + failed, "successful": taken, "failed": failed, "retriable": 0, "non_retriable": failed,
            "known": report.known, "ignored": report.ignored,
        },
        "failed_events": [{"index": number, "reason": why, "retriable": False} for number, why in report.refused],
    }  # fmt: skip
