"""Every example DAG, under a real scheduler and worker and under ``airflow dags test``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.e2e.harness import DEMO, EXAMPLES, Home, Lab, LabRun, attempts, processes_about

STEPS = {
    "digits_quality_gate": {"prepare", "train", "evaluate"},
    "hyperparameters": {"fit[0]", "fit[1]", "fit[2]", "choose"},
    "mixed_tasks": {"make_table", "summarize"},
    "script_step": {"count", "shout"},
    "switch_stack": {"mode"},
    "hybrid_targets": {"split", "square[0]", "square[1]", "square[2]", "total"},
}
"""The steps among each example's task instances."""


@pytest.fixture(scope="module")
def started(lab: Lab) -> Lab:
    """The lab, with every example triggered: they run side by side."""
    for dag_id in STEPS:
        lab.start(dag_id)
    lab.start("switch_stack", {"mlx_stack": "careful"})
    lab.start("undeclared", {"mlx_stack": "careful"})
    return lab


@pytest.fixture
def finished(started: Lab, show: Callable[[Any], Any]) -> Callable[..., LabRun]:
    """Waits for a run; its logs are shown if the test fails."""
    return lambda dag_id, conf=None: show(started.run(dag_id, conf))


def test_airflow_has_no_framework() -> None:
    DEMO.check()
    code = (
        "import importlib.util, json; print(json.dumps([name for name in"
        " ('pandas', 'sklearn', 'pyarrow', 'numpy', 'polars', 'boto3', 'kubernetes', 'torch')"
        " if importlib.util.find_spec(name)]))"
    )
    done = subprocess.run([DEMO.bin / "python", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_session_notices_processes(base: Path, started: Lab) -> None:
    assert any("scheduler" in process for process in processes_about(base)), "else its last check proves nothing"


def test_every_example_is_tested_here() -> None:
    files = [path for path in EXAMPLES.rglob("*.py") if "@dag(" in path.read_text()]
    elsewhere = {"mlx_maintenance", "control_flow", "retrain_when_data_changes", "resume_training"}
    with_backends = ("on_kubernetes", "on_sagemaker", "on_kubeflow_pipelines", "across_backends")  # their own tests
    on_a_cluster = {path.stem for path in files if path.parent.name in with_backends}
    assert {path.stem for path in files} == {*STEPS, *elsewhere, *on_a_cluster}, "test_maintenance.py, below, …"


@pytest.mark.parametrize("dag_id", STEPS)
def test_example_succeeds_with_one_job_per_step(finished: Callable[..., LabRun], dag_id: str) -> None:
    run = finished(dag_id)
    tasks = run.tasks()
    assert run.state == "success"
    assert {task.state for task in tasks.values()} == {"success"}
    assert STEPS[dag_id] <= set(tasks)
    folders = run.attempts()
    assert len(folders) == len(STEPS[dag_id]), "one attempt for each task instance, and no other"
    assert {folder.name for folder in folders} == {"attempt-1"}
    jobs = {json.loads((folder / "handle.json").read_text())["name"] for folder in folders}
    assert len(jobs) == len(folders)
    for folder in folders:
        assert (folder / "result.json").exists()
        assert (folder / "claim-1").exists()
        assert not (folder / "error.json").exists()


def test_digits(finished: Callable[..., LabRun]) -> None:
    run = finished("digits_quality_gate")
    scores = run.xcom("evaluate")
    assert scores["accuracy"] > 0.95
    assert scores["f1"] > 0.95
    assert run.xcom("evaluate", "mlx_metrics") == pytest.approx(scores)
    assert run.xcom("gate") is True
    table, model = run.xcom("prepare"), run.xcom("train")
    assert (table["mlx"], table["codec"], table["type"]) == ("artifact/1", "parquet", "pandas.DataFrame")
    assert (model["mlx"], model["codec"]) == ("artifact/1", "sklearn")
    assert model["producer"]["task_id"] == "train"
    assert "1,797 images of 10 digits" in run.log("prepare")


def test_hyperparameters(finished: Callable[..., LabRun]) -> None:
    run = finished("hyperparameters")
    choice = run.xcom("choose")
    scores = choice["scores"]
    assert len(scores) == 3
    assert choice["accuracy"] == max(scores) > 0.85
    assert choice["best"] == scores.index(max(scores))
    assert choice["strength"] == [0.001, 0.01, 1.0][choice["best"]]
    assert run.xcom("report") == f"C={choice['strength']} wins with {choice['accuracy']:.3f}"
    digests = {run.xcom("fit", map_index=index)["sha256"] for index in range(3)}
    assert len(digests) == 3


def test_mixed_tasks(finished: Callable[..., LabRun]) -> None:
    run = finished("mixed_tasks")
    table, means = run.xcom("make_table"), run.xcom("summarize")
    assert run.xcom("look") == table["version"]
    assert set(means) == {"a", "b", "c"}
    assert all(abs(value) < 0.2 for value in means.values())


def test_script_and_entry_point(finished: Callable[..., LabRun]) -> None:
    run = finished("script_step")
    assert run.xcom("count") == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert run.xcom("most_frequent") == "be"
    assert run.xcom("shout") == "BE!"
    assert f"run {run.run_id}:" in run.log("count")


def test_two_targets(finished: Callable[..., LabRun]) -> None:
    run = finished("hybrid_targets")
    assert run.xcom("total") == 5
    assert "target `gpu`" in run.log("square", map_index=1)
    assert "target `default`" in run.log("total")


def test_the_trigger_form_switches_the_stack(finished: Callable[..., LabRun]) -> None:
    usual, careful = finished("switch_stack"), finished("switch_stack", {"mlx_stack": "careful"})
    assert (usual.state, careful.state) == ("success", "success")
    assert (usual.xcom("mode"), careful.xcom("mode")) == ("relaxed", "careful")
    assert "this run is careful" in careful.log("say")
    assert "stack `careful`" in careful.log("mode")
    assert "stack `laptop`" in usual.log("mode")


def test_an_undeclared_mlx_stack_does_nothing(finished: Callable[..., LabRun]) -> None:
    run = finished("undeclared", {"mlx_stack": "careful"})
    assert run.state == "success"
    assert run.xcom("mode") == ["relaxed", {"mlx_stack": "careful"}]
    assert "stack `relaxed`" in run.log("mode")


@pytest.mark.parametrize("dag_id", STEPS)
def test_example_under_dags_test(make_home: Callable[..., Home], show: Callable[[Any], Any], dag_id: str) -> None:
    home = make_home(f"dags-test-{dag_id}", EXAMPLES)
    done, run = home.dags_test(dag_id)
    show(done)
    assert done.code == 0
    assert run.state == "success"
    assert set(run.states().values()) == {"success"}
    assert len(attempts(home.root, dag_id, run.run_id)) == len(STEPS[dag_id])
    if dag_id == "digits_quality_gate":
        assert run.xcom("evaluate")["accuracy"] > 0.95
    elif dag_id == "hybrid_targets":
        assert run.xcom("total") == 5
    elif dag_id == "script_step":
        assert run.xcom("shout") == "BE!"


def test_a_training_that_is_killed_resumes_and_is_judged(lab: Lab, show: Callable[[Any], Any]) -> None:
    run = show(lab.run("resume_training"))
    assert run.state == "success", run.tail()
    assert run.tasks()["train"].tries == 2
    assert [folder.name for folder in run.attempts()] == ["attempt-1", "attempt-2"]
    assert "attempt 1 begins at epoch 0" in run.log("train", try_number=1)
    assert "attempt 2 begins at epoch 6" in run.log("train", try_number=2)
    scores = run.xcom("train", "scores")
    assert (scores["epochs"], scores["resumed_at"]) == (12, 6)
    references = run.xcom("train", "mlx_artifacts")
    assert references["loss"]["codec"] == "figure"
    picture = file_of(references["loss"]).read_bytes()
    assert picture.startswith(b"\x89PNG")
    points = [json.loads(line) for line in file_of(references["series"]).read_text().splitlines()]
    assert [point["step"] for point in points] == list(range(6, 12))
    assert "✓ loss < 0.3" in run.log("gate")


def file_of(reference: dict[str, Any]) -> Path:
    """Where a reference's object lies, in a root of this machine."""
    return Path(unquote(urlsplit(reference["uri"]).path))
