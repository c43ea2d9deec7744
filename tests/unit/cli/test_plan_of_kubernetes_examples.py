"""The examples on Kubernetes are planned on every machine, without a cluster and without a connection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.backends.kubernetes.reading import at

EXAMPLES = Path(__file__).resolve().parents[3] / "dags_examples" / "on_kubernetes"
NO_NETWORK = (
    "import socket\ndef refuse(*a, **k): raise AssertionError('a plan opened a connection')\n"
    "socket.socket.connect = refuse\n"
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], list[dict[str, Any]]]:
    """The Jobs that would be submitted for a step of an example, one per candidate of its target."""
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

    def manifests(dag_id: str, task_id: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "airflow_provider_mlx", "plan", dag_id, task_id, "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return [attempt["request"]["manifest"] for attempt in json.loads(done.stdout)["attempts"]]

    return manifests


def main_container(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]["containers"][0]
    return found


def test_a_gpu_step_is_a_job_with_a_limit_of_one_gpu(plan):
    [job] = plan("gpu_step", "devices")
    assert job["kind"] == "Job"
    assert main_container(job)["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_half_a_gpu_is_an_annotation_and_no_limit(plan):
    [job] = plan("half_a_gpu", "embed")
    assert job["spec"]["template"]["metadata"]["annotations"]["gpu-fraction"] == "0.5"
    assert "nvidia.com/gpu" not in json.dumps(job)
    assert job["metadata"]["labels"]["kai.scheduler/queue"] == "team-a"


def test_a_queued_step_is_made_suspended_with_its_queue_and_priority(plan):
    [job] = plan("queued_step", "train")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "nightly"


def test_a_fallback_list_is_planned_to_its_end(plan):
    first, second = plan("fallback_list", "where")
    assert at(first, "spec.template.spec.nodeSelector") == {"node-pool": "spot"}
    assert at(second, "spec.template.spec.nodeSelector") is None


def test_two_nodes_are_an_indexed_job_whose_launcher_is_torchrun(plan):
    [job] = plan("two_nodes", "train")
    assert (job["spec"]["completionMode"], job["spec"]["parallelism"]) == ("Indexed", 2)
    assert job["spec"]["template"]["spec"]["subdomain"], "its pods have host names"


def test_every_example_of_the_folder_is_planned_here():
    here = Path(__file__).read_text()
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'plan("{path.stem}"' not in here] == []
