"""
One observer of all jobs of one backend connection, in one event loop of the triggerer.

Triggers subscribe. The watcher asks the backend for all of them at once, in a thread of its own, and tells each only
what has changed. It has no side effects, and ends with its last subscriber.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import random
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_mlx.backends.base import (
    Backend,
    ConnectionRefused,
    JobHandle,
    JobObserver,
    JobStatus,
    LogChunk,
    State,
)
from airflow_provider_mlx.exceptions import BackendUnavailable, first_line

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""How long a backend may wait for a change, and the longest from the end of one look to the start of the next."""
LONGEST_BACKOFF_SECONDS: Final = 60.0
CONNECTION_READ_SECONDS: Final = 30.0
CONNECTION_SECONDS: Final = 15 * 60.0
"""How old a connection may grow before it is read again: credentials are rotated."""


class CannotWatch(Exception):
    """The triggerer cannot read the connection at all, and waiting does not change that."""


@dataclass
class Subscription:
    """
    One job as one trigger sees it.

    :param status: the newest; unknown until the first look.
    :param refused: why it cannot be watched here.
    """

    handle: JobHandle
    status: JobStatus = field(default_factory=lambda: JobStatus(State.UNKNOWN, ""))
    refused: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, status: JobStatus) -> None:
        """Wake the trigger if something has changed."""
        if status != self.status:
            self.status = status
            self.news.set()

    async def changed(self, *, timeout: float) -> JobStatus:
        """
        The newest status, at once if it is news, else after ``timeout`` seconds at the latest.

        :raises CannotWatch: the connection cannot be read here.
        """
        # `wait_for` makes a task and an exception each time: at a thousand triggers most of what they cost.
        late = asyncio.get_running_loop().call_later(timeout, self.news.set)
        try:
            await self.news.wait()
        finally:
            late.cancel()
        self.news.clear()
        if self.refused:
            raise CannotWatch(self.refused)
        return self.status


@dataclass(frozen=True)
class Surroundings:
    """
    What a watcher needs of Airflow and of the registry.

    :param connection: reads an Airflow connection without blocking the loop; ``LookupError``: there is none.
    :param backend: makes a backend of settings, a connection's id, and a reader of what was read; may be slow.
    :param lag: told how many seconds late a look came.
    """

    connection: Callable[[str], Any]
    backend: Callable[[Mapping[str, Any], Callable[[str], Any]], Backend]
    lag: Callable[[float], None] = lambda seconds: None


class ReadOnLoop:
    """
    Connections for threads beside a loop: each is read once, on the loop, by whoever asks for it first.

    A backend may need a second connection, whose id its first one holds.

    :param read: reads a connection without blocking the loop.
    """

    def __init__(self, read: Callable[[str], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._read = read
        self._loop = loop
        self._known: dict[str, Any] = {}

    def __call__(self, conn_id: str) -> Any:
        """
        A connection; never called on the loop itself.

        :raises CannotWatch: there is none that this triggerer may see.
        :raises BackendUnavailable: it cannot be read now.
        """
        if conn_id not in self._known:
            reading = asyncio.run_coroutine_threadsafe(self.prepare(conn_id), self._loop)
            try:
                reading.result(CONNECTION_READ_SECONDS)
            except TimeoutError:
                reading.cancel()
                raise BackendUnavailable(f"the connection `{conn_id}` cannot be read: no answer") from None
        return self._known[conn_id]

    async def prepare(self, conn_id: str) -> None:
        """The same on the loop, beforehand."""
        try:
            self._known[conn_id] = await self._read(conn_id)
        except LookupError as error:
            raise CannotWatch(str(error)) from error
        except Exception as error:
            raise BackendUnavailable(f"the connection `{conn_id}` cannot be read: {type(error).__name__}") from error


class Watcher:
    """
    Observes the jobs of one connection.

    :param settings: of the target that came first; others with the same scope share this watcher.
    """

    def __init__(
        self, *, name: str, settings: Mapping[str, Any], conn_id: str | None, surroundings: Surroundings
    ) -> None:
        self.name = name
        self._settings = settings
        self._conn_id = conn_id
        self._around = surroundings
        self._subscriptions: list[Subscription] = []
        self._task: asyncio.Task[None] | None = None
        # Clients of vendors are not made for two threads: one observes, the other reads logs, each with its own.
        self._observing = ThreadPoolExecutor(1, thread_name_prefix=f"mlx-watch-{name}")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix=f"mlx-log-{name}")
        self._observer: JobObserver | None = None
        self._reader: Backend | None = None
        self._connected_at = float("-inf")
        self.users = 0
        """How many hold it; see :func:`watcher_for`."""

    @property
    def jobs(self) -> int:
        """How many it watches."""
        return len(self._subscriptions)

    @asynccontextmanager
    async def subscribe(self, handle: JobHandle) -> AsyncIterator[Subscription]:
        """Listen to one job; the first subscriber starts the watcher and the last one ends it."""
        subscription = Subscription(handle)
        self._subscriptions.append(subscription)
        if self._task is None or self._task.done():
            # In an empty context: else its lines would land in the first subscriber's task log, and nowhere later.
            self._task = contextvars.Context().run(asyncio.get_running_loop().create_task, self._watch())
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            if not self._subscriptions:
                self._task.cancel()
                self._task = None

    async def read(self, act: Callable[[Backend], Any]) -> Any:
        """
        Do something with a backend in the thread for logs.

        :raises BackendUnavailable: there is no connection yet, or no answer.
        """
        reader = self._reader
        if reader is None:
            raise BackendUnavailable("the backend is not connected yet")
        return await asyncio.get_running_loop().run_in_executor(self._reading, act, reader)

    async def read_log(self, handle: JobHandle, cursor: str) -> LogChunk:
        """
        The next lines of a job's log.

        :raises BackendUnavailable: there is no connection yet, or no answer.
        """
        observer = self._observer
        followed = observer.follow(handle, cursor) if observer is not None else None
        if followed is not None:
            return followed
        chunk: LogChunk = await self.read(lambda backend: backend.read_log(handle, cursor))
        return chunk

    def close(self) -> None:
        """Let the threads end."""
        self._observing.shutdown(wait=False)
        self._reading.shutdown(wait=False)

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        failures = 0
        try:
            while True:
                started = time.monotonic()
                try:
                    await self._look()
                    failures = 0
                except CannotWatch as error:
                    self._refuse(str(error))
                except BackendUnavailable as error:
                    failures += 1
                    self._unknown(error)
                except Exception as error:
                    # A bug must neither end the watcher nor be silent: subscribers learn that nothing is known.
                    log.exception("the watcher of %s failed and goes on", self.name)
                    failures += 1
                    self._unknown(error)
                pause = self._pause(failures)
                await asyncio.sleep(pause)
                if not failures:
                    self._around.lag(max(0.0, time.monotonic() - started - LOOK_SECONDS - pause))
        finally:
            self._disconnect()

    def _pause(self, failures: int) -> float:
        """Seconds until the next look: a backend that does not answer is asked less and less often."""
        if failures:
            backoff = min(LOOK_SECONDS * 2.0**failures, LONGEST_BACKOFF_SECONDS)
            return backoff * random.uniform(0.75, 1.25)  # noqa: S311
        return min(self._observer.pause_seconds, LOOK_SECONDS) if self._observer is not None else LOOK_SECONDS

    async def _look(self) -> None:
        if time.monotonic() - self._connected_at > CONNECTION_SECONDS:
            await self._connect()
        assert self._observer is not None
        jobs = [subscription.handle for subscription in self._subscriptions]
        loop = asyncio.get_running_loop()
        try:
            seen = await loop.run_in_executor(self._observing, self._observer.observe, jobs, LOOK_SECONDS)
        except ConnectionRefused:
            self._connected_at = float("-inf")  # read the connection again before the next look
            raise
        for subscription in self._subscriptions:
            if subscription.handle.name in seen:
                subscription.tell(seen[subscription.handle.name])

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        connections = ReadOnLoop(self._around.connection, loop)
        if self._conn_id is not None:
            await connections.prepare(self._conn_id)
        make = self._around.backend
        backend = await loop.run_in_executor(self._observing, make, self._settings, connections)
        self._disconnect()
        self._observer = await loop.run_in_executor(self._observing, backend.observer)
        self._reader = await loop.run_in_executor(self._reading, make, self._settings, connections)
        self._connected_at = time.monotonic()

    def _disconnect(self) -> None:
        observer, self._observer, self._reader = self._observer, None, None
        self._connected_at = float("-inf")
        if observer is not None:
            try:
                self._observing.submit(observer.close)  # after the look that may still be under way
            except RuntimeError:  # the thread has ended already
                observer.close()

    def _unknown(self, error: Exception) -> None:
        status = JobStatus(State.UNKNOWN, first_line(error))
        for subscription in self._subscriptions:
            subscription.tell(status)

    def _refuse(self, why: str) -> None:
        for subscription in self._subscriptions:
            subscription.refused = why
            subscription.news.set()


_WATCHERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Watcher]] = weakref.WeakKeyDictionary()
"""``dag.test()`` runs every trigger in a loop of its own, so watchers are a loop's."""


@asynccontextmanager
async def watcher_for(
    backend: str,
    *,
    scope: Mapping[str, Any],
    settings: Mapping[str, Any],
    conn_id: str | None,
    surroundings: Surroundings,
) -> AsyncIterator[Watcher]:
    """
    The one watcher of a backend's connection and scope in this loop; it is closed with the last of its users.

    :param scope: what, besides the connection, tells two watchers apart.
    """
    watchers = _WATCHERS.setdefault(asyncio.get_running_loop(), {})
    key = json.dumps([backend, conn_id, scope], sort_keys=True)
    watcher = watchers.get(key)
    if watcher is None:
        watcher = Watcher(name=backend, settings=settings, conn_id=conn_id, surroundings=surroundings)
        watchers[key] = watcher
    watcher.users += 1
    try:
        yield watcher
    finally:
        watcher.users -= 1
        if not watcher.users:
            watchers.pop(key, None)
            watcher.close()
