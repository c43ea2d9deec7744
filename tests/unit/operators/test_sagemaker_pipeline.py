"""Where an execution of a pipeline is started, and what the operator refuses; the example is planned whole."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_mlx import MlxSageMakerPipelineOperator
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.registry import InstalledSettings, backend_class
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.jobs.plan import Planner, PlanningOptions
from airflow_provider_mlx.operators.pipeline_targets import PipelinePlacing, pipeline_targets
from airflow_provider_mlx.stacks import load_stacks
from airflow_provider_mlx.stacks.stack import PolicyRule
from airflow_provider_mlx.step.definition import StepDefinition
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/churn"
EXAMPLE = Path(__file__).resolve().parents[3] / "dags_examples" / "on_sagemaker" / "pipeline.py"
STACKS = """
default: one
stacks:
  one:
    artifacts: {root: "file:///tmp/mlx"}
    tags: {team: a}
    tracking: {mlflow: {uri: "http://mlflow:5000"}}
    targets:
      default:
        - {backend: local, max_runtime: 2h}
        - {backend: sagemaker, conn_id: aws_near, region: eu-central-1, role_arn: "arn:aws:iam::123456789012:role/r",
           max_runtime: 2h, give_up_pending_after: 10m, max_queue: 1h}
      laptop: {backend: local}
"""


@pytest.fixture
def stacks(tmp_path):
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text(STACKS)
    return load_stacks(
        deployment_files=[str(file)], dag_file=None, bundle_root=None, bundle_stacks="allow",
        backend_settings=InstalledSettings(), local_root=tmp_path.as_uri(),
    )  # fmt: skip


def resolved(stacks, **said):
    return pipeline_targets(
        stacks, "one", PipelinePlacing("dag", "task", **{"pipeline": "churn", **said}), why="it is so"
    )


@pytest.mark.parametrize(
    ("said", "conn_id", "region"),
    [
        pytest.param({}, "aws_near", "eu-central-1", id="the stack's target on SageMaker"),
        pytest.param({"pipeline": ARN}, "aws_near", "eu-west-1", id="an ARN says its region"),
        pytest.param({"region": "us-east-1"}, "aws_near", "us-east-1", id="a region instead of the target's"),
        pytest.param({"conn_id": "own"}, "own", "", id="a connection says its region"),
        pytest.param({"conn_id": "own", "region": "us-east-1"}, "own", "us-east-1", id="a connection and a region"),
        pytest.param({"target": "laptop", "region": "us-east-1"}, None, "us-east-1", id="the environment, by a region"),
        pytest.param({"target": "laptop", "pipeline": ARN}, None, "eu-west-1", id="the environment, by an ARN"),
    ],
)
def test_where_a_pipeline_is(stacks, said, conn_id, region):
    (target,) = resolved(stacks, **said).targets
    assert (target.conn_id, target.settings.where) == (conn_id, region)
    assert target.backend == "sagemaker_pipeline"
    assert (target.tags, target.give_up_pending_after, target.max_queue) == ({"team": "a"}, None, None)
    assert target.tracking == {}, "of the stack's steps, and not of what others run"


def test_a_pipeline_that_nothing_places_is_refused_with_the_ways_out(stacks):
    with pytest.raises(InvalidStep, match="runs on local → name a connection"):
        resolved(stacks, target="laptop")


def test_no_stack_can_name_its_backend():
    assert "sagemaker_pipeline" not in InstalledSettings()
    assert backend_class("sagemaker_pipeline").name == "sagemaker_pipeline"


def test_the_policy_is_asked(stacks):
    rule = PolicyRule("one.*", "p.yaml", "p.yaml:1:1", overrides=(), max_runtime=timedelta(hours=1))
    planner = Planner(
        definition=StepDefinition(manifest={}), identity=TaskInstanceIdentity("prod", "dag", "run", "task"),
        resolved=resolved(stacks, conn_id="own", max_runtime="3h"), store=ObjectStore(),
        options=PlanningOptions(deployment_id="prod", policy=[rule]),
    )  # fmt: skip
    with pytest.raises(InvalidStep) as refused:
        planner.check()
    assert "overriding `sagemaker.conn_id` is not allowed" in str(refused.value)
    assert "the time limit is 3h" in str(refused.value)


# --- the operator ----------------------------------------------------------------------------------------------------


def test_what_is_asked_of_the_pipeline_is_plain():
    task = MlxSageMakerPipelineOperator(
        task_id="task", pipeline="churn", parameters={"A": 1}, selected_steps=("Train",), max_runtime=timedelta(hours=2)
    )
    assert task.outline().manifest == {"parameters": {"A": 1}, "selected_steps": ["Train"]}
    assert task.max_runtime == "7200.0s"


def test_what_json_cannot_say_is_refused():
    task = MlxSageMakerPipelineOperator(task_id="task", pipeline="churn", parameters={"A": object()})
    with pytest.raises(InvalidStep, match="give text, numbers and booleans"):
        task.outline()


def test_no_pipeline_is_refused_while_the_dag_is_parsed():
    with pytest.raises(InvalidStep, match="the name or the ARN"):
        MlxSageMakerPipelineOperator(task_id="task", pipeline="")


def test_all_fields_are_templates_but_those_that_decide_before():
    fields = set(MlxSageMakerPipelineOperator.__init__.__annotations__) - {"kwargs", "return", "deferrable"}
    assert fields == set(MlxSageMakerPipelineOperator.template_fields)


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_loads_and_its_operator_is_mapped_as_any_other():
    spec = importlib.util.spec_from_file_location("example_pipeline", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = module.pipeline()
    assert set(dag.task_ids) == {"train", "report"}
    assert dag.get_task("report").upstream_task_ids == {"train"}


def test_the_example_is_planned_without_a_connection(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\ndef refuse(*a, **k): raise AssertionError('a plan opened a connection')\n"
        "socket.socket.connect = refuse\n"
    )
    env = {
        **os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__MLX__DEPLOYMENT_ID": "tests", "PYTHONPATH":
        os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    command = [sys.executable, "-m", "airflow_provider_mlx", "plan", "pipeline", "train", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (attempt,) = json.loads(done.stdout)["attempts"]
    body = attempt["request"]["request"]
    assert body["PipelineName"] == "churn-training"
    assert {"Name": "Epochs", "Value": "3"} in body["PipelineParameters"]
    assert len(body["ClientRequestToken"]) == 64
