"""The smallest backend that keeps the contract: jobs are processes of this one, and end with it. An example to copy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from airflow_provider_mlx.backends.base import (
    Backend,
    FoundJob,
    JobHandle,
    JobStatus,
    LogChunk,
    State,
    TargetSettings,
)
from airflow_provider_mlx.exceptions import JobConflict
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.runtime.uris import split_uri
from airflow_provider_mlx.step.spec import JobSpec, request_digest


@dataclass
class RunningJob:
    """A process and its log."""

    process: subprocess.Popen[bytes]
    digest: str
    log: Path
    stopped: bool = False


@dataclass
class ProcessTable:
    """The jobs of this process."""

    jobs: dict[str, RunningJob] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class ProcessSettings(TargetSettings):
    """The keys of a ``backend: fake-process`` target: none."""


class ProcessBackend(Backend):
    """Runs jobs by the real runtime, under a ``file://`` artifact root."""

    name = "fake-process"
    settings_model = ProcessSettings
    defers = False
    needs_deployment_id = False
    table: ClassVar[ProcessTable] = ProcessTable()
    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("cpu", "memory", "gpu", "shm", "disk", "nodes", "launcher", "spot", "priority", "command", "image"),
        "it only starts a process → use a real backend",
    )

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        """The request: a command and its environment; a secret is ``{"variable": NAME}`` of this process."""
        assert spec.bundle is not None
        assert spec.context is not None
        return {
            "name": spec.name,
            "argv": bootstrap_command(
                python=spec.python or sys.executable,
                bundle_path="/" + unquote(split_uri(spec.bundle.uri)[2]),
                bundle_sha256=spec.bundle.sha256,
                context=spec.context.uri,
                context_sha256=spec.context.sha256,
            ),
            "env": dict(sorted(spec.env.items())),
            "secrets": {name: dict(reference) for name, reference in sorted(spec.secrets.items())},
        }

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        """Start the process, unless the name is taken."""
        with self.table.lock:
            job = self.table.jobs.get(request["name"])
            if job is None:
                self.table.jobs[request["name"]] = self._start(request)
            elif job.digest != request_digest(request):
                raise JobConflict(f"the job {request['name']} was made from another request")
        return self._handle(request["name"])

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        """Ask the process."""
        job = self.table.jobs.get(name)
        return None if job is None else FoundJob(self._handle(name), self._status(job), job.digest)

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        """Whole lines of the log file; the cursor is a byte offset."""
        job = self.table.jobs.get(handle.name)
        if job is None:
            return LogChunk((), cursor)
        with job.log.open("rb") as log:
            log.seek(int(cursor or 0))
            data = log.read()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].decode(errors="replace").split("\n")[:-1]
        return LogChunk(tuple(lines), str(int(cursor or 0) + whole))

    def cancel(self, handle: JobHandle) -> None:
        """Send SIGTERM."""
        job = self.table.jobs.get(handle.name)
        if job is not None and job.process.poll() is None:
            job.stopped = True
            job.process.send_signal(signal.SIGTERM)

    def forget(self, handle: JobHandle) -> None:
        """Remove the job and its log."""
        with self.table.lock:
            job = self.table.jobs.pop(handle.name, None)
        if job is not None:
            job.process.wait()
            job.log.unlink()

    def _start(self, request: Mapping[str, Any]) -> RunningJob:
        descriptor, log = tempfile.mkstemp(prefix="mlx-fake-", suffix=".log")
        secrets = {name: os.environ[reference["variable"]] for name, reference in request["secrets"].items()}
        env = {"PATH": os.environ["PATH"], **request["env"], **secrets}
        with os.fdopen(descriptor, "wb") as sink:
            process = subprocess.Popen(request["argv"], stdout=sink, stderr=sink, env=env, start_new_session=True)
        return RunningJob(process, request_digest(request), Path(log))

    def _handle(self, name: str) -> JobHandle:
        return JobHandle(self.name, name)

    @staticmethod
    def _status(job: RunningJob) -> JobStatus:
        code = job.process.poll()
        if code is None:
            return JobStatus(State.ACTIVE, stopping=job.stopped, running=True)
        if job.stopped:
            return JobStatus(State.STOPPED, "stopped on request", exit_code=code)
        return JobStatus(State.SUCCEEDED if code == 0 else State.FAILED, exit_code=code)
