"""Runs that decide by what their steps found, and runs that assets trigger: the examples, under a real scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.harness import Lab, LabRun

GOOD: dict[str, Any] = {}
NOTHING = {"rows": 0}
STRICT = {"minimum": 0.9}
LARGE = {"rows": 20_000}


@pytest.fixture(scope="module")
def started(lab: Lab) -> Lab:
    """The lab, with every run started: they run side by side."""
    for conf in (GOOD, NOTHING, STRICT, LARGE):
        lab.start("control_flow", conf)
    return lab


@pytest.fixture
def finished(started: Lab, show: Callable[[Any], Any]) -> Callable[..., LabRun]:
    """Waits for a run; its logs are shown if the test fails."""
    return lambda conf: show(started.run("control_flow", conf))


def test_what_is_good_enough_goes_on_by_the_branch_that_its_metric_chose(finished: Callable[..., LabRun]) -> None:
    run = finished(GOOD)
    assert run.state == "success"
    assert run.states() == {
        "new_rows": "success", "audit": "success", "evaluate": "success", "gate": "success", "choose": "success",
        "deepen": "success", "publish": "success", "is_large": "success", "large_report": "skipped",
    }  # fmt: skip
    assert run.xcom("evaluate", "mlx_metrics") == {"accuracy": 0.625, "rows": 500.0}
    assert run.xcom("gate") == {"accuracy": 0.625, "rows": 500.0}
    assert run.xcom("deepen")["accuracy"] == pytest.approx(0.725)
    assert "mlx: ✓ accuracy >= 0.6: 0.625 is >= 0.6" in run.log("gate")


def test_a_job_that_finds_nothing_skips_itself_and_what_depends_on_it(finished: Callable[..., LabRun]) -> None:
    run = finished(NOTHING)
    assert run.state == "success"
    assert set(run.states().values()) == {"skipped"}
    assert "no new rows since the last run" in run.log("new_rows")
    assert "exit code 99" in run.log("audit")


def test_a_gate_refuses_with_its_reason(finished: Callable[..., LabRun]) -> None:
    run = finished(STRICT)
    assert run.state == "failed"
    states = run.states()
    assert (states["gate"], states["deepen"], states["publish"]) == ("failed", "upstream_failed", "upstream_failed")
    assert "the gate `gate` refuses: accuracy >= 0.9 (0.625 is not >= 0.9)" in run.log("gate")


def test_a_branch_and_a_short_circuit_take_the_other_way(finished: Callable[..., LabRun]) -> None:
    states = finished(LARGE).states()
    assert (states["deepen"], states["publish"]) == ("skipped", "success")
    assert states["large_report"] == "success"


def runs_of(lab: Lab, dag_id: str, count: int, *, seconds: float = 240) -> list[LabRun]:
    """The DAG's runs, oldest first, when there are so many and all have ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = lab.airflow.ask(f"dags/{dag_id}/dagRuns?order_by=id")["dag_runs"]
        if len(found) >= count and all(run["state"] in ("success", "failed") for run in found):
            return [LabRun(lab, dag_id, run["dag_run_id"], run["state"]) for run in found]
        time.sleep(0.5)
    raise TimeoutError(f"{dag_id} has not had {count} finished runs within {seconds:.0f} s")


def test_a_changed_table_trains_anew_and_the_champions_metrics_decide(lab: Lab, show: Callable[[Any], Any]) -> None:
    lab.airflow.wait_for_dag("retrain")
    made = show(lab.run("refresh_table"))
    assert made.state == "success"
    (first,) = runs_of(lab, "retrain", 1)
    assert show(first).state == "success", first.tail()
    assert set(first.states().values()) == {"success"}
    assert "there is no champion yet" in first.log("gate")
    assert first.xcom("promote")["accuracy"] > 0.9

    # Airflow 3.3 cannot show an event as long as a run that it started is queued.
    (event,) = lab.airflow.ask("assets/events?source_dag_id=refresh_table")["asset_events"]
    table = made.xcom("collect")
    assert event["extra"]["mlx_artifact"] == table
    assert (event["extra"]["uri"], event["extra"]["sha256"]) == (table["uri"], table["sha256"])

    lab.airflow.trigger("refresh_table")
    second = runs_of(lab, "retrain", 2)[-1]
    assert show(second).states()["gate"] in ("success", "skipped"), second.tail()
    reached = first.xcom("promote")["accuracy"] - 0.02
    assert f">= {reached:g}" in second.log("gate"), "judged against the first run's metrics"
