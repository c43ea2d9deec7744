"""What a finished run leaves in the attempt's folder: its outputs and datasets, or which task failed and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_mlx.backends.inner import MAX_TASKS
from airflow_provider_mlx.backends.kubeflow_pipelines.faults import fault_in, own_lines
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import Reading
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import Artifact, Task
from airflow_provider_mlx.backends.kubeflow_pipelines.times import moment
from airflow_provider_mlx.backends.outcomes import plain_result
from airflow_provider_mlx.runtime.records import ERROR_DEFAULTS, MAX_MESSAGE_BYTES, bounded
from airflow_provider_mlx.runtime.values import Dataset
from airflow_provider_mlx.runtime.wire import encode

from .inner import METRICS, dataset_uri, inner_tasks, numbers_of
from .outputs import Given, collected, given_to_tasks, is_collector

TAIL_LINES: Final = 20


def result_of(reading: Reading, wanted: Mapping[str, str], *, pipeline: str = "") -> dict[str, Any]:
    """
    The body of ``result.json``.

    :param wanted: name → ``task.key``, as the operator was told.
    :param pipeline: its name, where the run itself does not say it: one of a registered pipeline has no spec.
    """
    tasks = [task for task in reading.tasks if not is_collector(task.name)]
    given = given_to_tasks(reading.workflow) if reading.workflow else {}
    outputs, metrics = _outputs(reading, given, wanted)
    value = {
        "run_id": reading.run["run_id"],
        "pipeline": pipeline or pipeline_of(reading.run),
        "tasks": {task.name: _told(task) for task in tasks[:MAX_TASKS]},
        **outputs,
    }
    tasks_told = [*inner_tasks(reading, wanted)]
    written = {one.uri for task in tasks_told for one in task.written}
    read = {one.uri for task in tasks_told for one in task.read}
    return plain_result(
        value, started=moment(reading.run.get("created_at")), finished=moment(reading.run.get("finished_at")),
        # what one task writes and another reads does not come from elsewhere
        metrics=metrics, datasets={"read": _wire(read - written), "written": _wire(written)},
    )  # fmt: skip


def error_of(reading: Reading, tail: Sequence[str]) -> dict[str, Any]:
    """
    The body of ``error.json``: which task failed first, why, and the end of its pod's log.

    :param tail: of that log, launcher's lines too; empty where it cannot be read.
    """
    fault = fault_in(reading.workflow, tail) if reading.workflow else None
    failed = [task for task in reading.tasks if task.state == "FAILED" and not is_collector(task.name)]
    name = (fault.task if fault else "") or (failed[0].name if failed else "")
    said = (fault.reason if fault else "") or next((task.message for task in failed if task.message), "")
    lines = [f"task `{name}` failed: {said or 'the server gives no reason'}" if name else f"the run failed: {said}"]
    if fault and fault.exit_code is not None:
        lines.append(f"  its code ended with exit code {fault.exit_code}")
    if len(others := sorted({task.name for task in failed} - {name})) > 0 and name:
        lines.append(f"  so did {', '.join(f'`{one}`' for one in others[:10])}")
    if shown := [line for line in own_lines(tail) if line.strip()][-TAIL_LINES:]:
        lines += ["  last lines of its log:", *(f"  | {line}" for line in shown)]
    return {
        **ERROR_DEFAULTS,
        "reason": (fault.failure if fault else None) or "StepFailed",
        "type": "StepFailed",
        "message": bounded("\n".join(lines), MAX_MESSAGE_BYTES),
        "remedy": "mend the task in the pipeline and clear the Airflow task",
    }


def _outputs(
    reading: Reading, given: Mapping[str, Given], wanted: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, float]]:
    """What was wanted, by name, and the metrics among it."""
    values: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    for name, reference in wanted.items():
        holder = collected(given, name, reference) or Given()
        if name in holder.parameters:
            values[name] = encode(holder.parameters[name])
            continue
        found = holder.artifacts.get(name) or _of_task(reading, given, reference)
        if not isinstance(found, tuple):
            values[name] = encode(found)
            continue
        values[name] = _value(found)
        metrics |= {key: number for one in found if one.type in METRICS for key, number in numbers_of(one)}
    return values, metrics


def _of_task(reading: Reading, given: Mapping[str, Given], reference: str) -> Any:
    """An output as its task itself tells it, where the server or the task's driver does."""
    task, _, key = reference.rpartition(".")
    names = [name for name in (reading.outputs or given) if name == task or name.rpartition("/")[2] == task]
    for name in names:
        if reading.outputs is not None:
            outputs = reading.outputs[name]
            return outputs.artifacts.get(key) or outputs.parameters.get(key)
        return given[name].writes.get(key)
    return None


def _value(artifacts: tuple[Artifact, ...]) -> Any:
    values = [
        encode(dict(one.metadata)) if one.type in METRICS else Dataset(dataset_uri(one.uri)).to_wire()
        for one in artifacts
    ]
    return values[0] if len(values) == 1 else values


def _told(task: Task) -> dict[str, Any]:
    seconds = task.took.total_seconds() if task.took is not None else None
    told = {"state": task.state, "seconds": seconds, "retries": task.retries, "cached": task.cached}
    return {name: value for name, value in told.items() if value not in (None, 0, False)}


def pipeline_of(run: Mapping[str, Any]) -> str:
    """The name of a run's pipeline; empty for a run of a registered one, which has no spec itself."""
    spec: Any = run.get("pipeline_spec") or {}
    return str(((spec.get("pipeline_spec") or spec).get("pipelineInfo") or {}).get("name") or "")


def _wire(uris: set[str]) -> list[dict[str, Any]]:
    return [Dataset(uri).to_wire() for uri in sorted(uris)]
