"""A reader's first hour, word for word as README.md has it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.snippets import first_dag
from tests.e2e.harness import DEMO, Home, attempts

SOUND, BROKEN = "seen = flowers[:100]", 'seen = flowers[:100].drop(columns="colour")'

NO_NETWORK = '''
"""On the path of the interpreter under test: every connection is an error."""

import sys


def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
        raise RuntimeError(f"the network was used: {event} {arguments[1:]}")


sys.addaudithook(refuse)
'''


@pytest.fixture(scope="module")
def dags(base: Path) -> Path:
    """A DAGs folder with the README's DAG and nothing else."""
    folder = base / "first-hour-dags"
    folder.mkdir()
    (folder / "first_dag.py").write_text(first_dag(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def home(make_home: Callable[..., Home], dags: Path) -> Home:
    """An Airflow as a reader has it: no setting of ours."""
    home = make_home("first-hour", dags, shared=False)
    assert not any("MLX" in name for name in home.env)
    return home


def test_the_first_dag_runs(home: Home, show: Callable[[Any], Any]) -> None:
    done, run = home.dags_test("first_dag")
    show(done)
    assert done.code == 0
    assert run.states() == {"prepare": "success", "train": "success", "evaluate": "success"}
    result = run.xcom("evaluate")
    assert result["accuracy"] > 0.9
    assert result["run"].startswith("manual__")
    for line in (
        "mlx: stack `local`: nothing chooses another, and it needs no file",
        "mlx: target `default`: the step names none",
        "mlx: backend `local`: from the built-in stack",
        "mlx: submitted local job first-dag-evaluate-",
        f"accuracy {result['accuracy']:.3f} on 50 flowers that the model has not seen",
    ):
        assert line in run.log
    folders = attempts(home.root, "first_dag", run.run_id)
    assert [path.parent.parent.name for path in folders] == ["evaluate", "prepare", "train"]
    train = folders[2]
    assert (train / "outputs" / "return_value.skops").exists()
    assert (train / "log.txt").exists()


def test_a_planted_bug_is_told_with_its_line(home: Home, dags: Path, show: Callable[[Any], Any]) -> None:
    file = dags / "first_dag.py"
    text = first_dag()
    assert text.count(SOUND) == 1
    file.write_text(text.replace(SOUND, BROKEN), encoding="utf-8")
    line = next(number for number, line in enumerate(file.read_text().splitlines(), 1) if BROKEN in line)
    try:
        done, run = home.dags_test("first_dag")
    finally:
        file.write_text(text, encoding="utf-8")
    show(done)
    assert done.code != 0
    assert run.states() == {"prepare": "success", "train": "failed", "evaluate": "upstream_failed"}
    assert "StepFailed: the step failed in its own code: KeyError: \"['colour'] not found in axis\"" in run.log
    assert f"at first_dag.py:{line}, in train · step `train` of `first_dag` in run `{run.run_id}`" in run.log
    assert re.search(rf'File "[^"]*first_dag\.py", line {line}, in train\n?', run.log)
    assert "fix the step and clear the task" in run.log


@pytest.mark.parametrize("task", ["prepare", "evaluate"])
def test_plan_uses_no_network_and_no_database(base: Path, dags: Path, show: Callable[[Any], Any], task: str) -> None:
    guard = base / "no-network"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(NO_NETWORK)
    home = Home(DEMO, base / f"plan-{task}", dags, local_root=None, env={"PYTHONPATH": str(guard)})
    done = show(home.run("python", "-m", "airflow_provider_mlx", "plan", "first_dag", task, "--json"))
    assert done.code == 0
    plan = json.loads(done.stdout)
    assert (plan["stack"], plan["target"]) == ("local", "default")
    assert [attempt["backend"] for attempt in plan["attempts"]] == ["local"]
    assert plan["attempts"][0]["name"].startswith(f"first-dag-{task}-")
    assert "the network was used" not in done.stderr
    assert not (home.folder / "mlx").exists(), "a plan writes nothing"


def test_the_guard_of_that_test_works(base: Path, dags: Path) -> None:
    home = Home(DEMO, base / "guard", dags, local_root=None, env={"PYTHONPATH": str(base / "no-network")})
    done = home.run("python", "-c", "import socket; socket.create_connection(('localhost', 9))")
    assert "the network was used" in done.stderr
