"""
What a supervisor owes the process that it runs: a stop is passed on, the grace is kept, and nothing of it is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Protocol, Sequence, Union  # noqa: UP035  (Python 3.9)

from .forking import ForkedProcess
from .memory import oom_kills
from .records import STOPPED_FILE
from .refusals import JobCancelled, OutOfMemory, Refusal, StepFailed

if TYPE_CHECKING:
    from .protocol import StepContext

HEARTBEAT_SECONDS = 30.0
GRACE_SECONDS = 25.0
"""Kubernetes gives 30 s between SIGTERM and SIGKILL, and the error must still be written in them."""

Process = Union["subprocess.Popen[Any]", ForkedProcess]


class Others(Protocol):
    """Processes that the one which is looked after has started, in groups of their own."""

    def tell(self, number: int) -> bool:
        """Pass a signal on to them; whether there were any."""

    def kill(self) -> None:
        """End all of them."""


class Forked(BaseException):
    """Raised in the new process after a fork, to leave the supervisor's code."""


class Guard:
    """
    Looks after one process at a time, by signals and one timer: no thread, and ``wait`` need not poll.

    :param say: tells people that the job was told to stop.
    :param beat: called once in a while while the job lives.
    """

    def __init__(self, work: Path, say: Callable[[str], None], beat: Callable[[], None] | None = None) -> None:
        self.grace = GRACE_SECONDS
        self.say = say
        self.beat = beat
        self.forked = False
        self.cancelled = ""
        """The signal by which the job was told to stop."""
        self.gone_at = float("inf")
        """When whatever runs must be gone, monotonic."""
        self.late_seconds = 0.0
        """How much longer than the grace it may take: of processes that keep the grace themselves."""
        self.process: Process | None = None
        self.others: Others | None = None
        self._work = work
        self._beat_seconds = HEARTBEAT_SECONDS
        self._kill_at = float("inf")
        self._killed_after_grace = False
        self._kills_before: int | None = None

    def listen(self) -> None:
        """Take the job's signals from here on."""
        self._kills_before = oom_kills()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_alarm)
        self._set_alarm()

    def keep(self, context: StepContext) -> None:
        """Take the grace and the heartbeats that the job was told."""
        self.grace = float(context.get("grace_seconds", GRACE_SECONDS))
        self._beat_seconds = float(context.get("heartbeat_seconds", HEARTBEAT_SECONDS))
        self._set_alarm()

    def end(self) -> None:
        """All is said: a stop that comes now must not change how the job has ended."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def check_cancelled(self) -> None:
        """
        Go on only if the job is wanted.

        :raises JobCancelled: it was told to stop.
        """
        if self.cancelled:
            raise JobCancelled(f"the job was told to stop ({self.cancelled})")

    def run(self, command: Sequence[str], env: dict[str, str]) -> tuple[int, list[str]]:
        """Run an installer, its output as ordinary log lines; its exit status and its last lines."""
        from .uris import without_credentials

        tail: list[str] = []
        with self.spawn(command, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout or ():
                line = without_credentials(line.rstrip("\n"))
                print(line, flush=True)
                tail = [*tail[-19:], line]
        self.check_cancelled()
        return process.returncode, tail

    def spawn(self, command: Sequence[str], env: dict[str, str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process in a group of its own, and tell it of a signal that came meanwhile."""
        self.process = process = subprocess.Popen(list(command), env=env, start_new_session=True, **options)
        if self.cancelled:
            process.send_signal(signal.SIGTERM)
        return process

    def fork(self, folder: Path) -> ForkedProcess:
        """
        Go on in a new process too, whose current folder this is: half the start-up, since nothing is loaded twice.

        Safe where this process has one thread.

        :raises Forked: in the new process.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        # A stop that comes in between must find either no child, or one that can be told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            self._become_the_child(folder)
        self.process = process = ForkedProcess(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        return process

    def _become_the_child(self, folder: Path) -> NoReturn:
        self.forked = True
        os.setsid()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        os.environ["PYTHONUNBUFFERED"] = "1"
        os.chdir(folder)
        raise Forked

    def wait(self) -> int:
        """The exit code of the process, when it is over and what it had left running is gone."""
        assert self.process is not None
        returned = self.process.wait()
        # What the step left running would keep the log open and the machine busy.
        self.kill()
        return returned

    def tell(self, number: int) -> None:
        """Pass a signal on: to the others, or where there is none (yet, or any more) to the process."""
        if self.others is not None and self.others.tell(number):
            return
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End the process and those that it has started."""
        if self.others is not None:
            self.others.kill()
        if self.process is not None:
            kill_group(self.process.pid)

    def cause_of_death(self, returned: int) -> Refusal:
        """Why a child that left neither result nor error is gone. Out of memory only where the kernel says so."""
        if self.cancelled:
            late = f" and was killed when its {self.grace:g} s were over" if self._killed_after_grace else ""
            return JobCancelled(f"the job was told to stop ({self.cancelled}){late}")
        if returned >= 0:
            return StepFailed(
                f"the step's process ended with exit code {returned} before its function returned",
                "look for os._exit(), a crashed native library or a second interpreter in the step's code",
            )
        name = signal_name(-returned)
        kills = oom_kills()
        more = kills is not None and self._kills_before is not None and kills > self._kills_before
        if -returned == signal.SIGKILL and more:
            return OutOfMemory(
                "the kernel killed the step's process, which used more memory than the job has",
                "ask for more memory in resources=, or work in smaller pieces",
            )
        hint = "often the sign of too little memory; the kernel left no word of it" if name == "SIGKILL" else ""
        return StepFailed(f"the step's process was killed by {name}" + (f" ({hint})" if hint else ""))

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        """Pass the signal on and give the user's code its time; a second signal does not lengthen it."""
        if not self.cancelled:
            self.cancelled = signal.Signals(number).name
            self.gone_at = time.monotonic() + self.grace
            self._kill_at = self.gone_at + self.late_seconds
            self._set_alarm()
            with contextlib.suppress(OSError):
                (self._work / STOPPED_FILE).touch()
            self.say(f"{self.cancelled}: the step has {self.grace:g} s to finish")
        self.tell(number)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() >= self._kill_at:
            self._kill_at = float("inf")
            self._killed_after_grace = True
            self.kill()
        elif self.beat is not None:
            self.beat()
        self._set_alarm()

    def _set_alarm(self) -> None:
        """One timer for heartbeats and the end of the grace period."""
        left = self._kill_at - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(0.001, min(self._beat_seconds, left)))


def kill_group(pid: int) -> None:
    """Kill a process and its group, unless they are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def signal_name(number: int) -> str:
    """The name of a signal's number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
