"""What a finished execution leaves in the attempt's folder: its result and datasets, or which step failed and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_mlx.backends.inner import MAX_TASKS
from airflow_provider_mlx.backends.outcomes import plain_result
from airflow_provider_mlx.backends.sagemaker.client import AwsClient, Missing
from airflow_provider_mlx.backends.sagemaker.faults import fault_of
from airflow_provider_mlx.backends.sagemaker.status import WORDS
from airflow_provider_mlx.exceptions import BackendUnavailable, MlxError
from airflow_provider_mlx.runtime.records import ERROR_DEFAULTS, MAX_MESSAGE_BYTES, bounded
from airflow_provider_mlx.runtime.values import Dataset
from airflow_provider_mlx.runtime.wire import encode

from .reading import tail_of
from .steps import StepSeen, failed_first, job_page

_PLACE: Final = re.compile(r"^(?:ClientError: )(?=\w*Error\b)")
"""A step says ``ClientError:`` before what its job says."""


class Jobs:
    """
    The jobs of an execution's steps, each described once.

    :param steps: those that have begun.
    :param needed: whether the result needs them; else one that may not be described is left out.
    """

    def __init__(self, client: AwsClient, steps: Sequence[StepSeen], *, needed: bool = True) -> None:
        self._told: dict[str, Mapping[str, Any]] = {}
        for step in steps[:MAX_TASKS]:
            if step.kind is None:
                continue
            try:
                job = client.call(f"describe_{step.kind}_job", **{WORDS[step.kind].name: step.job})
            except Missing:  # somebody has removed its record
                continue
            except BackendUnavailable:
                raise
            except MlxError:
                if needed:
                    raise
                continue
            self._told[step.name] = job

    def of(self, step: StepSeen) -> Mapping[str, Any]:
        """What SageMaker tells of a step's job; nothing of one that has none."""
        return self._told.get(step.name, {})


def result_of(execution: Mapping[str, Any], steps: Sequence[StepSeen], jobs: Jobs) -> dict[str, Any]:
    """The body of ``result.json``."""
    value = {
        "pipeline": execution["PipelineArn"],
        "execution": execution["PipelineExecutionArn"],
        "status": execution["PipelineExecutionStatus"],
        "steps": {step.name: _step(step, jobs.of(step)) for step in steps[:MAX_TASKS]},
    }
    if len(steps) > MAX_TASKS:
        value["left_out"] = len(steps) - MAX_TASKS
    read = {uri for step in steps for uri in inputs_of(jobs.of(step))}
    written = {uri for step in steps for uri in outputs_of(step, jobs.of(step))}
    return plain_result(
        encode(value), started=execution.get("CreationTime"), finished=execution.get("LastModifiedTime"),
        # what one step writes and another reads does not come from elsewhere
        datasets={"read": _wire(read - _below(written, read)), "written": _wire(written)},
    )  # fmt: skip


def error_of(client: AwsClient, execution: Mapping[str, Any], steps: Sequence[StepSeen]) -> dict[str, Any]:
    """The body of ``error.json``: which step failed first, why, and the end of its job's log."""
    failed = failed_first(steps)
    said = str(execution.get("FailureReason") or "SageMaker gives no reason")
    if not failed:
        remedy = "no step says that it failed: see the execution, and the pipeline's role"
        return _error(None, f"the pipeline failed: {said}", remedy)
    first, others = failed[0], [step.name for step in failed[1:]]
    reason = first.reason or first.said or said
    lines = [f"{first.title} failed: {reason}"]
    if others:
        lines.append(f"  so did {', '.join(f'`{name}`' for name in others)}")
    if first.arn:
        lines.append(f"  its job is {first.arn}")
    if tail := tail_of(client, first):
        lines += ["  last lines of that job's log:", *tail]
    page = job_page(first.arn)
    remedy = f"mend the step in the pipeline and clear the task{f'; its job: {page}' if page else ''}"
    return _error(fault_of(_PLACE.sub("", reason)).failure, "\n".join(lines), remedy)


def _error(failure: str | None, message: str, remedy: str) -> dict[str, Any]:
    # the type is what tells a refusal of SageMaker's from an exception of the step's own code
    return {
        **ERROR_DEFAULTS,
        "reason": failure or "StepFailed",
        "type": "StepFailed",
        "message": bounded(message, MAX_MESSAGE_BYTES),
        "remedy": remedy,
    }


def _step(step: StepSeen, job: Mapping[str, Any]) -> dict[str, Any]:
    model, outputs = _made(step, job)
    told = {
        "type": step.type, "status": step.status, "arn": step.arn, "seconds": step.seconds, "outcome": step.said,
        "cached_from": step.cached, "model": model, "outputs": outputs,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value not in ("", None, {})}


def _made(step: StepSeen, job: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """A step's model and its outputs, by name; what one that did not succeed has written does not count."""
    if step.status != "Succeeded":
        return "", {}
    outputs = {
        str(one["OutputName"]): str(one["S3Output"]["S3Uri"])
        for one in (job.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
        if one.get("S3Output")
    }
    return str((job.get("ModelArtifacts") or {}).get("S3ModelArtifacts") or ""), outputs


def outputs_of(step: StepSeen, job: Mapping[str, Any]) -> list[str]:
    """The URIs that a step's job has written."""
    model, outputs = _made(step, job)
    return [*outputs.values(), *([model] if model else [])]


def inputs_of(job: Mapping[str, Any]) -> list[str]:
    """The URIs that a job was given."""
    sources = [one.get("DataSource", {}).get("S3DataSource") for one in job.get("InputDataConfig") or ()]
    sources += [one.get("S3Input") for one in job.get("ProcessingInputs") or ()]
    return [str(source["S3Uri"]) for source in sources if source and source.get("S3Uri")]


def _below(written: set[str], read: set[str]) -> set[str]:
    """Those of the inputs that a step has written: an output's folder, or something in it."""
    folders = [f"{uri.rstrip('/')}/" for uri in written]
    return {uri for uri in read if any(f"{uri.rstrip('/')}/".startswith(folder) for folder in folders)}


def _wire(uris: set[str]) -> list[dict[str, Any]]:
    return [Dataset(uri).to_wire() for uri in sorted(uris)]
