"""
The ``fake-remote`` backend: the client of ``server``, with everything that a remote system asks of one.

Registered by whoever tests with it, under the entry point group ``airflow_provider_mlx.backends``::

    fake-remote = airflow_provider_mlx.testing.remote.backend:RemoteBackend

The server's address and token are those of the target's Airflow connection: ``http://host:port``, and the password.
The artifact root is a folder that the server's host sees (``file://``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, unquote

from airflow_provider_mlx.backends.base import (
    Backend,
    ConnectionRefused,
    FoundJob,
    JobHandle,
    JobObserver,
    JobStatus,
    LogChunk,
    State,
    TargetSettings,
    no_connections,
)
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured, Problem
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.runtime.uris import split_uri
from airflow_provider_mlx.step.spec import JobSpec

if TYPE_CHECKING:
    import httpx

    from airflow_provider_mlx.artifacts.store import ObjectStore

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0

_STATES: Final[Mapping[str, tuple[State, bool, bool]]] = {
    "queued": (State.ACTIVE, False, False),
    "running": (State.ACTIVE, True, False),
    "stopping": (State.ACTIVE, True, True),
    "succeeded": (State.SUCCEEDED, False, False),
    "failed": (State.FAILED, False, False),
    "stopped": (State.STOPPED, False, False),
}
"""The server's word → state, whether the user's code may run, whether it was told to stop."""

_WHY: Final = "the server only starts a process → use a real backend"


class RemoteSettings(TargetSettings):
    """
    The keys of a ``backend: fake-remote`` target.

    :param queue: a word that goes with the job; the server has one queue.
    :param grace_seconds: from SIGTERM to SIGKILL. The runtime gives the user's code 30 s of it.
    """

    queue: str = ""
    grace_seconds: float = 35.0


class RemoteBackend(Backend):
    """Runs jobs on a server of this package."""

    name = "fake-remote"
    settings_model = RemoteSettings
    settings: RemoteSettings
    defers = True
    needs_deployment_id = True
    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("cpu", "memory", "gpu", "shm", "disk", "nodes", "launcher", "priority", "command", "image"), _WHY
    )

    def __init__(
        self,
        settings: TargetSettings,
        conn_id: str | None = None,
        store: ObjectStore | None = None,
        *,
        read_connection: Callable[[str], Any] = no_connections,
    ) -> None:
        super().__init__(settings, conn_id, store, read_connection=read_connection)
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    # --- planning ------------------------------------------------------------------------------------------------

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request: a command of the server's own interpreter unless the spec names one, and who it is for."""
        assert spec.bundle is not None
        assert spec.context is not None
        return {
            "name": spec.name,
            "argv": bootstrap_command(
                python=spec.python or "",
                bundle_path="/" + unquote(split_uri(spec.bundle.uri)[2]),
                bundle_sha256=spec.bundle.sha256,
                context=spec.context.uri,
                context_sha256=spec.context.sha256,
            ),
            "env": dict(sorted(spec.env.items())),
            "secrets": {name: dict(reference) for name, reference in sorted(spec.secrets.items())},
            "labels": {
                "deployment_id": spec.identity.deployment_id,
                "dag_id": spec.identity.dag_id,
                "run_id": spec.identity.run_id,
                "task_id": spec.identity.task_id,
                "map_index": spec.identity.map_index,
                "attempt": spec.attempt,
            },
            "tags": dict(sorted(spec.tags.items())),
            "queue": self.settings.queue,
            "spot": spec.resources.wants_spot,
            "native_limit_seconds": spec.native_limit_seconds,
            "grace_seconds": self.settings.grace_seconds,
        }

    def problems(self, spec: JobSpec) -> list[Problem]:
        """An artifact root that the server's host does not see, and secrets that it does not have."""
        problems = [
            Problem(
                f"{dict(reference)} is not a secret of the server",
                "in the target, map the name to `{variable: NAME}` of the server's environment",
                field=f"secrets[{variable!r}]",
            )
            for variable, reference in spec.secrets.items()
            if list(reference) != ["variable"]
        ]
        if split_uri(spec.outputs_uri)[0] != "file":
            problems.append(
                Problem(
                    f"jobs of `{self.name}` reach files only, not {spec.outputs_uri}", "use a file:// artifact root"
                )
            )
        return problems

    # --- verbs ---------------------------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Get or create by name."""
        answer = self.call("POST", "/v1/jobs", body=request, definite=(200, 201, 409))
        if answer.status_code == 409:
            raise JobConflict(f"the job {request['name']} was made from another request")
        return self._handle(answer.json())

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """Ask the server."""
        answer = self.call("GET", _path(name), definite=(200, 404))
        if answer.status_code == 404:
            return None
        job = answer.json()
        return FoundJob(self._handle(job), status_of(job), job["digest"])

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """The next chunk; the cursor is a byte offset."""
        answer = self.call("GET", f"{_path(handle.name)}/log?offset={int(cursor or 0)}", definite=(200, 404))
        if answer.status_code == 404:
            return LogChunk((), cursor)
        body = answer.json()
        return LogChunk(tuple(body["lines"]), str(body["next"]))

    def cancel(self, handle: JobHandle) -> None:
        """Ask the server to stop it: another job of this name stays as it is."""
        self.call("POST", f"{_path(handle.name)}/stop", body={"id": handle.id}, definite=(202, 404))

    def forget(self, handle: JobHandle) -> None:
        """Delete the job; one that is not over stays."""
        self.call("DELETE", f"{_path(handle.name)}?id={quote(handle.id)}", definite=(204, 404, 409))

    def observer(self) -> JobObserver:
        """One request for all jobs, on a connection of its own: another thread may use this backend's."""
        return RemoteObserver(type(self)(self.settings, self.conn_id, read_connection=self.read_connection))

    def watch_scope(self) -> Mapping[str, Any]:
        """Nothing: a server is one connection's, and one request sees all its jobs."""
        return {}

    # --- the connection ------------------------------------------------------------------------------------------

    def call(
        self, method: str, path: str, *, definite: Sequence[int], body: Any = None, wait_seconds: float = 0.0
    ) -> httpx.Response:
        """
        One request.

        :param definite: the status codes that are an answer.
        :param wait_seconds: how long the server may wait before it answers.
        :raises ConnectionRefused: the token is not taken; the next request reads the connection again.
        :raises BackendUnavailable: no definite answer.
        :raises JobMisconfigured: the server does not take such a request.
        """
        import httpx

        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=READ_SECONDS + wait_seconds)
        try:
            answer = self._connected().request(method, path, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise BackendUnavailable(f"no answer from `{self.name}`: {type(error).__name__}: {error}") from None
        code = answer.status_code
        if code in definite:
            return answer
        if code in (401, 403):
            self.disconnect()
            raise ConnectionRefused(f"`{self.name}` does not take the credentials of `{self.conn_id}` ({code})")
        if code == 429 or code >= 500:
            raise BackendUnavailable(f"{code} from `{self.name}`")
        raise JobMisconfigured(f"`{self.name}` refuses {method} {path}: {code} {answer.text}")

    def disconnect(self) -> None:
        """Close what is open; the next request reads the connection again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                if self.conn_id is None:
                    raise JobMisconfigured(f"a target of `{self.name}` needs a connection: set its `conn_id`")
                connection = self.read_connection(self.conn_id)
                self._client = httpx.Client(
                    base_url=f"{connection.schema or 'http'}://{connection.host}:{connection.port}",
                    headers={"Authorization": f"Bearer {connection.password}"},
                    trust_env=False,  # no proxy stands between a test and its server
                )
            return self._client

    def _handle(self, job: Mapping[str, Any]) -> JobHandle:
        return JobHandle(self.name, job["name"], id=job["id"], location={"deployment": job["deployment"]})


class RemoteObserver(JobObserver):
    """Asks once for what changed, and by name only for jobs that it does not know yet."""

    def __init__(self, backend: RemoteBackend) -> None:
        self._backend = backend
        self._cursor = ""
        self._known: dict[str, JobStatus] = {}

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """One request, whatever the number of jobs; it waits unless there is a job to be asked for by its name."""
        names = {job.name for job in jobs}
        self._known = {name: status for name, status in self._known.items() if name in names}
        deployments = {job.location.get("deployment", "") for job in jobs}
        body = {
            "since": self._cursor,
            "also": sorted(names - self._known.keys()),
            # a handle that was made from a name alone may be anybody's
            "deployments": None if "" in deployments else sorted(deployments),
            "wait": wait_seconds,
        }
        answer = self._backend.call("POST", "/v1/changes", body=body, definite=(200,), wait_seconds=wait_seconds).json()
        if answer["reset"]:  # another server stands there now
            self._cursor, self._known = "", {}
            return self.observe(jobs, 0.0)
        self._cursor = answer["cursor"]
        self._known |= {job["name"]: status_of(job) for job in answer["jobs"] if job["name"] in names}
        self._known |= {name: JobStatus(State.ABSENT) for name in answer["absent"] if name in names}
        return {name: self._known[name] for name in sorted(names)}

    def close(self) -> None:
        """Close the connection."""
        self._backend.disconnect()


def status_of(job: Mapping[str, Any]) -> JobStatus:
    """A job's status in our words; a word that is not in the table is unknown."""
    word = job["status"]
    state, running, stopping = _STATES.get(word, (State.UNKNOWN, False, False))
    reason = job["reason"] if word in _STATES else f"the server says `{word}`"
    return JobStatus(state, reason, job["failure"], job["exit_code"], stopping=stopping, running=running)


def _path(name: str) -> str:
    return f"/v1/jobs/{quote(name, safe='')}"
