"""
What the life of a job tells about itself, turned into the events of a child run.

``jobs/`` knows two callables of its ports, ``tell_started`` and ``tell_ended``; here is what stands behind them::

    # operators/execution.py, where the ports are made
    lineage = step_lineage(operator, context, identity=identity, store=store, root=root, spool=folder)
    if lineage is not None:  # OpenLineage is active, and its policy lets this task's events out
        ports = replace(ports, tell_started=lineage.started, tell_ended=lineage.ended)

    # jobs/
    ports.tell_started(active)             # the backend has accepted the job: after `handle.json`
    ports.tell_ended(active, collected)    # or the error that ended it

What the step was called with is read from the attempt's own ``context.json``, so a worker that adopts a job or resumes
a deferred task needs to have rendered nothing; who the run is, from what was told first (:mod:`.told`).

Both may be called again, by this worker, by one that adopts the job and by one that resumes a deferred task: objects in
the attempt's folder say what was told. ``lineage-start`` is created before START goes out (a lost START costs nothing,
since the terminal event says everything again), and before any end, so that no START can follow it.
``lineage-end`` is created after the terminal event went out or was kept: a worker that dies in between has its event
sent again, which consumers take for one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_mlx.backends.base import Usage
from airflow_provider_mlx.exceptions import JobCancelled, JobTimeout, MlxError
from airflow_provider_mlx.jobs.attempt import ActiveAttempt
from airflow_provider_mlx.jobs.collection import Collected
from airflow_provider_mlx.runtime.uris import join

from .code import CodeFacts
from .datasets import Traffic, traffic
from .emitter import SafeEmitter
from .events import ChildRun, JobFacts, Outcome, end_event, start_event
from .facets import Mask, StepFacts, unmasked
from .inner import inner_events
from .names import END_MARK, START_MARK, step_name
from .told import Told

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

USAGE_SECONDS: Final = 1.0
"""How long a backend may take to say what a job used: the event goes without it then."""

_MARK_LIMIT: Final = 1024 * 1024

_ABORTED: Final = (JobCancelled, JobTimeout)
"""Ended by a wish or a limit; anything else that goes wrong is a failure."""


class Marks(Protocol):
    """Create-only objects, as :class:`~airflow_provider_mlx.artifacts.store.ObjectStore` has them."""

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object unless there is one; whether this call wrote it."""

    def facts(self, uri: str) -> Any:
        """``None`` if there is no such object."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes | None:
        """An object's bytes; ``None`` if there is no such object."""


class StepLineage:
    """
    Tells OpenLineage about the attempts of one step.

    :param child: names the run of an attempt: by the attempt, the try that submitted it, and the step's name.
    :param marks: the artifact root's store.
    :param task: DAG and task.
    :param try_number: Airflow's try that tells; ``None`` where none does, since the task is over.
    :param resources: what the step asks for, in wire form.
    :param code: what is known of the step's code; asked when an attempt is told of first.
    :param mask: Airflow's own masking of what it knows as secrets.
    """

    def __init__(
        self,
        *,
        emitter: SafeEmitter,
        marks: Marks,
        child: Callable[[int, int, str], ChildRun],
        task: tuple[str, str],
        try_number: int | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        resources: Mapping[str, Any] | None = None,
        image: str | None = None,
        code: Callable[[], CodeFacts] = CodeFacts,
        mask: Mask = unmasked,
    ) -> None:
        self._emitter = emitter
        self._marks = marks
        self._child = child
        self._resources = resources or {}
        self._image = image
        self._code = code
        self._task = task
        self._try_number = try_number
        self._now = now
        self._mask = mask

    def started(self, active: ActiveAttempt) -> None:
        """The backend has accepted the job of this attempt."""

        def make() -> Any:
            if self._marks.facts(self._uri(active, START_MARK)) is not None:
                return None
            context = _context(active)
            told = self._new(active, context)
            if not self._mark(active, START_MARK, told.to_bytes()):  # somebody was faster
                return None
            step = _facts(active, context, told)
            inputs = traffic(step.arguments, task=self._task)
            return start_event(told.child, self._job(active), step, inputs, active.record.started_at, mask=self._mask)

        self._emitter.emit(make)

    def ended(self, active: ActiveAttempt, outcome: Collected | BaseException) -> None:
        """
        This attempt is over: its result was collected, or this ended it.

        Before that its start is told, if whoever submitted its job has died before it could, and its tasks, if it has
        some. Not to be called while the job goes on without this worker.
        """
        self.started(active)
        at = self._now()

        def make() -> Any:
            context = _context(active)
            told = self._told(active, context)
            if self._is_told(active):
                return None
            hurried = isinstance(outcome, JobCancelled) or not isinstance(outcome, Collected | MlxError)
            used = Usage() if hurried else usage_of(active)  # whoever interrupts a worker does not wait for questions
            ending = replace(outcome_of(outcome), said=_said(active, outcome), usage=used)
            time = max(_finished_at(ending.said) or at, active.record.started_at)
            step = _facts(active, context, told)
            found = self._traffic(step, outcome)
            return end_event(told.child, self._job(active), step, found, ending, time, mask=self._mask)

        if active.backend.has_tasks:
            self._emitter.emit_all(lambda: self._tasks(active, at))
        self._emitter.emit(make, then=lambda: self._mark(active, END_MARK, self._now().isoformat().encode()))

    def _tasks(self, active: ActiveAttempt, at: datetime) -> list[RunEvent]:
        if self._is_told(active):
            return []
        child = self._told(active, _context(active)).child
        return inner_events(child, self._job(active), active.ledger.read_tasks(), at, mask=self._mask)

    def _is_told(self, active: ActiveAttempt) -> bool:
        """An end is told although the store gives no answer: twice is better than never."""
        try:
            return self._marks.facts(self._uri(active, END_MARK)) is not None
        except MlxError:
            return False

    def _told(self, active: ActiveAttempt, context: Mapping[str, Any]) -> Told:
        """What was told first, now if nothing was; the store's silence is no reason to tell nothing."""
        try:
            found = self._marks.read(self._uri(active, START_MARK), limit=_MARK_LIMIT)
            if found is not None:
                return Told.from_bytes(found)
        except (MlxError, ValueError):
            return self._new(active, context)
        told = self._new(active, context)
        with suppress(MlxError):
            self._mark(active, START_MARK, told.to_bytes())
        return told

    def _new(self, active: ActiveAttempt, context: Mapping[str, Any]) -> Told:
        record = active.record
        step = step_name(context.get("payload"), active.backend.what_runs(record.request))
        try:
            code = self._code()
        except Exception:  # git's files and a bundle's own code: an event goes without it
            code = CodeFacts()
        return Told(self._child(record.attempt, record.try_number, step), self._resources, self._image, code)

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

    def _mark(self, active: ActiveAttempt, name: str, data: bytes) -> bool:
        return self._marks.create(self._uri(active, name), data)

    def _uri(self, active: ActiveAttempt, name: str) -> str:
        return join(active.ledger.uri, name)


def usage_of(active: ActiveAttempt) -> Usage:
    """What the backend tells of how a job ran, in :data:`USAGE_SECONDS`; nothing where it gives no answer."""
    answers: list[Usage] = []

    def ask() -> None:
        with suppress(Exception):  # whatever a client raises
            answers.append(active.backend.usage(active.handle))

    thread = threading.Thread(target=ask, name="mlx-usage", daemon=True)
    thread.start()
    thread.join(USAGE_SECONDS)
    return answers[0] if answers else Usage()


def _context(active: ActiveAttempt) -> Mapping[str, Any]:
    context: Mapping[str, Any] = json.loads(active.ledger.read_context() or b"{}")
    return context


def _facts(active: ActiveAttempt, context: Mapping[str, Any], told: Told) -> StepFacts:
    lines = (context.get("environment") or {}).get("requirements") or ()
    digest = hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()  # as the runtime does
    return StepFacts(
        context.get("arguments") or {}, told.resources, told.image, code=told.code,
        code_sha256=active.record.bundle_sha256, requirements_sha256=digest if lines else None,
    )  # fmt: skip


def _said(active: ActiveAttempt, outcome: Collected | BaseException) -> Mapping[str, Any]:
    """What the job's own file says."""
    if isinstance(outcome, Collected):
        return outcome.result
    try:
        return active.ledger.read_error() or {}
    except MlxError:
        return {}


def outcome_of(outcome: Collected | BaseException) -> Outcome:
    """How an attempt ended, in OpenLineage's words."""
    if isinstance(outcome, Collected):
        state = "succeeded" if outcome.skipped is None else "skipped"
        return Outcome("COMPLETE", state, outcome.skipped, metrics=outcome.metrics)
    if isinstance(outcome, MlxError):
        aborted = isinstance(outcome, _ABORTED)
        return Outcome(
            "ABORT" if aborted else "FAIL", "stopped" if aborted else "failed", outcome.reason, outcome.what
        )  # fmt: skip
    return Outcome("ABORT", "stopped", type(outcome).__name__)  # the worker was interrupted, and has stopped the job


def _finished_at(said: Mapping[str, Any]) -> datetime | None:
    """When the job itself says it was over."""
    timings = said.get("timings")
    try:
        time = datetime.fromisoformat(str((timings or {}).get("finished_at")))
    except (AttributeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
