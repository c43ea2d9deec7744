"""What the tasks of running runs do, for the triggerer: a few runs are read at each look, the longest waiting first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from airflow_provider_mlx.backends.base import JobHandle, LogChunk
from airflow_provider_mlx.backends.kubeflow_pipelines.observer import id_of
from airflow_provider_mlx.exceptions import MlxError

READ_SECONDS: Final = 8.0
"""How often the tasks of one run are read."""
READINGS: Final = 4
"""Of one look; each is two requests."""


@dataclass
class _Followed:
    taken: str
    cursor: str
    lines: list[str] = field(default_factory=list)
    due: float = 0.0


class FollowedTasks:
    """
    The tasks of running jobs, as lines.

    :param read: the new lines of a run since a cursor, by its id.
    """

    def __init__(self, read: Callable[[str, str], LogChunk]) -> None:
        self._read = read
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    def take(self, job: JobHandle, cursor: str) -> LogChunk:
        """What has come since the cursor; never waits. A job that is not followed yet is from now on."""
        run = id_of(job)
        with self._lock:
            known = self._followed.get(run)
            if known is None or known.taken != cursor:
                self._followed[run] = _Followed(cursor, cursor)
                return LogChunk((), cursor)
            lines, known.lines, known.taken = tuple(known.lines), [], known.cursor
            return LogChunk(lines, known.taken)

    def retain(self, jobs: Sequence[JobHandle]) -> None:
        """These jobs run now; some of them are read."""
        now, runs = time.monotonic(), {id_of(job) for job in jobs}
        with self._lock:
            self._followed = {run: one for run, one in self._followed.items() if run in runs}
            due = sorted((one.due, run) for run, one in self._followed.items() if one.due <= now)
        for _, run in due[:READINGS]:
            one = self._followed[run]
            one.due = now + READ_SECONDS
            try:
                chunk = self._read(run, one.cursor)
            except MlxError:  # whether it runs is what counts
                continue
            with self._lock:
                one.lines += chunk.lines
                one.cursor = chunk.cursor

    def close(self) -> None:
        """It holds nothing open."""
