"""
Sending what was kept, from all places together: the events of each run in their order.

A replay that dies goes on where it was; an event whose removal was lost is sent twice, which consumers take for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

_FAILURES_IN_A_ROW: Final = 3
"""After so many the endpoint is taken to be down, and what is left stays for the next replay."""

_RANK: Final[Mapping[str, int]] = {"START": 0, "RUNNING": 1, "OTHER": 1, "COMPLETE": 2, "FAIL": 2, "ABORT": 2}
TYPES: Final = frozenset(_RANK)
TERMINAL: Final = frozenset({"COMPLETE", "FAIL", "ABORT"})


@dataclass(frozen=True)
class Kept:
    """
    One event that waits.

    :param time: as :func:`stamp` writes it.
    :param read: gives the event; ``None`` if somebody else has sent it meanwhile.
    :param sent: notes that it was sent; it is not there the next time.
    """

    run_id: str
    time: str
    type: str
    read: Callable[[], dict[str, Any] | None]
    sent: Callable[[], None]


@dataclass
class Taken:
    """
    What a place holds.

    :param damaged: things that are no event; they are dropped.
    :param problem: why there may be more than this.
    """

    events: list[Kept]
    damaged: int = 0
    problem: str = ""


class Place(Protocol):
    """Where events wait."""

    def taken(self) -> AbstractContextManager[Taken]:
        """What is there, while a replay works on it."""


@dataclass
class ReplayReport:
    """
    What a replay did, in events.

    :param sent: were taken by the endpoint.
    :param left: stay where they are.
    :param damaged: things that are no event, as a line after a full disk; they are dropped.
    :param problem: why something was left; empty if nothing was.
    """

    sent: int = 0
    left: int = 0
    damaged: int = 0
    problem: str = ""


def replay(places: Iterable[Place], send: Callable[[Mapping[str, Any]], None]) -> ReplayReport:
    """
    Send what is kept, and remove what was sent.

    A START whose end is not here goes out as ``OTHER``: its run may have been closed by another worker, and a START
    behind the end would open it again. An event that is kept in two places is sent once.

    :param send: takes one event as plain JSON, and raises when it was not delivered. A run whose event was refused
        waits, other runs go on.
    """
    with ExitStack() as held:
        found = [held.enter_context(place.taken()) for place in places]
        events = [event for taken in found for event in taken.events]
        report = ReplayReport(
            damaged=sum(taken.damaged for taken in found),
            problem="; ".join(one.problem for one in found if one.problem),
        )
        gone = _send_all(events, send, report)
        report.left = len(events) - report.sent - gone
    return report


def stamp(time: str) -> str:
    """
    An event's time as it stands in names, and sorts.

    :raises ValueError: it is no time.
    """
    found = datetime.fromisoformat(time)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")


def _send_all(events: list[Kept], send: Callable[[Mapping[str, Any]], None], report: ReplayReport) -> int:
    """How many were sent by others."""
    ended = {event.run_id for event in events if event.type in TERMINAL}
    refused: set[str] = set()
    known: set[tuple[str, str, str]] = set()
    failures = gone = 0
    for event in sorted(events, key=_order):
        if event.run_id in refused:
            continue
        key = (event.run_id, event.time, event.type)
        try:
            if key in known or (document := event.read()) is None:
                event.sent()
                gone += 1
                continue
            if event.type == "START" and event.run_id not in ended:
                document["eventType"] = "OTHER"
            send(document)
        except Exception as error:  # whatever a transport or a store raises
            refused.add(event.run_id)
            failures += 1
            report.problem = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            if failures >= _FAILURES_IN_A_ROW:
                return gone
            continue
        failures = 0
        known.add(key)
        event.sent()
        report.sent += 1
    return gone


def _order(event: Kept) -> tuple[bool, str, int]:
    """Every START before anything else, then by time; the end last among equals."""
    return event.type != "START", event.time, _RANK.get(event.type, 1)
