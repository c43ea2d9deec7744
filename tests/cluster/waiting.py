"""Waiting for something that another process does, with a reason when it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from .problems import ApiRefused, ClusterFailed

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T | None], *, seconds: float = 60, every_seconds: float = 0.1) -> T:
    """
    What ``look`` returns, as soon as that is true.

    An API that cannot be reached, or does not know the object yet, counts as "not yet".

    :raises ClusterFailed: it did not come to be in time; the last answer is in the message.
    """
    until = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            if found := look():
                return found
            last = found
        except (ApiRefused, httpx.TransportError, OSError) as error:
            last = error
        if time.monotonic() > until:
            raise ClusterFailed(f"{what}: not so after {seconds:g} s; last seen: {last!r}")
        time.sleep(every_seconds)
