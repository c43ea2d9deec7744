"""One watcher for many jobs."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Mapping, Sequence

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused, JobHandle, JobObserver, JobStatus, State
from airflow_provider_mlx.exceptions import BackendUnavailable
from airflow_provider_mlx.triggers import watcher as module
from airflow_provider_mlx.triggers.watcher import CannotWatch, Surroundings, watcher_for

RUNNING = JobStatus(State.ACTIVE, running=True)
DONE = JobStatus(State.SUCCEEDED)
SHARED: contextvars.ContextVar[str] = contextvars.ContextVar("shared", default="nobody's")


class Board(JobObserver):
    """What the backend says, and how it was asked."""

    def __init__(self) -> None:
        self.says: dict[str, JobStatus] = {}
        self.calls: list[list[str]] = []
        self.threads: set[str] = set()
        self.faults: list[Exception] = []
        self.contexts: set[str] = set()
        self.closed = 0

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        self.calls.append([job.name for job in jobs])
        self.threads.add(threading.current_thread().name)
        if self.faults:
            raise self.faults.pop(0)
        return {job.name: self.says.get(job.name, RUNNING) for job in jobs}

    def close(self) -> None:
        self.closed += 1


class Connected:
    def __init__(self, board: Board) -> None:
        self.board = board

    def observer(self) -> Board:
        return self.board


class Place:
    """The surroundings of a watcher."""

    def __init__(self, board: Board) -> None:
        self.board, self.read, self.contexts = board, [], set()
        self.error: Exception | None = None

    async def connection(self, conn_id):
        self.read.append(conn_id)
        self.contexts.add(SHARED.get())
        if self.error:
            raise self.error
        return conn_id

    def around(self) -> Surroundings:
        return Surroundings(connection=self.connection, backend=lambda settings, read: Connected(self.board))

    def watcher(self, conn_id="conn", scope=None):
        return watcher_for("fake", scope=scope or {}, settings={}, conn_id=conn_id, surroundings=self.around())


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "LONGEST_BACKOFF_SECONDS", 0.05)
    return Place(Board())


def job(name):
    return JobHandle("fake", name, id=name)


async def until_done(place, name, **where):
    async with place.watcher(**where) as watcher, watcher.subscribe(job(name)) as subscription:
        while (status := await subscription.changed(timeout=1)) != DONE:
            pass
        return status


def test_two_hundred_jobs_are_one_question(place):
    async def scenario():
        waiting = [asyncio.create_task(until_done(place, f"job-{index}")) for index in range(200)]
        while not place.board.calls or len(place.board.calls[-1]) < 200:
            await asyncio.sleep(0.01)
        asked = len(place.board.calls)
        assert asked < 20, "as many questions as looks, not as jobs"
        place.board.says = {f"job-{index}": DONE for index in range(200)}
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
    assert place.read == ["conn"], "one connection, read once"
    assert len(place.board.threads) == 1, "in one thread"
    assert place.board.closed == 1, "and it ends with its last subscriber"


def test_an_observer_that_hears_of_changes_is_asked_again_at_once(place, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 30.0)
    monkeypatch.setattr(Board, "pause_seconds", 0.01)

    async def scenario():
        waiting = [asyncio.create_task(until_done(place, name)) for name in ("first", "second")]
        place.board.says = {"first": DONE}
        await waiting[0]
        place.board.says = {"first": DONE, "second": DONE}
        await asyncio.wait_for(waiting[1], 10)

    asyncio.run(scenario())


def test_another_connection_or_scope_is_another_watcher(place):
    async def scenario():
        for where in ({"conn_id": "a"}, {"conn_id": "b"}, {"conn_id": "b", "scope": {"namespace": "ml"}}):
            place.board.says = {"job": DONE}
            await until_done(place, "job", **where)

    asyncio.run(scenario())
    assert place.read == ["a", "b", "b"]


def test_it_does_not_live_in_its_first_subscribers_context(place):
    async def scenario():
        SHARED.set("the first subscriber's")
        place.board.says = {"job": DONE}
        await until_done(place, "job")

    asyncio.run(scenario())
    assert place.contexts == {"nobody's"}


def test_credentials_that_are_refused_are_read_again(place):
    async def scenario():
        place.board.faults = [ConnectionRefused("401")]
        place.board.says = {"job": DONE}
        await until_done(place, "job")

    asyncio.run(scenario())
    assert place.read == ["conn", "conn"]


def test_a_connection_is_read_again_when_it_is_old(place, monkeypatch):
    monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.1)

    async def scenario():
        async with place.watcher() as watcher, watcher.subscribe(job("job")):
            await asyncio.sleep(0.4)

    asyncio.run(scenario())
    assert len(place.read) >= 3


@pytest.mark.parametrize("fault", [BackendUnavailable("503"), RuntimeError("a bug")])
def test_a_failure_wakes_everybody_with_unknown_and_the_watcher_goes_on(place, fault):
    async def scenario():
        place.board.faults = [fault] * 3
        place.board.says = {"job": DONE}
        async with place.watcher() as watcher, watcher.subscribe(job("job")) as subscription:
            first = await subscription.changed(timeout=1)
            assert (first.state, first.reason) == (State.UNKNOWN, str(fault))
            while await subscription.changed(timeout=1) != DONE:
                pass

    asyncio.run(scenario())


def test_a_connection_that_does_not_exist_is_said_and_not_waited_for(place):
    async def scenario():
        place.error = LookupError("no connection")
        with pytest.raises(CannotWatch, match="no connection"):
            await until_done(place, "job")

    asyncio.run(scenario())


def test_an_airflow_api_that_gives_no_answer_is_waited_for(place):
    async def scenario():
        place.error = OSError("the API server is away")
        waiting = asyncio.create_task(until_done(place, "job"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        place.error = None
        place.board.says = {"job": DONE}
        await asyncio.wait_for(waiting, 2)

    asyncio.run(scenario())


def test_the_loop_is_not_blocked_by_a_slow_backend(place, monkeypatch):
    slow = threading.Event()

    def observe(jobs, wait_seconds):
        slow.wait(0.3)
        return {item.name: DONE for item in jobs}

    monkeypatch.setattr(place.board, "observe", observe)

    async def scenario():
        waiting, stall = asyncio.create_task(until_done(place, "job")), 0.0
        while not waiting.done():
            before = asyncio.get_running_loop().time()
            await asyncio.sleep(0.01)
            stall = max(stall, asyncio.get_running_loop().time() - before)
        return stall

    assert asyncio.run(scenario()) < 0.2


def test_a_watcher_that_ended_starts_again_for_the_next_subscriber(place):
    async def scenario():
        place.board.says = {"one": DONE, "two": DONE}
        await until_done(place, "one")
        await until_done(place, "two")

    asyncio.run(scenario())
    assert place.read == ["conn", "conn"]
