"""
The logs of all running jobs at once, for the triggerer: one search over the streams of our jobs, for all of them.

CloudWatch allows a few reads a second per account, and a read per job would be hundreds. What a search misses, since it
came more than a minute late, is in the log that a worker reads when the job is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobHandle, LogChunk
from airflow_provider_mlx.exceptions import BackendUnavailable

from .client import AwsClient, Missing
from .logs import GROUPS, Cursor, Event, JobLogs, line_of
from .names import PREFIX, sagemaker_name
from .settings import Kind

EVERY_SECONDS: Final = 4.0
LATE_MILLISECONDS: Final = 60_000
"""Streams are written one by one: what one brings may be older than what another has brought."""
PAGES: Final = 20
"""Of one search; what is left over is found by the next."""
CATCHING_UP: Final = 5
"""Jobs whose log is read from the start by one look: those that some trigger has just begun to show."""
HELD_LINES: Final = 20_000
"""Of one job; one whose lines nobody takes is read anew when somebody does."""


@dataclass
class Followed:
    """
    One job's log.

    :param taken: the cursor of whoever shows it.
    :param cursor: behind the lines that wait to be taken.
    :param is_behind: it is read on its own until it has nothing new.
    """

    instances: int
    taken: str
    cursor: Cursor
    lines: list[str] = field(default_factory=list)
    is_behind: bool = True


class Following:
    """Follows the jobs that somebody shows; ``refresh`` asks, in one thread, and ``take`` only hands over."""

    def __init__(self, client: AwsClient, kind: Kind) -> None:
        self._client = client
        self._group = GROUPS[kind]
        self._logs = JobLogs(client, kind)
        self._jobs: dict[str, Followed] = {}
        self._lock = threading.Lock()
        self._newest = 0
        self._next_at = 0.0

    def take(self, handle: JobHandle, cursor: str) -> LogChunk:
        """What has come since the cursor; a job that nobody followed from there is followed from now on."""
        name = sagemaker_name(handle.name)
        with self._lock:
            job = self._jobs.get(name)
            if job is None or job.taken != cursor or len(job.lines) > HELD_LINES:
                instances = int(handle.location.get("instances") or 1)
                self._jobs[name] = Followed(instances, cursor, Cursor(cursor))
                return LogChunk((), cursor)
            lines, job.lines = tuple(job.lines), []
            if lines:
                job.taken = str(job.cursor)
            return LogChunk(lines, job.taken)

    def refresh(self, running: Collection[str]) -> None:
        """
        Ask for what is new, if it is time to.

        :param running: SageMaker's names of the jobs that run; others are forgotten.
        """
        now = time.monotonic()
        with self._lock:
            self._jobs = {name: job for name, job in self._jobs.items() if name in running}
            followed = dict(self._jobs)
        if not followed or now < self._next_at:
            return
        self._next_at = now + EVERY_SECONDS
        try:
            self._catch_up([(name, job) for name, job in followed.items() if job.is_behind][:CATCHING_UP])
            self._search(followed)
        except BackendUnavailable:  # the statuses are what counts
            return

    def _catch_up(self, jobs: Sequence[tuple[str, Followed]]) -> None:
        for name, job in jobs:
            chunk = self._logs.read(name, str(job.cursor), instances=job.instances)
            with self._lock:
                job.lines += chunk.lines
                job.cursor, job.is_behind = Cursor(chunk.cursor), bool(chunk.lines)

    def _search(self, followed: dict[str, Followed]) -> None:
        found: dict[tuple[str, str], list[Event]] = {}
        for event in self._events():
            name, _, stream = event["logStreamName"].partition("/")
            self._newest = max(self._newest, int(event["timestamp"]))
            if name in followed and not followed[name].is_behind:
                found.setdefault((name, stream), []).append(event)
        with self._lock:
            for (name, stream), events in found.items():
                job = followed[name]
                fresh = job.cursor.take(stream, events)
                job.lines += [line_of(event, stream if job.instances > 1 else "") for event in fresh]

    def _events(self) -> list[Event]:
        since = self._newest - LATE_MILLISECONDS if self._newest else int(time.time() * 1000) - LATE_MILLISECONDS
        request: dict[str, Any] = {"logGroupName": self._group, "logStreamNamePrefix": PREFIX, "startTime": since}
        found: list[Event] = []
        for _ in range(PAGES):
            try:
                answer = self._client.call("filter_log_events", service="logs", **request)
            except Missing:  # the group is made with the account's first line
                return found
            found += answer["events"]
            if not answer.get("nextToken"):
                break
            request["nextToken"] = answer["nextToken"]
        return found
