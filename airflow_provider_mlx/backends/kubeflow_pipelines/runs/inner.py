"""The tasks of a run that is over, with what each read and wrote, for lineage and for the run's own datasets: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.inner import InnerTask
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import Reading
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import Artifact, Task, Values
from airflow_provider_mlx.runtime.values import Dataset

from .outputs import Given, collected, given_to_tasks, is_collector

METRICS: Final = frozenset({"system.Metrics"})
"""Artifacts that are no object: their values are their metadata."""
_LOGS: Final = "executor-logs"
"""The key of an output that the server gives every task, for what it prints."""
_AROUND: Final = re.compile(r"[/\[]")
_MINIO: Final = re.compile(r"^minio://")
_STATES: Final = {"SUCCEEDED": State.SUCCEEDED, "FAILED": State.FAILED}
"""Any other state of a task that has begun, when all is over: it was stopped."""
_ENDED_BY_A_STOP: Final = ("Step exceeded its deadline", "workflow shutdown with strategy")
"""What Argo says of a pod that it ended since its Workflow was to end: ``workflow/controller/operator.go``."""


def inner_tasks(reading: Reading, wanted: Mapping[str, str], *, stopped: bool = False) -> Iterator[InnerTask]:
    """
    The tasks that have begun, without groups, and without those that we have added.

    :param wanted: name → ``task.key``, as the operator was told: what is known of a task from the cache.
    :param stopped: somebody has ended the run.
    """
    given = given_to_tasks(reading.workflow) if reading.workflow else {}
    # a group is what stands before a task's own name, or before the number of a round
    groups = {task.name[: mark.start()] for task in reading.tasks for mark in _AROUND.finditer(task.name)}
    for task in reading.tasks:
        if task.started is None or task.state == "SKIPPED" or task.name in groups or is_collector(task.name):
            continue
        inputs, outputs = _values(task, given, wanted)
        ended_by_us = stopped and task.message.startswith(_ENDED_BY_A_STOP)
        yield InnerTask(
            name=task.name, state=State.STOPPED if ended_by_us else _STATES.get(task.state, State.STOPPED),
            started=task.started, ended=task.ended, id=task.pods[-1] if task.pods else "", reason=task.message,
            cached=task.cached, parameters=inputs.parameters,
            metrics=dict(number for one in _every(outputs) if one.type in METRICS for number in numbers_of(one)),
            read=_datasets(inputs), written=_datasets(outputs) if task.state == "SUCCEEDED" else (),
        )  # fmt: skip


def dataset_uri(uri: str) -> str:
    """An artifact's URI as everybody else knows it: MinIO's objects are reached by S3's protocol."""
    return _MINIO.sub("s3://", uri)


def numbers_of(artifact: Artifact) -> Iterator[tuple[str, float]]:
    """The numbers in an artifact's metadata."""
    for key, value in artifact.metadata.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield key, float(value)


def _values(task: Task, given: Mapping[str, Given], wanted: Mapping[str, str]) -> tuple[Values, Values]:
    """What a task was given, and what it wrote: the server's own word, or its driver's and that of the last task."""
    if task.outputs is not None:
        return task.inputs or Values(), task.outputs
    own = given.get(task.name) or Given()
    wrote = {**own.writes, **dict(_collected(task, given, wanted))}
    return Values(own.parameters, own.artifacts), Values(artifacts=wrote)


def _collected(
    task: Task, given: Mapping[str, Given], wanted: Mapping[str, str]
) -> Iterator[tuple[str, tuple[Artifact, ...]]]:
    """A task's artifacts that came out of the pipeline: all that is known of a cached one, and with their metadata."""
    for name, reference in wanted.items():
        of, _, key = reference.rpartition(".")
        if of in (task.name, task.name.rpartition("/")[2]) and (holder := collected(given, name, reference)):
            yield key, holder.artifacts.get(name, ())


def _every(values: Values) -> Iterator[Artifact]:
    for some in values.artifacts.values():
        yield from some


def _datasets(values: Values) -> tuple[Dataset, ...]:
    objects: Iterable[Artifact] = (
        one for key, some in values.artifacts.items() if key != _LOGS for one in some if one.type not in METRICS
    )
    return tuple(Dataset(uri) for uri in sorted({dataset_uri(one.uri) for one in objects if one.uri}))
