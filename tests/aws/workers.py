"""Threads for jobs: as many as there are instances to have, begun when they are needed, and none that outlives the process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

Work = Callable[[], None]


class Workers:
    """Carries out work in the order of its coming."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._waiting = 0
        self._closed = False

    def submit(self, work: Work) -> None:
        """Do this when a thread is free."""
        with self._lock:
            if self._closed:
                return
            self._waiting += 1
            if self._waiting > 0 and len(self._threads) < self._most:
                name = f"sagemaker-job-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()
        self._work.put(work)

    def close(self) -> None:
        """Begin no more work."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._work.put(None)

    def wait(self, seconds: float) -> None:
        """Return when the threads are idle, or after so long."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            with self._lock:
                self._waiting -= 1
                closed = self._closed
            if not closed:
                work()
