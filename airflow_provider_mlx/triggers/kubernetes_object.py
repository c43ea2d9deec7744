"""``ObjectTrigger``: waits for the end of an object that somebody else has made. It has no job to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_mlx.backends.base import JobHandle, JobStatus, State
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.jobs.ledger import utc_now

from .surroundings import surroundings_for
from .watcher import CannotWatch, watcher_for

LOOK_SECONDS = 30.0


class ObjectTrigger(BaseTrigger):
    """
    Watches one object, with the watcher that steps have.

    :param handle: a :class:`~airflow_provider_mlx.backends.base.JobHandle` as :meth:`to_wire` writes it.
    :param settings: the backend's.
    :param not_before: no event fires earlier (:class:`~airflow_provider_mlx.triggers.order.WatchOrder` says why).
    """

    ends: ClassVar[frozenset[State]] = frozenset(state for state in State if state.finished)
    """What ends the waiting."""

    def __init__(self, handle: dict[str, Any], settings: dict[str, Any], conn_id: str | None, not_before: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.handle = handle
        self.settings = settings
        self.conn_id = conn_id
        self.not_before = not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        arguments = {"handle": self.handle, "settings": self.settings, "conn_id": self.conn_id}
        return f"{__name__}.{type(self).__name__}", {**arguments, "not_before": self.not_before}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event when the object has ended, or when it cannot be watched here."""
        try:
            event: dict[str, Any] = to_wire(await self._end())
        except CannotWatch as error:
            event = {"cannot_watch": str(error)}
        early = datetime.fromisoformat(self.not_before) - utc_now()
        await asyncio.sleep(max(0.0, early.total_seconds()))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _end(self) -> JobStatus:
        handle = JobHandle.from_wire(self.handle)
        kind = await asyncio.to_thread(backend_class, handle.backend)
        scope = kind.from_recorded(self.settings, self.conn_id).watch_scope()
        said = ""
        async with (
            watcher_for(
                handle.backend, scope=scope, settings=self.settings, conn_id=self.conn_id,
                surroundings=surroundings_for(handle.backend, self.conn_id),
            ) as watcher,
            watcher.subscribe(handle) as subscription,
        ):  # fmt: skip
            while True:
                status = await subscription.changed(timeout=LOOK_SECONDS)
                if status.state in self.ends:
                    return status
                if status.reason and status.reason != said:
                    self.log.info("mlx: waiting: %s", status.reason)
                said = status.reason


def to_wire(status: JobStatus) -> dict[str, Any]:
    """A status as an event, and as a sensor's result."""
    return {"state": status.state.value, "reason": status.reason, "failure": status.failure}
