"""
What is seen of many executions at once: a list per pipeline, or a question where few are of interest.

Each pipeline is asked the less often the more calls it takes and the longer nothing changes, and each look makes a
bounded number of calls, whoever waits for however many executions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.backends.base import ConnectionRefused, JobHandle, JobObserver, JobStatus, LogChunk, State
from airflow_provider_mlx.backends.sagemaker.client import AwsClient, Missing
from airflow_provider_mlx.exceptions import MlxError, first_line

from .reading import list_steps, new_lines
from .steps import status_of

FEW: Final = 3
"""So many executions of one pipeline are asked for one by one."""
PAGES: Final = 10
"""Of one list, 100 executions each, the newest first; who is further back is asked for by ARN."""
CALLS: Final = 20
"""Of one look, about; who is left over comes first at the next."""
FIRST_SECONDS: Final = 1.0
GROWTH: Final = 1.15
LONGEST_SECONDS: Final = 10.0
LONGEST_BACKOFF_SECONDS: Final = 30.0
SECONDS_PER_CALL: Final = 1.0
"""A pipeline whose look takes ten calls is asked every ten seconds at most."""
STEPS_SECONDS: Final = 8.0
"""How often the steps of an execution are listed while it runs."""
STEP_CALLS: Final = 6
"""Executions whose steps one look lists."""


@dataclass
class Group:
    """
    The executions of one pipeline that somebody waits for.

    :param due: when it is asked again, on the monotonic clock.
    :param asked: when each execution was last asked for by its ARN.
    """

    due: float = 0.0
    pause: float = FIRST_SECONDS
    statuses: dict[str, JobStatus] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)

    def unanswered(self, wanted: set[str], why: str) -> None:
        """What is not over is unknown for now, and is asked again later and later."""
        unknown = JobStatus(State.UNKNOWN, why)
        self.statuses = {
            arn: status if (status := self.statuses.get(arn, unknown)).state.finished else unknown for arn in wanted
        }
        self.pause = min(self.pause * 2, LONGEST_BACKOFF_SECONDS)
        self.due = time.monotonic() + self.pause


@dataclass
class Followed:
    """The log of one execution that somebody shows: lines that wait to be taken, and the cursor behind them."""

    taken: str
    cursor: str
    lines: list[str] = field(default_factory=list)
    due: float = 0.0
    execution: str = ""


class PipelineObserver(JobObserver):
    """
    Sees the executions of one connection and region.

    :param waits: whether a look waits for a change, as a worker wants that watches a single one.
    """

    def __init__(self, client: AwsClient, *, waits: bool = False) -> None:
        self._client = client
        self._waits = waits
        self._groups: dict[str, Group] = {}
        self._followed: dict[str, Followed] = {}
        self._lock = threading.Lock()

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """Ask what is due; everything else is as it was last seen."""
        until = time.monotonic() + (wait_seconds if self._waits else 0.0)
        before: Mapping[str, JobStatus] | None = None
        while True:
            found = self._look(jobs)
            now = time.monotonic()
            if now >= until or (before is not None and found != before):
                return found
            before = found
            next_due = min((group.due for group in self._groups.values()), default=until)
            time.sleep(max(0.05, min(next_due, until) - now))

    def follow(self, handle: JobHandle, cursor: str) -> LogChunk:
        """What the steps of an execution have done, as far as the looks have brought it."""
        with self._lock:
            known = self._followed.get(handle.name)
            if known is None or known.taken != cursor:
                arn = handle.location.get("execution", "")
                self._followed[handle.name] = Followed(cursor, cursor, execution=arn)
                return LogChunk((), cursor)
            lines, known.lines, known.taken = tuple(known.lines), [], known.cursor
            return LogChunk(lines, known.taken)

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    # --- statuses ----------------------------------------------------------------------------------------------------

    def _look(self, jobs: Sequence[JobHandle]) -> Mapping[str, JobStatus]:
        by_pipeline: dict[str, set[str]] = {}
        for job in jobs:
            by_pipeline.setdefault(job.location.get("pipeline", ""), set()).add(job.location.get("execution", ""))
        self._groups = {name: self._groups.get(name, Group()) for name in by_pipeline}
        calls = 0
        for name, group in sorted(self._groups.items(), key=lambda one: one[1].due):
            wanted = by_pipeline[name]
            is_new = bool(wanted - group.statuses.keys())
            if calls >= CALLS or (group.due > time.monotonic() and not is_new):
                continue
            try:
                calls += self._ask(name, group, wanted)
            except ConnectionRefused:
                raise
            except MlxError as error:  # no answer, or no right: the others are asked all the same
                calls += 1
                group.unanswered(wanted, first_line(error))
        self._list_steps({job.name for job in jobs})
        unknown = JobStatus(State.UNKNOWN, "it was not asked for yet")
        return {
            job.name: self._groups[job.location.get("pipeline", "")].statuses.get(
                job.location.get("execution", ""), unknown
            )
            for job in jobs
        }

    def _ask(self, pipeline: str, group: Group, wanted: set[str]) -> int:
        """Ask for the executions of a pipeline; how many calls it took."""
        found: dict[str, JobStatus] = {}
        calls = 0
        if len(wanted) > FEW:
            found, calls = self._list(pipeline, wanted)
        for arn in sorted(wanted - found.keys(), key=lambda one: group.asked.get(one, 0.0))[: CALLS - calls]:
            found[arn] = self._describe(arn)
            group.asked[arn] = time.monotonic()
            calls += 1
        changed = any(group.statuses.get(arn) != status for arn, status in found.items())
        group.statuses = {
            arn: found.get(arn) or group.statuses[arn] for arn in wanted if arn in found or arn in group.statuses
        }
        group.pause = FIRST_SECONDS if changed else min(group.pause * GROWTH, LONGEST_SECONDS)
        group.due = time.monotonic() + max(group.pause, calls * SECONDS_PER_CALL if calls > FEW else 0.0)
        return calls

    def _list(self, pipeline: str, wanted: set[str]) -> tuple[dict[str, JobStatus], int]:
        found: dict[str, JobStatus] = {}
        request: dict[str, Any] = {
            "PipelineName": pipeline, "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100,
        }  # fmt: skip
        for calls in range(1, PAGES + 1):
            try:
                answer = self._client.call("list_pipeline_executions", **request)
            except Missing:  # the pipeline was removed; its executions are asked for one by one
                return found, calls
            for entry in answer["PipelineExecutionSummaries"]:
                if entry["PipelineExecutionArn"] in wanted:
                    found[entry["PipelineExecutionArn"]] = status_of(
                        entry["PipelineExecutionStatus"], str(entry.get("PipelineExecutionFailureReason") or "")
                    )
            if not answer.get("NextToken") or wanted <= found.keys():
                return found, calls
            request["NextToken"] = answer["NextToken"]
        return found, PAGES

    def _describe(self, arn: str) -> JobStatus:
        if not arn:  # a handle from a name alone: a worker finds it, and this sends it to do so
            return JobStatus(State.ABSENT)
        try:
            told = self._client.call("describe_pipeline_execution", PipelineExecutionArn=arn)
        except Missing:
            return JobStatus(State.ABSENT)
        return status_of(told["PipelineExecutionStatus"], str(told.get("FailureReason") or ""))

    # --- steps -------------------------------------------------------------------------------------------------------

    def _list_steps(self, names: set[str]) -> None:
        """List the steps of executions that somebody shows, the longest waiting first."""
        now = time.monotonic()
        with self._lock:
            self._followed = {name: one for name, one in self._followed.items() if name in names}
            due = sorted((one for one in self._followed.values() if one.due <= now), key=lambda one: one.due)
        for one in [one for one in due if one.execution][:STEP_CALLS]:
            one.due = now + STEPS_SECONDS
            try:
                chunk = new_lines(self._client, list_steps(self._client, one.execution), one.cursor)
            except MlxError:  # the statuses are what counts
                continue
            with self._lock:
                one.lines += chunk.lines
                one.cursor = chunk.cursor
