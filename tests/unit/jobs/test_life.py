"""
The life of one step through every way in which a worker, a backend or the store can fail.

What is asserted about jobs is the fake cluster's own record (``created``, ``stopped``), never the ledger's.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.exceptions import (
    BackendUnavailable,
    CapacityUnavailable,
    JobCancelled,
    JobConflict,
    JobTimeout,
    Preempted,
    QuotaExceeded,
    ResultMissing,
    StepFailed,
)
from airflow_provider_mlx.testing.fake import (
    EVICTED,
    FAILED,
    GONE,
    NEW_WORD,
    NO_CAPACITY,
    PREEMPTED,
    QUEUED,
    RUNNING,
    STOPPED,
    SUCCEEDED,
    UNREACHABLE,
    Script,
)
from tests.unit.jobs.conftest import WorkerDied, die, unavailable


def result_of(collected):
    return collected.outputs["return_value"].value


def run_to_death(life):
    with pytest.raises(WorkerDied):
        life.run()


# --- the straight road ------------------------------------------------------------------------------------------------


def test_a_first_try_submits_once_watches_and_collects(world):
    world.plays(Script(sees=(QUEUED, QUEUED, RUNNING, SUCCEEDED), log=("one", "two"), value={"auc": 0.9}))
    collected = world.life().run()
    assert result_of(collected) == {"auc": 0.9}
    assert world.created == [1]
    assert world.cluster.calls["submit"] == 1
    assert world.shown == ["one", "two"]
    assert world.links == [f"https://fake.invalid/jobs/{world.job(1)}"]
    assert [line for line in world.said if "waiting" in line] == ["waiting: waiting for a node"], "once per change"
    claim = json.loads(world.store.read(world.attempt(1).uri + "/claim-1"))
    assert (claim["try_number"], claim["max_tries"], claim["ti_id"]) == (1, 2, "ti-1")
    assert world.cluster.jobs == {}, "a collected job is forgotten"


def test_the_backend_decides_when_it_is_over_not_the_result(world):
    world.plays(Script(sees=(RUNNING, RUNNING, FAILED), writes="result"))
    with pytest.raises(StepFailed):
        world.life().run()


# --- workers that die -------------------------------------------------------------------------------------------------


def test_died_after_the_context_before_the_record_the_attempt_is_abandoned(world):
    world.store.on("create", "attempt-1/job.json", die)
    run_to_death(world.life())
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [2]


def test_cleared_after_the_claim_before_airflow_knew_the_new_code_runs(world):
    assert result_of(world.life().run()) == 42
    world.life(try_number=2, run_cleared=1).run()
    assert world.created == [1, 2], "a clear always runs the new code"


def test_a_clear_of_something_else_of_the_run_does_not_rerun_unclaimed_work(world):
    world.store.on("create", "attempt-1/claim-1", die)
    run_to_death(world.life())
    assert result_of(world.life(try_number=2, run_cleared=1).run()) == 42
    assert world.created == [1]


def test_a_frozen_writer_of_an_abandoned_attempt_submits_nothing(world):
    frozen = world.life()
    world.store.on("create", "attempt-1/job.json", lambda: world.life(try_number=2).run())
    with pytest.raises(JobCancelled, match="closed by a later try"):
        frozen.run()
    assert world.created == [2]


def test_frozen_before_it_took_its_number_it_starts_nothing_beside_the_later_try(world):
    world.plays(Script(sees=(*[RUNNING] * 8, SUCCEEDED)))
    frozen = world.life()

    def the_later_try_submits():
        later = world.life(try_number=2)
        world.on_pause = lambda count: die() if count == 2 else None
        run_to_death(later)
        world.on_pause = None

    world.store.on("create", "attempt-1/context.json", the_later_try_submits)
    assert result_of(frozen.run()) == 42, "it adopts what the later try has submitted"
    assert world.created == [1]
    assert world.cluster.peak_active == 1


def test_a_number_whose_answer_was_lost_is_still_its_own(world):
    world.store.on("create", "attempt-1/context.json", unavailable, after=True)
    assert result_of(world.life().run()) == 42
    assert world.created == [1]


def test_a_writer_that_was_only_slow_keeps_its_attempt(world):
    slow = world.life()
    world.store.on("create", "attempt-1/handle.json", lambda: world.life(try_number=2).run())
    assert result_of(slow.run()) == 42, "the later worker adopted and collected it; this one finds the result too"
    assert world.created == [1]


def test_died_between_record_and_submission_the_same_attempt_is_submitted(world):
    world.store.on("create", "attempt-1/job.json", die, after=True)
    run_to_death(world.life())
    assert world.created == []
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]


def test_died_before_the_handle_and_the_job_is_known_to_be_lost_a_new_attempt_runs_in_the_same_try(world, monkeypatch):
    world.store.on("create", "attempt-1/handle.json", die)
    run_to_death(world.life())
    backend, find = world.cluster.backend_class, world.cluster.backend_class.find

    def lost(self, name, location=None):
        found = find(self, name, location)
        return replace(found, status=JobStatus(State.ABSENT, "the process is gone")) if name == world.job(1) else found

    monkeypatch.setattr(backend, "find", lost)
    assert result_of(world.life(try_number=2, tries_left=False).run()) == 42
    assert world.created == [1, 2]


def test_died_after_the_submission_before_the_handle_the_job_is_adopted(world):
    world.plays(Script(sees=(RUNNING, RUNNING, SUCCEEDED)))
    world.store.on("create", "attempt-1/handle.json", die)
    run_to_death(world.life())
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]
    assert world.cluster.calls["submit"] == 2, "get-or-create makes what the first worker had not made yet"
    assert any("adopted" in line for line in world.said)
    assert world.links[-1] is not None, "the link is pushed after an adoption too"


def test_died_while_it_ran_the_job_is_adopted_with_its_whole_log(world):
    world.plays(Script(sees=(*[RUNNING] * 6, SUCCEEDED), log=("a", "b", "c", "d")))
    first = world.life()
    world.on_pause = lambda count: die() if count == 2 else None
    run_to_death(first)
    world.on_pause = None
    world.shown.clear()
    world.life(try_number=2).run()
    assert world.created == [1]
    assert world.stopped == []
    assert world.shown == ["a", "b", "c", "d"]


def test_finished_while_nobody_looked_is_collected_not_run_again(world):
    world.plays(Script(sees=(RUNNING, SUCCEEDED)))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]
    assert any("nothing is run again" in line for line in world.said)


@pytest.mark.parametrize("when", ["before the job was forgotten", "after"])
def test_claimed_by_a_try_that_died_is_collected_again(world, when):
    world.plays(Script(log=("kept",)))
    if when == "after":
        world.life().run()  # Airflow never learned of it
    else:
        world.store.on("create", "claim-1", die, after=True)
        run_to_death(world.life())
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]
    assert world.store.read(world.attempt(1).log_uri) == b"kept\n", (
        "the log that was kept is not overwritten by nothing"
    )


def test_arguments_that_render_differently_make_no_second_job(world):
    world.plays(Script(sees=(*[RUNNING] * 4, SUCCEEDED)))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    world.life(try_number=2, env={"TODAY": "another day"}).run()
    assert world.created == [1]


# --- how attempts end -------------------------------------------------------------------------------------------------


def test_success_without_a_result_is_an_error_and_not_run_again(world):
    world.plays(Script(writes="nothing"))
    for try_number in (1, 2):
        with pytest.raises(ResultMissing, match=r"there is no result\.json under memory"):
            world.life(try_number=try_number).run()
    assert world.created == [1]
    assert result_of(world.plays(Script()).life(try_number=3, max_tries=3).run()) == 42, "a clear runs it again"


def test_a_failed_job_is_told_with_its_line_and_tried_again(world):
    world.plays(Script(sees=(FAILED,), writes="error"), Script())
    with pytest.raises(StepFailed, match="the fake's own code failed") as failed:
        world.life().run()
    assert failed.value.where == "dags/fake.py:7, in train"
    assert (failed.value.attempt, failed.value.url) == (1, f"https://fake.invalid/jobs/{world.job(1)}")
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1, 2]


def test_a_job_that_was_killed_shows_the_tail_of_its_log(world):
    world.plays(Script(sees=(FAILED,), writes="nothing", log=tuple(f"line {number}" for number in range(50))))
    with pytest.raises(StepFailed, match="exit status 1 and left no error") as failed:
        world.life().run()
    assert failed.value.log_tail == tuple(f"line {number}" for number in range(30, 50))


def test_a_time_to_live_took_the_job_its_result_is_collected(world):
    world.plays(Script(sees=(RUNNING, GONE), writes="result"))
    assert result_of(world.life().run()) == 42
    assert world.created == [1]


@pytest.mark.parametrize(("preemptions", "created"), [(0, [1]), (1, [1, 2])])
def test_a_lost_job_is_tried_again_within_the_budget(world, preemptions, created):
    world.plays(Script(sees=(RUNNING, GONE), writes="nothing"), Script())
    life = world.life(preemptions=preemptions)
    if preemptions:
        assert result_of(life.run()) == 42
    else:
        with pytest.raises(Preempted, match="the job was lost"):
            life.run()
    assert world.created == created


def test_a_job_that_was_lost_while_nobody_looked_is_tried_again(world):
    world.plays(Script(sees=(RUNNING,), writes="nothing"), Script())
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    world.cluster.remove(world.job(1))
    world.life(try_number=2).run()
    assert world.created == [1, 2]


# --- unknown is not failed --------------------------------------------------------------------------------------------


def test_no_answer_while_watching_waits(world):
    world.plays(Script(sees=(RUNNING, *[UNREACHABLE] * 20, NEW_WORD, NEW_WORD, RUNNING, SUCCEEDED)))
    assert result_of(world.life().run()) == 42
    assert world.created == [1]
    assert any("Hibernating" in line for line in world.said), "an unknown word is shown"


def test_no_answer_on_arrival_waits_and_submits_nothing(world):
    world.plays(Script(sees=(RUNNING, *[UNREACHABLE] * 10, SUCCEEDED)))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]


@pytest.mark.parametrize(
    ("faults", "calls"),
    [
        pytest.param(("after",), 1, id="the job was created: found, not submitted again"),
        pytest.param(("before",), 2, id="nothing was created: submitted again"),
        pytest.param(("before", "before", "after"), 3, id="a long outage that ends in an ambiguous answer"),
    ],
)
def test_an_ambiguous_submission_is_looked_for_before_it_is_repeated(world, faults, calls):
    world.plays(Script(submit=faults, sees=(RUNNING, RUNNING, SUCCEEDED)))
    assert result_of(world.life().run()) == 42
    assert world.created == [1]
    assert world.cluster.calls["submit"] == calls


def test_an_ambiguous_submission_of_a_recorded_attempt_is_looked_for_too(world):
    world.plays(Script(submit=("after",), sees=(RUNNING, SUCCEEDED)))
    world.store.on("create", "attempt-1/job.json", die, after=True)
    run_to_death(world.life())
    world.life(try_number=2).run()
    assert world.created == [1]
    assert world.cluster.calls["submit"] == 1


PHASES = [
    ("facts", "attempt-1/context.json", False),
    ("create", "attempt-1/context.json", False),
    ("create", ".zip", False),
    ("create", "attempt-1/job.json", False),
    ("create", "attempt-1/job.json", True),
    ("create", "attempt-1/handle.json", False),
    ("read", "attempt-1/result.json", False),
    ("read", "attempt-1/error.json", False),
    ("create", "claim-1", False),
]


@pytest.mark.parametrize(("verb", "name", "after"), PHASES, ids=lambda value: str(value))
def test_a_store_that_gives_no_answer_is_waited_for(world, verb, name, after):
    outcome = "error" if name.endswith("error.json") else "result"
    world.plays(Script(sees=(RUNNING, FAILED if outcome == "error" else SUCCEEDED), writes=outcome))
    world.store.on(verb, name, unavailable, after=after, times=3 if not after else 1)
    if outcome == "error":
        with pytest.raises(StepFailed, match="own code"):
            world.life().run()
    else:
        assert result_of(world.life().run()) == 42
    assert world.created == [1]
    assert any("cannot" in line for line in world.said)


@pytest.mark.parametrize(
    ("verb", "name"),
    [("read", "job.json"), ("read", "handle.json"), ("read", "stop_requested"), ("read", "result.json")],
)
def test_a_store_that_gives_no_answer_on_arrival_is_waited_for(world, verb, name):
    world.plays(Script(sees=(RUNNING, RUNNING, SUCCEEDED)))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    world.store.on(verb, f"attempt-1/{name}", unavailable, times=3)
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]


def test_a_store_that_gives_no_answer_while_an_attempt_is_closed_is_waited_for(world):
    world.store.on("create", "attempt-1/job.json", die)
    run_to_death(world.life())
    world.store.on("create", "attempt-1/job.json", unavailable, times=3)
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [2]


def test_a_log_that_cannot_be_kept_does_not_fail_the_step(world):
    world.plays(Script(log=("a",)))
    world.store.on("replace", "log.txt", unavailable)
    assert result_of(world.life().run()) == 42
    assert any("could not be kept" in line for line in world.said)


def test_a_backend_that_cannot_forget_does_not_fail_the_step(world, monkeypatch):
    def forget(self, handle):
        raise BackendUnavailable("503")

    monkeypatch.setattr(world.cluster.backend_class, "forget", forget)
    assert result_of(world.life().run()) == 42


# --- clears and stops -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clear", [{"max_tries": 3}, {"run_started": "t1"}], ids=["task cleared", "run cleared"])
def test_a_clear_never_turns_green_on_old_work(world, clear):
    world.plays(Script(value="old code"), Script(value="new code"))
    world.life().run()
    assert result_of(world.life(try_number=2, **clear).run()) == "new code"
    assert world.created == [1, 2]


def test_after_a_clear_the_old_active_job_is_stopped_and_waited_for(world):
    world.plays(Script(sees=(RUNNING,), stops_after=4), Script(value="new"))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    assert result_of(world.life(try_number=2, max_tries=3).run()) == "new"
    assert world.created == [1, 2]
    assert world.stopped == [1], "asked once"
    assert world.cluster.peak_active == 1, "never two at once"


def test_a_corrupt_result_does_not_stand_in_the_way_of_a_clear(world):
    world.plays(Script(writes="corrupt"), Script())
    with pytest.raises(ResultMissing, match="cannot be read"):
        world.life().run()
    assert result_of(world.life(try_number=2, max_tries=3).run()) == 42
    assert world.created == [1, 2]


def test_a_stop_that_was_asked_for_makes_a_new_attempt_due(world):
    world.plays(Script(sees=(RUNNING, SUCCEEDED)), Script(value="new"))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    world.attempt(1).request_stop(reason="a user", now=world.now)
    assert result_of(world.life(try_number=2).run()) == "new"
    assert world.created == [1, 2]


# --- names that are not ours ------------------------------------------------------------------------------------------


def test_a_squatted_name_is_a_conflict_neither_adopted_nor_deleted(world):
    world.plays(Script(foreign=True))
    for try_number in (1, 2):
        with pytest.raises(JobConflict):
            world.life(try_number=try_number).run()
    assert list(world.cluster.jobs) == [world.job(1)]
    assert world.stopped == []


def test_a_clear_does_not_stop_a_job_that_is_not_ours(world):
    world.plays(Script(sees=(RUNNING,)))
    world.on_pause = lambda count: die()
    run_to_death(world.life())
    world.on_pause = None
    world.cluster.create({"name": world.job(1), "other": 1})
    with pytest.raises(JobConflict):
        world.life(try_number=2, max_tries=3).run()
    assert world.stopped == []


def test_a_name_that_is_taken_over_while_we_watch_is_a_conflict(world):
    world.plays(Script(sees=(RUNNING,)))
    world.on_pause = lambda count: world.cluster.create({"name": world.job(1), "other": 1}) if count == 3 else None
    with pytest.raises(JobConflict):
        world.life().run()
    assert world.stopped == []


def test_a_foreign_job_after_an_ambiguous_submission_is_a_conflict(world):
    world.plays(Script(submit=("before",), sees=(RUNNING,)))
    world.on_pause = lambda count: world.cluster.create({"name": world.job(1), "other": 1}) if count == 1 else None
    with pytest.raises(JobConflict):
        world.life().run()


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_at_the_deadline_the_job_is_stopped(world):
    world.plays(Script(sees=(RUNNING,), stops_after=2))
    with pytest.raises(JobTimeout, match="its job was stopped"):
        world.life(timeout="30s").run()
    assert world.stopped == [1]


def test_a_job_that_a_stop_deletes_has_passed_its_deadline_and_is_not_lost(world):
    world.plays(Script(sees=(RUNNING,), when_stopped=GONE, writes_when_stopped="nothing"))
    with pytest.raises(JobTimeout, match="its job was stopped"):
        world.life(timeout="30s").run()
    assert world.created == [1]


def test_work_that_is_found_finished_past_the_deadline_is_collected(world):
    world.plays(Script(sees=(RUNNING, SUCCEEDED)))

    def dies_for_a_day(count):
        world.now = world.now.replace(day=2)
        die()

    world.on_pause = dies_for_a_day
    run_to_death(world.life(timeout="30s"))
    world.on_pause = None
    assert result_of(world.life(try_number=2, timeout="30s").run()) == 42


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(Script(sees=(RUNNING,), stops_after=-1), id="a job that does not end"),
        pytest.param(Script(sees=(RUNNING,), cancel_fails=10_000), id="a stop that gets no answer"),
        pytest.param(Script(sees=(RUNNING, UNREACHABLE), cancel_fails=10_000), id="a backend that is gone"),
    ],
)
def test_the_deadline_bounds_everything(world, script):
    world.plays(script)
    with pytest.raises(JobTimeout, match="has not ended yet"):
        world.life(timeout="30s").run()


def test_a_stop_that_gets_no_answer_at_first_is_repeated(world):
    world.plays(Script(sees=(RUNNING,), cancel_fails=3))
    with pytest.raises(JobTimeout, match="its job was stopped"):
        world.life(timeout="30s").run()
    assert world.stopped == [1]


def test_no_attempt_starts_after_the_deadline(world):
    world.plays(Script(sees=(RUNNING, PREEMPTED)))

    def late(count):
        world.now = world.now.replace(day=2)

    world.on_pause = late
    with pytest.raises(Preempted):
        world.life(timeout="30s", preemptions=5).run()
    assert world.created == [1]


# --- being asked to end -----------------------------------------------------------------------------------------------


def killed_while_watching(world, *, task_state, tries_left=True, **script):
    world.plays(Script(sees=(RUNNING,), **script))
    life = world.life(tries_left=tries_left)
    world.task_state = task_state
    world.on_pause = lambda count: world.ports.killed.set() if count == 3 else None
    with pytest.raises(JobCancelled) as cancelled:
        life.run()
    return str(cancelled.value)


def test_a_drained_worker_leaves_its_job_to_the_next_try(world):
    assert "the next try adopts it" in killed_while_watching(world, task_state="running")
    assert world.stopped == []
    assert world.attempt(1).read_stop_request() is None


@pytest.mark.parametrize(
    ("task_state", "tries_left"),
    [("failed", True), ("success", True), ("restarting", True), ("running", False), (None, False)],
)
def test_a_users_wish_and_the_last_try_stop_the_job(world, task_state, tries_left):
    killed_while_watching(world, task_state=task_state, tries_left=tries_left)
    assert world.stopped == [1]
    assert world.attempt(1).read_stop_request() is not None


def test_a_kill_stops_the_job_even_if_the_marker_cannot_be_written(world):
    world.store.on("create", "stop_requested", unavailable)
    assert "could not be asked to stop" in killed_while_watching(world, task_state="failed")
    assert world.stopped == [1]


def test_a_kill_while_nobody_answers_ends_at_once(world):
    said = killed_while_watching(world, task_state="failed", cancel_fails=99)
    assert "could not be asked to stop" in said


@pytest.mark.parametrize("phase", ["attempt-1/handle.json", "attempt-1/result.json"])
def test_a_kill_while_the_store_is_waited_for_stops_the_job(world, phase):
    world.plays(Script(sees=(RUNNING, SUCCEEDED) if "result" in phase else (RUNNING,)))
    verb = "read" if "result" in phase else "create"
    world.store.on(verb, phase, unavailable, times=10_000)
    life = world.life()
    world.task_state = "failed"
    world.on_pause = lambda count: world.ports.killed.set() if count == 3 else None
    with pytest.raises(JobCancelled):
        life.run()
    assert world.attempt(1).read_stop_request() is not None
    if "handle" in phase:
        assert world.stopped == [1]


def test_a_kill_while_it_is_unknown_whether_the_job_exists_stops_it_if_it_does(world):
    world.plays(Script(submit=("after",), sees=(UNREACHABLE, UNREACHABLE, UNREACHABLE, RUNNING)))
    life = world.life()
    world.task_state = "failed"
    world.on_pause = lambda count: world.ports.killed.set() if count == 3 else None
    with pytest.raises(JobCancelled, match="was asked to stop"):
        life.run()
    assert world.stopped == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("when", ["while watching", "before the backend's answer was written"])
def test_ctrl_c_and_airflows_timeout_stop_the_job(world, error, when):
    world.plays(Script(sees=(RUNNING,)))

    def interrupt(*_):
        raise error

    if when == "while watching":
        world.on_pause = interrupt
    else:
        world.store.on("create", "attempt-1/handle.json", interrupt)
    with pytest.raises(error):
        world.life().run()
    assert world.stopped == [1]
    assert world.attempt(1).read_stop_request()["reason"] == error.__name__


def test_a_bug_of_ours_leaves_the_job_to_the_next_try(world):
    world.plays(Script(sees=(*[RUNNING] * 5, SUCCEEDED)))

    def bug(count):
        raise ZeroDivisionError

    world.on_pause = bug
    with pytest.raises(ZeroDivisionError):
        world.life().run()
    world.on_pause = None
    assert world.stopped == []
    assert result_of(world.life(try_number=2).run()) == 42
    assert world.created == [1]


# --- preemption and fallback ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [PREEMPTED, EVICTED], ids=["preempted", "evicted"])
@pytest.mark.parametrize("writes", ["nothing", "cancelled"])
def test_a_job_that_was_taken_away_is_run_again_within_the_try(world, seen, writes):
    lost = Script(sees=(RUNNING, seen), writes=writes)
    world.plays(lost, lost, Script())
    assert result_of(world.life(preemptions=2).run()) == 42
    assert world.created == [1, 2, 3]
    assert world.cluster.peak_active == 1


def test_a_job_that_somebody_stopped_is_not_run_again_within_the_try(world):
    world.plays(Script(sees=(RUNNING, STOPPED), writes="cancelled"))
    with pytest.raises(JobCancelled):
        world.life(preemptions=5, targets=3).run()
    assert world.created == [1]


def test_the_budget_ends_then_the_next_target_is_tried(world):
    lost = Script(sees=(PREEMPTED,), writes="nothing")
    world.plays(lost, lost, Script())
    collected = world.life(preemptions=1, targets=2).run()
    assert [world.attempt(number).read_record().target for number in (1, 2, 3)] == ["target-0", "target-0", "target-1"]
    assert collected.record.target_index == 1


def test_no_capacity_anywhere_fails_with_the_last_reason(world):
    world.plays(Script(sees=(NO_CAPACITY,), writes="nothing"))
    with pytest.raises(CapacityUnavailable, match="no node fits"):
        world.life(targets=3).run()
    assert world.created == [1, 2, 3]


def test_all_attempts_of_a_try_share_one_deadline(world):
    world.plays(Script(sees=(RUNNING, RUNNING, PREEMPTED), writes="nothing"), Script())
    world.life(preemptions=1, timeout="10m").run()
    began = world.attempt(1).note_running(world.now)
    assert world.attempt(2).read_record().deadline == began + timedelta(minutes=10)


def test_queueing_does_not_count(world):
    world.plays(Script(sees=(*[QUEUED] * 60, *[RUNNING] * 5, SUCCEEDED)))
    assert result_of(world.life(timeout="1m").run()) == 42


def test_a_queue_that_is_too_long_stops_the_job(world):
    world.plays(Script(sees=(QUEUED,)))
    world.step = replace(world.step, target={"max_queue": timedelta(minutes=1)})
    with pytest.raises(JobTimeout, match="`max_queue`"):
        world.life(targets=2).run()
    assert (world.created, world.stopped) == ([1], [1])


def test_a_target_without_room_is_given_up_for_the_next(world):
    world.plays(Script(sees=(QUEUED,)), Script())
    world.step = replace(world.step, target={"give_up_pending_after": timedelta(minutes=1)})
    assert result_of(world.life(targets=2, preemptions=3).run()) == 42
    assert (world.created, world.stopped) == ([1, 2], [1])
    assert world.attempt(2).read_record().target == "target-1"


def test_a_target_that_refuses_for_want_of_room_gives_way_to_the_next(world):
    world.cluster.refuses[world.job(1)] = [CapacityUnavailable("the account may not use it", remedy="ask for more")]
    assert result_of(world.life(targets=2).run()) == 42
    assert world.created == [2]
    assert world.attempt(2).read_record().target == "target-1"


def test_the_last_target_that_refuses_for_want_of_room_says_what_to_do(world):
    world.cluster.refuses[world.job(1)] = [CapacityUnavailable("the account may not use it", remedy="ask for more")]
    with pytest.raises(CapacityUnavailable, match="the account may not use it") as refused:
        world.life().run()
    assert refused.value.remedy == "ask for more"
    assert world.created == []


def test_a_quota_that_is_used_up_is_waited_for(world):
    world.cluster.refuses[world.job(1)] = [QuotaExceeded("four of four are in use")] * 5
    assert result_of(world.life(targets=2).run()) == 42
    assert world.created == [1]
    assert any("four of four are in use" in said for said in world.said)


def test_a_quota_that_stays_used_up_is_given_up_for_the_next_target(world):
    world.cluster.refuses[world.job(1)] = [QuotaExceeded("four of four are in use")] * 300
    world.step = replace(world.step, target={"give_up_pending_after": timedelta(minutes=1)})
    assert result_of(world.life(targets=2).run()) == 42
    assert world.created == [2]


def test_a_stop_of_somebody_else_is_not_taken_for_giving_up(world):
    world.plays(Script(sees=(RUNNING, PREEMPTED), writes="nothing"))
    world.on_pause = lambda count: world.attempt(1).request_stop(reason="task is failed", now=world.now)
    with pytest.raises(Preempted):
        world.life(targets=2).run()
    assert world.created == [1]


# --- races ------------------------------------------------------------------------------------------------------------


def test_two_workers_that_race_for_a_number_make_one_job(world):
    first = world.life()
    world.store.on("create", "attempt-1/context.json", lambda: world.life(try_number=2).run())
    assert result_of(first.run()) == 42
    assert world.created == [1], "the slower one looks again, and collects what the faster one has finished"


def test_two_workers_on_one_recorded_attempt_make_one_job(world):
    world.plays(Script(sees=(*[RUNNING] * 6, SUCCEEDED)))
    first = world.life()
    world.store.on("create", "attempt-1/job.json", lambda: world.life(try_number=2).run(), after=True)
    first.run()
    assert world.created == [1], "the second saw what the first had submitted, though it was finished and forgotten"


def test_a_writer_that_was_frozen_before_the_submission_of_a_cleared_attempt_submits_nothing(world):
    frozen = world.life()
    later = lambda: world.life(try_number=2, max_tries=3).run()  # noqa: E731
    world.store.on("create", "attempt-1/job.json", later, after=True)
    with pytest.raises(JobCancelled, match="stopped by a later try"):
        frozen.run()
    assert world.created == [2]


# --- what stands in the ledger ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        pytest.param("corrupt", "cannot be read", id="half a file"),
        pytest.param("other attempt", "is not this attempt's", id="another attempt's result"),
        pytest.param("other protocol", "expected protocol 1", id="a result of another protocol"),
    ],
)
def test_a_result_that_is_not_ours_is_refused(world, writes, message):
    world.plays(Script(writes=writes))
    with pytest.raises(ResultMissing, match=message):
        world.life().run()


def test_a_record_that_cannot_be_read_says_where(world):
    world.life().run()
    world.store.write(world.attempt(1).uri + "/job.json", b'{"attempt": 1}')
    with pytest.raises(ResultMissing, match="KeyError") as refused:
        world.life(try_number=2).run()
    assert refused.value.where.endswith("attempt-1/job.json")


def test_the_ledger_holds_the_deadline_and_the_request(world):
    world.life(timeout="1h").run()
    record = world.attempt(1).read_record()
    assert (record.limit_seconds, record.deadline) == (3600, None), "it counts from when the job runs"
    assert record.request["name"] == record.job == world.job(1)


# --- logs -------------------------------------------------------------------------------------------------------------


def test_the_log_is_kept_whole(world):
    lines = tuple(f"line {number}" for number in range(500))
    world.plays(Script(sees=(*[RUNNING] * 5, SUCCEEDED), log=lines, lines_per_look=7))
    world.life().run()
    assert world.shown == list(lines)
    assert world.store.read(world.attempt(1).log_uri).decode().splitlines() == list(lines)


def test_a_log_that_cannot_be_read_does_not_fail_the_step(world):
    world.plays(Script(log_fails=-1))
    assert result_of(world.life().run()) == 42


def test_a_log_with_gaps_in_reading_is_still_whole(world):
    world.plays(Script(sees=(*[RUNNING] * 5, SUCCEEDED), log=("a", "b", "c"), log_fails=3))
    world.life().run()
    assert world.shown == ["a", "b", "c"]


# --- what others count ------------------------------------------------------------------------------------------------


def test_submissions_adoptions_failures_and_stops_are_counted(world):
    world.plays(Script(sees=(*[RUNNING] * 6, FAILED), writes="error"))
    first = world.life()
    world.on_pause = lambda count: die() if count == 2 else None
    run_to_death(first)
    world.on_pause = None
    with pytest.raises(StepFailed):
        world.life(try_number=2).run()
    assert world.counted == [
        ("mlx.job.submitted", {"backend": "fake"}),
        ("mlx.job.adopted", {"backend": "fake"}),
        ("mlx.job.failed", {"backend": "fake", "reason": "StepFailed"}),
    ]
    assert set(world.identified) == {("fake", world.job(1), 1)}, "lines carry the job's identity"


def test_a_stop_at_a_limit_is_counted_with_its_reason(world):
    world.plays(Script(sees=(RUNNING,)))
    with pytest.raises(JobTimeout):
        world.life(timeout="1m").run()
    assert ("mlx.job.cancelled", {"backend": "fake", "reason": "timed out"}) in world.counted
