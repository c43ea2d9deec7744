"""
Whose turn it is to ask the server for a run: one request at a time, in all processes together.

A server starts a Workflow for each ``POST /runs`` that arrives, whatever id it names. Looking first keeps one worker
from asking twice; two workers that look at the same moment would both ask. So each request takes a turn in the
attempt's folder, by an object that only one can create, and nobody takes the next one while the request may still have
its effect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import BackendUnavailable
from airflow_provider_mlx.runtime.uris import join

TURN: Final = timedelta(seconds=60)
"""Longer than a request may take from when its turn was taken, all attempts to connect and all pauses included."""
ASK_WITHIN: Final = timedelta(seconds=10)
"""Who has a turn and was held up (a frozen process, a slow server) asks no more: a request may take 47 s itself."""
MOST: Final = 1000
"""Turns of one attempt: hours of a server that neither takes nor refuses."""


@dataclass(frozen=True)
class Turn:
    """
    The right to send one request, soon.

    :param until: on the clock that goes on while a process is frozen.
    """

    until: float
    clock: Callable[[], float] = time.monotonic

    def check(self) -> None:
        """
        Called right before the request.

        :raises BackendUnavailable: it is too late: somebody else may have taken the next turn by the time it arrives.
        """
        if self.clock() > self.until:
            raise BackendUnavailable("this worker was held up before it asked for the run; it looks again first")


def take_turn(store: ObjectStore, outputs: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Turn:
    """
    Take the right to ask for an attempt's run, once.

    :param outputs: the attempt's folder.
    :raises BackendUnavailable: somebody has it: what they made is looked for before anything else.
    """
    until = time.monotonic() + ASK_WITHIN.total_seconds()
    for number in range(1, MOST):
        uri = join(outputs, f"request-{number}.json")
        if store.create(uri, json.dumps({"at": now().isoformat()}).encode()):
            return Turn(until)
        age = now() - _taken_at(store, uri, now())
        if age < TURN:
            raise BackendUnavailable(
                f"the run was asked for {max(0, int(age.total_seconds()))} s ago, here or by another worker, and is "
                f"not there yet; it is not asked for again within {int(TURN.total_seconds())} s"
            )
    raise BackendUnavailable(f"the run was asked for {MOST} times, and is not there")


def _taken_at(store: ObjectStore, uri: str, now: datetime) -> datetime:
    """When a turn was taken; one that cannot be read was taken just now."""
    try:
        at = json.loads(store.read(uri) or b"{}").get("at", "")
        return datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, AttributeError, TypeError):
        return now
