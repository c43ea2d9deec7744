"""The steps of an execution, and what the task's log says of them: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.sagemaker.settings import Kind

# PipelineExecutionStatus: the six words of botocore's service model.
EXECUTION: Final[Mapping[str, State]] = {
    "Executing": State.ACTIVE,
    "Stopping": State.ACTIVE,  # the jobs of its steps are being stopped
    "Succeeded": State.SUCCEEDED,
    "Failed": State.FAILED,
    "CompletedWithFailures": State.FAILED,  # of a ForEach step some iterations failed, and the rest went on
    "Stopped": State.STOPPED,  # by somebody's StopPipelineExecution: never green
}
# StepStatus: the six words. What is over does not change any more.
OVER: Final = frozenset({"Succeeded", "Failed", "Stopped"})
BEGUN: Final = frozenset({"Executing", "Stopping"}) | OVER

KINDS: Final[Mapping[str, Kind]] = {"Training": "training", "Processing": "processing"}
"""Steps whose jobs have a log, inputs and outputs that we read."""
PAGES: Final[Mapping[str, str]] = {"training-job": "jobs", "processing-job": "processing-jobs"}
"""Part of a job's ARN → part of its page's address in the console."""

# Metadata of ListPipelineExecutionSteps whose ARN stands under another name than `Arn`.
_ARNS: Final[Mapping[str, str]] = {
    "QualityCheck": "CheckJobArn",
    "ClarifyCheck": "CheckJobArn",
    "HubContent": "HubContentArn",
}
_WORDS: Final[Mapping[str, str]] = {"Condition": "Outcome", "Fail": "ErrorMessage"}
"""Metadata that says in a word what the step did."""


@dataclass(frozen=True)
class StepSeen:
    """
    One step of an execution.

    :param type: as ``Training``; empty until the step has begun.
    :param arn: of its job, or of what it made.
    :param said: a word of its own, as a condition's outcome.
    :param cached: the execution whose result counts instead of a run.
    """

    name: str
    status: str
    type: str = ""
    arn: str = ""
    said: str = ""
    reason: str = ""
    cached: str = ""
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def job(self) -> str:
        """The name of its job."""
        return self.arn.rpartition("/")[2]

    @property
    def kind(self) -> Kind | None:
        """Of its job, if we can read it."""
        return KINDS.get(self.type) if self.arn else None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    @property
    def title(self) -> str:
        """``step `Train` (Training)``."""
        return f"step `{self.name}`" + (f" ({self.type})" if self.type else "")


def status_of(word: str, reason: str = "") -> JobStatus:
    """What ``PipelineExecutionStatus`` means."""
    state = EXECUTION.get(word)
    if state is None:
        return JobStatus(State.UNKNOWN, f"SageMaker says `{word}`, which is not known here")
    if state is State.ACTIVE:
        return JobStatus(state, stopping=word == "Stopping", running=True)
    return JobStatus(state, reason if state is State.FAILED else "", running=True)


def parse_step(told: Mapping[str, Any]) -> StepSeen:
    """One of ``PipelineExecutionSteps``."""
    metadata = told.get("Metadata") or {}
    found: tuple[str, Mapping[str, Any]] = next(iter(metadata.items()), ("", {}))
    kind, facts = found
    cached = told.get("CacheHitResult") or told.get("SelectiveExecutionResult") or {}
    index = (told.get("IterationContext") or {}).get("Index")  # of a ForEach step, whose iterations share a name
    name = str(told.get("StepName", "")) + ("" if index is None else f"[{index}]")
    return StepSeen(
        name=name, status=str(told.get("StepStatus", "")), type=kind.removesuffix("Job"),
        arn=str(facts.get(_ARNS.get(kind, "Arn")) or ""), said=str(facts.get(_WORDS.get(kind, "")) or ""),
        reason=str(told.get("FailureReason") or ""), cached=str(cached.get("SourcePipelineExecutionArn") or ""),
        started=told.get("StartTime"), ended=told.get("EndTime"),
    )  # fmt: skip


def failed_first(steps: Iterable[StepSeen]) -> list[StepSeen]:
    """The steps that failed, in the order in which they did."""
    return sorted((step for step in steps if step.status == "Failed"), key=lambda step: step.ended or _LATE)


def job_page(arn: str) -> str:
    """The console's page of a job; empty for what has none."""
    parts = arn.split(":")
    kind, _, name = parts[-1].partition("/")
    if len(parts) < 6 or kind not in PAGES:
        return ""
    return f"https://{parts[3]}.console.aws.amazon.com/sagemaker/home?region={parts[3]}#/{PAGES[kind]}/{name}"


# --- the log ---------------------------------------------------------------------------------------------------------

_LATE: Final = datetime.max.replace(tzinfo=UTC)


class Told:
    """How much of each step the log has said: its begin is 1, its end 2. As text it is a log's cursor."""

    def __init__(self, text: str = "") -> None:
        self._said: dict[str, int] = json.loads(text) if text else {}

    def __str__(self) -> str:
        return json.dumps(self._said, sort_keys=True) if self._said else ""

    def news(self, steps: Sequence[StepSeen]) -> list[tuple[StepSeen, bool]]:
        """
        What has not been said: steps, and whether it is their end; and count it as said.

        In the order of its times, so that whoever begins anew says the same lines in the same order.
        """
        found: list[tuple[datetime, StepSeen, bool]] = []
        for step in steps:
            said, now = self._said.get(step.name, 0), 1 * (step.status in BEGUN) + 1 * (step.status in OVER)
            found += [(_time(step, ending=level == 2), step, level == 2) for level in range(said + 1, now + 1)]
            if now > said:
                self._said[step.name] = now
        return [(step, ending) for _, step, ending in sorted(found, key=lambda one: (one[0], one[2]))]


def line_of(step: StepSeen, *, ending: bool) -> str:
    """A line of the log: a step has begun, or is over."""
    if not ending:
        return f"{step.title} executes" + (f": {step.job}" if step.job else "")
    took = f" after {step.seconds:.0f} s" if step.seconds is not None else ""
    said = f" ({step.said})" if step.said else ""
    why = f": {step.reason}" if step.reason else ""
    cached = f": the result of {step.cached} counts, it did not run" if step.cached else ""
    return f"{step.title} {step.status.lower()}{took}{said}{why}{cached}"


def _time(step: StepSeen, *, ending: bool) -> datetime:
    return ((step.ended if ending else None) or step.started) or _LATE
