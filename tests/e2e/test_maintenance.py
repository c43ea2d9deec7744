"""The maintenance DAG, and the commands of an operator, on a real Airflow's database."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import EXAMPLES, Home, attempts


@pytest.fixture(scope="module")
def home(make_home: Callable[..., Home], tmp_path_factory: pytest.TempPathFactory) -> Home:
    dags = tmp_path_factory.mktemp("maintained")
    shutil.copytree(EXAMPLES / "example_package", dags / "example_package")
    shutil.copytree(EXAMPLES / "scripts", dags / "scripts")
    for name in ("script_step.py", "mlx_maintenance.py"):
        shutil.copy(EXAMPLES / name, dags / name)
    home = make_home("maintenance", dags, shared=False)
    _, run = home.dags_test("script_step")
    assert run.state == "success"
    return home


def command(home: Home, *arguments: str) -> Any:
    done = home.run("python", "-m", "airflow_provider_mlx", *arguments, "--json")
    assert done.code == 0, done.tail()
    return json.loads(done.stdout)


def test_the_maintenance_dag_leaves_young_runs_alone(home: Home, show: Callable[[Any], Any]) -> None:
    before = {path: path.read_bytes() for path in (home.root / "runs").rglob("*") if path.is_file()}
    done, run = home.dags_test("mlx_maintenance")
    show(done)
    assert run.states() == {"reap": "success", "gc": "success", "lineage_replay": "success"}
    assert {path: path.read_bytes() for path in before} == before


def test_young_runs_are_neither_orphans_nor_garbage(home: Home) -> None:
    assert command(home, "reap") == {"attempts": [], "lineage": [], "notes": [], "unread": []}
    assert command(home, "gc") == {"items": [], "unread": []}


def test_the_end_of_a_run_whose_task_died_is_told_once(home: Home, tmp_path: Path) -> None:
    folder, *_ = attempts(home.root, "script_step", home.latest("script_step").run_id)
    (folder / "lineage-end").unlink()  # as if its worker had been killed before it told
    then = time.time() - 3600
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))
    events = tmp_path / "events.ndjson"
    transport = json.dumps({"type": "file", "log_file_path": str(events), "append": True})
    for told in (["succeeded"], []):
        done = home.run(
            "python", "-m", "airflow_provider_mlx", "reap", "--apply", "--json",
            env={"AIRFLOW__OPENLINEAGE__TRANSPORT": transport},
        )  # fmt: skip
        assert [item["ended"] for item in json.loads(done.stdout)["lineage"]] == told, done.tail()
    (end,) = map(json.loads, events.read_text().splitlines())
    begun = json.loads((folder / "lineage-start").read_text())
    assert (end["eventType"], end["run"]["runId"]) == ("COMPLETE", begun["run"]["run_id"])
    assert end["run"]["facets"]["mlx_environment"]["python"]


def test_doctor_finds_this_airflow_well(home: Home) -> None:
    found = command(home, "doctor", "--dag", "script_step")
    assert {check["status"] for check in found} <= {"ok", "warn"}
    assert any("creates once, lists, reads" in check["what"] for check in found)
    assert not list((home.root / "doctor").rglob("*.*")), "the probe was removed"


def test_stacks_of_a_dag(home: Home) -> None:
    assert command(home, "stacks", "script_step")["chosen"] == "local"


def test_a_deleted_run_goes_when_it_is_old(home: Home) -> None:
    folders = attempts(home.root, "script_step", home.latest("script_step").run_id)
    then = time.time() - 200 * 24 * 3600
    run_folder = folders[0].parents[2]
    for path in run_folder.rglob("*"):
        os.utime(path, (then, then))
    (item,) = command(home, "gc", "--keep-days", "30")["items"]
    assert (item["kind"], item["why"]) == ("run", "")
    with sqlite3.connect(home.folder / "airflow.db") as database:
        database.execute("update task_instance set state = 'running' where dag_id = 'script_step'")
    assert "the run is not over" in command(home, "gc", "--keep-days", "30", "--apply")["items"][0]["why"]
    with sqlite3.connect(home.folder / "airflow.db") as database:
        database.execute("delete from task_instance where dag_id = 'script_step'")
    (item,) = command(home, "gc", "--keep-days", "30")["items"]
    assert "is it the right one" in item["why"]
    command(home, "gc", "--keep-days", "30", "--apply", "--all-gone")
    assert not run_folder.exists()
