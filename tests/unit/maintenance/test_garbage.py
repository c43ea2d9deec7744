"""What gc may remove, and above all what it may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.maintenance.garbage import Keep, gone_tasks, is_old, plan_run, unused_bundles
from airflow_provider_mlx.maintenance.listing import RunFolder, group

ROOT = "s3://lake/mlx"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEEP = Keep(results=timedelta(days=90), failures=timedelta(days=30))
SUCCESS = ("context.json", "job.json", "handle.json", "result.json", "claim-1", "log.txt", "outputs/return_value.json")
FAILURE = ("context.json", "job.json", "handle.json", "error.json", "log.txt")
RUNNING = ("context.json", "job.json", "handle.json")


def run_of(*attempts: tuple[str, int, tuple[str, ...], float]) -> RunFolder:
    """A run's folder from (task, number, names, days old)."""
    listing = [
        ObjectFacts(f"{ROOT}/runs/prod/dag/run/{task}/-1/attempt-{number}/{name}", 10, "", NOW - timedelta(days=days))
        for task, number, names, days in attempts
        for name in names
    ]
    (run,) = group(listing, ROOT)
    return run


def removed(run: RunFolder, states: dict[str, str] | None, *, knows: bool = True) -> list[str]:
    """What goes, by its name below the run."""
    plan = plan_run(run, states, gone=gone_tasks(run, states or {}), keep=KEEP, now=NOW, knows=knows)
    return [facts.uri.removeprefix(f"{run.uri}/") for facts in plan.remove]


def test_an_old_result_goes_and_its_records_stay():
    run = run_of(("train", 1, SUCCESS, 100))
    found = removed(run, {"train": "success"})
    assert found[0] == "train/-1/attempt-1/result.json", "first, so that nobody finds half of a result"
    assert set(found) == {
        f"train/-1/attempt-1/{name}" for name in ("result.json", "claim-1", "log.txt", "outputs/return_value.json")
    }


def test_the_mark_of_a_told_end_goes_after_that_of_its_start():
    run = run_of(("train", 1, ("lineage-end", "lineage-start", *SUCCESS), 100))
    assert removed(run, {"train": "success"})[-1] == "train/-1/attempt-1/lineage-end"


def test_what_was_removed_is_not_counted_again():
    run = run_of(("train", 1, ("context.json", "job.json", "handle.json"), 100))
    assert removed(run, {"train": "success"}) == []


def test_a_young_result_stays():
    assert removed(run_of(("train", 1, SUCCESS, 80)), {"train": "success"}) == []


def test_a_failure_goes_earlier_and_leaves_the_number_taken():
    run = run_of(("train", 1, FAILURE, 40), ("train", 2, SUCCESS, 39))
    found = removed(run, {"train": "success"})
    assert set(found) == {"train/-1/attempt-1/error.json", "train/-1/attempt-1/log.txt"}


@pytest.mark.parametrize("state", ["running", "deferred", "queued", "scheduled", "none", "up_for_retry", "restarting"])
def test_nothing_of_a_run_goes_while_any_task_of_it_may_still_run(state):
    run = run_of(("train", 1, SUCCESS, 200), ("evaluate", 1, RUNNING, 200))
    assert removed(run, {"train": "success", "evaluate": state, "plain": "success"}) == []
    assert removed(run_of(("train", 1, SUCCESS, 200)), {"train": "success", "waits_for_it": state}) == []


def test_nothing_goes_without_an_answer():
    assert removed(run_of(("train", 1, SUCCESS, 1000)), None) == []


def test_a_run_that_is_gone_goes_whole_with_its_checkpoints_and_its_contexts_last():
    run = run_of(("train", 1, FAILURE, 200), ("train", 2, SUCCESS, 200))
    run.tasks["train/-1"].further.append(
        ObjectFacts(f"{run.uri}/train/-1/checkpoints/epoch", 5, "", NOW - timedelta(days=200))
    )
    found = removed(run, {})
    assert set(found) == {
        "train/-1/checkpoints/epoch",
        *(f"train/-1/attempt-1/{name}" for name in FAILURE),
        *(f"train/-1/attempt-2/{name}" for name in SUCCESS),
    }
    assert [name.endswith("context.json") for name in found[-2:]] == [True, True]


def test_gone_is_not_believed_of_an_airflow_that_knows_no_run_of_the_ledger():
    run = run_of(("train", 1, SUCCESS, 200))
    assert removed(run, {}, knows=False) == []
    plan = plan_run(run, {}, gone=frozenset(run.tasks), keep=KEEP, now=NOW, knows=False)
    assert "is it the right one" in plan.why


def test_a_gone_run_with_a_young_result_is_kept_with_its_records():
    run = run_of(("train", 1, FAILURE, 40), ("train", 2, SUCCESS, 39))
    assert not any(name.endswith("context.json") for name in removed(run, {}))


def test_whatever_was_written_within_a_day_stays():
    run = run_of(("train", 1, SUCCESS, 200), ("other", 1, RUNNING, 0.5))
    assert removed(run, {"train": "success", "other": "failed"}) == []


def test_results_go_with_their_run_since_a_later_step_may_have_been_given_them():
    run = run_of(("train", 1, SUCCESS, 200), ("evaluate", 1, SUCCESS, 20))
    assert removed(run, {"train": "success", "evaluate": "success"}) == []


def test_checkpoints_stay_as_long_as_their_task_instance():
    run = run_of(("train", 1, SUCCESS, 200))
    run.tasks["train/-1"].further.append(
        ObjectFacts(f"{run.uri}/train/-1/checkpoints/epoch", 5, "", NOW - timedelta(days=200))
    )
    assert not any("checkpoints" in name for name in removed(run, {"train": "success"}))


def test_gone_tasks_of_a_known_run():
    run = run_of(("train", 1, SUCCESS, 200), ("dropped", 1, SUCCESS, 200))
    assert gone_tasks(run, {"train": "success", "train_2": "failed"}) == {"dropped/-1"}
    assert any(name == "dropped/-1/attempt-1/context.json" for name in removed(run, {"train": "success"}))


def test_mapped_tasks_and_names_that_are_digests_are_found_in_airflows_answer():
    listing = [ObjectFacts(f"{ROOT}/runs/prod/dag/run/fit/3/attempt-1/context.json", 1, "", NOW)]
    (run,) = group(listing, ROOT)
    assert gone_tasks(run, {"fit_3": "success"}) == frozenset()
    assert gone_tasks(run, {"fit_33": "success", "fit": "success"}) == {"fit/3"}
    from airflow_provider_mlx.step.identity import path_segment

    odd = path_segment("a step: with signs")
    (run,) = group([ObjectFacts(f"{ROOT}/runs/prod/dag/run/{odd}/-1/attempt-1/context.json", 1, "", NOW)], ROOT)
    assert gone_tasks(run, {"a step: with signs": "success"}) == frozenset()


def test_only_old_runs_are_asked_about():
    assert not is_old(run_of(("train", 1, FAILURE, 29)), KEEP, NOW)
    assert is_old(run_of(("train", 1, FAILURE, 31)), KEEP, NOW)


# --- bundles -----------------------------------------------------------------------------------------------------


def bundle(digit: str, *, days: float) -> ObjectFacts:
    return ObjectFacts(f"{ROOT}/bundles/{digit * 64}.zip", 100, "", NOW - timedelta(days=days))


def test_only_old_bundles_that_nothing_names_go():
    bundles = [bundle("a", days=60), bundle("b", days=60), bundle("c", days=6)]
    found, why = unused_bundles(bundles, used=["a" * 64], runs=[], now=NOW)
    assert (found, why) == ([bundles[1]], "")


def test_other_objects_beside_the_bundles_stay():
    other = ObjectFacts(f"{ROOT}/bundles/readme.txt", 1, "", NOW - timedelta(days=600))
    assert unused_bundles([other], used=[], runs=[], now=NOW) == ([], "")


def test_no_bundle_goes_while_an_attempt_is_being_recorded():
    run = run_of(("train", 1, ("context.json",), 0.001))
    found, why = unused_bundles([bundle("a", days=60)], used=[], runs=[run], now=NOW)
    assert found == []
    assert "is being recorded" in why


def test_an_attempt_whose_writer_died_long_ago_holds_nothing():
    run = run_of(("train", 1, ("context.json",), 3))
    found, _ = unused_bundles([bundle("a", days=60)], used=[], runs=[run], now=NOW)
    assert len(found) == 1


def test_a_store_that_tells_no_time_loses_no_bundle():
    assert unused_bundles([ObjectFacts(f"{ROOT}/bundles/{'a' * 64}.zip", 1, "", None)], used=[], runs=[], now=NOW) == (
        [],
        "",
    )
