"""The steps of an execution that is over, as tasks for lineage: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.inner import InnerTask
from airflow_provider_mlx.runtime.values import Dataset

from .outcome import Jobs, inputs_of, outputs_of
from .steps import StepSeen, job_page

_STATES: Final = {"Succeeded": State.SUCCEEDED, "Failed": State.FAILED}
"""Any other word of a step that has begun, when all is over: it was stopped."""


def inner_tasks(steps: Sequence[StepSeen], jobs: Jobs) -> Iterator[InnerTask]:
    """The steps that have begun; one that never did is no run."""
    for step in steps:
        if step.started is not None:
            yield _task(step, step.started, jobs.of(step))


def _task(step: StepSeen, started: datetime, job: Mapping[str, Any]) -> InnerTask:
    return InnerTask(
        name=step.name, state=_STATES.get(step.status, State.STOPPED), started=started, ended=step.ended,
        kind=step.type, id=step.arn, url=job_page(step.arn), reason=step.reason or step.said,
        cached=bool(step.cached), cached_from=step.cached,
        # SageMaker keeps every value as text
        parameters=job.get("HyperParameters") or {},
        metrics={str(one["MetricName"]): float(one["Value"]) for one in job.get("FinalMetricDataList") or ()},
        read=_datasets(inputs_of(job)), written=_datasets(outputs_of(step, job)),
    )  # fmt: skip


def _datasets(uris: Sequence[str]) -> tuple[Dataset, ...]:
    return tuple(map(Dataset, sorted(set(uris))))
