"""What every job on Kubeflow Pipelines is: a run, found by an id of ours, watched, stopped and removed as runs are."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from airflow_provider_mlx.backends.base import (
    Backend,
    FoundJob,
    JobHandle,
    JobObserver,
    JobStatus,
    State,
)
from airflow_provider_mlx.backends.kubernetes.client import KubernetesClient, Refused
from airflow_provider_mlx.backends.kubernetes.credentials import cluster_access
from airflow_provider_mlx.backends.one_job import OneJobObserver
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured
from airflow_provider_mlx.step.spec import request_digest

from .access import ServerAccess
from .client import KubeflowPipelinesClient
from .credentials import access_of, parse_connection
from .looking import Looking, digest_of, handle_of
from .names import run_id
from .observer import Followed, KubeflowPipelinesObserver, id_of
from .plan import lost_problems, run_body
from .settings import ServerSettings
from .turns import take_turn

NAMESPACE: Final = "kubeflow"
"""Where a single-user server has its pods, by upstream's own manifests."""
TAIL_LINES: Final = 200
"""Of a failed pod's log: the launcher's word about the exit code stands at its end."""


class ServerBackend(Backend):
    """One run per job; a subclass says of what."""

    settings: ServerSettings

    @cached_property
    def client(self) -> KubeflowPipelinesClient:
        """The server; nothing is opened before it is asked for something."""
        return self._new_client()

    # --- submitting and looking ----------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Make the run, once; one that is there is adopted if it was made from the same request."""
        digest = request_digest(request)
        run = self.client.find_run(request["run"]["run_id"]) or self._make(request, digest)
        if digest_of(run) != digest:
            raise JobConflict(
                f"the run {request['name']} exists and was made from another request",
                remedy="two Airflows with one `[mlx] deployment_id` use this server: give each its own",
            )
        self._check_made(request, run)
        return handle_of(self.name, request["name"], run)

    def _make(self, request: Mapping[str, Any], digest: str) -> dict[str, Any]:
        body = run_body(request, experiment_id=self.client.experiment_id(request["experiment"]), digest=digest)
        body = self._completed(body, request)
        try:
            turn = take_turn(self.store, request["outputs"])
        except BackendUnavailable as taken:  # by another worker, whose run is there in a moment
            return self.client.expect_run(body["run_id"], taken)
        return self.client.create_run(body, before_asking=turn.check)

    def _completed(self, body: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of ``POST /runs`` with what only the server knows."""
        return body

    def _check_made(self, request: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """
        Compare a run with its request.

        :raises JobMisconfigured: the server has dropped a part of it; the run was removed.
        """
        if problems := lost_problems(request, run):
            self.client.terminate_run(run["run_id"])
            self.client.delete_run(run["run_id"])
            raise JobMisconfigured(problems[0].what, remedy=problems[0].remedy)

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """The run, by the id that its name gives it."""
        run = self.client.find_run(run_id(name))
        return None if run is None else self._looking.found(self.name, name, run)

    def observer(self) -> JobObserver:
        """A list of what has ended, with clients of its own: another thread may use this backend's."""
        client = self._new_client()
        return KubeflowPipelinesObserver(client, Looking(client, self._lines), self._followed(client))

    def observer_of(self, handle: JobHandle) -> JobObserver:
        """Asks for one run, by its id."""
        client = self._new_client()
        looking = Looking(client, self._lines)

        def look(job: JobHandle) -> JobStatus:
            run = client.find_run(id_of(job))
            return JobStatus(State.ABSENT) if run is None else looking.status(run)

        return OneJobObserver(look, client.close)

    def watch_scope(self) -> Mapping[str, Any]:
        """A namespace of a server: one list sees all our runs in it."""
        place = ("address", "namespace", "kubernetes_conn_id", "pods_namespace")
        return {name: getattr(self.settings, name) for name in place}

    def link(self, handle: JobHandle) -> str | None:
        """By the target's ``console_url``."""
        return self.settings.page(id_of(handle), handle.location.get("experiment", "")) or None

    # --- ending --------------------------------------------------------------------------------------------------

    def cancel(self, handle: JobHandle) -> None:
        """Terminate the run. Argo ends its pods at once: the launcher leaves them no time."""
        self.client.terminate_run(id_of(handle))

    def collect(self, handle: JobHandle, request: Mapping[str, Any]) -> None:
        """Bring what the run has left into the attempt's folder."""
        run = self.client.find_run(id_of(handle))
        if run is None:
            return
        status = self._looking.status(run)
        if not status.state.finished:
            return
        self._bring(request, run, status)
        if status.state is not State.SUCCEEDED and self.settings.keep == "never":
            self.client.delete_run(id_of(handle))

    @abc.abstractmethod
    def _bring(self, request: Mapping[str, Any], run: Mapping[str, Any], status: JobStatus) -> None:
        """Write down what a finished run could not write itself."""

    def forget(self, handle: JobHandle) -> None:
        """Delete the run and its Workflow, unless the target keeps them, as it does by default."""
        if self.settings.keep != "always":
            self.client.delete_run(id_of(handle))

    # --- parts ---------------------------------------------------------------------------------------------------

    @cached_property
    def _looking(self) -> Looking:
        return Looking(self.client, self._lines)

    @abc.abstractmethod
    def _followed(self, client: KubeflowPipelinesClient) -> Followed | None:
        """What brings the logs of running jobs to the triggerer."""

    def _lines(self, run: Mapping[str, Any], pod: str) -> Iterable[str]:
        """The end of the log of a pod that failed, launcher's lines too: they have the exit code."""
        pods = self._new_cluster_client()
        if pods is None:
            return self.client.pod_log(str(run["run_id"]), pod).splitlines()[-TAIL_LINES:]
        try:
            path = f"/api/v1/namespaces/{self._where_pods_are}/pods/{pod}/log"
            return pods.content(path, container="main", tailLines=TAIL_LINES).decode(errors="replace").splitlines()
        except Refused:  # the pod is gone
            return ()
        finally:
            pods.close()

    def _new_client(self) -> KubeflowPipelinesClient:
        return KubeflowPipelinesClient(self._access, namespace=self._namespace)

    @cached_property
    def _namespace(self) -> str:
        """The target's; else the connection's."""
        if self.settings.namespace or self.conn_id is None:
            return self.settings.namespace
        return parse_connection(self.read_connection(self.conn_id), address=self.settings.address).namespace

    @property
    def _where_pods_are(self) -> str:
        return self.settings.pods_namespace or self._namespace or NAMESPACE

    def _new_cluster_client(self) -> KubernetesClient | None:
        conn_id = self.settings.kubernetes_conn_id
        return KubernetesClient(lambda: cluster_access(self.read_connection(conn_id))) if conn_id else None

    def _access(self) -> ServerAccess:
        connection = self.read_connection(self.conn_id) if self.conn_id else None
        return access_of(connection, address=self.settings.address, read_connection=self.read_connection)
