"""Misbehaviour on request: which of the next jobs are preempted, lost, refused or answered badly, and outages."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

Kind = Literal["preempt", "no_capacity", "evict", "vanish", "hold_create", "lose_answer", "slow_stop"]

_PART: Final[Mapping[str, str]] = {
    "preempt": "fate",
    "no_capacity": "fate",
    "evict": "fate",
    "vanish": "fate",
    "hold_create": "answer",
    "lose_answer": "answer",
    "slow_stop": "stop",
}
"""Which part of a job's life a script is about: a job takes at most one script for each part."""


@dataclass
class Script:
    """
    What happens to the next jobs that are created.

    ``preempt``: SIGTERM after it ran so long; it ends as stopped, ``Preempted``. ``evict``: SIGKILL; failed,
    ``Preempted``. ``no_capacity``: it never runs and ends as failed, ``CapacityUnavailable``, so long after its
    creation. ``vanish``: so long after its creation it is killed, if need be, and forgotten. ``hold_create``: the job
    is made, and the answer comes so much later. ``lose_answer``: the job is made, and the connection is closed
    instead. ``slow_stop``: SIGTERM comes so long after the request.

    :param match: in the names of its jobs.
    :param after_seconds: see above.
    :param times: for how many jobs; negative for all.
    :param spot: for spot jobs only, or for the others only; ``None`` for both.
    """

    then: Kind
    match: str = ""
    after_seconds: float = 0.0
    times: int = 1
    spot: bool | None = None

    def __post_init__(self) -> None:
        if self.then not in get_args(Kind):
            raise ValueError(f"there is no script `{self.then}`, only {', '.join(get_args(Kind))}")

    def is_for(self, name: str, *, spot: bool) -> bool:
        """Whether a new job is one of its."""
        return self.times != 0 and self.match in name and self.spot in (None, spot)


class Scripts:
    """The scripts that are set, in their order: of two for the same part of a job's life the first comes first."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []
        self._lock = threading.Lock()

    def add(self, script: Script) -> None:
        """Set a further script."""
        with self._lock:
            self._scripts.append(script)

    def clear(self) -> None:
        """Take back what no job has taken yet."""
        with self._lock:
            self._scripts.clear()

    def take(self, name: str, *, spot: bool) -> dict[str, Script]:
        """The scripts of a new job, by the part of its life."""
        taken: dict[str, Script] = {}
        with self._lock:
            for script in self._scripts:
                part = _PART[script.then]
                if part not in taken and script.is_for(name, spot=spot):
                    taken[part] = script
                    script.times -= 1
        return taken


class Outage:
    """A time in which no request is answered as it should be."""

    def __init__(self) -> None:
        self._until = 0.0
        self._how = ""

    def begin(self, seconds: float, how: str) -> None:
        """
        Begin an outage, or end one (0 seconds).

        :param how: ``503``, or ``drop`` for connections that are closed without an answer.
        """
        if how not in ("503", "drop"):
            raise ValueError(f"an outage is `503` or `drop`, not `{how}`")
        self._how, self._until = how, time.monotonic() + seconds

    @property
    def now(self) -> str:
        """How requests are treated now; empty for no outage."""
        return self._how if time.monotonic() < self._until else ""


def script_from(body: Mapping[str, Any]) -> Script:
    """
    The script that a request describes.

    :raises ValueError: it is none.
    """
    try:
        return Script(**body)
    except TypeError as error:
        raise ValueError(str(error)) from error
