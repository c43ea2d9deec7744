"""The requests of the examples on SageMaker, as golden files: planned on every machine, without a connection."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.backends.sagemaker.validation import request_problems
from tests.golden import assert_golden
from tests.unit.cli.test_plan_of_kubernetes_examples import NO_NETWORK

EXAMPLES = Path(__file__).resolve().parents[3] / "dags_examples" / "on_sagemaker"
GOLDEN = Path(__file__).parent / "golden" / "sagemaker_examples"
STEPS = [("spot_training", "train"), ("hybrid", "prepare"), ("script_mode", "train")]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], list[dict[str, Any]]]:
    """What would be submitted for a step of an example, one request per candidate of its target."""
    home = tmp_path_factory.mktemp("examples")
    (home / "sitecustomize.py").write_text(NO_NETWORK)
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__MLX__DEPLOYMENT_ID": "tests",
        "PYTHONPATH": str(home),
    }

    def requests(dag_id: str, task_id: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "airflow_provider_mlx", "plan", dag_id, task_id, "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return [attempt["request"] for attempt in json.loads(done.stdout)["attempts"]]

    return requests


@pytest.mark.parametrize(("dag_id", "task_id"), STEPS)
def test_the_requests_of_an_example(plan: Callable[..., Any], dag_id: str, task_id: str) -> None:
    requests = plan(dag_id, task_id)
    for request in requests:
        assert request_problems(request["operation"], request["request"]) == []
    text = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", json.dumps(requests))
    text = re.sub(r"\b(manual|scheduled|plan)__[^/\"]+", "<run>", text)
    assert_golden(GOLDEN / f"{dag_id}.{task_id}.json", json.loads(text))


def test_spot_is_a_list_of_two_whose_second_is_on_demand(plan: Callable[..., Any]) -> None:
    spot, on_demand = (request["request"] for request in plan("spot_training", "train"))
    assert spot["EnableManagedSpotTraining"] is True
    assert spot["StoppingCondition"]["MaxWaitTimeInSeconds"] == 8 * 3600
    assert on_demand["EnableManagedSpotTraining"] is False
    assert "MaxWaitTimeInSeconds" not in on_demand["StoppingCondition"]


def test_script_mode_leaves_the_entry_point_to_the_image(plan: Callable[..., Any]) -> None:
    [request] = (request["request"] for request in plan("script_mode", "train"))
    assert "ContainerEntrypoint" not in request["AlgorithmSpecification"]
    assert request["HyperParameters"]["sagemaker_submit_directory"] == '"s3://ml-lake/code/train.tar.gz"'
