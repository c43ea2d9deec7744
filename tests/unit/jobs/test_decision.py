"""Every cell of the tables that decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.jobs.decision import (
    ARRIVAL,
    ENDINGS,
    Arrival,
    Ending,
    KillDecision,
    LedgerSays,
    Limits,
    Move,
    Watch,
    on_arrival,
    on_kill,
    while_watching,
)

ACTIVE, SUCCEEDED, FAILED = State.ACTIVE, State.SUCCEEDED, State.FAILED
STOPPED, ABSENT, UNKNOWN = State.STOPPED, State.ABSENT, State.UNKNOWN
NOTHING, RESULT, ERROR = LedgerSays.NOTHING, LedgerSays.RESULT, LedgerSays.ERROR

ARRIVALS = [
    pytest.param(ACTIVE, NOTHING, Move.ADOPT, id="a running job is adopted"),
    pytest.param(ACTIVE, RESULT, Move.ADOPT, id="a job that has written its result is waited for"),
    pytest.param(ACTIVE, ERROR, Move.ADOPT, id="a job that has written its error is waited for"),
    pytest.param(SUCCEEDED, NOTHING, Move.RESULT_MISSING, id="success without a result is an error, not run again"),
    pytest.param(SUCCEEDED, RESULT, Move.COLLECT, id="finished work is collected, never run again"),
    pytest.param(SUCCEEDED, ERROR, Move.NEXT_ATTEMPT, id="the backend's success does not hide an error"),
    pytest.param(FAILED, NOTHING, Move.NEXT_ATTEMPT, id="a job that was killed is tried again"),
    pytest.param(FAILED, RESULT, Move.NEXT_ATTEMPT, id="a result of a failed job does not count: success needs both"),
    pytest.param(FAILED, ERROR, Move.NEXT_ATTEMPT, id="a failed job is tried again"),
    pytest.param(STOPPED, NOTHING, Move.NEXT_ATTEMPT, id="a stopped job is tried again"),
    pytest.param(STOPPED, RESULT, Move.NEXT_ATTEMPT, id="a stopped job is never green, even with a result"),
    pytest.param(STOPPED, ERROR, Move.NEXT_ATTEMPT, id="a job that was stopped while it failed is tried again"),
    pytest.param(ABSENT, NOTHING, Move.NEXT_ATTEMPT, id="a job that was submitted and is gone is lost"),
    pytest.param(ABSENT, RESULT, Move.COLLECT, id="a time-to-live took the job: its result is collected"),
    pytest.param(ABSENT, ERROR, Move.NEXT_ATTEMPT, id="a time-to-live took a failed job: it is tried again"),
    pytest.param(UNKNOWN, NOTHING, Move.WAIT, id="unknown is not failed"),
    pytest.param(UNKNOWN, RESULT, Move.WAIT, id="unknown is not green, even with a result"),
    pytest.param(UNKNOWN, ERROR, Move.WAIT, id="unknown waits, even with an error"),
]


@pytest.mark.parametrize(("state", "ledger", "move"), ARRIVALS)
def test_arrival_at_a_submitted_attempt(state, ledger, move):
    assert on_arrival(Arrival(state, ledger)) is move


@pytest.mark.parametrize(("state", "ledger", "move"), ARRIVALS)
def test_arrival_where_the_answer_to_the_submission_was_never_written(state, ledger, move):
    never_there = state is ABSENT and ledger is NOTHING
    assert on_arrival(Arrival(state, ledger, submitted=False)) is (Move.SUBMIT if never_there else move)


def test_the_tables_have_a_cell_for_everything():
    assert set(ARRIVAL) == {(state, ledger) for state in State for ledger in LedgerSays}
    assert set(ENDINGS) == {
        (state, ledger) for state in State for ledger in LedgerSays if state not in (ACTIVE, UNKNOWN)
    }
    assert {(case.values[0], case.values[1]) for case in ARRIVALS} == set(ARRIVAL)


@pytest.mark.parametrize("why", ["stop_requested", "cleared"])
@pytest.mark.parametrize("ledger", LedgerSays)
@pytest.mark.parametrize("submitted", [True, False])
@pytest.mark.parametrize("state", State)
def test_after_a_stop_or_a_clear_old_work_never_turns_green(why, ledger, submitted, state):
    move = on_arrival(Arrival(state, ledger, submitted=submitted, **{why: True}))
    assert move is (Move.WAIT if state in (ACTIVE, UNKNOWN) else Move.NEXT_ATTEMPT)


@pytest.mark.parametrize("ledger", LedgerSays)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("flags", [{}, {"stop_requested": True}, {"cleared": True}, {"submitted": False}])
def test_an_attempt_whose_writer_died_before_the_record_is_passed_over(ledger, state, flags):
    assert on_arrival(Arrival(state, ledger, recorded=False, **flags)) is Move.NEXT_ATTEMPT


@pytest.mark.parametrize(
    ("state", "ledger", "ending"),
    [
        pytest.param(SUCCEEDED, RESULT, Ending.COLLECT, id="both words: collected"),
        pytest.param(SUCCEEDED, NOTHING, Ending.RESULT_MISSING, id="the backend's word alone is not enough"),
        pytest.param(SUCCEEDED, ERROR, Ending.FAILED, id="an error under a success is a failure"),
        pytest.param(FAILED, RESULT, Ending.FAILED, id="a result under a failure is a failure"),
        pytest.param(FAILED, NOTHING, Ending.FAILED, id="a killed job failed"),
        pytest.param(FAILED, ERROR, Ending.FAILED, id="a failed job failed"),
        pytest.param(STOPPED, RESULT, Ending.FAILED, id="stopped is never green"),
        pytest.param(STOPPED, NOTHING, Ending.FAILED, id="stopped without a word"),
        pytest.param(STOPPED, ERROR, Ending.FAILED, id="stopped with a word"),
        pytest.param(ABSENT, RESULT, Ending.COLLECT, id="gone with a result: collected"),
        pytest.param(ABSENT, NOTHING, Ending.LOST, id="gone without a word: lost"),
        pytest.param(ABSENT, ERROR, Ending.FAILED, id="gone with an error: failed"),
    ],
)
def test_how_a_watched_attempt_ended(state, ledger, ending):
    assert ENDINGS[state, ledger] is ending


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "before", "at"),
    [
        pytest.param(ACTIVE, Watch.WAIT, Watch.TIMED_OUT, id="an active job times out"),
        pytest.param(UNKNOWN, Watch.WAIT, Watch.TIMED_OUT, id="the deadline bounds the unknown"),
        pytest.param(SUCCEEDED, Watch.FINISHED, Watch.FINISHED, id="finished work is collected past the deadline"),
        pytest.param(FAILED, Watch.FINISHED, Watch.FINISHED, id="a failure past the deadline is a failure"),
        pytest.param(STOPPED, Watch.FINISHED, Watch.FINISHED, id="a stop past the deadline is over"),
        pytest.param(ABSENT, Watch.FINISHED, Watch.FINISHED, id="gone is over"),
    ],
)
def test_while_watching(state, before, at):
    status = JobStatus(state)
    assert while_watching(status, limits=Limits(NOW + timedelta(seconds=1)), now=NOW) is before
    assert while_watching(status, limits=Limits(), now=NOW) is before
    assert while_watching(status, limits=Limits(NOW), now=NOW) is at
    assert while_watching(status, limits=Limits(NOW - timedelta(days=1)), now=NOW) is at


@pytest.mark.parametrize(
    ("status", "limits", "expected"),
    [
        (JobStatus(State.ACTIVE), Limits(give_up_at=NOW), Watch.GAVE_UP),
        (JobStatus(State.ACTIVE), Limits(queue_until=NOW), Watch.QUEUED_TOO_LONG),
        (JobStatus(State.ACTIVE), Limits(give_up_at=NOW, queue_until=NOW), Watch.GAVE_UP),
        (JobStatus(State.ACTIVE), Limits(deadline=NOW, give_up_at=NOW), Watch.TIMED_OUT),
        (JobStatus(State.ACTIVE, running=True), Limits(give_up_at=NOW, queue_until=NOW), Watch.WAIT),
        (JobStatus(State.UNKNOWN), Limits(give_up_at=NOW, queue_until=NOW), Watch.WAIT),
        (JobStatus(State.SUCCEEDED), Limits(give_up_at=NOW, queue_until=NOW), Watch.FINISHED),
        (JobStatus(State.ABSENT), Limits(give_up_at=NOW), Watch.FINISHED),
    ],
)
def test_only_a_job_that_queues_is_given_up(status, limits, expected):
    assert while_watching(status, limits=limits, now=NOW) is expected


@pytest.mark.parametrize(
    ("task_state", "with_retry_left"),
    [
        pytest.param("running", KillDecision.LEAVE, id="still running: the worker is drained"),
        pytest.param("queued", KillDecision.LEAVE, id="queued again: somebody else will adopt it"),
        pytest.param("scheduled", KillDecision.LEAVE, id="scheduled again: somebody else will adopt it"),
        pytest.param("up_for_retry", KillDecision.LEAVE, id="the next try will adopt it"),
        pytest.param(None, KillDecision.LEAVE, id="cannot be asked: the next try decides"),
        pytest.param("failed", KillDecision.STOP, id="a user marked it failed"),
        pytest.param("success", KillDecision.STOP, id="a user marked it successful"),
        pytest.param("skipped", KillDecision.STOP, id="skipped"),
        pytest.param("removed", KillDecision.STOP, id="the task is gone from the DAG"),
        pytest.param("restarting", KillDecision.STOP, id="a user cleared the running task"),
        pytest.param("a word of next year", KillDecision.STOP, id="a state that we do not know"),
    ],
)
def test_asked_to_end(task_state, with_retry_left):
    assert on_kill(task_state=task_state, tries_left=True) is with_retry_left
    assert on_kill(task_state=task_state, tries_left=False) is KillDecision.STOP, "nobody would collect it"
