"""The trigger observes, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import pytest

from airflow_provider_mlx.jobs.decision import Limits
from airflow_provider_mlx.jobs.ledger import LogShown, utc_now
from airflow_provider_mlx.testing.fake import GONE, NEW_WORD, QUEUED, RUNNING, SUCCEEDED, UNREACHABLE, Script
from airflow_provider_mlx.triggers import job
from airflow_provider_mlx.triggers.order import WatchEvent, Word
from tests.unit.triggers.conftest import fired, trigger_of


def test_it_fires_once_when_the_job_is_over_and_changes_nothing(scene):
    here = scene(Script(sees=(QUEUED, RUNNING, RUNNING, SUCCEEDED), log=("one", "two", "three", "four")))
    order = here.submit()
    trigger, lines = trigger_of(order)
    event = asyncio.run(fired(trigger))
    assert WatchEvent.from_wire(event) == order.event(Word.FINISHED, shown_lines=4)
    assert lines == ["mlx: waiting: waiting for a node", "one", "two", "three", "four"]
    assert len(json.dumps(event)) < 4096
    assert here.cluster.calls["submit"] == 1
    assert here.cluster.calls["cancel"] == 0
    assert not list(here.store.list(here.ledger.uri + "/claim")), "a worker claims"


def test_a_job_that_is_gone_is_a_workers_matter(scene):
    trigger, _ = trigger_of(scene(Script(sees=(RUNNING, GONE), writes="nothing")).submit())
    assert asyncio.run(fired(trigger))["word"] == "finished"


def test_unknown_is_neither_over_nor_failed(scene):
    here = scene(Script(sees=(RUNNING, *[UNREACHABLE] * 4, NEW_WORD, RUNNING, SUCCEEDED)))
    trigger, lines = trigger_of(here.submit())
    assert asyncio.run(fired(trigger))["word"] == "finished"
    assert "mlx: waiting: 503 from the fake" in lines
    assert lines.count("mlx: waiting: 503 from the fake") == 1, "once per change"


def test_the_deadline_fires_and_the_trigger_stops_nothing(scene):
    here = scene(Script(sees=(RUNNING,)))
    trigger, _ = trigger_of(here.submit(limits=Limits(deadline=utc_now() + timedelta(seconds=0.3))))
    assert asyncio.run(fired(trigger))["word"] == "timed out"
    assert here.cluster.stops == []


def test_the_deadline_counts_from_when_the_job_runs(scene):
    here = scene(Script(sees=(*[QUEUED] * 20, RUNNING)))
    order = here.submit(limit_seconds=0.3)
    trigger, _ = trigger_of(order)
    started = time.monotonic()
    assert asyncio.run(fired(trigger))["word"] == "timed out"
    assert time.monotonic() - started > 0.3 + 19 * 0.02
    assert here.ledger.note_running(utc_now()) < utc_now() - timedelta(seconds=0.3), "the ledger knows since when"


def test_a_queue_that_is_too_long_is_a_workers_matter(scene):
    here = scene(Script(sees=(QUEUED,)))
    trigger, _ = trigger_of(here.submit(limits=Limits(give_up_at=utc_now() + timedelta(seconds=0.2))))
    assert asyncio.run(fired(trigger))["word"] == "timed out"


def test_no_event_fires_while_the_deferring_process_may_still_be_there(scene):
    trigger, _ = trigger_of(scene(Script(sees=(SUCCEEDED,))).submit(after=0.7))
    started = time.monotonic()
    asyncio.run(fired(trigger))
    assert time.monotonic() - started >= 0.6


@pytest.mark.parametrize("order", [{"version": 99}, {}, {"version": 1, "handle": "damaged"}])
def test_the_row_of_another_version_lets_a_worker_look(scene, order):
    scene()
    trigger, _ = trigger_of(order)
    assert asyncio.run(fired(trigger)) == WatchEvent(Word.LOOK).to_wire()


def test_a_bug_becomes_an_event_and_not_a_failed_task(scene, monkeypatch):
    here = scene(Script(sees=(RUNNING,)))
    trigger, lines = trigger_of(here.submit())
    monkeypatch.setattr(job, "BUG_SECONDS", 0.05)
    monkeypatch.setattr(job, "watcher_for", lambda *args, **kwargs: 1 / 0)
    assert asyncio.run(fired(trigger))["word"] == "look"
    assert any("the trigger failed" in line for line in lines)


def test_a_connection_that_the_triggerer_cannot_see_gives_the_job_to_a_worker(scene):
    trigger, lines = trigger_of(scene(Script(sees=(RUNNING,))).submit(conn_id="of_a_team"))
    assert asyncio.run(fired(trigger))["word"] == "cannot watch"
    assert any("no connection of_a_team" in line for line in lines)


def test_after_the_loss_of_a_triggerer_the_log_goes_on_behind_a_marker(scene):
    here = scene(Script(sees=(RUNNING, RUNNING, SUCCEEDED), log=tuple("abcdef")))
    order = here.submit()
    here.ledger.write_log_shown(LogShown("4", 4, by=order.not_before.isoformat()))
    trigger, lines = trigger_of(order)
    assert asyncio.run(fired(trigger))["shown_lines"] == 6
    assert lines == [job.MARKER.format(5, 10), "e", "f"]


def test_what_an_earlier_deferral_noted_is_not_taken_for_a_lost_triggerer(scene):
    here = scene(Script(sees=(RUNNING, SUCCEEDED), log=tuple("abc")))
    order = here.submit(cursor="2", shown_lines=2)
    here.ledger.write_log_shown(LogShown("1", 1, by="an earlier one"))
    trigger, lines = trigger_of(order)
    asyncio.run(fired(trigger))
    assert lines == ["c"]


def test_how_far_the_log_was_shown_is_noted(scene, monkeypatch):
    monkeypatch.setattr(job, "SAVE_SECONDS", 0.0)
    here = scene(Script(sees=(RUNNING,) * 5, log=tuple("abcdefgh")))
    order = here.submit()
    trigger, _ = trigger_of(order)

    async def lost_on_the_way():
        with pytest.raises(TimeoutError):
            await fired(trigger, seconds=0.5)

    asyncio.run(lost_on_the_way())
    noted = here.ledger.read_log_shown()
    assert noted.by == order.not_before.isoformat()
    assert 0 < noted.lines <= 8
    assert noted.cursor == str(noted.lines)


# --- being told to end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["failed", "success", "removed", "none", "restarting"])
def test_a_users_wish_stops_the_job_with_the_marker_first(scene, state):
    here = scene(Script(sees=(RUNNING,)))
    trigger, _ = trigger_of(here.submit())
    here.state = state
    asyncio.run(trigger.on_kill())
    assert here.cluster.stops == [here.step.identity.job_name(1)]
    assert here.ledger.read_stop_request()["reason"] == f"task is {state}"


@pytest.mark.parametrize("state", ["deferred", "queued", "running", "scheduled", "up_for_retry", None])
def test_a_triggerer_that_lost_its_rows_stops_nothing(scene, state):
    here = scene(Script(sees=(RUNNING,)))
    trigger, _ = trigger_of(here.submit())
    here.state = state
    asyncio.run(trigger.on_kill())
    assert here.cluster.stops == []
    assert here.ledger.read_stop_request() is None


def test_a_job_that_is_over_is_not_marked_as_stopped(scene):
    here = scene(Script(sees=(SUCCEEDED,)))
    trigger, _ = trigger_of(here.submit())
    here.state = "success"
    asyncio.run(trigger.on_kill())
    assert here.ledger.read_stop_request() is None


def test_a_stop_that_gets_no_answer_is_asked_again(scene, monkeypatch):
    here = scene(Script(sees=(RUNNING,), cancel_fails=2))
    trigger, _ = trigger_of(here.submit())
    here.state = "failed"

    async def at_once(seconds):
        return None

    monkeypatch.setattr(job.asyncio, "sleep", at_once)
    asyncio.run(trigger.on_kill())
    assert here.cluster.stops == [here.step.identity.job_name(1)]


def test_somebody_elses_job_of_our_name_is_left_alone(scene):
    here = scene(Script(sees=(RUNNING,)))
    trigger, lines = trigger_of(here.submit())
    here.cluster.jobs[here.step.identity.job_name(1)].digest = "0" * 64
    here.state = "failed"
    asyncio.run(trigger.on_kill())
    assert here.cluster.stops == []
    assert any("cannot be stopped" in line for line in lines)


def test_a_stop_outlives_the_triggerers_repeated_cancellations(scene, monkeypatch):
    here = scene(Script(sees=(RUNNING,)))
    trigger, _ = trigger_of(here.submit())

    def slowly(**task):
        time.sleep(0.3)
        return "failed"

    monkeypatch.setattr(job, "state_of_task", slowly)

    async def killed_twice():
        task = asyncio.create_task(trigger.on_kill())
        for _ in range(3):
            await asyncio.sleep(0.05)
            task.cancel()
        await task

    asyncio.run(killed_twice())
    assert here.cluster.stops == [here.step.identity.job_name(1)]
