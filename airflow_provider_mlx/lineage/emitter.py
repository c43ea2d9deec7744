"""
Events out of a worker without ever failing or holding up a step.

A client that retries against an address that does not answer takes 39 seconds for one event, and Airflow's own adapter
swallows the failure. So: a thread per event, a limit of time per event and per task, after one failure no further
attempt in this process, and what was not delivered is kept: in the artifact root, and where that gives no answer
either, on this machine's disk.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from openlineage.client.serde import Serde

from airflow_provider_mlx.scrub import scrub

from .spool import Spool

EVENT_SECONDS: Final = 5.0
TASK_SECONDS: Final = 30.0

_KEEPING: Final = 0.4
"""Of an event's time, what is left to keep it in the artifact root when it was not delivered."""


class Keeper(Protocol):
    """Where events can be kept that were not delivered."""

    def keep(self, event: str) -> None:
        """Keep one event; raises where it cannot."""


@dataclass
class Breaker:
    """Open after a failure: the endpoint is not asked again by this process."""

    open: bool = False


PROCESS_BREAKER: Final = Breaker()
ROOT_BREAKER: Final = Breaker()


@dataclass
class _Work:
    """
    What a thread has done so far.

    :ivar left: what was not delivered, in order: the event, and what it was before a client added facets to it.
    """

    until: float
    may_send: bool
    left: deque[tuple[Any, str]] = field(default_factory=deque)
    error: Exception | None = None
    made: bool = False
    finished: threading.Event = field(default_factory=threading.Event)


class SafeEmitter:
    """
    Sends the events of one task.

    :param send: delivers one event, and raises when it did not.
    :param spool: on this machine; ``None``: what is not delivered and finds no place in ``root`` is lost, and said.
    :param root: in the artifact root, which outlives this machine and may give no answer.
    :param say: prints one line of ours.
    :param event_seconds: how long one event may hold up the step, its making and its keeping included.
    :param task_seconds: how long all events of a task may. The last ``event_seconds`` of it are for making and
        keeping events, so that the terminal one is not lost.
    """

    def __init__(
        self,
        send: Callable[[Any], None],
        *,
        spool: Spool | None,
        say: Callable[[str], None],
        root: Keeper | None = None,
        event_seconds: float = EVENT_SECONDS,
        task_seconds: float = TASK_SECONDS,
        breaker: Breaker = PROCESS_BREAKER,
        root_breaker: Breaker = ROOT_BREAKER,
    ) -> None:
        self._send = send
        self._spool = spool
        self._say = say
        self._event_seconds = event_seconds
        self._left = task_seconds
        self._breaker = breaker
        self._root = root
        self._root_breaker = root_breaker

    def emit(self, make: Callable[[], Any], then: Callable[[], object] = lambda: None) -> None:
        """
        Make an event and send it, or keep it; never raises an ``Exception``.

        :param make: gives the event, or ``None`` for none; it may read and write the ledger.
        :param then: is called once the event was delivered, or was refused and is about to be kept.
        """

        def one() -> list[Any]:
            return [] if (event := make()) is None else [event]

        self._within(one, then, min(self._event_seconds, self._left))

    def emit_all(self, make: Callable[[], Iterable[Any]]) -> None:
        """
        Make several events and send them, in half of the time that is left for the task; the rest is kept.

        :param make: as in :meth:`emit`.
        """
        self._within(make, lambda: None, self._left / 2, patience=self._event_seconds)

    def _within(
        self, make: Callable[[], Iterable[Any]], then: Callable[[], object], seconds: float, *, patience: float = 0.0
    ) -> None:
        began = time.monotonic()
        try:
            self._emit(make, then, seconds, patience)
        except Exception as error:
            self._complain("lineage failed", error)
        finally:
            self._left = max(0.0, self._left - (time.monotonic() - began))

    def _emit(
        self, make: Callable[[], Iterable[Any]], then: Callable[[], object], seconds: float, patience: float
    ) -> None:
        """Within so many seconds, and the patience for what is on its way then."""
        if seconds <= 0:
            self._say("lineage: the time for it is used up, an event is left out")
            return
        may_send = not self._breaker.open and self._left > self._event_seconds
        until = time.monotonic() + seconds + patience
        sending = seconds * (1 - _KEEPING) if self._keeps_in_root else seconds
        work = _Work(time.monotonic() + sending, may_send)
        thread = threading.Thread(target=self._work, args=(work, make, then), name="mlx-lineage", daemon=True)
        thread.start()
        finished = work.finished.wait(sending + patience)
        if not work.made:
            self._complain("no event could be made", work.error)
        elif work.left:
            if may_send and (work.error is not None or not finished):
                self._breaker.open = True
            kept = self._keep(work.left.copy(), work.error, until)
            if kept and not finished and not self._root_breaker.open:  # who hangs at the endpoint has not come to it
                _limited(then, until - time.monotonic())
        elif work.error is not None:
            self._complain("lineage failed", work.error)

    def _work(self, work: _Work, make: Callable[[], Iterable[Any]], then: Callable[[], object]) -> None:
        try:
            work.left.extend((event, Serde.to_json(event)) for event in make())
            work.made = True
            try:
                while work.may_send and work.left and time.monotonic() < work.until:
                    self._send(work.left[0][0])
                    work.left.popleft()
            finally:
                then()
        except Exception as error:  # whatever a transport, a store or a facet raises
            work.error = error
        finally:
            work.finished.set()

    def _keep(self, left: deque[tuple[Any, str]], error: Exception | None, until: float) -> bool:
        """Whether there was a place for them."""
        event = left[0][0]
        what = f"{event.eventType.value} of {event.job.name}" + (f" and {len(left) - 1} more" if len(left) > 1 else "")
        why = (
            f"{type(error).__name__}: {scrub(str(error), limit=300)}" if error else "no answer in time, or none before"
        )
        rest = self._keep_in_root([document for _, document in left], until)
        if rest and self._spool is None:
            self._say(f"lineage: {what} was not delivered ({why}), and there is no spool")
            return False
        for document in rest:
            self._spool.keep(document)  # type: ignore[union-attr]
        self._say(
            f"lineage: {what} was not delivered ({why}); it is kept, "
            "`python -m airflow_provider_mlx lineage-replay` sends it"
        )
        return True

    @property
    def _keeps_in_root(self) -> bool:
        return self._root is not None and not self._root_breaker.open

    def _keep_in_root(self, documents: list[str], until: float) -> list[str]:
        """What could not be kept there; something of it may turn up there all the same."""
        root = self._root
        if root is None or self._root_breaker.open:
            return documents
        kept: list[str] = []

        def keep() -> None:
            for document in documents:
                if time.monotonic() >= until:
                    return
                root.keep(document)
                kept.append(document)

        done = _limited(keep, until - time.monotonic())
        rest = documents[len(kept) :]
        self._root_breaker.open = bool(rest) or not done
        return rest

    def _complain(self, what: str, error: Exception | None) -> None:
        why = f"{type(error).__name__}: {scrub(str(error), limit=300)}" if error else "it took too long"
        self._say(f"lineage: {what} ({why}); the step is not touched by it")


def _limited(act: Callable[[], object], seconds: float) -> bool:
    """Whether it was done within so many seconds, and without an exception."""
    done = threading.Event()

    def work() -> None:
        with suppress(Exception):  # whatever a store raises
            act()
            done.set()

    threading.Thread(target=work, name="mlx-lineage-keep", daemon=True).start()
    return done.wait(max(0.0, seconds))
