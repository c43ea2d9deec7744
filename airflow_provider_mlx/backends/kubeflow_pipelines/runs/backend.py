"""
Runs whole pipelines: a job is one run.

The life of such a job is every job's: this says what its request is, what of it only the server knows, and what its
tasks leave behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from airflow_provider_mlx.backends.base import FoundJob, JobHandle, JobStatus, LogChunk, State, TargetSettings
from airflow_provider_mlx.backends.inner import OUTCOMES, record_tasks
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.faults import fault_in
from airflow_provider_mlx.backends.kubeflow_pipelines.looking import handle_of
from airflow_provider_mlx.backends.kubeflow_pipelines.observer import id_of
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import PipelineRegistry
from airflow_provider_mlx.backends.kubeflow_pipelines.progress import new_lines
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import Reading, RunReader
from airflow_provider_mlx.backends.kubeflow_pipelines.server import ServerBackend
from airflow_provider_mlx.backends.outcomes import record_outcome
from airflow_provider_mlx.exceptions import InvalidStep, MlxError, Problem
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.spec import JobSpec, request_digest

from .following import FollowedTasks
from .inner import inner_tasks
from .outcome import error_of, pipeline_of, result_of
from .outputs import is_collector
from .request import changed_pipeline, changes, pipeline_problems, run_of_pipeline, run_problems
from .settings import RunSettings

RUN: Final = "run"
"""In a handle's location: the id of an earlier attempt's run that this attempt resumed."""


class PipelineRunBackend(ServerBackend):
    """Runs one pipeline per job."""

    name = "kubeflow_pipeline_run"
    has_tasks = True
    settings_model: ClassVar[type[TargetSettings]] = RunSettings
    settings: RunSettings

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request, but for what only the server knows."""
        return run_of_pipeline(spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """What the pipeline or the server does not take."""
        return run_problems(spec, self.settings)

    def what_runs(self, request: Mapping[str, Any]) -> str:
        """The pipeline."""
        return str((request.get("registered") or {}).get("name") or "") or pipeline_of(request["run"])

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """
        Make the run, once; or have the failed tasks of an earlier attempt's run again, where the task asks for it.

        A run that was resumed keeps its id, and what it was started with: its handle says whose it is now.
        """
        for earlier in request.get("resumes", ()):
            run = self.client.find_run(earlier)
            if run is not None:
                return self._resumed(run, request) or super().submit(request)
        return super().submit(request)

    def _resumed(self, run: Mapping[str, Any], request: Mapping[str, Any]) -> JobHandle | None:
        """
        An earlier run that goes on; ``None`` for one that cannot.

        One that is active was resumed just now, by a worker that died before it could say so.
        """
        status = self._looking.status(run)
        if status.state is State.FAILED:
            self.client.retry_run(str(run["run_id"]))
        elif status.state is not State.ACTIVE:
            return None
        handle = handle_of(self.name, request["name"], run)
        ours = {"digest": request_digest(request), RUN: handle.id}
        return replace(handle, location={**handle.location, **ours})

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """The run, by the id that its name gives it, or by that of the run that it resumed."""
        if not (location or {}).get(RUN):
            return super().find(name, location)
        assert location is not None
        run = self.client.find_run(location[RUN])
        if run is None:
            return None
        handle = JobHandle(self.name, name, id=location[RUN], location=dict(location))
        return FoundJob(handle, self._looking.status(run), location["digest"])

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """A line per task that has begun or ended."""
        return _read_tasks(self.client, id_of(handle), cursor)

    def _followed(self, client: KubeflowPipelinesClient) -> FollowedTasks:
        return FollowedTasks(lambda run, cursor: _read_tasks(client, run, cursor))

    def _completed(self, body: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        """
        Look a registered pipeline up.

        :raises InvalidStep: there is none, or it does not take what it is given; nothing was started.
        """
        registered = request.get("registered")
        if registered is None:
            return body
        registry = PipelineRegistry(self.client)
        version = registry.require_version(str(registered["name"]), str(registered.get("version") or ""))
        pipeline = parse_pipeline(version["pipeline_spec"])
        asked = {**request["asked"], "parameters": (body.get("runtime_config") or {}).get("parameters") or {}}
        if problems := pipeline_problems(pipeline, asked):
            raise InvalidStep(f"the pipeline `{registered['name']}` does not take this; nothing was started", problems)
        if changes(asked):
            return {**body, "pipeline_spec": changed_pipeline(pipeline, asked).pipeline_spec}
        ids = {name: version[name] for name in ("pipeline_id", "pipeline_version_id")}
        return {**body, "pipeline_version_reference": ids}

    def _bring(self, request: Mapping[str, Any], run: Mapping[str, Any], status: JobStatus) -> None:
        """Its tasks, and the result, or which task failed and why; what is written already stays."""
        folder, last = request["outputs"], OUTCOMES[status.state]
        if self.store.facts(join(folder, last)) is not None:
            return
        reading = RunReader(self.client).read(str(run["run_id"]))
        wanted = request["asked"].get("outputs") or {}
        stopped = status.state is State.STOPPED
        record_tasks(self.store, folder, [*inner_tasks(reading, wanted, stopped=stopped)])
        if status.state is State.SUCCEEDED:
            record_outcome(self.store, folder, last, result_of(reading, wanted, pipeline=self.what_runs(request)))
        elif status.state is State.FAILED:
            record_outcome(self.store, folder, last, error_of(reading, self._tail(reading)))

    def _tail(self, reading: Reading) -> list[str]:
        fault = fault_in(reading.workflow) if reading.workflow else None
        if fault is None or not fault.pod:
            return []
        try:
            return list(self._lines(reading.run, fault.pod))
        except MlxError:
            return []


def _read_tasks(client: KubeflowPipelinesClient, run: str, cursor: str) -> LogChunk:
    reading = RunReader(client).read(run)
    lines, after = new_lines([task for task in reading.tasks if not is_collector(task.name)], cursor)
    return LogChunk(tuple(lines), after)
