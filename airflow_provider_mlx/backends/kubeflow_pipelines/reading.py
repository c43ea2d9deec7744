"""The tasks of a run and what they wrote, whichever generation of servers is asked: one reader, told by the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .answers import Missing
from .tasks import Task, Values, is_native, native_tasks, tasks_of_run, tasks_of_workflow


class _Client(Protocol):
    def find_run(self, run_id: str, *, full: bool = False) -> dict[str, Any] | None: ...

    def workflow_of(self, run_id: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True)
class Reading:
    """
    A run as it was read once.

    :param workflow: its Argo Workflow, where the server keeps one.
    """

    run: Mapping[str, Any]
    tasks: tuple[Task, ...]
    workflow: Mapping[str, Any] | None = None

    @property
    def outputs(self) -> Mapping[str, Values] | None:
        """
        What each task wrote; ``None`` where the server does not tell it, as all releases up to 2.17.

        There, a value that somebody needs is written by the task itself to a place that is known beforehand.
        """
        if not is_native(self.run):
            return None
        return {task.name: task.outputs for task in self.tasks if task.outputs is not None}


class RunReader:
    """Reads runs in full: for the end of a run, and for its log. Its state alone costs less (``list_runs``)."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def read(self, run_id: str) -> Reading:
        """
        A run with its tasks.

        :raises Missing: there is no such run.
        :raises BackendUnavailable: no definite answer.
        """
        run = self._client.find_run(run_id, full=True)
        if run is None:
            raise Missing(f"there is no run {run_id}")
        if is_native(run):
            return Reading(run, native_tasks(run))
        workflow = self._client.workflow_of(run_id)
        tasks = tasks_of_workflow(workflow) if workflow else ()
        return Reading(run, tasks or tasks_of_run(run), workflow)
