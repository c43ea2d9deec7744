"""
What to do next: pure and total. Only the loops around it look at clocks, stores and backends.

The table is section "Once and only once" of ``docs/architecture.md``; ``tests/unit/jobs/test_decision.py`` has a row
for every cell.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from airflow_provider_mlx.backends.base import JobStatus, State


class LedgerSays(enum.Enum):
    """What the job left in its attempt's folder."""

    NOTHING = "nothing"
    RESULT = "result.json"
    ERROR = "error.json"


class Move(enum.Enum):
    """What the worker does next."""

    SUBMIT = "submit"
    """This attempt was recorded and perhaps never submitted: submit it as recorded (get-or-create)."""
    ADOPT = "adopt"
    """A job of ours is active: watch it."""
    COLLECT = "collect"
    """There is a result: finished work is never run again."""
    NEXT_ATTEMPT = "next attempt"
    RESULT_MISSING = "result missing"
    """The backend says success and there is no result: an error, neither green nor run again by itself."""
    WAIT = "wait"
    """Unknown is not failed."""


_R, _E, _N = LedgerSays.RESULT, LedgerSays.ERROR, LedgerSays.NOTHING

ARRIVAL: Final[Mapping[tuple[State, LedgerSays], Move]] = {
    (State.ACTIVE, _N): Move.ADOPT,
    (State.ACTIVE, _R): Move.ADOPT,  # it has written its result and is about to end
    (State.ACTIVE, _E): Move.ADOPT,
    (State.SUCCEEDED, _N): Move.RESULT_MISSING,
    (State.SUCCEEDED, _R): Move.COLLECT,  # also when claimed by an earlier try, which died
    (State.SUCCEEDED, _E): Move.NEXT_ATTEMPT,
    (State.FAILED, _N): Move.NEXT_ATTEMPT,
    (State.FAILED, _R): Move.NEXT_ATTEMPT,  # success needs both words
    (State.FAILED, _E): Move.NEXT_ATTEMPT,
    (State.STOPPED, _N): Move.NEXT_ATTEMPT,
    (State.STOPPED, _R): Move.NEXT_ATTEMPT,
    (State.STOPPED, _E): Move.NEXT_ATTEMPT,
    (State.ABSENT, _N): Move.NEXT_ATTEMPT,  # lost
    (State.ABSENT, _R): Move.COLLECT,  # a time-to-live took the job
    (State.ABSENT, _E): Move.NEXT_ATTEMPT,
    (State.UNKNOWN, _N): Move.WAIT,
    (State.UNKNOWN, _R): Move.WAIT,
    (State.UNKNOWN, _E): Move.WAIT,
}
"""What to do with the latest attempt on a first try or an automatic retry, when it was submitted."""


@dataclass(frozen=True)
class Arrival:
    """
    What is known when a worker arrives at a task instance that has an attempt already.

    :param recorded: ``job.json`` was written.
    :param submitted: the backend's answer was written; else it is not known whether the call was made.
    :param stop_requested: the attempt was to be stopped.
    :param cleared: ``max_tries`` grew since the attempt was written, so a user cleared the task.
    """

    state: State
    ledger: LedgerSays
    recorded: bool = True
    submitted: bool = True
    stop_requested: bool = False
    cleared: bool = False
    stopping: bool = False


def on_arrival(seen: Arrival) -> Move:
    """
    Why are we here, and what follows from it?

    A user's clear and a requested stop make a new attempt due: a fixed bug must never turn green on old code. An old
    job that is still active then is waited for (it was asked to stop).
    """
    if not seen.recorded:
        return Move.NEXT_ATTEMPT  # its writer died before it got to the backend; it is fenced off first
    if seen.stop_requested or seen.cleared:
        return Move.WAIT if seen.state in (State.ACTIVE, State.UNKNOWN) else Move.NEXT_ATTEMPT
    if seen.state is State.ABSENT and seen.ledger is LedgerSays.NOTHING and not seen.submitted:
        return Move.SUBMIT
    return ARRIVAL[seen.state, seen.ledger]


def why_again(seen: Arrival, attempt: int) -> str:
    """Why a new attempt starts, in a sentence for the task's log."""
    if not seen.recorded:
        return f"attempt {attempt} was never submitted: a new one starts"
    if seen.stop_requested:
        return f"attempt {attempt} was stopped: a new one starts"
    if seen.cleared:
        return f"attempt {attempt} is from before the task was cleared: a new one starts"
    return f"attempt {attempt} is over ({seen.state.value}): a new one starts"


def stop_reason(task_state: str | None) -> str:
    """Why a job is stopped whose task is in this state, as the attempt's ``stop_requested`` says it."""
    return f"task is {task_state}"


def is_clear(*, cleared: bool, stop_reason_before: str | None) -> bool:
    """
    Whether the attempt that follows is a user's new beginning, so that it must not go on from old checkpoints.

    :param cleared: Airflow's numbers say so.
    :param stop_reason_before: of the attempt before. A clear of a *running* task changes none of the numbers, and
        leaves this word; a limit that passed, or a reaper, leaves another.
    """
    return cleared or stop_reason_before == stop_reason("restarting")


class Watch(enum.Enum):
    """What the watching loop does next."""

    WAIT = "wait"
    FINISHED = "finished"
    TIMED_OUT = "timed out"
    """The step's own time is over."""
    QUEUED_TOO_LONG = "queued too long"
    """The target's ``max_queue`` is over."""
    GAVE_UP = "gave up"
    """The target's ``give_up_pending_after`` is over: room for the next target."""


@dataclass(frozen=True)
class Limits:
    """
    When waiting for a job ends; all absolute, ``None`` for never.

    :param deadline: of the step; not known before it runs, since queueing does not count.
    """

    deadline: datetime | None = None
    queue_until: datetime | None = None
    give_up_at: datetime | None = None


def while_watching(seen: JobStatus, *, limits: Limits, now: datetime) -> Watch:
    """Finished work is collected even past a limit; unknown waits, and only the deadline bounds it."""

    def past(limit: datetime | None) -> bool:
        return limit is not None and now >= limit

    if seen.state.finished or seen.state is State.ABSENT:
        return Watch.FINISHED
    if past(limits.deadline):
        return Watch.TIMED_OUT
    if seen.state is State.ACTIVE and not seen.running:
        if past(limits.give_up_at):
            return Watch.GAVE_UP
        if past(limits.queue_until):
            return Watch.QUEUED_TOO_LONG
    return Watch.WAIT


class Ending(enum.Enum):
    """How an attempt ended."""

    COLLECT = "collect"
    FAILED = "failed"
    RESULT_MISSING = "result missing"
    LOST = "lost"


ENDINGS: Final[Mapping[tuple[State, LedgerSays], Ending]] = {
    (State.SUCCEEDED, _R): Ending.COLLECT,
    (State.SUCCEEDED, _N): Ending.RESULT_MISSING,
    (State.SUCCEEDED, _E): Ending.FAILED,
    (State.FAILED, _R): Ending.FAILED,
    (State.FAILED, _N): Ending.FAILED,
    (State.FAILED, _E): Ending.FAILED,
    (State.STOPPED, _R): Ending.FAILED,
    (State.STOPPED, _N): Ending.FAILED,
    (State.STOPPED, _E): Ending.FAILED,
    (State.ABSENT, _R): Ending.COLLECT,
    (State.ABSENT, _N): Ending.LOST,
    (State.ABSENT, _E): Ending.FAILED,
}
"""How an attempt that was watched to its end has ended."""


class KillDecision(enum.Enum):
    """What a worker that was asked to end does with its job."""

    STOP = "stop"
    LEAVE = "leave"


def on_kill(*, task_state: str | None, tries_left: bool) -> KillDecision:
    """
    A signal does not say who sent it. Still running with a retry left: the worker is being drained and the next try
    adopts the job. Anything else is a user's wish, or the last chance to stop what nobody will collect.

    :param task_state: Airflow's own word for this task now; ``None`` when it cannot be asked.
    """
    drained = task_state in ("running", "queued", "scheduled", "up_for_retry", None)
    return KillDecision.LEAVE if drained and tries_left else KillDecision.STOP


_NOBODYS: Final = frozenset({"removed", "none", "failed", "upstream_failed", "success", "skipped", "restarting"})


def on_lost_interest(task_state: str | None) -> KillDecision:
    """
    A trigger was told to end, or somebody found a job whose task nobody seems to wait for.

    A triggerer that lost its rows for half a minute is told the same as on a user's kill, while another one watches
    the healthy job: only a task that cannot want the job any more proves a wish.

    :param task_state: Airflow's own word for the task now; ``"removed"`` if there is none, ``"none"`` if it has no
        state; ``None`` when it cannot be asked.
    """
    return KillDecision.STOP if task_state in _NOBODYS else KillDecision.LEAVE
