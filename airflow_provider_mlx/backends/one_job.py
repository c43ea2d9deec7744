"""What a worker asks that watches one job: often at first, and then less and less."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .base import JobHandle, JobObserver, JobStatus

FIRST_SECONDS: Final = 0.5
GROWTH: Final = 1.1
LONGEST_SECONDS: Final = 10.0
"""With two hundred tasks that wait in their workers this is twenty questions a second."""


class OneJobObserver(JobObserver):
    """
    Asks for one job, for backends that tell nobody of a change.

    :param look: asks for the job's status.
    :param close: frees what that holds open.
    """

    def __init__(self, look: Callable[[JobHandle], JobStatus], close: Callable[[], None]) -> None:
        self._look = look
        self._close = close
        self._status: JobStatus | None = None
        self._pause = FIRST_SECONDS

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """The job's status, at once when it has changed, else after the wait."""
        until = time.monotonic() + wait_seconds
        while True:
            found = {job.name: self._look(job) for job in jobs}
            before, self._status = self._status, next(iter(found.values()), None)
            if before != self._status:
                self._pause = FIRST_SECONDS
                return found
            left = until - time.monotonic()
            if left <= 0:
                return found
            time.sleep(min(self._pause, left))
            self._pause = min(self._pause * GROWTH, LONGEST_SECONDS)

    def close(self) -> None:
        """Free what it holds open."""
        self._close()
