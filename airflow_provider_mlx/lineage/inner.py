"""The events of what a job consists of: a run below the child run for each task of a pipeline; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.inner import InnerTask

from .datasets import Traffic, traffic
from .events import ChildRun, JobFacts, Outcome, end_event, start_event
from .facets import Mask, StepFacts, unmasked
from .names import RunName, inner_job_name, inner_run_id

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

_ENDS: Final = {
    State.SUCCEEDED: ("COMPLETE", "succeeded"),
    State.FAILED: ("FAIL", "failed"),
    State.STOPPED: ("ABORT", "stopped"),
}


def inner_events(
    child: ChildRun, job: JobFacts, tasks: Iterable[InnerTask], at: datetime, *, mask: Mask = unmasked
) -> list[RunEvent]:
    """
    START and the end of each task, in the order of their times.

    :param child: the run that consists of them.
    :param at: when that one ended, as the end of tasks that it has stopped.
    """
    found = [told for task in tasks for told in _events(child, job, task, at, mask)]
    return [event for _, _, event in sorted(found, key=lambda one: one[:2])]


def _events(
    child: ChildRun, job: JobFacts, task: InnerTask, at: datetime, mask: Mask
) -> Iterator[tuple[datetime, int, RunEvent]]:
    """With their times; of one moment what ends comes first, and then what begins."""
    run = RunName(
        child.run.namespace, inner_job_name(child.run.job, task.name),
        inner_run_id(child.run.namespace, job.backend, job.id or job.name, task.name, task.started),
    )  # fmt: skip
    inner = ChildRun(run, parent=child.run, root=child.root)
    facts = replace(job, name=task.name, id=task.id, url=task.url or None)
    step = StepFacts({"kwargs": task.parameters})
    type, state = _ENDS[task.state]
    outcome = Outcome(
        type, state, reason=state if type != "COMPLETE" else None, message=task.reason, metrics=task.metrics,
        cached=task.cached, cached_from=task.cached_from,
    )  # fmt: skip
    found = traffic(list(task.read), reported={"written": list(task.written)})
    ended = max(task.ended or at, task.started)
    yield task.started, 1, start_event(inner, facts, step, Traffic(found.inputs), task.started, mask=mask)
    yield ended, 2 if ended == task.started else 0, end_event(inner, facts, step, found, outcome, ended, mask=mask)
