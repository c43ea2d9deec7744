"""From which attempt on checkpoints may be used: as long as nobody cleared the task."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.exceptions import JobCancelled, MlxError
from airflow_provider_mlx.testing.fake import FAILED, GONE, NO_CAPACITY, PREEMPTED, RUNNING, STOPPED, SUCCEEDED, Script
from tests.unit.jobs.conftest import die
from tests.unit.jobs.test_life import run_to_death


def since(world) -> list[int]:
    """What the contexts of the attempts say, in their order."""
    found = []
    while (context := world.attempt(len(found) + 1).read_context()) is not None:
        found.append(json.loads(context)["checkpoints_since"])
    return found


def failed(life):
    with pytest.raises(MlxError):
        life.run()


def test_an_automatic_retry_goes_on_from_the_checkpoints_of_the_attempt_before(world):
    world.plays(Script(sees=(FAILED,), writes="error"), Script(sees=(FAILED,), writes="error"), Script())
    failed(world.life())
    failed(world.life(try_number=2))
    world.life(try_number=3).run()
    assert since(world) == [1, 1, 1]


def test_an_attempt_within_the_try_goes_on_too(world):
    world.plays(Script(sees=(PREEMPTED,)), Script(sees=(NO_CAPACITY,)), Script())
    world.life(preemptions=1, targets=2).run()
    assert since(world) == [1, 1, 1]


def test_a_lost_job_is_followed_by_one_that_goes_on(world):
    world.plays(Script(sees=(RUNNING, GONE), writes="nothing"), Script())
    failed(world.life())
    world.life(try_number=2).run()
    assert since(world) == [1, 1]


def test_a_step_that_ran_out_of_time_goes_on_in_its_next_try(world):
    world.plays(Script(sees=(RUNNING,) * 50), Script())
    failed(world.life(timeout="1m"))
    assert world.stopped == [1]
    world.life(try_number=2).run()
    assert since(world) == [1, 1]


@pytest.mark.parametrize("clear", [{"max_tries": 3}, {"run_started": "t1"}], ids=["task cleared", "run cleared"])
def test_a_clear_starts_without_checkpoints_and_its_retries_go_on_from_its_own(world, clear):
    world.plays(*[Script(sees=(FAILED,), writes="error")] * 2, Script())
    failed(world.life())
    failed(world.life(try_number=2, **clear))
    world.life(try_number=3, **clear).run()
    assert since(world) == [1, 2, 2]


def test_a_clear_of_a_running_task_starts_without_checkpoints(world):
    """It changes none of Airflow's numbers: only the reason of the stop tells."""
    world.plays(Script(sees=(RUNNING, RUNNING, RUNNING, STOPPED)), Script(sees=(SUCCEEDED,)))
    life = world.life()
    world.task_state = "restarting"
    world.on_pause = lambda count: world.ports.killed.set() if count == 2 else None
    with pytest.raises(JobCancelled, match="its state is restarting"):
        life.run()
    world.on_pause, world.task_state = None, "running"
    world.life(try_number=2).run()
    assert since(world) == [1, 2]


@pytest.mark.parametrize("cleared", [False, True], ids=["no clear", "cleared meanwhile"])
def test_an_attempt_that_was_never_recorded_does_not_hide_what_was_before_it(world, cleared):
    world.plays(Script(sees=(FAILED,), writes="error"), Script())
    failed(world.life())
    world.store.on("create", "attempt-2/job.json", die)
    run_to_death(world.life(try_number=2))
    world.life(try_number=3, max_tries=3 if cleared else 2).run()
    assert since(world) == [1, 1, 3 if cleared else 1]


def test_a_worker_tends_the_job_that_it_watches_until_it_is_over(world, monkeypatch):
    world.plays(Script(sees=(RUNNING, RUNNING, SUCCEEDED)))
    tended = []
    monkeypatch.setattr(world.cluster.backend_class, "tend", lambda backend, handle: tended.append(handle.name))
    world.life().run()
    assert tended == [world.job(1)] * 2
