"""Which jobs are stopped: every word of Airflow's, every word of the backend's."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.maintenance.listing import group
from airflow_provider_mlx.maintenance.orphans import Verdict, judge, may_be_active

ACTIVE = JobStatus(State.ACTIVE, running=True)
STOP = ("removed", "none", "failed", "upstream_failed", "success", "skipped", "restarting")
LEAVE = ("deferred", "scheduled", "queued", "running", "up_for_retry", "up_for_reschedule", "a word of a later release")


def verdict(status: JobStatus | None = ACTIVE, **facts: object) -> Verdict:
    given = {"task_state": "running", "stop_requested": False, "knows_runs": True, "ours": True}
    return judge(status, **(given | facts)).verdict


@pytest.mark.parametrize("state", STOP)
def test_a_task_that_cannot_want_its_job_loses_it(state):
    assert verdict(task_state=state) is Verdict.STOP


@pytest.mark.parametrize("state", LEAVE)
def test_a_task_that_may_want_its_job_keeps_it(state):
    assert verdict(task_state=state) is Verdict.LEAVE


def test_no_answer_of_airflows_is_no_orphan():
    assert verdict(task_state=None) is Verdict.LEAVE


@pytest.mark.parametrize("state", [State.UNKNOWN, State.ABSENT, State.SUCCEEDED, State.FAILED, State.STOPPED])
def test_only_an_active_job_is_stopped(state):
    assert verdict(JobStatus(state), task_state="removed") is Verdict.LEAVE


def test_no_job_is_left():
    assert verdict(None, task_state="removed") is Verdict.LEAVE


def test_gone_is_not_believed_of_an_airflow_that_knows_no_run_of_the_ledger():
    assert verdict(task_state="removed", knows_runs=False) is Verdict.LEAVE
    assert verdict(task_state="failed", knows_runs=False) is Verdict.STOP, "an answer about this very task"


def test_a_wish_that_its_writer_could_not_carry_out_is_carried_out():
    assert verdict(task_state="running", stop_requested=True) is Verdict.STOP


def test_a_job_of_another_request_is_not_touched():
    assert verdict(task_state="removed", ours=False) is Verdict.LEAVE


def test_attempts_worth_a_question():
    names = {
        1: ("context.json",),
        2: ("context.json", "job.json"),
        3: ("context.json", "job.json", "handle.json", "stop_requested"),
        4: ("context.json", "job.json", "result.json"),
        5: ("context.json", "job.json", "error.json"),
    }
    listing = [ObjectFacts(f"s3://b/runs/d/a/r/t/-1/attempt-{n}/{name}", 1, "") for n in names for name in names[n]]
    assert [attempt.number for _, attempt in may_be_active(group(listing, "s3://b"))] == [2, 3]
