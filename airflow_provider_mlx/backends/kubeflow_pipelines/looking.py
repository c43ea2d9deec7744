"""What is said of a run when somebody asks for it: its status, with the reason where it waits or failed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_mlx.backends.base import FoundJob, JobHandle, JobStatus, State
from airflow_provider_mlx.exceptions import MlxError

from .client import KubeflowPipelinesClient
from .faults import fault_in
from .names import digest_in
from .status import status_of

Lines = Callable[[Mapping[str, Any], str], Iterable[str]]
"""The log of a pod of a run, by the run and the pod's name; it may be empty."""


def handle_of(backend: str, name: str, run: Mapping[str, Any]) -> JobHandle:
    """The handle of a run as the job of a name."""
    return JobHandle(backend, name, id=str(run["run_id"]), location={"experiment": str(run.get("experiment_id") or "")})


def digest_of(run: Mapping[str, Any]) -> str:
    """Of the request that made a run; empty for a run that is not ours."""
    return digest_in(str(run.get("description") or ""))


class Looking:
    """
    Reads runs.

    :param lines: reads the log of a pod that failed, for its step's exit code: only the log has it.
    """

    def __init__(self, client: KubeflowPipelinesClient, lines: Lines) -> None:
        self._client = client
        self._lines = lines

    def found(self, backend: str, name: str, run: Mapping[str, Any]) -> FoundJob:
        """A run as the job of a name."""
        return FoundJob(handle_of(backend, name, run), self.status(run), digest_of(run))

    def status(self, run: Mapping[str, Any]) -> JobStatus:
        """What a run's answer means; the Workflow is asked for only where it can say more."""
        told = status_of(run)
        waits = told.state is State.ACTIVE and not told.running and not told.stopping
        if not waits and told.state is not State.FAILED:
            return told
        workflow = self._client.workflow_of(str(run["run_id"]))
        if workflow is None:
            return told
        told = status_of(run, workflow=workflow)
        return self._failure(run, told, workflow) if told.state is State.FAILED else told

    def _failure(self, run: Mapping[str, Any], told: JobStatus, workflow: Mapping[str, Any]) -> JobStatus:
        fault = fault_in(workflow)
        if fault is None:
            return told
        if fault.failure is None and fault.pod:
            with contextlib.suppress(MlxError):  # the log explains, and decides nothing
                fault = fault_in(workflow, self._lines(run, fault.pod)) or fault
        return dataclasses.replace(
            told, reason=fault.reason or told.reason, failure=fault.failure, exit_code=fault.exit_code
        )
