"""The examples on Kubeflow Pipelines: they load, the compiled pipeline is that of its source, and plans ask nobody."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.compiling import SDK_VERSION
from airflow_provider_mlx.backends.kubeflow_pipelines.pipeline_source import PipelineSource
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from tests.unit.backends.kubeflow_pipelines.schema import check_pipeline
from tests.unit.backends.kubeflow_pipelines.sdk import compiler
from tests.unit.cli.test_plan_of_kubernetes_examples import NO_NETWORK

EXAMPLES = Path(__file__).resolve().parents[3] / "dags_examples" / "on_kubeflow_pipelines"
PIPELINES = EXAMPLES / "pipelines"
DAGS = {
    "compiled_pipeline": ["train", "report"],
    "python_pipeline": ["upload", "train"],
    "steps": ["prepare", "train"],
    "hybrid": ["pipeline", "score"],
}


def test_every_example_is_here():
    assert {file.stem for file in EXAMPLES.glob("*.py")} == set(DAGS)


@pytest.mark.parametrize(("name", "tasks"), DAGS.items(), ids=DAGS)
def test_an_example_loads_and_its_tasks_follow_each_other(name, tasks):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = getattr(module, name)()
    assert dag.task_ids == tasks
    assert dag.get_task(tasks[1]).upstream_task_ids == {tasks[0]}


def test_airflow_takes_no_pipeline_for_a_dag():
    from airflow.utils.file import might_contain_dag

    assert not might_contain_dag(str(PIPELINES / "churn_training.py"), safe_mode=True)
    assert might_contain_dag(str(EXAMPLES / "steps.py"), safe_mode=True)


def test_the_compiled_pipeline_is_that_of_its_source(tmp_path):
    kept = parse_pipeline((PIPELINES / "churn_training.yaml").read_text())
    assert kept == compiler(tmp_path).compile(PipelineSource(PIPELINES / "churn_training.py"))
    check_pipeline(kept.pipeline_spec, SDK_VERSION)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """What would be submitted for a step of an example, one request per candidate of its target."""
    home = tmp_path_factory.mktemp("examples")
    (home / "sitecustomize.py").write_text(NO_NETWORK)
    env = {
        **os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__MLX__DEPLOYMENT_ID": "tests", "PYTHONPATH": str(home),
    }  # fmt: skip

    def requests(dag_id, task_id):
        command = [sys.executable, "-m", "airflow_provider_mlx", "plan", dag_id, task_id, "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return [attempt["request"] for attempt in json.loads(done.stdout)["attempts"]]

    return requests


def test_a_compiled_pipeline_is_planned_with_the_task_that_brings_its_outputs_out(plan):
    [request] = plan("compiled_pipeline", "train")
    assert request["run"]["runtime_config"]["parameters"]["epochs"] == 3
    tasks = request["run"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert set(tasks) == {"prepare", "train", "evaluate", TASK}


def test_a_step_on_a_gpu_is_a_pipeline_with_one_task(plan):
    [request] = plan("steps", "train")
    whole = request["run"]["pipeline_spec"]
    (executor,) = whole["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert executor["container"]["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert "NVIDIA-L4" in json.dumps(whole["platform_spec"])
    assert request["run"]["service_account"] == "ml-jobs"
    check_pipeline(whole, SDK_VERSION)


def test_a_pipeline_here_and_a_step_elsewhere(plan):
    [request] = plan("kubeflow_to_sagemaker", "pipeline")
    assert (request["experiment"], request["run"]["runtime_config"]["pipeline_root"]) == (
        "churn",
        "s3://ml-lake/kubeflow",
    )
    assert all(one["operation"] == "CreateProcessingJob" for one in plan("kubeflow_to_sagemaker", "score"))
