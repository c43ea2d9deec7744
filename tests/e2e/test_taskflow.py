"""What DAG authors expect of any task: arguments, templates, mapping, overriding, and what the scheduler decides."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DAGS, Drive, Home, Lab, LabRun, Run

PASSWORD, TOKEN = "canary-password-8124", "canary-token-4711"


@pytest.fixture(scope="module")
def drive(make_home: Callable[..., Home], base: Path, local_root: Path) -> Iterator[Drive]:
    """The DAGs of ``dags/taskflow``, one after another in one interpreter."""
    folder = base / "taskflow-dags"
    shutil.copytree(DAGS / "taskflow", folder, ignore=shutil.ignore_patterns("__pycache__"))
    stacks = folder / "mlx_stacks.yaml"
    stacks.write_text(stacks.read_text().replace("@ROOT@", str(local_root)))
    home = make_home("taskflow", folder, AIRFLOW_VAR_E2E_PASSWORD=PASSWORD, E2E_TOKEN=TOKEN)
    drive = Drive(home, "templates", ("context", {"colour": "blue"}), "items", "secrecy", "mapped")
    yield drive
    drive.stop()


@pytest.fixture
def finished(drive: Drive, show: Callable[[Any], Any]) -> Callable[[str], Run]:
    """Gives a DAG's run; its log is shown if the test fails."""
    return lambda dag_id: show(drive[dag_id])


@pytest.fixture
def flow(lab: Lab, show: Callable[[Any], Any]) -> LabRun:
    """The run of ``dags/lab/flow.py`` under the scheduler."""
    return show(lab.run("flow"))


# --- arguments -------------------------------------------------------------------------------------------------------


def test_templated_arguments(finished: Callable[[str], Run]) -> None:
    run = finished("templates")
    day, days = run.xcom("day")
    assert datetime.strptime(day, "%Y-%m-%d")
    assert days == {"days": [day.replace("-", ""), "literal"]}


def test_templated_resources_target_and_environment(finished: Callable[[str], Run]) -> None:
    run = finished("templates")
    assert run.xcom("place") == ["other", "fast", run.run_id, 1, 2 * 1024**3]


def test_context_names(finished: Callable[[str], Run]) -> None:
    run = finished("context")
    names = run.xcom("names")
    assert run.state == "success"
    assert names["aware"] == [True, True]
    assert names["ts"] == names["logical_date"]
    assert names["ds"] == names["ts"][:10]
    assert (names["run_id"], names["map_index"], names["try_number"]) == (run.run_id, -1, 1)
    assert (names["colour"], names["conf"]) == ("blue", {"colour": "blue"})
    assert [run.xcom(f"indexed[{index}]") for index in range(2)] == [["a", 0], ["b", 1]]


def test_items_of_a_result(finished: Callable[[str], Run]) -> None:
    assert finished("items").xcom("subtract") == -1


def test_an_asset_arrives_as_a_dataset(finished: Callable[[str], Run]) -> None:
    run = finished("items")
    assert run.xcom("asset") == ["airflow_provider_mlx.runtime.values", "Dataset", "s3://lake/orders"]
    assert run.xcom("dataset") == run.xcom("asset")
    assert run.tasks["outside"].state == "failed"
    assert "s3://elsewhere/orders lies neither under the stack's artifact root nor" in run.log


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_masked_secret_is_refused_as_an_argument(finished: Callable[[str], Run]) -> None:
    run = finished("secrecy")
    assert run.tasks["never"].state == "failed"
    assert "its value is a secret that Airflow masks" in run.log
    assert 'name it under `secrets={"ENV_NAME": "logical-name"}`' in run.log


def test_environment_and_secrets_come_through_the_stack(finished: Callable[[str], Run]) -> None:
    run = finished("secrecy")
    assert run.xcom("use") == [hashlib.sha256(TOKEN.encode()).hexdigest(), "visible", False]
    assert run.tasks["unmapped"].state == "failed"
    assert "the target `default` maps no secret `token`" in run.log


def test_no_secret_is_written_anywhere(drive: Drive) -> None:
    drive.runs()
    places = [
        *drive.home.folder.rglob("*"),
        *drive.home.root.glob("runs/**/*"),
        *drive.home.root.glob("local/jobs/**/*"),
    ]
    files = [path for path in places if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert PASSWORD.encode() not in content, path
        assert TOKEN.encode() not in content, path


# --- mapping and overriding ------------------------------------------------------------------------------------------


def test_partial_expand_and_expand_kwargs(finished: Callable[[str], Run]) -> None:
    run = finished("mapped")
    assert run.state == "success"
    assert [run.xcom(f"add[{index}]") for index in range(3)] == [101, 102, 103]
    assert [run.xcom(f"add_pairs[{index}]") for index in range(2)] == [2, 4]
    assert [run.xcom(f"add_literal[{index}]") for index in range(2)] == [15, 6]


def test_override_of_resources_and_task_id(finished: Callable[[str], Run]) -> None:
    assert finished("mapped").xcom("one_core") == 1


def test_a_mapped_operator_renders_its_arguments(finished: Callable[[str], Run]) -> None:
    run = finished("mapped")
    first, second = (run.xcom(f"scripts[{index}]") for index in range(2))
    assert first[0] == "one"
    assert datetime.strptime(first[1], "%Y-%m-%d")
    assert second == ["two", "three"]


def test_a_decorated_function_can_be_called_in_a_test() -> None:
    spec = importlib.util.spec_from_file_location("mapped_dag", DAGS / "taskflow" / "mapped.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.add.function(1) == 11
    assert module.add.function(1, right=2) == 3


# --- what the scheduler decides --------------------------------------------------------------------------------------


def test_a_second_try_is_a_second_attempt(flow: LabRun) -> None:
    task = flow.tasks()["second_time"]
    assert (task.state, task.tries) == ("success", 2)
    assert flow.xcom("second_time") == 2
    folders = [path for path in flow.attempts() if path.parent.parent.name == "second_time"]
    assert [path.name for path in folders] == ["attempt-1", "attempt-2"]
    assert "the first try fails" in json.loads((folders[0] / "error.json").read_text())["message"]
    assert (folders[1] / "result.json").exists()
    assert "ConnectionError: the first try fails" in flow.log("second_time", try_number=1)


def test_trigger_rules_setup_and_teardown(flow: LabRun) -> None:
    states = flow.states()
    assert flow.state == "failed"
    assert states["breaks"] == "failed"
    assert states["whatever_happens"] == "success"
    assert states["after_success"] == "upstream_failed"
    assert (states["make_room"], states["clean_up"]) == ("success", "success")
    assert flow.xcom("clean_up") == "room is gone"
    assert "ValueError: room is too small" in flow.log("breaks")


def test_a_skip_skips_what_comes_after(flow: LabRun) -> None:
    states = flow.states()
    assert (states["nothing_new"], states["behind_a_skip"]) == ("skipped", "skipped")
    assert "nothing new today" in flow.log("nothing_new")
    assert not [path for path in flow.attempts() if path.parent.parent.name == "behind_a_skip"]


def test_groups_and_pools(flow: LabRun) -> None:
    assert flow.xcom("group.pooled") == 2
    assert flow.xcom("group.publish") == 2
    pooled = next(task for task in flow.lab.airflow.tasks("flow", flow.run_id) if task["task_id"] == "group.pooled")
    assert pooled["pool"] == "small"


def test_outlets_emit_events(flow: LabRun) -> None:
    events = flow.lab.airflow.ask("assets/events?source_dag_id=flow")["asset_events"]
    assert [(event["source_task_id"], event["source_run_id"]) for event in events] == [("group.publish", flow.run_id)]


def test_attempts_are_task_instances(flow: LabRun) -> None:
    ran = {name: task.tries for name, task in flow.tasks().items() if task.state in ("success", "failed", "skipped")}
    del ran["behind_a_skip"]
    assert len(flow.attempts()) == sum(ran.values())


def test_a_clear_runs_the_code_of_now(lab: Lab, show: Callable[[Any], Any]) -> None:
    run = show(lab.run("cleared"))
    assert run.xcom("repeat") == "old code"
    file = lab.dags / "lab" / "cleared.py"
    file.write_text(file.read_text().replace("old code", "new code"))
    lab.airflow.ask(
        "dags/cleared/clearTaskInstances",
        {"dry_run": False, "dag_run_id": run.run_id, "only_failed": False, "reset_dag_runs": True},
    )
    run.state = ""
    time.sleep(1)
    assert run.wait() == "success"
    assert (run.xcom("marker"), run.xcom("repeat")) == ("new code", "new code")
    assert [path.name for path in run.attempts()] == ["attempt-1", "attempt-2"]


def test_a_run_without_a_logical_date(lab: Lab, show: Callable[[Any], Any]) -> None:
    run = show(lab.run("undated", dated=False))
    assert run.states() == {"needs_no_day": "success", "needs_a_day": "failed"}
    assert run.xcom("needs_no_day") == [None, None]
    log = run.log("needs_a_day")
    assert "ds: this run was triggered without a logical date" in log
    assert "give the parameter the default `None`" in log
