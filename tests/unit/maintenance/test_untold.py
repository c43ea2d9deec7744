"""Whose lineage has a start and no end, and who may still tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.maintenance.listing import group
from airflow_provider_mlx.maintenance.untold import FORGOTTEN, QUIET, Untold, is_left_alone, is_over, untold

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOLD = ("context.json", "job.json", "lineage-start")


def facts(attempt, *names, age=QUIET):
    folder = f"file:///root/runs/prod/dag/run/train/-1/attempt-{attempt}"
    return [ObjectFacts(f"{folder}/{name}", 1, None, NOW - age) for name in names]


def found(*objects):
    return [
        (item.attempt.number, item.latest)
        for item in untold(group([one for some in objects for one in some], "file:///root"), NOW)
    ]


def test_a_start_without_an_end():
    assert found(facts(1, *TOLD)) == [(1, True)]
    assert found(facts(1, *TOLD, "lineage-end")) == []
    assert found(facts(1, "context.json", "job.json")) == []
    assert found(facts(1, "context.json", "lineage-start")) == [], "nothing was ever submitted"


def test_what_was_written_a_moment_ago_is_somebody_at_work():
    assert found(facts(1, *TOLD, age=QUIET - timedelta(seconds=1))) == []


def test_an_attempt_that_was_followed_by_another_is_nobodys():
    assert found(facts(1, *TOLD), facts(2, "context.json")) == [(1, False)]


def item(*names, latest=True, age=QUIET):
    ((run,),) = (group(facts(1, *TOLD, *names, age=age), "file:///root"),)
    return Untold(run.attempts[0], latest)


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "upstream_failed", "removed", "restarting", "none"])
def test_of_a_task_that_is_over_nobody_tells_any_more(state):
    assert not is_left_alone(item(), task_state=state, knows_runs=True)


@pytest.mark.parametrize(
    "state", ["running", "deferred", "queued", "scheduled", "up_for_retry", "up_for_reschedule", "new"]
)
def test_a_task_that_may_run_tells_of_its_last_attempt_itself(state):
    assert is_left_alone(item(), task_state=state, knows_runs=True)
    assert not is_left_alone(item(latest=False), task_state=state, knows_runs=True)


@pytest.mark.parametrize(
    ("state", "knows"),
    [pytest.param(None, True, id="no answer"), pytest.param("removed", False, id="another database")],
)
def test_an_airflow_that_does_not_know_is_not_believed(state, knows):
    for latest in (True, False):
        assert is_left_alone(item(latest=latest), task_state=state, knows_runs=knows)


@pytest.mark.parametrize("state", list(State))
def test_the_backends_last_word(state):
    over = {State.SUCCEEDED, State.FAILED, State.STOPPED, State.ABSENT}
    assert is_over(state, item(), seen_everywhere=True, now=NOW) == (state in over)


def test_a_job_that_another_machine_may_have_is_not_lost_at_once():
    assert not is_over(State.ABSENT, item(), seen_everywhere=False, now=NOW)
    assert is_over(State.ABSENT, item("result.json"), seen_everywhere=False, now=NOW)
    assert is_over(State.ABSENT, item(age=FORGOTTEN), seen_everywhere=False, now=NOW)
