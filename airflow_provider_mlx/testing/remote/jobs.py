"""The jobs of one server: made once per name, run as processes, and every change of one counted and announced."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.backends.local.backend import PASSED_ON
from airflow_provider_mlx.step.spec import request_digest

from . import node
from .record import RecordWriter
from .scripts import Script, Scripts

GRACE_SECONDS: Final = 35.0
"""From SIGTERM to SIGKILL: the runtime gives the user's code 30 s, and must still write the error after them."""


@dataclass(frozen=True)
class Ending:
    """What a job will have ended as, when it was ended from outside."""

    status: str
    reason: str
    failure: str | None = None


ON_REQUEST: Final = Ending("stopped", "stopped on request")
PREEMPTED: Final = Ending("stopped", "the node was taken back", "Preempted")
EVICTED: Final = Ending("failed", "the node was lost", "Preempted")
NO_CAPACITY: Final = Ending("failed", "no node fits", "CapacityUnavailable")
VANISHED: Final = Ending("vanished", "")
SERVER_ENDED: Final = Ending("stopped", "the server ended")


class NotFinished(Exception):
    """A job that is not over cannot be deleted."""


@dataclass
class Job:
    """
    One job.

    :param status: ``queued``, ``running``, ``stopping``, ``succeeded``, ``failed`` or ``stopped``.
    :param failure: name of a class of ``exceptions``, if the server knows why the job ended.
    :param scripts: what is to go wrong with it, by the part of its life.
    :param ending: what it will have ended as; ``None`` leaves the word to its exit status.
    """

    name: str
    id: str
    request: Mapping[str, Any]
    digest: str
    folder: Path
    scripts: Mapping[str, Script]
    status: str = "queued"
    reason: str = "waiting for a slot"
    failure: str | None = None
    exit_code: int | None = None
    ending: Ending | None = None
    node: subprocess.Popen[bytes] | None = None
    timers: list[threading.Timer] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether its status will not change any more."""
        return self.status not in ("queued", "running", "stopping")

    @property
    def labels(self) -> Mapping[str, Any]:
        """Who the request says it is."""
        return self.request.get("labels") or {}

    @property
    def deployment(self) -> str:
        """Which Airflow's it is."""
        return str(self.labels.get("deployment_id", ""))

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log.txt"

    def fate(self, kind: str) -> Script | None:
        """The script of its fate, if it is of this kind."""
        script = self.scripts.get("fate")
        return script if script is not None and script.then == kind else None


class Jobs:
    """
    All jobs of one server; every method may be called from any thread.

    :param slots: how many run at once; ``None`` for no limit.
    """

    def __init__(self, folder: Path, record: RecordWriter, scripts: Scripts, slots: int | None = None) -> None:
        self._folder = folder
        self._record = record
        self._scripts = scripts
        self._slots = slots
        self._jobs: dict[str, Job] = {}
        self._active: dict[str, Job] = {}
        """By id: accepted and not over, forgotten ones as well."""
        self._queue: dict[str, Job] = {}
        """By id, in the order of their creation: those of them that wait for a slot."""
        self._running: set[str] = set()
        self._changed = threading.Condition(threading.RLock())
        self._boot = uuid.uuid4().hex[:8]
        self._version = 0
        self._changes: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """Name → version and deployment of its last change, the latest at the end; of forgotten jobs as well."""
        self._closed = False
        self._wakes = 0

    # --- verbs ---------------------------------------------------------------------------------------------------

    def create(self, request: Mapping[str, Any]) -> tuple[str, Job]:
        """``created``, ``duplicate_create`` or ``conflict``, and the job that has the name now."""
        name, digest = str(request["name"]), request_digest(request)
        with self._changed:
            job = self._jobs.get(name)
            if job is not None:
                event = "duplicate_create" if job.digest == digest else "conflict"
                self._note(event, job)
                return event, job
            identifier = uuid.uuid4().hex[:12]
            taken = self._scripts.take(name, spot=bool(request.get("spot")))
            job = Job(name, identifier, request, digest, self._folder / f"{name}-{identifier}", taken)
            (job.folder / "work").mkdir(parents=True)
            self._jobs[name] = self._active[job.id] = job
            self._note("created", job, labels=dict(job.labels), spot=bool(request.get("spot")))
            self._touch(job)
            self._begin(job)
            return "created", job

    def find(self, name: str, identifier: str = "") -> Job | None:
        """The job of this name, and of this id unless that is empty."""
        with self._changed:
            job = self._jobs.get(name)
            return job if job is not None and identifier in ("", job.id) else None

    def describe(self, job: Job) -> dict[str, Any]:
        """A job as the server answers it; all of one moment."""
        with self._changed:
            return {
                "name": job.name, "id": job.id, "digest": job.digest, "deployment": job.deployment,
                "status": job.status, "reason": job.reason, "failure": job.failure, "exit_code": job.exit_code,
            }  # fmt: skip

    def stop(self, name: str, identifier: str = "") -> Job | None:
        """Ask a job to stop; one that is over stays as it is."""
        with self._changed:
            job = self.find(name, identifier)
            if job is None or job.is_over:
                return job
            self._note("stop_requested", job)
            slow = job.scripts.get("stop")
            self._end(job, ON_REQUEST, delay=slow.after_seconds if slow else 0.0)
            return job

    def delete(self, name: str, identifier: str = "") -> bool:
        """
        Forget a finished job; whether there was one.

        :raises NotFinished: it is not over.
        """
        with self._changed:
            job = self.find(name, identifier)
            if job is None:
                return False
            if not job.is_over:
                raise NotFinished(f"the job {name} is {job.status}: stop it first")
            self._note("deleted", job)
            self._forget(job)
            return True

    def changes(
        self, *, since: str, also: Collection[str], deployments: Collection[str] | None, wait: float
    ) -> dict[str, Any]:
        """
        The jobs that changed since a cursor, at the latest after ``wait`` seconds, and others by their name at once.

        :param since: a cursor of an earlier answer; empty for no changes at all, only ``also``.
        :param deployments: whose changes; ``None`` for everybody's.
        :return: ``reset`` for a cursor of another server, which then has no answer; ``absent`` are the names that were
            asked for, or have changed, and that no job has.
        """
        boot, _, version = since.partition(":")
        end = time.monotonic() + wait
        with self._changed:
            if since and boot != self._boot:
                return {"cursor": "", "reset": True, "jobs": [], "absent": []}
            wakes = self._wakes
            while True:
                changed = self._changed_since(int(version), deployments) if since else []
                left = end - time.monotonic()
                if changed or also or left <= 0 or self._closed or wakes != self._wakes:
                    break
                self._changed.wait(left)
            names = dict.fromkeys([*changed, *also])
            jobs = [self.describe(self._jobs[name]) for name in names if name in self._jobs]
            absent = [name for name in names if name not in self._jobs]
            return {"cursor": f"{self._boot}:{self._version}", "reset": False, "jobs": jobs, "absent": absent}

    def wake(self) -> None:
        """Let everybody who waits for a change answer now."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Kill everything, and wait for it."""
        with self._changed:
            self._closed = True
            for job in list(self._active.values()):
                self._kill(job, SERVER_ENDED)
            end = time.monotonic() + 10
            while self._active and time.monotonic() < end:
                self._changed.wait(0.1)

    # --- a job's life: everything below is called with the lock held -----------------------------------------------

    def _begin(self, job: Job) -> None:
        if lost := job.fate("vanish"):
            self._after(lost.after_seconds, lambda: self._vanish(job))
        if refused := job.fate("no_capacity"):
            job.reason = NO_CAPACITY.reason
            self._after(refused.after_seconds, lambda: self._end(job, NO_CAPACITY), job.timers)
        else:
            self._queue[job.id] = job
            self._fill_slots()

    def _fill_slots(self) -> None:
        while self._queue and not self._closed and (self._slots is None or len(self._running) < self._slots):
            self._start(self._queue.pop(next(iter(self._queue))))

    def _start(self, job: Job) -> None:
        env = {key: value for key, value in os.environ.items() if key in PASSED_ON or key.startswith("LC_")}
        missing = [name for name, secret in job.request.get("secrets", {}).items() if _secret(secret) is None]
        if missing:
            job.ending = Ending("failed", f"no secret for {', '.join(sorted(missing))}", "JobMisconfigured")
            self._over(job, None)
            return
        env |= job.request.get("env", {})
        env |= {name: _secret(secret) or "" for name, secret in job.request.get("secrets", {}).items()}
        python, *arguments = job.request["argv"]
        with job.log.open("ab") as log:
            job.node = subprocess.Popen(
                [sys.executable, "-I", "-S", node.__file__, python or sys.executable, *arguments],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=env, cwd=job.folder / "work", start_new_session=True,
                bufsize=0,
            )  # fmt: skip
        self._running.add(job.id)
        job.status, job.reason = "running", ""
        self._note("started", job)
        self._touch(job)
        threading.Thread(target=self._wait_for, args=(job, job.node), daemon=True).start()
        if (limit := job.request.get("native_limit_seconds")) is not None:
            late = Ending("stopped", f"it ran longer than its limit of {limit} s", "JobTimeout")
            self._after(limit, lambda: self._end(job, late), job.timers)
        if script := job.fate("preempt"):
            self._after(script.after_seconds, lambda: self._end(job, PREEMPTED), job.timers)
        if script := job.fate("evict"):
            self._after(script.after_seconds, lambda: self._end(job, EVICTED, kill=True), job.timers)

    def _wait_for(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        """Runs in a thread of the job's own, without the lock."""
        code = process.wait()
        with self._changed:
            self._over(job, code)

    def _end(self, job: Job, ending: Ending, *, delay: float = 0.0, kill: bool = False) -> None:
        """End a job from outside; who comes second changes nothing."""
        if job.ending is not None or job.is_over:
            return
        job.ending = ending
        if job.node is None:
            self._over(job, None)
            return
        if kill:
            self._say(job, b"kill\n")
            return
        job.status, job.reason = "stopping", ending.reason
        self._touch(job)
        grace = float(job.request.get("grace_seconds", GRACE_SECONDS))
        self._after(delay, lambda: self._say(job, b"term\n"), job.timers)
        self._after(delay + grace, lambda: self._say(job, b"kill\n"), job.timers)

    def _vanish(self, job: Job) -> None:
        self._kill(job, VANISHED)
        self._forget(job)

    def _kill(self, job: Job, ending: Ending) -> None:
        """End a job now, whatever else was to end it."""
        if job.is_over:
            return
        job.ending = ending
        self._say(job, b"kill\n")
        if job.node is None:
            self._over(job, None)

    @staticmethod
    def _say(job: Job, word: bytes) -> None:
        if job.node is not None and job.node.stdin is not None and not job.is_over:
            with contextlib.suppress(BrokenPipeError):
                job.node.stdin.write(word)
                job.node.stdin.flush()

    def _over(self, job: Job, code: int | None) -> None:
        found = job.ending or Ending("succeeded" if code == 0 else "failed", "")
        job.status, job.reason, job.failure, job.exit_code = found.status, found.reason, found.failure, code
        del self._active[job.id]
        self._queue.pop(job.id, None)
        self._running.discard(job.id)
        for timer in job.timers:
            timer.cancel()
        if job.node is not None and job.node.stdin is not None:
            job.node.stdin.close()
        self._note("ended", job, status=job.status, failure=job.failure, exit_code=code)
        self._touch(job)
        self._fill_slots()

    def _forget(self, job: Job) -> None:
        if self._jobs.get(job.name) is job:
            del self._jobs[job.name]
            self._touch(job)

    def _after(self, seconds: float, act: Callable[[], None], timers: list[threading.Timer] | None = None) -> None:
        """Act later, or now; ``timers`` are those that end with the job."""

        def locked() -> None:
            with self._changed:
                act()

        if seconds <= 0:
            act()
            return
        timer = threading.Timer(seconds, locked)
        timer.daemon = True
        if timers is not None:
            timers.append(timer)
        timer.start()

    # --- what others see -------------------------------------------------------------------------------------------

    def _touch(self, job: Job) -> None:
        if self._jobs.get(job.name) not in (job, None):
            return  # the job was forgotten, and its name is another's now
        self._version += 1
        self._changes[job.name] = (self._version, job.deployment)
        self._changes.move_to_end(job.name)
        self._changed.notify_all()

    def _changed_since(self, version: int, deployments: Collection[str] | None) -> list[str]:
        names = []
        for name, (changed, deployment) in reversed(self._changes.items()):
            if changed <= version:
                break
            if deployments is None or deployment in deployments:
                names.append(name)
        return names

    def _note(self, event: str, job: Job, **facts: Any) -> None:
        self._record.add(event, name=job.name, id=job.id, **facts)


def _secret(reference: Mapping[str, str]) -> str | None:
    """A reference names a variable of the server's own environment."""
    return os.environ.get(reference["variable"])
