"""
The ``kubeflow_pipelines`` backend: a step is a run of a pipeline with one task.

The server lets who creates a run choose its id, and makes a second Workflow for a second request with the same one. So
a run is looked for, asked for in turns, and looked for again; see ``turns.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from airflow_provider_mlx.backends.base import JobHandle, JobStatus, JobView, LogChunk, State, TargetSettings
from airflow_provider_mlx.backends.outcomes import plain_result, record_outcome
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.protocol import RESULT_FILE, StoreAccess
from airflow_provider_mlx.step.spec import JobSpec

from .cannot import CANNOT, WITH_SETTING
from .client import KubeflowPipelinesClient
from .logs import FollowedPods, PodsByServer, PodsInCluster, StepLog
from .mounts import store_mounts
from .plan import job_problems, run_request
from .server import ServerBackend
from .settings import KubeflowPipelinesSettings
from .times import moment


class KubeflowPipelinesBackend(ServerBackend):
    """Runs steps on Kubeflow Pipelines."""

    name = "kubeflow_pipelines"
    settings_model: ClassVar[type[TargetSettings]] = KubeflowPipelinesSettings
    settings: KubeflowPipelinesSettings
    cannot: ClassVar[Mapping[str, str]] = CANNOT
    with_setting: ClassVar[Mapping[str, str]] = WITH_SETTING

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The body of ``POST /runs``, but for what is known later."""
        return run_request(spec, self.settings)

    def problems(self, spec: JobSpec) -> list[Problem]:
        """What no pod of a pipeline of this target can be or have."""
        return job_problems(spec, self.settings)

    def view(self, spec: JobSpec, root: str) -> JobView:
        """The target's volumes show parts of the store; everything else is reached by a client in the image."""
        return JobView(store=StoreAccess(mounts=store_mounts(self.settings)))

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """What the step has printed, as far as it can be read; see ``logs.py``."""
        return self._log.read(handle, cursor)

    def _bring(self, request: Mapping[str, Any], run: Mapping[str, Any], status: JobStatus) -> None:
        """That a container without our runtime has succeeded; it can return nothing from here."""
        if status.state is State.SUCCEEDED and not request["runtime"]:
            body = plain_result(None, started=moment(run.get("created_at")), finished=moment(run.get("finished_at")))
            record_outcome(self.store, request["outputs"], RESULT_FILE, body)

    def _followed(self, client: KubeflowPipelinesClient) -> FollowedPods | None:
        pods = self._new_cluster_client()
        return FollowedPods(pods, self._where_pods_are) if pods is not None else None

    @cached_property
    def _log(self) -> StepLog:
        pods = self._new_cluster_client()
        return PodsByServer(self.client) if pods is None else PodsInCluster(pods, self._where_pods_are)
