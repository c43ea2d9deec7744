"""
What the life of a job tells about itself, turned into the events of a child run.

``jobs/`` knows two callables of its ports, ``tell_started`` and ``tell_ended``; here is what stands behind them::

    # operators/execution.py, where the ports are made
    lineage = step_lineage(operator, context, identity=identity, store=store, spool=settings.local_root / SPOOL_FOLDER)
    if lineage is not None:  # OpenLineage is active, and its policy lets this task's events out
        ports = replace(ports, tell_started=lineage.started, tell_ended=lineage.ended)

    # jobs/
    ports.tell_started(active)             # the backend has accepted the job: after `handle.json`
    ports.tell_ended(active, collected)    # or the error that ended it

What the step was called with is read from the attempt's own ``context.json``, so a worker that adopts a job or resumes
a deferred task needs to have rendered nothing.

Both may be called again, by this worker, by one that adopts the job and by one that resumes a deferred task: objects in
the attempt's folder say what was told. ``lineage-start`` is created before START goes out (a lost START costs nothing,
since the terminal event says everything again), and before any end, so that no START can follow it.
``lineage-end`` is created after the terminal event went out or was kept: a worker that dies in between has its event
sent again, which consumers take for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_mlx.exceptions import JobCancelled, JobTimeout, MlxError
from airflow_provider_mlx.jobs.attempt import ActiveAttempt
from airflow_provider_mlx.jobs.collection import Collected
from airflow_provider_mlx.runtime.uris import join

from .datasets import Traffic, traffic
from .emitter import SafeEmitter
from .events import ChildRun, JobFacts, Outcome, end_event, start_event
from .facets import Mask, StepFacts, unmasked
from .inner import inner_events
from .names import step_name

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

START_MARK: Final = "lineage-start"
END_MARK: Final = "lineage-end"

_ABORTED: Final = (JobCancelled, JobTimeout)
"""Ended by a wish or a limit; anything else that goes wrong is a failure."""


class Marks(Protocol):
    """Create-only objects, as :class:`~airflow_provider_mlx.artifacts.store.ObjectStore` has them."""

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object unless there is one; whether this call wrote it."""

    def facts(self, uri: str) -> Any:
        """``None`` if there is no such object."""


class StepLineage:
    """
    Tells OpenLineage about the attempts of one step.

    :param child: names the run of an attempt: by the attempt, the try that submitted it, and the step's name.
    :param marks: the artifact root's store.
    :param task: DAG and task.
    :param try_number: Airflow's try that tells.
    :param resources: what the step asks for, in wire form.
    :param mask: Airflow's own masking of what it knows as secrets.
    """

    def __init__(
        self,
        *,
        emitter: SafeEmitter,
        marks: Marks,
        child: Callable[[int, int, str], ChildRun],
        task: tuple[str, str],
        try_number: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        resources: Mapping[str, Any] | None = None,
        image: str | None = None,
        mask: Mask = unmasked,
    ) -> None:
        self._emitter = emitter
        self._marks = marks
        self._child = child
        self._resources = resources or {}
        self._image = image
        self._task = task
        self._try_number = try_number
        self._now = now
        self._mask = mask

    def started(self, active: ActiveAttempt) -> None:
        """The backend has accepted the job of this attempt."""

        def make() -> Any:
            if not self._mark(active, START_MARK):
                return None
            step, child = self._described(active)
            inputs = traffic(step.arguments, task=self._task)
            return start_event(child, self._job(active), step, inputs, active.record.started_at, mask=self._mask)

        self._emitter.emit(make)

    def ended(self, active: ActiveAttempt, outcome: Collected | BaseException) -> None:
        """
        This attempt is over: its result was collected, or this ended it. First its tasks are told of, if it has some.

        Not to be called while the job goes on without this worker.
        """
        at = self._now()

        def make() -> Any:
            self._quietly(lambda: self._mark(active, START_MARK))
            if self._is_told(active):
                return None
            ending = outcome_of(outcome)
            time = max(_finished_at(ending.result or {}) or at, active.record.started_at)
            step, child = self._described(active)
            found = self._traffic(step, outcome)
            return end_event(child, self._job(active), step, found, ending, time, mask=self._mask)

        if active.backend.has_tasks:
            self._emitter.emit_all(lambda: self._tasks(active, at))
        self._emitter.emit(make, then=lambda: self._mark(active, END_MARK))

    def _tasks(self, active: ActiveAttempt, at: datetime) -> list[RunEvent]:
        if self._is_told(active):
            return []
        _, child = self._described(active)
        return inner_events(child, self._job(active), active.ledger.read_tasks(), at, mask=self._mask)

    def _is_told(self, active: ActiveAttempt) -> bool:
        return self._quietly(lambda: self._marks.facts(self._uri(active, END_MARK)) is not None)

    def _described(self, active: ActiveAttempt) -> tuple[StepFacts, ChildRun]:
        told: Mapping[str, Any] = json.loads(active.ledger.read_context() or b"{}")
        step = StepFacts(told.get("arguments") or {}, self._resources, self._image)
        record = active.record
        other = active.backend.what_runs(record.request)
        return step, self._child(record.attempt, record.try_number, step_name(told.get("payload"), other))

    def _job(self, active: ActiveAttempt) -> JobFacts:
        record, handle = active.record, active.handle
        return JobFacts(
            backend=record.backend, name=record.job, id=handle.id, location=handle.location,
            url=active.backend.link(handle), stack=record.stack, target=record.target, attempt=record.attempt,
            submitted_by=record.try_number, reported_by=self._try_number,
        )  # fmt: skip

    def _traffic(self, step: StepFacts, outcome: Collected | BaseException) -> Traffic:
        if not isinstance(outcome, Collected):  # what was not collected does not exist for anybody else
            return traffic(step.arguments, task=self._task)
        made = [output.artifact for output in outcome.outputs.values() if output.artifact is not None]
        return traffic(step.arguments, outputs=made, reported=outcome.result.get("datasets"), task=self._task)

    def _mark(self, active: ActiveAttempt, name: str) -> bool:
        return self._marks.create(self._uri(active, name), self._now().isoformat().encode())

    def _uri(self, active: ActiveAttempt, name: str) -> str:
        return join(active.ledger.uri, name)

    def _quietly(self, act: Callable[[], bool]) -> bool:
        """An end is told although the store gives no answer: twice is better than never."""
        try:
            return act()
        except MlxError:
            return False


def outcome_of(outcome: Collected | BaseException) -> Outcome:
    """How an attempt ended, in OpenLineage's words."""
    if isinstance(outcome, Collected):
        state = "succeeded" if outcome.skipped is None else "skipped"
        return Outcome("COMPLETE", state, outcome.skipped, metrics=outcome.metrics, result=outcome.result)
    if isinstance(outcome, MlxError):
        aborted = isinstance(outcome, _ABORTED)
        return Outcome(
            "ABORT" if aborted else "FAIL", "stopped" if aborted else "failed", outcome.reason, outcome.what
        )  # fmt: skip
    return Outcome("ABORT", "stopped", type(outcome).__name__)  # the worker was interrupted, and has stopped the job


def _finished_at(result: Mapping[str, Any]) -> datetime | None:
    """When the job itself says it was over."""
    timings = result.get("timings")
    try:
        time = datetime.fromisoformat(str((timings or {}).get("finished_at")))
    except (AttributeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
