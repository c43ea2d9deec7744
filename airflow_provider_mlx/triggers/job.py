"""
``JobTrigger``: observes one job while its task is deferred, shows its log, and says when a worker must act.

It submits nothing, collects nothing and decides nothing but one thing: whether a job that its task gave up is stopped.
"""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.exceptions import BackendUnavailable, MlxError, first_line
from airflow_provider_mlx.jobs.decision import KillDecision, Watch, on_lost_interest, stop_reason, while_watching
from airflow_provider_mlx.jobs.ledger import AttemptLedger, LogShown, utc_now
from airflow_provider_mlx.jobs.logs import ShownBytes, readable
from airflow_provider_mlx.jobs.orphans import stop_if_active
from airflow_provider_mlx.version_compat import state_of_task

from .order import WatchEvent, WatchOrder, Word
from .surroundings import reader_of, surroundings_for
from .watcher import CannotWatch, Watcher, watcher_for

T = TypeVar("T")

LOG_SECONDS: Final = 2.0
"""How often a trigger asks for new lines while the job runs, where few are watched."""
JOBS_AT_FULL_PACE: Final = 200
LONGEST_LOG_SECONDS: Final = 10.0
LINES_AT_ONCE: Final = 500
"""How many lines are shown before other triggers have their turn: a chunk may hold a quarter of a million."""
SAVE_SECONDS: Final = 10.0
"""How often it notes how far it got: after the loss of a triggerer at most that much repeats."""
BUG_SECONDS: Final = 60.0
"""How long a trigger that failed waits before a worker looks: a bug must not become a busy loop."""
STOP_TRIES: Final = 4
KILL_SECONDS: Final = 25.0
"""A triggerer gives `on_kill` thirty by default."""

MARKER: Final = "mlx: another triggerer goes on from line {}; lines of up to {:.0f} s may repeat"


class JobTrigger(BaseTrigger):
    """
    Watches one job.

    :param order: what :meth:`WatchOrder.to_wire` wrote.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.order = order
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return f"{__name__}.{type(self).__name__}", {"order": self.order}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event; never raise, since Airflow would fail the task and leave the job."""
        order = WatchOrder.from_wire(self.order)
        try:
            if order is None:
                self.log.warning("mlx: another version wrote this trigger: a worker looks after the job")
                event = WatchEvent(Word.LOOK)
            else:
                event = await _Watch(order, self.log).to_the_end()
        except Exception:
            self.log.exception("mlx: the trigger failed; a worker looks after the job in %.0f s", BUG_SECONDS)
            await asyncio.sleep(BUG_SECONDS)
            event = order.event(Word.LOOK) if order else WatchEvent(Word.LOOK)
        if order is not None:
            await asyncio.sleep(max(0.0, (order.not_before - utc_now()).total_seconds()))
        self._fired = True
        yield TriggerEvent(event.to_wire())  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """
        Airflow 3.3 calls this for every trigger whose row is no longer this triggerer's own: on a user's kill, and
        also when another triggerer took over. Only the task's state tells the two apart.
        """
        order = WatchOrder.from_wire(self.order)
        if order is not None:
            await _through_cancellations(self._stop_if_nobody_wants_it(order))

    async def _stop_if_nobody_wants_it(self, order: WatchOrder) -> None:
        identity = order.identity
        state = await sync_to_async(state_of_task)(
            dag_id=identity.dag_id, run_id=identity.run_id, task_id=identity.task_id, map_index=identity.map_index
        )
        if on_lost_interest(state) is KillDecision.LEAVE:
            self.log.info("mlx: the task is %s: somebody else looks after job %s", state, order.handle.name)
            return
        await self._stop(order, reason=stop_reason(state))

    async def cleanup(self) -> None:
        """Below Airflow 3.3 this is the only word that a trigger gets of a kill."""
        if not (hasattr(BaseTrigger, "on_kill") or self._fired):
            await self.on_kill()

    async def _stop(self, order: WatchOrder, *, reason: str) -> None:
        for attempt in range(STOP_TRIES):
            try:
                connection = await reader_of(order.conn_id)
                stopped = await sync_to_async(stop_job)(order, connection, reason)
            except BackendUnavailable as error:
                self.log.warning("mlx: job %s cannot be asked to stop yet: %s", order.handle.name, first_line(error))
                await asyncio.sleep(2**attempt)
            except (MlxError, CannotWatch) as error:
                self.log.error("mlx: job %s cannot be stopped: %s", order.handle.name, error)
                return
            else:
                self.log.info(
                    "mlx: %s: job %s %s", reason, order.handle.name, "is asked to stop" if stopped else "is over"
                )
                return
        self.log.error("mlx: job %s could not be asked to stop; `reap` does it later", order.handle.name)


_STOPPING: Final[set[asyncio.Task[None]]] = set()
"""Keeps what goes on after its trigger has ended: the loop alone holds tasks weakly."""


async def _through_cancellations(work: Coroutine[Any, Any, None]) -> None:
    """
    See work to its end, however often this task is cancelled meanwhile.

    The triggerer cancels a trigger anew with every sync until it is gone, and swallows what that does to ``on_kill``: a
    question that takes longer than a sync would be lost. After ``KILL_SECONDS`` the work goes on by itself.
    """
    task = asyncio.get_running_loop().create_task(work)
    _STOPPING.add(task)
    task.add_done_callback(_STOPPING.discard)
    until = asyncio.get_running_loop().time() + KILL_SECONDS
    while not task.done() and asyncio.get_running_loop().time() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=until - asyncio.get_running_loop().time())
    if task.done():
        task.result()


_READING: Final = threading.Lock()


def scope_of(backend: str, settings: str, conn_id: str | None) -> Mapping[str, Any]:
    """
    What tells two watchers apart, of settings as JSON: most triggers of a deployment have the same few.

    Slow the first time, since it imports the vendor's client; one thread at a time, for a thousand triggers that begin
    together would else all do it, and the event loop gets its turn between them.
    """
    with _READING:
        return _scope_of(backend, settings, conn_id)


@functools.lru_cache(maxsize=256)
def _scope_of(backend: str, settings: str, conn_id: str | None) -> Mapping[str, Any]:
    return backend_class(backend).from_recorded(json.loads(settings), conn_id).watch_scope()


def log_seconds(jobs: int) -> float:
    """How often a trigger asks for new lines where so many jobs are watched: a thousand questions are work, too."""
    return min(LOG_SECONDS * max(1.0, jobs / JOBS_AT_FULL_PACE), LONGEST_LOG_SECONDS)


class _Watch:
    """One job's status and log, until a worker must act."""

    def __init__(self, order: WatchOrder, log: Any) -> None:
        self._order = order
        self._log = log
        self._cursor, self._lines = order.cursor, order.shown_lines
        self._saved_at = asyncio.get_running_loop().time()
        self._limits = order.limits
        self._shown = ShownBytes()
        self._saved: LogShown | None = None
        self._said = ""
        self._store: ObjectStore | None = None

    async def to_the_end(self) -> WatchEvent:
        order = self._order
        try:
            await self._go_on_where_it_stopped()
            settings = json.dumps(order.settings, sort_keys=True)
            scope = await asyncio.to_thread(scope_of, order.handle.backend, settings, order.conn_id)
            around = surroundings_for(order.handle.backend, order.conn_id)
            async with (
                watcher_for(
                    order.handle.backend, scope=scope, settings=order.settings, conn_id=order.conn_id,
                    surroundings=around,
                ) as watcher,
                watcher.subscribe(order.handle) as subscription,
            ):  # fmt: skip
                while True:
                    status = await subscription.changed(timeout=log_seconds(watcher.jobs))
                    self._say(status)
                    await self._note_running(status)
                    await self._show_log(watcher)
                    verdict = while_watching(status, limits=self._limits, now=utc_now())
                    if verdict is not Watch.WAIT:
                        await self._save()
                        return self._event(Word.FINISHED if verdict is Watch.FINISHED else Word.TIMED_OUT)
        except CannotWatch as error:
            self._log.warning("mlx: %s: a worker watches the job instead", error)
            return self._event(Word.CANNOT_WATCH)

    def _event(self, word: Word) -> WatchEvent:
        return self._order.event(word, shown_lines=self._lines)

    def _say(self, status: JobStatus) -> None:
        """One line per change of the reason for waiting."""
        if status.reason and status.reason != self._said and status.state in (State.ACTIVE, State.UNKNOWN):
            self._log.info("mlx: waiting: %s", status.reason)
        self._said = status.reason

    async def _note_running(self, status: JobStatus) -> None:
        """The deadline counts from when the job runs, and the ledger knows since when; queueing does not count."""
        seconds = self._order.limit_seconds
        if status.running and self._limits.deadline is None and seconds is not None:
            since = await self._with_ledger(lambda ledger: ledger.note_running(utc_now()))
            if since is not None:
                self._limits = replace(self._limits, deadline=since + timedelta(seconds=seconds))

    async def _show_log(self, watcher: Watcher) -> None:
        handle, cursor = self._order.handle, self._cursor
        try:
            chunk = await watcher.read_log(handle, cursor)
        except MlxError:  # what cannot be read now may be read next time, and a worker reads it all at the end
            return
        for number, line in enumerate(chunk.lines, start=1):
            text = readable(line, self._order.nonce)
            if text is not None:
                self._lines += 1
                if (shown := self._shown.cut(text)) is not None:
                    self._log.info("%s", shown)
            if number % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._cursor = chunk.cursor
        if asyncio.get_running_loop().time() - self._saved_at >= SAVE_SECONDS:
            await self._save()

    async def _save(self) -> None:
        self._saved_at = asyncio.get_running_loop().time()
        shown = LogShown(self._cursor, self._lines, by=self._order.not_before.isoformat())
        if shown != self._saved:
            await self._with_ledger(lambda ledger: ledger.write_log_shown(shown))
            self._saved = shown

    async def _go_on_where_it_stopped(self) -> None:
        """Another triggerer may have run this same order, and was lost."""
        self._saved = await self._with_ledger(lambda ledger: ledger.read_log_shown())
        if self._saved is not None and self._saved.by == self._order.not_before.isoformat():
            self._cursor, self._lines = self._saved.cursor, self._saved.lines
            self._log.info(MARKER.format(self._lines + 1, SAVE_SECONDS))
        await self._save()

    async def _with_ledger(self, act: Callable[[AttemptLedger], T]) -> T | None:
        """Ask the ledger; it only makes the log's continuation neater, so no answer is no matter."""
        order = self._order
        try:
            if self._store is None:
                self._store = await _store_of(order.root, order.artifacts_conn_id)
            ledger = AttemptLedger(self._store, order.root, order.identity, order.attempt)
            return await asyncio.to_thread(act, ledger)
        except MlxError as error:
            self._log.debug("mlx: the ledger gave no answer: %s", first_line(error))
            return None


_STORES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str | None], ObjectStore]] = (
    weakref.WeakKeyDictionary()
)
"""A thousand triggers of one stack share one client."""


async def _store_of(root: str, conn_id: str | None) -> ObjectStore:
    stores = _STORES.setdefault(asyncio.get_running_loop(), {})
    if (root, conn_id) not in stores:
        stores[root, conn_id] = await sync_to_async(open_store)(root, conn_id)
    return stores[root, conn_id]


def stop_job(order: WatchOrder, connection: Callable[[str], Any], reason: str) -> bool:
    """Stop the job of an order, if it is active; whether it was. Blocks: not for the event loop."""
    store = open_store(order.root, order.artifacts_conn_id)
    ledger = AttemptLedger(store, order.root, order.identity, order.attempt)
    record = ledger.read_record()
    if record is None:
        return False
    kind = backend_class(order.handle.backend)
    backend = kind.from_recorded(order.settings, order.conn_id, store, read_connection=connection)
    return stop_if_active(ledger, record, backend, reason=reason, now=utc_now())
