"""``python -m airflow_provider_mlx plan``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_DAG = """
from airflow.sdk import dag, task
from airflow_provider_mlx import Resources

@dag(schedule=None, params={"size": 3})
def planned():
    @task.mlx
    def first() -> list:
        return [1]

    @task.mlx(target="gpu", resources=Resources(gpu="L4:1", timeout="2h"), secrets={"TOKEN": "hf"})
    def second(items: list, size: int, ds: str) -> int:
        return len(items) * size

    second.partial(size="{{ params.size }}").expand(items=[[1], [2]])
    third = second.override(task_id="third")(first(), size="{{ params.size }}")

planned()
"""
_STACKS = """
default: dev
stacks:
  dev:
    on_unsupported: warn
    targets:
      default: {backend: local}
      gpu: {backend: local, max_runtime: 1h, secrets: {hf: {env: THE_TOKEN}}}
  strict:
    extends: dev
    on_unsupported: error
"""
# Raises when anything connects: a plan opens no connection.
_NO_NETWORK = "import socket\ndef refuse(*a, **k): raise AssertionError('a plan opened a connection')\nsocket.socket.connect = refuse\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "dags").mkdir()
    (folder / "dags" / "planned.py").write_text(_DAG)
    (folder / "dags" / "mlx_stacks.yaml").write_text(_STACKS)
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(_NO_NETWORK)
    return folder


def plan(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(home / "site"),
        "THE_TOKEN": "s3cr3t-c4nary",
    }
    command = [sys.executable, "-m", "airflow_provider_mlx", "plan", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_request_and_why(home: Path) -> None:
    answer = plan(home, "planned", "third")
    assert answer.returncode == 0, answer.stderr
    for part in (
        "stack `dev`: it is the stack file's `default`",
        "target `gpu`: the step's own `target=` says so",
        "gpu='L4:1' has no effect on `local`: a process of the worker cannot reserve a GPU",
        "stopped after 1:00:00",
        "source/mlx_step_source.py",
        '"known when the run starts"',
        '"size": "3"',
    ):
        assert part in answer.stdout, answer.stdout
    assert "s3cr3t-c4nary" not in answer.stdout + answer.stderr


def test_json_is_one_object_for_programs(home: Path) -> None:
    answer = plan(home, "planned", "second", "--json", "--conf", '{"size": 7}')
    planned = json.loads(answer.stdout)
    (attempt,) = planned["attempts"]
    assert planned["stack"] == "dev"
    assert attempt["limit_seconds"] == 3600.0
    assert attempt["request"]["secrets"] == {"TOKEN": {"env": "THE_TOKEN"}}
    assert attempt["context"]["arguments"]["kwargs"]["size"] == "7"


def test_another_stack(home: Path) -> None:
    answer = plan(home, "planned", "third", "--stack", "strict")
    assert answer.returncode == 1
    assert "gpu='L4:1': a process of the worker cannot reserve a GPU → use a target on a cluster" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nothing", "x"), "there is no DAG `nothing`"),
        (("planned", "x"), "it has first, second, third"),
        (("planned", "third", "--conf", "{"), "`--conf` is not JSON"),
    ],
)
def test_a_wrong_question_is_answered_with_a_sentence(home: Path, arguments: tuple[str, ...], expected: str) -> None:
    answer = plan(home, *arguments)
    assert answer.returncode == 1
    assert expected in answer.stderr
    assert "Traceback" not in answer.stderr
