"""
Events out of a worker without ever failing or holding up a step.

A client that retries against an address that does not answer takes 39 seconds for one event, and Airflow's own adapter
swallows the failure. So: a thread per event, a limit of time per event and per task, after one failure no further
attempt in this process, and what was not delivered is kept in the spool.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from openlineage.client.serde import Serde

from .scrub import scrub
from .spool import Spool

EVENT_SECONDS: Final = 5.0
TASK_SECONDS: Final = 30.0


@dataclass
class Breaker:
    """Open after a failure: the endpoint is not asked again by this process."""

    open: bool = False


PROCESS_BREAKER: Final = Breaker()


@dataclass
class _Work:
    """What a thread has done so far."""

    event: Any = None
    document: str = ""
    error: Exception | None = None
    delivered: bool = False
    finished: threading.Event = field(default_factory=threading.Event)


class SafeEmitter:
    """
    Sends the events of one task.

    :param send: delivers one event, and raises when it did not.
    :param spool: ``None``: what is not delivered is lost, and said.
    :param say: prints one line of ours.
    :param event_seconds: how long one event may hold up the step, its making included.
    :param task_seconds: how long all events of a task may. The last ``event_seconds`` of it are for making and
        keeping events, so that the terminal one is not lost.
    """

    def __init__(
        self,
        send: Callable[[Any], None],
        *,
        spool: Spool | None,
        say: Callable[[str], None],
        event_seconds: float = EVENT_SECONDS,
        task_seconds: float = TASK_SECONDS,
        breaker: Breaker = PROCESS_BREAKER,
    ) -> None:
        self._send = send
        self._spool = spool
        self._say = say
        self._event_seconds = event_seconds
        self._left = task_seconds
        self._breaker = breaker

    def emit(self, make: Callable[[], Any], then: Callable[[], object] = lambda: None) -> None:
        """
        Make an event and send it, or keep it; never raises an ``Exception``.

        :param make: gives the event, or ``None`` for none; it may read and write the ledger.
        :param then: is called once the event was delivered, or was refused and is about to be kept.
        """
        began = time.monotonic()
        try:
            self._emit(make, then, min(self._event_seconds, self._left))
        except Exception as error:
            self._complain("lineage failed", error)
        finally:
            self._left = max(0.0, self._left - (time.monotonic() - began))

    def _emit(self, make: Callable[[], Any], then: Callable[[], object], seconds: float) -> None:
        if seconds <= 0:
            self._say("lineage: the time for it is used up, an event is left out")
            return
        work, may_send = _Work(), not self._breaker.open and self._left > self._event_seconds
        thread = threading.Thread(
            target=self._work, args=(work, make, then, may_send), name="mlx-lineage", daemon=True
        )  # fmt: skip
        thread.start()
        work.finished.wait(seconds)
        if work.delivered or (work.finished.is_set() and work.error is None and work.event is None):
            return
        if not work.document:
            self._complain("no event could be made", work.error)
            return
        if may_send:
            self._breaker.open = True
        self._keep(work)

    def _work(self, work: _Work, make: Callable[[], Any], then: Callable[[], object], may_send: bool) -> None:
        try:
            work.event = event = make()
            if event is None:
                return
            work.document = Serde.to_json(event)  # before a client adds facets of its own to it
            try:
                if may_send:
                    self._send(event)
                    work.delivered = True
            finally:
                then()
        except Exception as error:  # whatever a transport, a store or a facet raises
            work.error = error
        finally:
            work.finished.set()

    def _keep(self, work: _Work) -> None:
        event, error = work.event, work.error
        what = f"{event.eventType.value} of {event.job.name}"
        why = (
            f"{type(error).__name__}: {scrub(str(error), limit=300)}" if error else "no answer in time, or none before"
        )
        if self._spool is None:
            self._say(f"lineage: {what} was not delivered ({why}), and there is no spool")
            return
        self._spool.keep(work.document)
        self._say(
            f"lineage: {what} was not delivered ({why}); it is kept, "
            "`python -m airflow_provider_mlx lineage-replay` sends it"
        )

    def _complain(self, what: str, error: Exception | None) -> None:
        why = f"{type(error).__name__}: {scrub(str(error), limit=300)}" if error else "it took too long"
        self._say(f"lineage: {what} ({why}); the step is not touched by it")
