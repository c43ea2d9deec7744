"""
The logs of some running jobs, as they are written: one open request each, and never more than a few.

Hundreds of jobs wait in one triggerer. A question every two seconds for each would be the peers' load again, so a
bounded number is followed, in the order in which they began to run; the others are read when they have ended.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from typing import Final

from airflow_provider_mlx.backends.base import LogChunk
from airflow_provider_mlx.exceptions import BackendUnavailable

from .client import Refused
from .logs import LineByLine
from .pod_log import PodLog

FOLLOWED_AT_ONCE: Final = 20
HELD_LINES: Final = 5_000
"""A job that prints faster than its lines are taken waits: the API server's connection holds the rest back."""
QUIET_SECONDS: Final = 120.0
"""The runtime prints a line every 30 s; a connection that is silent for longer is opened anew."""
PAUSE_SECONDS: Final = 2.0


class Followers:
    """Follows the logs of jobs of one namespace."""

    def __init__(self, log: PodLog, namespace: str, *, at_once: int = FOLLOWED_AT_ONCE) -> None:
        self._log = log
        self._namespace = namespace
        self._at_once = at_once
        self._followed: dict[str, Follower] = {}
        self._lock = threading.Lock()

    def take(self, job: str, cursor: str) -> LogChunk:
        """What has come since the cursor; never waits. A job that is not followed yet is, if there is a place."""
        with self._lock:
            follower = self._followed.get(job)
            if follower is not None and follower.cursor == cursor:
                return follower.take()
            if follower is not None:  # somebody else reads it now, from another place
                follower.end()
                del self._followed[job]
            if len(self._followed) < self._at_once:
                self._followed[job] = Follower(self._log, self._namespace, job, cursor)
            return LogChunk((), cursor)

    def retain(self, jobs: Collection[str]) -> None:
        """End what follows other jobs."""
        with self._lock:
            for job in set(self._followed) - set(jobs):
                self._followed.pop(job).end()

    def close(self) -> None:
        """End all of them."""
        self.retain(())


class Follower:
    """
    Follows one job's log from a cursor on, in a thread of its own.

    :ivar cursor: after the last line that was taken.
    """

    def __init__(self, log: PodLog, namespace: str, job: str, cursor: str) -> None:
        self.cursor = cursor
        self._log = log
        self._namespace = namespace
        self._job = job
        self._lines: deque[tuple[str, str]] = deque()
        self._room = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(cursor,), name=f"mlx-log {job}", daemon=True)
        self._thread.start()

    def take(self) -> LogChunk:
        """Every line that has come."""
        with self._room:
            lines = tuple(text for text, _ in self._lines)
            if self._lines:
                self.cursor = self._lines[-1][1]
            self._lines.clear()
            self._room.notify_all()
        return LogChunk(lines, self.cursor)

    def end(self) -> None:
        """Let the thread end soon."""
        self._ended.set()
        with self._room:
            self._room.notify_all()
        self._log.end(self._job)

    def _run(self, cursor: str) -> None:
        while not self._ended.is_set():
            try:
                over = self._follow(cursor)
            except (BackendUnavailable, Refused):
                over = False
            with self._room:
                cursor = self._lines[-1][1] if self._lines else self.cursor
            if over:
                return
            self._ended.wait(PAUSE_SECONDS)

    def _follow(self, cursor: str) -> bool:
        """Until the container ends or the connection breaks; whether the log is over."""
        lines = self._log.follow(self._namespace, self._job, cursor, quiet_seconds=QUIET_SECONDS)
        if lines is None:
            return False
        following = LineByLine(cursor)
        for raw in lines:
            if (texts := following.take(raw)) and not self._keep(texts, following.cursor):
                return True
        return self._log.is_over(self._namespace, self._job)

    def _keep(self, texts: list[str], cursor: str) -> bool:
        with self._room:
            self._room.wait_for(lambda: len(self._lines) < HELD_LINES or self._ended.is_set())
            self._lines.extend((text, cursor) for text in texts)
        return not self._ended.is_set()
