"""
The supervisor: the job's first process, which outlives whatever happens to the user's code.

It verifies the context, unpacks the source, prepares the environment, runs the user's code in one child process, passes
signals on to it, and says in ``error.json`` what became of a child that could not say so itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Sequence, cast  # noqa: UP035  (Python 3.9)

from .forking import ForkedProcess, may_fork
from .lines import LineWriter
from .memory import oom_kills
from .protocol import (
    CONTEXT_FILE,
    EXIT_CANCELLED,
    EXIT_MISCONFIGURED,
    EXIT_OK,
    EXIT_STEP_FAILED,
    EXIT_TAMPERED,
    PROTOCOL,
    SERIES_FILE,
    StepContext,
)
from .records import OUTCOME_FILE, Recorder, now, rank
from .refusals import BundleRefused, JobCancelled, JobMisconfigured, OutOfMemory, Refusal, StepFailed
from .store import Store

if TYPE_CHECKING:
    from .checkpoints import Keeper
    from .protocol import StepError, Timings

HEARTBEAT_SECONDS = 30.0
GRACE_SECONDS = 25.0
"""Kubernetes gives 30 s between SIGTERM and SIGKILL, and the error must still be written in them."""
LAST_CHECKPOINT_SECONDS, LATE_SECONDS = 600.0, 3.0  # when the step is over; after the grace of one that was stopped


def main() -> None:
    """Run the job that ``sys.argv`` (bundle, its digest, context, its digest) describes. Never returns."""
    sys.path[:] = [entry for entry in sys.path if entry]
    from .extraction import fresh_folder

    bundle, bundle_sha256, location, expected = sys.argv[1:5]
    started_at = now()
    work = fresh_folder()
    supervisor: Supervisor | None = None
    try:
        try:
            context = read_context(location, expected)
        except Refusal as refusal:
            print(f"mlx: {refusal.what}", flush=True)
            sys.exit(refusal.exit_status)
        supervisor = Supervisor(context, Path(bundle).absolute(), bundle_sha256, work, started_at)
        sys.exit(supervisor.run())
    except Forked:
        pass  # this is the child now: it leaves the supervisor's frames first, so that none of their endings is its own
    finally:
        if supervisor is None or not supervisor.forked:
            import shutil

            shutil.rmtree(work, ignore_errors=True)
    from .child import run_child

    run_child(str(Path(bundle).absolute()), work, supervisor.timings if supervisor else {})


class Forked(BaseException):
    """Raised in the new process after a fork, to leave the supervisor's code."""


class ContextRefused(JobMisconfigured):
    """The context is not the one that was recorded with the request."""

    exit_status = EXIT_TAMPERED


def read_context(location: str, expected_sha256: str) -> StepContext:
    """
    Read and verify ``context.json``.

    :param location: a path, or a URI of any scheme that a client in the image can read.
    :raises Refusal: it cannot be read, is not the one that was promised, or is of another protocol.
    """
    import hashlib

    try:
        data = Store().read_bytes(location) if "://" in location else Path(location).read_bytes()
    except Refusal:
        raise
    except Exception as error:  # a store's client raises what it likes
        raise JobMisconfigured(f"the context {location} cannot be read: {type(error).__name__}: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise ContextRefused(f"context {location} is {found} not {expected_sha256}")
    try:
        context = json.loads(data)
    except ValueError as error:
        raise JobMisconfigured(f"the context {location} is not JSON: {error}") from error
    version = context.get("protocol") if isinstance(context, dict) else None
    if version != PROTOCOL:
        raise JobMisconfigured(f"context {location} speaks protocol {version!r}, this runtime speaks {PROTOCOL}")
    missing = [key for key in ("nonce", "step", "payload", "outputs") if key not in context]
    if missing:
        raise JobMisconfigured(f"context {location} lacks {', '.join(missing)}")
    return cast("StepContext", context)


class Supervisor:
    """Runs one child and answers for it."""

    def __init__(
        self, context: StepContext, bundle: Path, bundle_sha256: str, work: Path, started_at: str
    ) -> None:  # fmt: skip
        self._context = context
        self._bundle = bundle
        self._bundle_sha256 = bundle_sha256
        self._work = work
        self._store = Store(context.get("store", {}), scratch=work)
        self._recorder = Recorder(context, self._store, work)
        self._recorder.timings["started_at"] = started_at
        self._lines = LineWriter(context["nonce"], sys.stdout, by="supervisor")
        self._grace = float(context.get("grace_seconds", GRACE_SECONDS))
        self._heartbeat = float(context.get("heartbeat_seconds", HEARTBEAT_SECONDS))
        self._process: subprocess.Popen[Any] | ForkedProcess | None = None
        self.forked = False
        self._cancelled = ""
        self._kill_at = self._gone_at = float("inf")
        self._killed_after_grace = False
        self._checkpoints: Keeper | None = None

    @property
    def timings(self) -> Timings:
        """What the parts took so far."""
        return self._recorder.timings

    def run(self) -> int:
        """
        The whole job; the exit status, from ``protocol.py``.

        :raises Forked: in the child.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_alarm)
        self._set_alarm()
        kills = oom_kills()
        try:
            self._unpack()
            python = self._prepare()
            returned = self._run_child(python)
            if (self._work / OUTCOME_FILE).exists():
                return self._exit_status(returned)
            raise self._cause_of_death(returned, kills)
        except Refusal as refusal:
            return self._fail(refusal, self._process.returncode if self._process else None)
        finally:
            if not self.forked:
                self._keep_the_rest()
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _unpack(self) -> None:
        import io
        import zipfile

        from .extraction import extract_source

        try:
            extract_source(io.BytesIO(self._verified_bundle()), self._work)
        except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
            raise BundleRefused(f"the bundle cannot be unpacked: {error}") from error
        (self._work / CONTEXT_FILE).write_text(json.dumps(self._context))

    def _verified_bundle(self) -> bytes:
        """
        The bundle, hashed once more: on a mounted root somebody may have replaced it since the bootstrap looked.

        What is extracted is what was hashed; a bundle has at most 50 MB.
        """
        import hashlib

        data = self._bundle.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != self._bundle_sha256:
            raise BundleRefused(
                f"bundle {self._bundle} is {found} not {self._bundle_sha256}: it was replaced meanwhile"
            )
        return data

    def _prepare(self) -> str:
        """The interpreter for the user's code, after its requirements are installed."""
        wanted = self._context.get("environment", {})
        if not wanted.get("requirements"):
            return sys.executable
        from .environment import prepare_environment

        start = time.monotonic()
        try:
            allowed = self._context.get("store", {}).get("allowed", ())
            return prepare_environment(wanted, self._work, self._run_command, store=self._store, allowed=allowed)
        finally:
            self._recorder.timings["install"] = round(time.monotonic() - start, 6)

    def _run_command(self, command: Sequence[str], env: dict[str, str]) -> tuple[int, list[str]]:
        """Run an installer, its output as ordinary log lines; its exit status and its last lines."""
        from .uris import without_credentials

        tail: list[str] = []
        with self._spawn(command, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout or ():
                line = without_credentials(line.rstrip("\n"))
                print(line, flush=True)
                tail = [*tail[-19:], line]
        self._check_cancelled()
        return process.returncode, tail

    def _run_child(self, python: str) -> int:
        self._check_cancelled()
        process = self._fork() if python == sys.executable and may_fork() else self._start(python)
        self._keep_checkpoints()
        returned = process.wait()
        # What the step left running would keep the log open and the machine busy.
        self._signal_group(process, signal.SIGKILL)
        return returned

    def _keep_checkpoints(self) -> None:
        """Where the store is no folder here, rank 0 stores them; after the fork, since it takes a thread."""
        uri = self._context.get("checkpoint_uri")
        if uri and rank() == 0 and self._store.local_path(uri) is None:
            from .checkpoints import keep

            self._checkpoints = keep(self._context, self._work)

    def _keep_the_rest(self) -> None:
        """When the result or the error is written: the metrics of a step that failed, and the last checkpoint."""
        if (self._work / SERIES_FILE).exists() and rank() == 0:
            from .series import rescue

            rescue(self._work / SERIES_FILE, self._store, self._context["outputs"]["uri"])
        if self._checkpoints is not None:
            until = time.monotonic() + LAST_CHECKPOINT_SECONDS
            self._checkpoints.finish(lambda: min(until, self._gone_at + LATE_SECONDS) - time.monotonic())

    def _start(self, python: str) -> subprocess.Popen[Any]:
        from .child_command import CHILD_COMMAND

        command = [python, "-c", CHILD_COMMAND, str(self._bundle), str(self._work), json.dumps(self._recorder.timings)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return self._spawn(command, environment, cwd=self._work / "source")

    def _fork(self) -> ForkedProcess:
        """
        The user's code runs in this interpreter's image: half the start-up, since nothing is loaded twice.

        Safe where the supervisor has one thread.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        # A stop that comes in between must find either no child, or one that can be told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            self.forked = True
            os.setsid()
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            os.environ["PYTHONUNBUFFERED"] = "1"
            os.chdir(self._work / "source")
            raise Forked
        self._process = process = ForkedProcess(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        return process

    def _spawn(self, command: Sequence[str], env: dict[str, str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process in a group of its own, and tell it of a signal that came meanwhile."""
        self._process = subprocess.Popen(list(command), env=env, start_new_session=True, **options)
        if self._cancelled:
            self._process.send_signal(signal.SIGTERM)
        return self._process

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise JobCancelled(f"the job was told to stop ({self._cancelled})")

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        """Pass the signal on and give the user's code its time; a second signal does not lengthen it."""
        if not self._cancelled:
            self._cancelled = signal.Signals(number).name
            self._kill_at = self._gone_at = time.monotonic() + self._grace
            self._set_alarm()
            self._lines.write("log", message=f"{self._cancelled}: the step has {self._grace:g} s to finish")
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() >= self._kill_at:
            self._kill_at = float("inf")
            self._killed_after_grace = True
            if self._process is not None:
                self._signal_group(self._process, signal.SIGKILL)
        else:
            self._lines.write("heartbeat")
        self._set_alarm()

    def _set_alarm(self) -> None:
        """One timer for heartbeats and the end of the grace period: no thread, and `wait` need not poll."""
        left = self._kill_at - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(0.001, min(self._heartbeat, left)))

    def _signal_group(self, process: subprocess.Popen[Any] | ForkedProcess, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)

    def _exit_status(self, returned: int) -> int:
        if (self._work / OUTCOME_FILE).read_text() == "result":
            return EXIT_OK
        if self._cancelled:
            return EXIT_CANCELLED
        return returned if returned in (EXIT_STEP_FAILED, EXIT_MISCONFIGURED, EXIT_TAMPERED) else EXIT_STEP_FAILED

    def _cause_of_death(self, returned: int, kills_before: int | None) -> Refusal:
        """Why a child that left neither result nor error is gone. Out of memory only where the kernel says so."""
        if self._cancelled:
            late = f" and was killed when its {self._grace:g} s were over" if self._killed_after_grace else ""
            return JobCancelled(f"the job was told to stop ({self._cancelled}){late}")
        if returned >= 0:
            return StepFailed(
                f"the step's process ended with exit code {returned} before its function returned",
                "look for os._exit(), a crashed native library or a second interpreter in the step's code",
            )
        name = _signal_name(-returned)
        kills = oom_kills()
        if -returned == signal.SIGKILL and kills is not None and kills_before is not None and kills > kills_before:
            return OutOfMemory(
                "the kernel killed the step's process, which used more memory than the job has",
                "ask for more memory in resources=, or work in smaller pieces",
            )
        hint = "often the sign of too little memory; the kernel left no word of it" if name == "SIGKILL" else ""
        return StepFailed(f"the step's process was killed by {name}" + (f" ({hint})" if hint else ""))

    def _fail(self, refusal: Refusal, returned: int | None) -> int:
        print(f"mlx: {refusal.reason}: {refusal.what}", flush=True)
        body: StepError = {
            "reason": refusal.reason,
            "type": refusal.reason,
            "message": refusal.what,
            "remedy": refusal.remedy,
            "exit_code": returned if returned is not None and returned >= 0 else None,
            "signal": _signal_name(-returned) if returned is not None and returned < 0 else None,
        }
        self._recorder.write_error(body, children=True)
        return refusal.exit_status


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
