"""One execution of a pipeline: its steps are jobs, each begun when what it waits for has succeeded."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from .errors import AwsError
from .jobs import FINISHED, Job, utcnow
from .pipeline_definition import Definition, Step, resolve
from .service_model import to_wire

_STATUS: Final = {"Completed": "Succeeded", "Failed": "Failed", "Stopped": "Stopped"}
FAILED_STEPS: Final = "Step failure: One or multiple steps failed."
"""As users see it."""


class JobMaker(Protocol):
    """What creates and stops the jobs of steps."""

    def create_for_step(self, kind: str, request: Mapping[str, Any]) -> Job: ...
    def stop_for_step(self, job: Job) -> None: ...


@dataclass
class StepRun:
    """One step of an execution."""

    step: Step
    started: datetime
    status: str = "Starting"
    job: Job | None = None
    reason: str = ""
    ended: datetime | None = None

    def describe(self) -> dict[str, Any]:
        """API_PipelineExecutionStep."""
        kind = f"{self.step.type}Job"
        told: dict[str, Any] = {
            "StepName": self.step.name, "StartTime": self.started, "StepStatus": self.status, "AttemptCount": 1,
            "StepDisplayName": self.step.display_name, "StepDescription": self.step.description,
            "EndTime": self.ended, "FailureReason": self.reason,
            "Metadata": {kind: {"Arn": self.job.arn}} if self.job else None,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value not in (None, "")}


@dataclass
class Execution:
    """
    One execution.

    :param parameters: with their values.
    :param most: steps at a time; None is all that can.
    """

    pipeline_arn: str
    arn: str
    definition: Definition
    parameters: Mapping[str, Any]
    role_arn: str
    jobs: JobMaker
    most: int | None = None
    display_name: str = ""
    description: str = ""
    status: str = "Executing"
    reason: str = ""
    created: datetime = field(default_factory=utcnow)
    modified: datetime = field(default_factory=utcnow)
    runs: dict[str, StepRun] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _news: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)

    @property
    def id(self) -> str:
        """Twelve characters."""
        return self.arn.rpartition("/")[2]

    @property
    def is_over(self) -> bool:
        """Has it a status that stays?"""
        return self.status in ("Succeeded", "Failed", "Stopped")

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=f"pipeline-{self.id}", daemon=True).start()

    def stop(self) -> None:
        """API_StopPipelineExecution: begin nothing more, and stop the jobs that run."""
        with self.lock:
            self._show("Stopping")
            for run in self.runs.values():
                if run.job is not None and not run.job.is_over:
                    run.status = "Stopping"
                    self.jobs.stop_for_step(run.job)
        self._news.put(None)

    def _run(self) -> None:
        while True:
            with self.lock:
                self._look()
                if self.status == "Executing" and not self._failed():
                    self._begin_steps()
                if not self._running():
                    self._conclude()
                    return
            self._news.get()

    def _look(self) -> None:
        """What became of the jobs."""
        for run in self.runs.values():
            job = run.job
            if run.ended is None and job is not None and job.status in FINISHED:
                run.status, run.ended = _STATUS[job.status], job.ended
                if job.status == "Failed":
                    run.reason = f"ClientError: {job.reason}"[:1024]
                elif job.status == "Stopped" and self.status != "Stopping":  # somebody or a limit stopped it
                    run.status, run.reason = "Failed", "ClientError: The job was stopped"
                self.modified = utcnow()

    def _begin_steps(self) -> None:
        succeeded = {name for name, run in self.runs.items() if run.status == "Succeeded"}
        for step in self.definition.steps.values():
            if self.most is not None and len(self._running()) >= self.most:
                return
            if step.name not in self.runs and step.after <= succeeded:
                self._begin(step)

    def _begin(self, step: Step) -> None:
        run = self.runs[step.name] = StepRun(step, utcnow())
        known = {
            "Parameters": self.parameters,
            "Execution": {"PipelineExecutionId": self.id, "PipelineExecutionArn": self.arn},
            "Steps": {name: to_wire(one.job.describe()) for name, one in self.runs.items() if one.job},
        }
        try:
            arguments = {"RoleArn": self.role_arn, **resolve(step.arguments, known)}
            # the names that AWS gives: pipelines-jz2u9wqwy37v-TrainModel-mtxngHJgFu
            name = f"pipelines-{self.id}-{step.name[:24]}-{secrets.token_hex(5)}"
            run.job = self.jobs.create_for_step(step.type, {**arguments, f"{step.type}JobName": name})
            run.status = "Executing"
            self._when_over(run.job, lambda: self._news.put(None))
        except AwsError as refused:
            run.status, run.ended = "Failed", utcnow()
            run.reason = f"ClientError: Failed to invoke {step.name}: {refused.message}"[:1024]

    def _when_over(self, job: Job, told: Callable[[], None]) -> None:
        def wait() -> None:
            with job.lock:
                job.changed.wait_for(lambda: job.is_over)
            told()

        threading.Thread(target=wait, name=f"step-{job.name}", daemon=True).start()

    def _running(self) -> list[StepRun]:
        return [run for run in self.runs.values() if run.ended is None]

    def _failed(self) -> bool:
        return any(run.status == "Failed" for run in self.runs.values())

    def _conclude(self) -> None:
        if self.status == "Stopping":
            self._show("Stopped")
        elif self._failed():
            self.reason = FAILED_STEPS
            self._show("Failed")
        else:
            self._show("Succeeded")

    def _show(self, status: str) -> None:
        self.status, self.modified = status, utcnow()
