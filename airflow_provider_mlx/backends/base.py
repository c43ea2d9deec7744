"""
The contract between the life of a job (``jobs/``) and a system that runs jobs.

A backend is three things: a **plan**, pure, from a :class:`~airflow_provider_mlx.step.spec.JobSpec` to the backend's
own request; a **client** with five verbs (submit, find, read_log, cancel, forget); and **tables** that say what its
status words mean and what it cannot do. It decides nothing: whether to submit, adopt, wait, collect or cancel is
``jobs/decision.py``'s alone.

Third parties register a factory under the entry point group ``airflow_provider_mlx.backends`` and prove it with
``airflow_provider_mlx.testing.BackendContract``.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NoReturn, Self

from pydantic import BaseModel, ConfigDict

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured, Problem, first_line
from airflow_provider_mlx.runtime.protocol import StoreAccess
from airflow_provider_mlx.step.spec import JobSpec

STORE_CLIENT: Final = "obstore>=0.6"
"""What a job installs where the stack says ``install_client`` and its image has no client: one wheel without more."""


class State(enum.Enum):
    """What a backend says about a job."""

    ACTIVE = "active"
    """Accepted and not over: queued, starting, running or stopping."""
    SUCCEEDED = "succeeded"
    """The backend's word only; ``result.json`` decides."""
    FAILED = "failed"
    STOPPED = "stopped"
    """Ended by a request, a limit or a preemption: never green."""
    ABSENT = "absent"
    """The backend knows no such job, and says so definitely."""
    UNKNOWN = "unknown"
    """No answer, or a word that we do not know: neither failed nor absent."""

    @property
    def finished(self) -> bool:
        """Whether the backend will not change its word any more."""
        return self in (State.SUCCEEDED, State.FAILED, State.STOPPED)


@dataclass(frozen=True)
class JobStatus:
    """
    One observation of a job.

    :param reason: the backend's own words for people, as the scheduler's reason for waiting.
    :param failure: name of a class of ``exceptions``, when the backend knows more than "failed".
    :param exit_code: of the job's main process, when the backend tells it.
    :param stopping: a stop was accepted and the job is not over yet.
    :param running: the user's code may be running (not queued or pulling).
    """

    state: State
    reason: str = ""
    failure: str | None = None
    exit_code: int | None = None
    stopping: bool = False
    running: bool = False


@dataclass(frozen=True)
class JobHandle:
    """
    Names one job for good: goes into the ledger and into trigger arguments, so plain JSON and no secret.

    :param backend: the backend's name.
    :param name: the job's name.
    :param id: the backend's own identifier (UID, ARN, run id), empty if the name is all there is.
    :param location: what the client needs to find it again: namespace, region, host.
    """

    backend: str
    name: str
    id: str = ""
    location: Mapping[str, str] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"backend": self.backend, "name": self.name, "id": self.id, "location": dict(self.location)}

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> JobHandle:
        """The handle that :meth:`to_wire` wrote."""
        return cls(value["backend"], value["name"], value["id"], dict(value["location"]))


@dataclass(frozen=True)
class FoundJob:
    """A job that the backend has under a name, and the digest of the request that made it."""

    handle: JobHandle
    status: JobStatus
    request_digest: str


@dataclass(frozen=True)
class Usage:
    """
    What a backend tells of how a job ran, beside its status; for lineage.

    :param image_digest: of the image that ran, ``sha256:`` and hex digits, with the repository where that is known.
    :param machine: the type of its machines.
    :param seconds: of each machine: those that are billed (``billable``), else those that it ran.
    :param hourly_usd: what an hour of one machine costs, by the target's ``prices``.
    """

    image_digest: str = ""
    machine: str = ""
    machines: int = 1
    seconds: float | None = None
    billable: bool = False
    hourly_usd: float | None = None


@dataclass(frozen=True)
class LogChunk:
    """Whole lines of a job's log, and the cursor from which to go on."""

    lines: tuple[str, ...]
    cursor: str


@dataclass(frozen=True)
class Brought:
    """
    What a manifest asks for that its author brought, for the policy.

    :param gpus: of all its pods together, as ``pods`` are all that run at once.
    """

    images: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    gpus: float = 0
    pods: int = 1


@dataclass(frozen=True)
class JobView:
    """
    How the world looks from inside this backend's jobs.

    :param store: how the job reaches objects.
    :param inherit_packages: a step's requirements are installed over the image's packages, which stay as they are.
    :param environment_cache: folder in the job where finished environments may be kept; empty for none.
    :param keeps_checkpoints: checkpoints outlive the job.
    """

    store: StoreAccess = field(default_factory=lambda: StoreAccess())
    inherit_packages: bool = True
    environment_cache: str = ""
    keeps_checkpoints: bool = True


class TargetSettings(BaseModel):
    """A backend's own keys of a stack's target; unknown keys are refused. Subclass it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobObserver(abc.ABC):
    """
    Sees many jobs of one connection, for the watcher in the triggerer: one thread calls it, and it has no side effects.

    It may keep what it knows between two calls (a resource version, a list's time stamps), so that its cost follows
    the changes, not the jobs.
    """

    pause_seconds: ClassVar[float] = 2.0
    """From an answer to the next question. A step goes on so much later, and a look costs so much less often."""

    @abc.abstractmethod
    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """
        The status of every job, by its name; a job that the backend definitely does not know is ``ABSENT``.

        :param jobs: the jobs of interest now; they change from call to call.
        :param wait_seconds: how long it may wait for a change before it answers.
        :raises ConnectionRefused: the credentials are not taken (any more): the connection is read again.
        :raises BackendUnavailable: no definite answer.
        """

    def follow(self, handle: JobHandle, cursor: str) -> LogChunk | None:
        """
        Lines of a running job's log since ``cursor`` that are at hand; ``None``: ask the backend's ``read_log``.

        For backends where a question per job is dear. It is called on the triggerer's event loop, beside ``observe``:
        it returns at once. What it does not bring is read when the job is over.
        """
        return None

    def close(self) -> None:
        """Free what it holds open."""
        return


class FindEach(JobObserver):
    """Asks for one job after another: right for backends that cannot list, and dear where there are many jobs."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """One ``find`` per job; a job without an answer is unknown."""
        return {job.name: self._status(job) for job in jobs}

    def _status(self, job: JobHandle) -> JobStatus:
        try:
            found = self._backend.find(job.name, job.location or None)
        except BackendUnavailable as error:
            return JobStatus(State.UNKNOWN, first_line(error))
        return found.status if found else JobStatus(State.ABSENT)


class ConnectionRefused(BackendUnavailable):
    """The backend does not take the connection's credentials, which may have been rotated."""


def no_connections(conn_id: str) -> NoReturn:
    """Stands where connections cannot be read, as in ``plan``."""
    raise JobMisconfigured(f"the connection `{conn_id}` cannot be read here")


class Backend(abc.ABC):
    """
    One system that runs jobs.

    Making an instance opens no connection: ``plan`` works without one. Every verb raises
    :class:`~airflow_provider_mlx.exceptions.BackendUnavailable` when it got no definite answer.
    """

    name: ClassVar[str]
    settings_model: ClassVar[type[TargetSettings]]

    cannot: ClassVar[Mapping[str, str]] = {}
    """Field of ``Resources`` or of the step → why this backend cannot honour it, and the way out. ``jobs/plan.py``
    refuses from it, the contract suite tests it, the capability matrix is generated from it."""

    with_setting: ClassVar[Mapping[str, str]] = {}
    """Field as in ``cannot`` → the setting of a target without which it is refused; for the capability matrix."""

    defers: ClassVar[bool] = True
    """Whether a waiting task may leave its worker slot."""

    has_tasks: ClassVar[bool] = False
    """Whether a job consists of tasks, of which ``collect`` writes ``tasks.json`` (``backends/inner.py``)."""

    needs_deployment_id: ClassVar[bool] = True
    """Whether other Airflows can see this backend's jobs, so that names must carry ours."""

    def __init__(
        self,
        settings: TargetSettings,
        conn_id: str | None = None,
        store: ObjectStore | None = None,
        *,
        read_connection: Callable[[str], Any] = no_connections,
    ) -> None:
        """
        :param conn_id: the target's Airflow connection.
        :param read_connection: gives Airflow's connection of an id (host, login, password, extra). It is asked when a
            verb needs it, never by ``plan``; in the triggerer it gives what was read before, since nothing may be read
            there by a library that blocks.
        """
        self.settings = settings
        self.conn_id = conn_id
        self.store = store or ObjectStore()
        self.read_connection = read_connection

    @classmethod
    def from_recorded(
        cls,
        settings: Mapping[str, Any],
        conn_id: str | None = None,
        store: ObjectStore | None = None,
        *,
        read_connection: Callable[[str], Any] = no_connections,
    ) -> Self:
        """With a target's settings as the ledger and a trigger's order hold them."""
        return cls(cls.settings_model.model_validate(settings), conn_id, store, read_connection=read_connection)

    @abc.abstractmethod
    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """
        Translate a job into this backend's request: plain JSON, pure, the same for the same spec.

        :raises InvalidStep: something cannot be translated; all problems at once.
        """

    def view(self, spec: JobSpec, root: str) -> JobView:
        """
        What a job must be told about its surroundings; pure.

        :param spec: the job, whose context is being made.
        :param root: the artifact root.
        """
        return JobView()

    def problems(self, spec: JobSpec) -> list[Problem]:
        """What this backend cannot honour of ``spec`` beyond the fields of :attr:`cannot`."""
        return []

    def what_runs(self, request: Mapping[str, Any]) -> str:
        """The name of what a request runs, the same in every run, where that is no code of a step; for lineage."""
        return ""

    def brought(self, spec: JobSpec) -> Brought | None:
        """What a manifest asks for, where the backend takes such."""
        return None

    @abc.abstractmethod
    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """
        Create the job if no job has its name; else return the one that is there.

        :raises JobConflict: the name is taken by a job made from another request.
        :raises BackendUnavailable: it is not known whether the job exists now; find it before anything else.
        """

    @abc.abstractmethod
    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """
        The job of this name; ``None`` is definite.

        :raises BackendUnavailable: no definite answer.
        """

    @abc.abstractmethod
    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """
        Lines since ``cursor`` (empty: from the start); never blocks for new ones.

        :raises BackendUnavailable: the log cannot be read now.
        """

    @abc.abstractmethod
    def cancel(self, handle: JobHandle) -> None:
        """
        Ask the job to stop, and return without waiting; a job that is over or absent is no error.

        :raises BackendUnavailable: it is not known whether the request arrived.
        """

    def observer(self) -> JobObserver:
        """What sees all jobs of this connection in the triggerer."""
        return FindEach(self)

    def observer_of(self, handle: JobHandle) -> JobObserver | None:
        """
        For a worker that watches one job: what waits for its changes by itself; ``None``: ``find`` is asked again and
        again.
        """
        return None

    def watch_scope(self) -> Mapping[str, Any]:
        """What, besides the connection, tells two watchers apart: the namespace, the region, the server; plain JSON."""
        return self.settings.model_dump(mode="json")

    def tend(self, handle: JobHandle) -> None:
        """
        What a worker does for a job while it runs, where the job cannot do so itself; called at every look.

        It returns at once, does nothing that was begun already, and what goes wrong later holds up nothing.
        """
        return

    def collect(self, handle: JobHandle, request: Mapping[str, Any]) -> None:
        """
        Bring what the finished job wrote into the artifact root, where the job could not do so itself.

        :param request: what it was made from, as the ledger has it.
        """
        return

    def usage(self, handle: JobHandle) -> Usage:
        """What the job ran on, as far as the backend tells it; asked once, when it is over and not forgotten yet."""
        return Usage()

    def forget(self, handle: JobHandle) -> None:
        """Remove what the backend still holds of a collected job; absent is no error."""
        return

    def link(self, handle: JobHandle) -> str | None:
        """The job's page in the backend's own console."""
        return None
