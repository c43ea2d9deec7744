"""A worker that leaves its slot while the job runs, and comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_mlx.exceptions import (
    ArtifactError,
    CapacityUnavailable,
    JobCancelled,
    JobTimeout,
    Preempted,
    ResultMissing,
    StepFailed,
)
from airflow_provider_mlx.jobs.collection import Collected
from airflow_provider_mlx.jobs.decision import KillDecision, on_lost_interest
from airflow_provider_mlx.jobs.life import Waiting
from airflow_provider_mlx.testing.fake import FAILED, NO_CAPACITY, PREEMPTED, RUNNING, SUCCEEDED, Script

LONG = (RUNNING,) * 18


def left(world, **facts) -> Waiting:
    outcome = world.life(may_leave=True, **facts).run()
    assert isinstance(outcome, Waiting)
    return outcome


def test_a_job_that_ends_at_once_never_leaves_its_slot(world):
    world.plays(Script(sees=(RUNNING, RUNNING, SUCCEEDED)))
    assert isinstance(world.life(may_leave=True).run(), Collected)


def test_a_backend_whose_jobs_belong_to_the_slot_keeps_it(world, monkeypatch):
    world.plays(Script(sees=(*LONG, SUCCEEDED)))
    monkeypatch.setattr(world.cluster.backend_class, "defers", False)
    assert isinstance(world.life(may_leave=True).run(), Collected)


def test_it_leaves_with_the_link_pushed_and_comes_back_to_collect(world):
    world.plays(Script(sees=(*LONG, SUCCEEDED), log=tuple("abcdefghijklmnop"), value=7))
    waiting = left(world)
    assert world.links == [f"https://fake.invalid/jobs/{world.job(1)}"]
    assert waiting.shown_lines == len(world.shown) > 3
    world.shown.clear()
    while world.cluster.jobs[world.job(1)].look() is not SUCCEEDED:
        pass
    collected = world.life(may_leave=True).resume(1, shown_lines=waiting.shown_lines)
    assert collected.outputs["return_value"].value == 7
    assert world.created == [1]
    assert world.shown == list("abcdefghijklmnop")[waiting.shown_lines :], "each line is shown once"
    assert world.store.read(world.attempt(1).log_uri).decode().split() == list("abcdefghijklmnop"), "and all are kept"


def test_a_mark_that_came_a_moment_ago_stops_the_job_instead_of_leaving_it(world):
    world.plays(Script(sees=(*LONG, SUCCEEDED)))
    world.on_pause = lambda count: setattr(world, "task_state", "failed") if count == 3 else None
    with pytest.raises(JobCancelled, match="its state is failed"):
        world.life(may_leave=True).run()
    assert world.stopped == [1]


def test_one_that_is_not_over_yet_is_left_again(world):
    world.plays(Script(sees=(*LONG, *LONG, SUCCEEDED)))
    left(world)
    assert isinstance(world.life(may_leave=True).resume(1), Waiting)
    assert world.created == [1]


def test_a_deadline_that_passed_meanwhile_stops_the_job(world):
    world.plays(Script(sees=LONG))
    left(world, timeout="1m")
    world.now += timedelta(minutes=1)
    with pytest.raises(JobTimeout):
        world.life(may_leave=True, timeout="1m").resume(1)
    assert world.stopped == [1]


def test_a_users_error_while_it_was_away_is_not_run_again_in_the_same_try(world):
    world.plays(Script(sees=(*LONG, FAILED), writes="error"))
    left(world, preemptions=3)
    with pytest.raises(StepFailed):
        world.life(may_leave=False, preemptions=3).resume(1)
    assert world.created == [1]


def test_a_preemption_while_it_was_away_uses_the_budget_that_the_ledger_knows(world):
    world.plays(Script(sees=(*LONG, PREEMPTED)), Script(sees=(PREEMPTED,)), Script(sees=(SUCCEEDED,)))
    left(world, preemptions=1)
    with pytest.raises(Preempted):
        world.life(preemptions=1).resume(1)  # a budget of the process would allow another one here
    assert world.created == [1, 2]
    assert [world.attempt(number).read_record().preemptions_left for number in (1, 2)] == [1, 0]


def test_capacity_goes_to_the_next_target_with_the_recorded_context(world):
    world.plays(Script(sees=(*LONG, NO_CAPACITY)), Script(sees=(SUCCEEDED,)))
    left(world, targets=2)
    first = json.loads(world.attempt(1).read_context())
    world.step = replace(
        world.step, source="def run():\n    return 'the DAG was edited'\n", arguments={"x": "rendered anew"}
    )
    assert isinstance(world.life(targets=2).resume(1), Collected)
    assert world.created == [1, 2]
    second = json.loads(world.attempt(2).read_context())
    assert second["arguments"] == first["arguments"], "the recorded context wins within a try"
    assert second["checkpoint_uri"] == first["checkpoint_uri"]
    records = [world.attempt(number).read_record() for number in (1, 2)]
    assert records[0].bundle_sha256 == records[1].bundle_sha256
    assert [record.target for record in records] == ["target-0", "target-1"]


def test_no_target_left_is_the_backends_word(world):
    world.plays(Script(sees=(*LONG, NO_CAPACITY)))
    left(world)
    with pytest.raises(CapacityUnavailable):
        world.life().resume(1)


def test_a_context_that_was_changed_meanwhile_is_not_run_again(world):
    world.plays(Script(sees=(*LONG, PREEMPTED)))
    left(world, preemptions=1)
    world.store.write(world.attempt(1).context_uri, b'{"arguments": "forged"}')
    with pytest.raises(ArtifactError, match="not the one that was recorded"):
        world.life(preemptions=1).resume(1)
    assert world.created == [1]


def test_a_job_that_somebody_stopped_is_not_run_again_as_a_preemption(world):
    world.plays(Script(sees=(*LONG, PREEMPTED)))
    left(world, preemptions=2)
    world.attempt(1).request_stop(reason="task is failed", now=world.now)
    with pytest.raises(Preempted):
        world.life(preemptions=2).resume(1)
    assert world.created == [1]


def test_a_ledger_that_is_gone_is_an_error_with_its_place(world):
    with pytest.raises(ResultMissing, match="gone from the ledger"):
        world.life().resume(1)


def test_a_later_attempt_is_left_alone(world):
    world.plays(Script(sees=(*LONG, SUCCEEDED)))
    left(world)
    world.attempt(2).take(b"{}")
    with pytest.raises(JobCancelled, match="attempt 2 was started"):
        world.life().resume(1)
    assert world.stopped == []


@pytest.mark.parametrize("state", ["removed", "none", "failed", "success", "skipped", "upstream_failed", "restarting"])
def test_nobody_wants_the_job_of_a_task_that_is(state):
    assert on_lost_interest(state) is KillDecision.STOP


@pytest.mark.parametrize(
    "state", ["deferred", "scheduled", "queued", "running", "up_for_retry", "up_for_reschedule", None, "a new word"]
)
def test_somebody_may_want_the_job_of_a_task_that_is(state):
    assert on_lost_interest(state) is KillDecision.LEAVE
