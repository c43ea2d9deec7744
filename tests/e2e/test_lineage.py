"""The events that a run leaves, through Airflow's own OpenLineage provider and its file transport."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DAGS, Drive, Home, Run

Event = dict[str, Any]


@pytest.fixture(scope="module")
def told(make_home: Callable[..., Home], base: Path) -> Iterator[tuple[Run, list[Event]]]:
    """A run of steps and plain tasks, and every event about it."""
    file = base / "lineage.ndjson"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    home = make_home(
        "lineage", DAGS / "xcom", AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(transport),
        AIRFLOW__OPENLINEAGE__NAMESPACE="e2e",
    )  # fmt: skip
    drive = Drive(home, "passing")
    run = drive["passing"]
    yield run, [json.loads(line) for line in file.read_text().splitlines()]
    drive.stop()


def of_job(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["job"]["name"] == name]


def test_a_step_is_a_run_below_its_task_and_its_dag_run(told: tuple[Run, list[Event]]) -> None:
    run, events = told
    assert run.state == "success", run.tail()
    child = of_job(events, "passing.total.total")
    assert [event["eventType"] for event in child] == ["START", "COMPLETE"]
    task = {event["run"]["runId"] for event in of_job(events, "passing.total")}
    dag_run = {event["run"]["runId"] for event in of_job(events, "passing")}
    for event in child:
        parent = event["run"]["facets"]["parent"]
        assert {parent["run"]["runId"]} == task
        assert {parent["root"]["run"]["runId"]} == dag_run
        assert event["run"]["facets"]["mlx_remoteJob"]["backend"] == "local"
        assert event["run"]["facets"]["mlx_code"]["codeDigest"].startswith("sha256:")
    assert child[-1]["run"]["facets"]["mlx_environment"]["python"].startswith("3.")


def test_the_task_tells_the_same_outputs_and_its_end_is_told(told: tuple[Run, list[Event]]) -> None:
    _, events = told
    outputs = {name: of_job(events, name)[-1]["outputs"] for name in ("passing.total", "passing.total.total")}
    assert of_job(events, "passing.total")[-1]["eventType"] == "COMPLETE", "it was not lost in the provider's process"
    names = [{(item["namespace"], item["name"]) for item in found} for found in outputs.values()]
    assert names[0] == names[1]
    assert len(names[0]) == 1


def test_every_step_ends_as_often_as_it_starts(told: tuple[Run, list[Event]]) -> None:
    _, events = told
    steps = [event for event in events if "mlx_remoteJob" in event["run"]["facets"]]
    kinds = sorted(event["eventType"] for event in steps)
    assert kinds.count("START") == kinds.count("COMPLETE") + kinds.count("FAIL") + kinds.count("ABORT") > 1
