"""From SageMaker's answer about a job to a ``JobStatus``: pure, and total."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.runtime.last_word import MARK, error_of

from .faults import Fault, fault_of
from .settings import Kind

# The six words of botocore's service model for training jobs, and the five for processing jobs.
STATES: Final[Mapping[str, State]] = {
    "InProgress": State.ACTIVE,  # the secondary status says more: Pending, Downloading, Interrupted (spot) …
    "Stopping": State.ACTIVE,  # SIGTERM was sent, and 120 s are left to save something
    "Completed": State.SUCCEEDED,  # the backend's word only; result.json decides
    "Failed": State.FAILED,
    "Stopped": State.STOPPED,  # a user, MaxRuntimeExceeded or MaxWaitTimeExceeded: never green
    "Deleting": State.STOPPED,  # undocumented; somebody is removing its record
}

# API reference, DescribeTrainingJob, SecondaryStatus: "Valid values for SecondaryStatus are subject to change".
WAITS: Final[Mapping[str, str]] = {
    "Starting": "it is starting",
    "Pending": "it waits for instances",
    "LaunchingMLInstances": "its instances are launched",
    "PreparingTrainingStack": "its instances are prepared",
    "Downloading": "its inputs are downloaded",
    "DownloadingTrainingImage": "its image is downloaded",
    "Interrupted": "its spot instances were taken, and it waits for others",
    "Restarting": "it starts again",
    "Updating": "its instances are updated",
}
RUNS: Final = frozenset({"Training", "Uploading"})

LIMITS: Final[Mapping[str, Fault]] = {
    "MaxRuntimeExceeded": Fault("it ran longer than its own limit", "JobTimeout"),
    "MaxWaitTimeExceeded": Fault(
        "it found no spot instances within its `max_wait` → set `on_demand_fallback: last` in the target, add instance "
        "types, or wait longer",
        "CapacityUnavailable",
    ),
    "MaxPendingTimeExceeded": Fault("it got no instances within its time", "CapacityUnavailable"),
}
"""Secondary statuses of a job that SageMaker stopped."""

_EXIT: Final = re.compile(r",? ?exit code: (\d+)\s*$")


@dataclass(frozen=True)
class Words:
    """What each kind of job calls the same thing."""

    status: str
    started: str
    arn: str
    name: str


WORDS: Final[Mapping[Kind, Words]] = {
    "training": Words("TrainingJobStatus", "TrainingStartTime", "TrainingJobArn", "TrainingJobName"),
    "processing": Words("ProcessingJobStatus", "ProcessingStartTime", "ProcessingJobArn", "ProcessingJobName"),
}


def status_of(kind: Kind, job: Mapping[str, Any]) -> JobStatus:
    """What ``DescribeTrainingJob`` or ``DescribeProcessingJob`` answered means."""
    words = WORDS[kind]
    word, secondary = str(job.get(words.status, "")), str(job.get("SecondaryStatus", ""))
    state = STATES.get(word)
    if state is None:
        return JobStatus(State.UNKNOWN, f"SageMaker says `{word}`, which is not known here")
    running = secondary in RUNS if kind == "training" else words.started in job
    if state is State.ACTIVE:
        stopping = word == "Stopping"
        reason = "" if running or stopping else _waits(job, secondary)
        return JobStatus(state, reason, stopping=stopping, running=running or (stopping and words.started in job))
    if state is State.SUCCEEDED:
        return JobStatus(state, running=True)
    if state is State.STOPPED:
        return _stopped(job, secondary, running=words.started in job)
    return _failed(job, running=words.started in job)


def error_in(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The ``error.json`` that the job could leave in its last word only."""
    said = error_of(_said(job))
    return dict(said) if said is not None else None


def _waits(job: Mapping[str, Any], secondary: str) -> str:
    transitions = job.get("SecondaryStatusTransitions") or ()
    message = str(transitions[-1].get("StatusMessage") or "") if transitions else ""
    known = WAITS.get(secondary, f"SageMaker says `{secondary}`" if secondary else "it is starting")
    return f"{known}: {message}" if message else known


def _stopped(job: Mapping[str, Any], secondary: str, *, running: bool) -> JobStatus:
    limit = LIMITS.get(secondary)
    if limit is None and "exceeded" in str(job.get("FailureReason", "")).lower():  # processing has no second word
        limit = LIMITS["MaxRuntimeExceeded"]
    if limit is None:
        return JobStatus(State.STOPPED, "it was stopped", running=running)
    return JobStatus(State.STOPPED, limit.reason, limit.failure, running=running)


def _failed(job: Mapping[str, Any], *, running: bool) -> JobStatus:
    reason = str(job.get("FailureReason") or "")
    found = _EXIT.search(reason)
    code = int(found[1]) if found else None
    fault = fault_of(reason)
    said = _said(job).partition(MARK)[0].strip()
    text = fault.reason if fault.failure else _EXIT.sub("", said)
    return JobStatus(State.FAILED, text, fault.failure, exit_code=code, running=running)


def _said(job: Mapping[str, Any]) -> str:
    """What the container wrote for SageMaker: the exit message of a processing job, the failure of a training job."""
    said = str(job.get("ExitMessage") or job.get("FailureReason") or "")
    return re.sub(r"^AlgorithmError:\s*", "", said)
