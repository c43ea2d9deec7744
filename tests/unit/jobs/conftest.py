"""One task instance with all that is around it: a fake cluster, a store with faults, a clock that does not tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import BackendUnavailable
from airflow_provider_mlx.jobs.ledger import Ledger
from airflow_provider_mlx.jobs.life import StepLife
from airflow_provider_mlx.jobs.plan import Planner
from airflow_provider_mlx.jobs.ports import Ports, TryFacts
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.fake import FakeCluster, FakeSettings, Script
from airflow_provider_mlx.testing.steps import ContractStep

ROOT = "memory://ledger"


class WorkerDied(BaseException):
    """As SIGKILL: none of our code runs after it. (Where it is raised, the task still counts as running.)"""


@dataclass
class Fault:
    """What happens when the store is asked to ``verb`` an object whose name ends so."""

    verb: str
    ending: str
    act: Callable[[], object]
    after: bool = False
    times: int = 1


def unavailable() -> None:
    raise BackendUnavailable("503 from the store")


def die() -> None:
    raise WorkerDied


class FlakyStore(ObjectStore):
    """A store in memory, with faults before or after what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[Fault] = []

    def on(self, verb: str, ending: str, act: Callable[[], object], *, after: bool = False, times: int = 1) -> None:
        self.faults.append(Fault(verb, ending, act, after, times))

    def _play(self, verb: str, uri: str, after: bool) -> None:
        for fault in self.faults:
            if (fault.verb, fault.after) == (verb, after) and uri.endswith(fault.ending) and fault.times:
                fault.times -= 1
                fault.act()

    def read(self, uri, *, limit=None):
        self._play("read", uri, False)
        return super().read(uri, limit=limit)

    def facts(self, uri):
        self._play("facts", uri, False)
        return super().facts(uri)

    def create(self, uri, data):
        self._play("create", uri, False)
        made = super().create(uri, data)
        self._play("create", uri, True)
        return made

    def replace(self, file, uri):
        self._play("replace", uri, False)
        super().replace(file, uri)


@dataclass(frozen=True)
class FakePorts(Ports):
    """Time passes only in pauses; ``on_pause`` is called with their count."""

    world: World = None  # type: ignore[assignment]

    def pause(self, seconds: float) -> None:
        self.world.pauses += 1
        assert self.world.pauses < 400, "it waits for ever"
        self.world.now += timedelta(seconds=seconds)
        if self.world.on_pause is not None:
            self.world.on_pause(self.world.pauses)


@dataclass(frozen=True)
class PlansOf:
    """The plans of a planner."""

    planner: Planner

    def first(self, *, checkpoints_since):
        planner = replace(self.planner, checkpoints_since=checkpoints_since)
        planner.check()
        return planner.plan

    def again(self, record, context):
        return self.planner.recorded(record, context).plan

    def targets(self):
        return len(self.planner.resolved.targets)


@dataclass
class World:
    """Makes the workers of one task instance."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    store: FlakyStore = field(default_factory=FlakyStore)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    pauses: int = 0
    on_pause: Callable[[int], object] | None = None
    task_state: str | None = "running"
    shown: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    links: list[str | None] = field(default_factory=list)
    counted: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    identified: list[tuple[str, str, int]] = field(default_factory=list)
    ports: FakePorts | None = None
    step: ContractStep = field(default_factory=ContractStep)

    def plays(self, *scripts: Script) -> World:
        self.cluster = FakeCluster(*scripts)
        return self

    def life(
        self, *, try_number=1, max_tries=2, tries_left=True, run_started="t0", run_cleared=0, targets=1, preemptions=0, timeout=None,
        env=None, may_leave=False,
    ):  # fmt: skip
        self.pauses = 0
        self.ports = FakePorts(
            show=self.shown.append, say=self.said.append, task_state=lambda: self.task_state,
            publish_link=self.links.append, now=lambda: self.now, world=self,
            count=lambda name, tags: self.counted.append((name, dict(tags))),
            identify=lambda *who: self.identified.append(who),
        )  # fmt: skip
        step = replace(self.step, resources=Resources(timeout=timeout), env=env or {})
        planner = step.planner(self.backend(), ROOT)
        first = planner.resolved.targets[0]
        several = tuple(replace(first, name=f"target-{index}") for index in range(targets))
        planner = replace(planner, resolved=replace(planner.resolved, targets=several))
        return StepLife(
            ledger=self.ledger, plans=PlansOf(planner), connect=lambda record: self.backend(), ports=self.ports,
            facts=TryFacts(try_number, max_tries, tries_left, f"ti-{try_number}", run_started, run_cleared),
            preemptions=lambda: preemptions, may_leave=may_leave,
        )  # fmt: skip

    def backend(self):
        return self.cluster.backend_class(FakeSettings(), store=self.store)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, ROOT, self.step.identity)

    def attempt(self, number: int):
        return self.ledger.attempt(number)

    def job(self, number: int) -> str:
        return self.step.identity.job_name(number)

    @property
    def created(self) -> list[int]:
        """Attempt numbers of the jobs that were really created: the cluster's own record."""
        return [int(name.rpartition("-")[2]) for name in self.cluster.created]

    @property
    def stopped(self) -> list[int]:
        return [int(name.rpartition("-")[2]) for name in self.cluster.stops]


@pytest.fixture
def world():
    return World()
