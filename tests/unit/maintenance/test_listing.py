"""From a flat listing to runs, tasks and attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.maintenance.listing import group

ROOT = "s3://lake/mlx"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def facts(name: str, *, days: float = 0, size: int = 10) -> ObjectFacts:
    return ObjectFacts(f"{ROOT}/{name}", size, "", NOW - timedelta(days=days))


def test_runs_tasks_attempts_and_what_lies_beside_them():
    runs = group(
        [
            facts("runs/prod/dag/run/task/-1/attempt-1/context.json", days=3),
            facts("runs/prod/dag/run/task/-1/attempt-1/outputs/a/b.json", days=2),
            facts("runs/prod/dag/run/task/-1/attempt-12/context.json", days=1),
            facts("runs/prod/dag/run/task/-1/checkpoints/epoch-1", days=5),
            facts("runs/prod/dag/run/task/3/attempt-1/context.json", days=9),
            facts("runs/test/dag/run/task/-1/attempt-1/context.json"),
        ],
        ROOT,
    )
    assert [run.deployment for run in runs] == ["prod", "test"]
    (prod, _) = runs
    assert set(prod.tasks) == {"task/-1", "task/3"}
    task = prod.tasks["task/-1"]
    assert sorted(task.attempts) == [1, 12]
    assert set(task.attempts[1].objects) == {"context.json", "outputs/a/b.json"}
    assert task.attempts[1].modified == NOW - timedelta(days=2)
    assert [item.uri for item in task.further] == [f"{ROOT}/runs/prod/dag/run/task/-1/checkpoints/epoch-1"]
    assert prod.modified == NOW - timedelta(days=1)
    assert prod.a_context == f"{ROOT}/runs/prod/dag/run/task/-1/attempt-1/context.json"


def test_other_objects_are_left_alone():
    assert group([facts("bundles/x.zip"), facts("runs/readme.txt"), facts("runs2/a/b/c/d/e/attempt-1/x")], ROOT) == []


def test_a_store_that_tells_no_time_makes_everything_young():
    (run,) = group([ObjectFacts(f"{ROOT}/runs/p/d/r/t/-1/attempt-1/context.json", 1, "", None)], ROOT)
    assert run.modified > NOW + timedelta(days=10_000)


def test_a_file_root_may_be_spelled_in_two_ways():
    listing = [ObjectFacts("file:///a%20b/me@x/runs/p/d/r/t/-1/attempt-1/context.json", 1, "", NOW)]
    (run,) = group(listing, "file:///a%20b/me%40x")
    assert run.attempts[0].objects["context.json"].uri == listing[0].uri, "as the store knows it"
