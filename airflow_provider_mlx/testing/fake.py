"""
A backend of scripted faults: no clock, no process, no network.

::

    cluster = FakeCluster(Script(sees=(RUNNING, UNREACHABLE, SUCCEEDED)))
    backend = cluster.backend_class(FakeSettings(), store=store)

The n-th job that is created plays the n-th script, and the last script repeats. Every ``find`` moves a job one step
on. What really happened stands in the cluster (:attr:`FakeCluster.created`, ``stops``, ``peak_active``): an
independent record, which a test asserts instead of the ledger.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, Literal

from airflow_provider_mlx.backends.base import (
    Backend,
    FoundJob,
    JobHandle,
    JobStatus,
    LogChunk,
    State,
    TargetSettings,
)
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict
from airflow_provider_mlx.runtime.protocol import ERROR_FILE, PROTOCOL, RESULT_FILE
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.spec import JobSpec, request_digest

QUEUED: Final = JobStatus(State.ACTIVE, "waiting for a node")
RUNNING: Final = JobStatus(State.ACTIVE, running=True)
STOPPING: Final = JobStatus(State.ACTIVE, stopping=True, running=True)
SUCCEEDED: Final = JobStatus(State.SUCCEEDED, exit_code=0)
FAILED: Final = JobStatus(State.FAILED, exit_code=1)
STOPPED: Final = JobStatus(State.STOPPED, "stopped on request", exit_code=143)
PREEMPTED: Final = JobStatus(State.STOPPED, "the node was taken back", failure="Preempted")
EVICTED: Final = JobStatus(State.FAILED, "the node was low on memory", failure="Preempted", exit_code=137)
NO_CAPACITY: Final = JobStatus(State.FAILED, "no node fits", failure="CapacityUnavailable")
NEW_WORD: Final = JobStatus(State.UNKNOWN, "the backend says `Hibernating`")
"""A status word that we do not know."""
GONE: Final = JobStatus(State.ABSENT)
"""``find`` gives ``None``: a time-to-live or somebody took the job."""
UNREACHABLE: Final = JobStatus(State.UNKNOWN, "503 from the fake")
"""``find`` raises ``BackendUnavailable``."""

Writes = Literal["result", "error", "cancelled", "corrupt", "other attempt", "other protocol", "nothing"]


@dataclass(frozen=True)
class Script:
    """
    What one job does.

    :param sees: what each ``find`` finds, in order; the last repeats.
    :param writes: what stands in the ledger when the job is first seen to be over.
    :param writes_when_stopped: the same after a stop.
    :param submit: a fault per call: ``"before"`` and ``"after"`` raise ``BackendUnavailable`` before or after the job
        was created, ``""`` is none.
    :param log: the job's lines; ``lines_per_look`` more of them with each ``find``, all at its end.
    :param log_fails: how many reads of the log get no answer; -1 for all.
    :param cancel_fails: how many stop requests get no answer and do not arrive.
    :param stops_after: how many times a stopped job is still found stopping; -1 for a job that never stops.
    :param when_stopped: what a stopped job is found as in the end: ``GONE`` where a stop deletes it.
    :param foreign: the job is found with another request's digest.
    :param value: the result.
    """

    sees: tuple[JobStatus, ...] = (RUNNING, SUCCEEDED)
    writes: Writes = "result"
    writes_when_stopped: Writes = "cancelled"
    submit: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    lines_per_look: int = 1
    log_fails: int = 0
    cancel_fails: int = 0
    stops_after: int = 0
    when_stopped: JobStatus = STOPPED
    foreign: bool = False
    value: Any = 42


@dataclass
class FakeJob:
    """One job of the cluster."""

    request: Mapping[str, Any]
    digest: str
    script: Script
    looks: int = 0
    stopped_looks: int | None = None
    over: bool = False

    def look(self) -> JobStatus:
        """The next thing to be seen."""
        if self.stopped_looks is not None and not self.over:
            self.stopped_looks += 1
            slow = self.script.stops_after < 0 or self.stopped_looks <= self.script.stops_after
            return STOPPING if slow else self.script.when_stopped
        seen = self.script.sees[min(self.looks, len(self.script.sees) - 1)]
        self.looks += 1
        if self.over and self.stopped_looks is not None:
            return self.script.when_stopped
        return seen


@dataclass
class FakeCluster:
    """
    The other side: what exists and what was asked, whatever the caller believes.

    :param created: names of the jobs that were created, in order; a name that stands twice ran twice.
    :param stops: names of the jobs whose stop request arrived.
    :param calls: how often each verb was called.
    :param peak_active: how many jobs were active at once, at most.
    :param refuses: of a job's name, what its submissions raise, one after the other; nothing is created then.
    """

    scripts: tuple[Script, ...]
    created: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    peak_active: int = 0
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    submits: Counter[str] = field(default_factory=Counter)
    refuses: dict[str, list[Exception]] = field(default_factory=dict)

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts or (Script(),)
        self.created, self.stops, self.jobs = [], [], {}
        self.calls, self.submits, self.refuses = Counter(), Counter(), {}
        self.peak_active = 0
        self.lock = threading.RLock()

    @cached_property
    def backend_class(self) -> type[FakeBackend]:
        """A class of backends that talk to this cluster, for whoever makes instances by name."""
        return type("FakeBackend", (FakeBackend,), {"cluster": self, "__module__": __name__})

    def next_script(self) -> Script:
        """The script of the next job to be created."""
        return self.scripts[min(len(self.created), len(self.scripts) - 1)]

    def create(self, request: Mapping[str, Any]) -> FakeJob:
        """Make a job; only ``submit`` and a test that plays somebody else do."""
        name = request["name"]
        job = FakeJob(request, request_digest(request), self.next_script())
        self.jobs[name] = job
        self.created.append(name)
        self.peak_active = max(self.peak_active, sum(not other.over for other in self.jobs.values()))
        return job

    def remove(self, name: str) -> None:
        """Let a time-to-live take the job."""
        del self.jobs[name]


class FakeSettings(TargetSettings):
    """The keys of a ``backend: fake`` target: none."""


class FakeBackend(Backend):
    """The client of a :class:`FakeCluster`; use ``FakeCluster.backend_class``."""

    name = "fake"
    settings_model = FakeSettings
    needs_deployment_id = False
    cluster: ClassVar[FakeCluster]
    cannot: ClassVar[Mapping[str, str]] = {
        "fractional_gpu": "the fake has whole GPUs only → ask for a whole number",
        "shm": "the fake has no memory to share → leave shm out",
    }

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request: names, places and resources."""
        return {
            "name": spec.name,
            "outputs_uri": spec.outputs_uri,
            "step": dict(spec.identity.step(try_number=1, attempt=spec.attempt)),
            "context_sha256": spec.context.sha256 if spec.context else "",
            "resources": spec.resources.to_wire(),
        }

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Create the job, unless the script has a fault at this call."""
        cluster, name = self.cluster, request["name"]
        with cluster.lock:
            cluster.calls["submit"] += 1
            if refusals := cluster.refuses.get(name):
                raise refusals.pop(0)
            job = cluster.jobs.get(name)
            faults = (job.script if job else cluster.next_script()).submit
            call = cluster.submits[name]
            cluster.submits[name] += 1
            fault = faults[call] if call < len(faults) else ""
            if fault == "before":
                raise BackendUnavailable("503 from the fake: nothing was created")
            if job is None:
                job = cluster.create(request)
            if job.script.foreign or job.digest != request_digest(request):
                raise JobConflict(f"the job {name} was made from another request")
            if fault == "after":
                raise BackendUnavailable("the connection to the fake broke after the request")
        return self._handle(name)

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """Play the next step of the job's script."""
        with self.cluster.lock:
            self.cluster.calls["find"] += 1
            job = self.cluster.jobs.get(name)
            if job is None:
                return None
            status = job.look()
            if (status.state.finished or status.state is State.ABSENT) and not job.over:
                job.over = True
                self._write(job, job.script.writes if job.stopped_looks is None else job.script.writes_when_stopped)
            if status == UNREACHABLE:
                raise BackendUnavailable("503 from the fake")
            if status.state is State.ABSENT:
                return None
            return FoundJob(self._handle(name), status, "0" * 64 if job.script.foreign else job.digest)

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """The lines that the job has printed so far; the cursor counts them."""
        with self.cluster.lock:
            self.cluster.calls["read_log"] += 1
            job = self.cluster.jobs.get(handle.name)
            if job is None:
                return LogChunk((), cursor)
            if job.script.log_fails < 0 or self.cluster.calls["read_log"] <= job.script.log_fails:
                raise BackendUnavailable("503 from the fake's log")
            start = int(cursor or 0)
            printed = len(job.script.log) if job.over else job.looks * job.script.lines_per_look
            lines = job.script.log[start:printed]
            return LogChunk(lines, str(start + len(lines)))

    def cancel(self, handle: JobHandle) -> None:
        """Note the request; the next looks see its effect."""
        with self.cluster.lock:
            self.cluster.calls["cancel"] += 1
            job = self.cluster.jobs.get(handle.name)
            if job is None or job.over:
                return
            if not handle.id:
                raise ValueError("the fake stops jobs by their id, as most backends do; find the job first")
            if self.cluster.calls["cancel"] <= job.script.cancel_fails:
                raise BackendUnavailable("503 from the fake: the stop request was lost")
            self.cluster.stops.append(handle.name)
            if job.stopped_looks is None:
                job.stopped_looks = 0

    def forget(self, handle: JobHandle) -> None:
        """Remove the job."""
        with self.cluster.lock:
            self.cluster.jobs.pop(handle.name, None)

    def link(self, handle: JobHandle) -> str | None:
        """A page that does not exist."""
        return f"https://fake.invalid/jobs/{handle.name}"

    def _handle(self, name: str) -> JobHandle:
        return JobHandle(self.name, name, id=f"uid-{name}")

    def _write(self, job: FakeJob, what: Writes) -> None:
        written = _RECORDS[what](dict(job.request["step"]), job.script.value)
        if written is not None:
            name, data = written
            self.store.create(join(job.request["outputs_uri"], name), data)


def _result(step: Mapping[str, Any], value: Any, protocol: int = PROTOCOL) -> tuple[str, bytes]:
    outputs = {"return_value": {"artifact": None, "inline": True, "value": value}}
    body = {"protocol": protocol, "step": step, "outputs": outputs, "metrics": {}, "skipped": None}
    return RESULT_FILE, json.dumps(body).encode()


def _error(step: Mapping[str, Any], reason: str, message: str) -> tuple[str, bytes]:
    frame = {"file": "dags/fake.py", "line": 7, "function": "train", "text": "", "user": True}
    body = {"protocol": PROTOCOL, "step": step, "reason": reason, "type": "ValueError", "message": message}
    return ERROR_FILE, json.dumps({**body, "frames": [frame]}).encode()


_RECORDS: Final[Mapping[str, Any]] = {
    "result": _result,
    "error": lambda step, value: _error(step, "StepFailed", "the fake's own code failed"),
    "cancelled": lambda step, value: _error(step, "JobCancelled", "the job was told to stop"),
    "corrupt": lambda step, value: (RESULT_FILE, b'{"protocol": 1, "outputs": {'),
    "other attempt": lambda step, value: _result({**step, "job": "mlx-somebody-else-9"}, value),
    "other protocol": lambda step, value: _result(step, value, protocol=PROTOCOL + 1),
    "nothing": lambda step, value: None,
}
