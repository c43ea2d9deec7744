"""A trigger in an event loop, with a fake cluster behind it and without an Airflow around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.jobs.decision import Limits
from airflow_provider_mlx.jobs.ledger import Ledger, utc_now
from airflow_provider_mlx.jobs.ports import TryFacts
from airflow_provider_mlx.testing.fake import FakeCluster, FakeSettings, Script
from airflow_provider_mlx.testing.steps import ContractStep
from airflow_provider_mlx.triggers import job, surroundings, watcher
from airflow_provider_mlx.triggers.order import WatchOrder

ROOT = "memory://triggers"


@dataclass
class Scene:
    """One submitted job, and a trigger that is to watch it."""

    cluster: FakeCluster
    store: ObjectStore = field(default_factory=ObjectStore)
    step: ContractStep = field(default_factory=ContractStep)
    state: str | None = "deferred"
    connections: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Any:
        return Ledger(self.store, ROOT, self.step.identity).attempt(1)

    def submit(
        self,
        *,
        conn_id: str | None = None,
        after: float = 0,
        limits: Limits = Limits(),  # noqa: B008
        **order: Any,
    ) -> WatchOrder:
        backend = self.cluster.backend_class(FakeSettings(), conn_id, self.store)
        planned = self.step.plan(backend, ROOT)
        self.ledger.take(planned.context)
        record = planned.record(
            facts=TryFacts(1, 1, False, "ti", "t0"), started_at=utc_now(), deadline=limits.deadline, preemptions_left=0
        )
        self.ledger.write_record(record)
        handle = backend.submit(record.request)
        self.ledger.write_handle(handle)
        return WatchOrder(
            identity=self.step.identity, attempt=1, handle=handle, settings={}, conn_id=conn_id, root=ROOT,
            artifacts_conn_id=None, nonce=record.nonce, limits=limits,
            not_before=utc_now() + timedelta(seconds=after), **{"limit_seconds": None, **order},
        )  # fmt: skip


class Lines(list[str]):
    """What a trigger logs."""

    def info(self, text: str, *values: Any) -> None:
        self.append(text % values if values else text)

    warning = error = exception = debug = info


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    def make(*scripts: Script) -> Scene:
        made = Scene(FakeCluster(*scripts))

        async def connection(conn_id: str) -> Any:
            made.asked.append(conn_id)
            if conn_id not in made.connections:
                raise LookupError(f"no connection {conn_id}")
            return made.connections[conn_id]

        def backend_class(name: str) -> Any:
            return made.cluster.backend_class

        monkeypatch.setattr(job, "backend_class", backend_class)
        monkeypatch.setattr(surroundings, "backend_class", backend_class)
        monkeypatch.setattr(surroundings, "read_connection", connection)
        monkeypatch.setattr(job, "open_store", lambda root, conn_id: made.store)
        monkeypatch.setattr(job, "state_of_task", lambda **task: made.state)
        monkeypatch.setattr(watcher, "LOOK_SECONDS", 0.02)
        monkeypatch.setattr(watcher, "LONGEST_BACKOFF_SECONDS", 0.05)
        monkeypatch.setattr(job, "LOG_SECONDS", 0.02)
        return made

    return make


def trigger_of(order: WatchOrder | Mapping[str, Any]) -> tuple[Any, Lines]:
    """A trigger as the triggerer makes it, from its serialized form; its log."""
    import json

    wire = order.to_wire() if isinstance(order, WatchOrder) else dict(order)
    _, arguments = job.JobTrigger(wire).serialize()
    trigger, lines = job.JobTrigger(**json.loads(json.dumps(arguments))), Lines()
    trigger._log = lines
    return trigger, lines


async def fired(trigger: Any, *, seconds: float = 5) -> Any:
    """The one event of a trigger."""

    async def run() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    events = await asyncio.wait_for(run(), seconds)
    assert len(events) == 1, "one event"
    return events[0]
