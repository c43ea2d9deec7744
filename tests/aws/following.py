"""Watching the containers of a job: until they end, or somebody or some limit ends them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .jobs import Job
from .members import Member

SYNC_SECONDS: Final = 0.2
"""Between uploads of what changed in a folder that is followed."""

STOPPED: Final = "Stopped"
INTERRUPTED: Final = "Interrupted"
FAILED: Final = "Failed"


@dataclass
class Following:
    """
    One look after the containers of a job.

    :param limits: monotonic times, each by the secondary status that tells of it.
    :param on_end: told once why the containers are being ended.
    """

    job: Job
    members: Sequence[Member]
    grace_seconds: float
    limits: Mapping[str, float]
    on_end: Callable[[str], None]
    ended_by: str = ""
    failed: Member | None = None
    wait_seconds: float | None = None
    """After an interruption, until there are instances again; None is as long as at first."""
    _kill_at: float = field(default=float("inf"), init=False)
    _running: set[Member] = field(default_factory=set, init=False)

    def run(self) -> None:
        """Return when no container runs."""
        self._running = set(self.members)
        sync_at = time.monotonic()
        synced = any(member.mirrors for member in self.members)
        while self._running:
            now = time.monotonic()
            if synced and now >= sync_at:
                for member in self.members:
                    member.sync()
                sync_at = time.monotonic() + SYNC_SECONDS
            self._mind_the_clock(now)
            due = min(self._kill_at, *self.limits.values(), sync_at if synced else float("inf"))
            try:
                command = self.job.commands.get(timeout=min(60.0, max(0.0, due - time.monotonic())))
            except queue.Empty:
                continue
            self._obey(command.name, command.payload)

    def _obey(self, name: str, payload: Any) -> None:
        if name == "exited":
            self._running.discard(payload)
            code = payload.container.exit_code if payload.container else 0
            if code and not self.ended_by:
                self.failed = payload
                self._end(FAILED)
        elif name == "stop":
            self._end(STOPPED)
        elif name == "kill":  # the endpoint ends
            self.ended_by = self.ended_by or STOPPED
            self._kill()
        elif name == "interrupt" and not self.ended_by:
            self.wait_seconds = payload
            self._end(INTERRUPTED)

    def _mind_the_clock(self, now: float) -> None:
        if now >= self._kill_at:
            self._kill()
        if not self.ended_by:
            for word, at in self.limits.items():
                if now >= at:
                    self._end(word)
                    break

    def _end(self, why: str) -> None:
        if self.ended_by == INTERRUPTED and why == STOPPED:  # who is being taken away can still be stopped for good
            self.ended_by = why
            return
        if self.ended_by:
            return
        self.ended_by = why
        self.on_end(why)
        if why == FAILED:  # the first container that fails ends the job, and nobody waits for the others
            self._kill()
            return
        self._kill_at = time.monotonic() + self.grace_seconds
        for member in self._running:
            if member.container:
                member.container.send(member.stop_signal)

    def _kill(self) -> None:
        self._kill_at = float("inf")
        for member in self._running:
            if member.container:
                member.container.kill()
