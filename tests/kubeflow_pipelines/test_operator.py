"""``KubeflowPipelinesRunOperator`` on a real server, with pipelines of one task that really run."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlx-tests-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines import logs
from airflow_provider_mlx.exceptions import InvalidStep, StepFailed
from airflow_provider_mlx.operators.kubeflow_pipelines import KubeflowPipelinesRunOperator
from airflow_provider_mlx.operators.kubeflow_registry import KubeflowPipelinesUploadOperator
from airflow_provider_mlx.sensors.kubeflow_pipelines import KubeflowPipelinesRunSensor
from tests.kubeflow_pipelines.pods import Pods, running_pods
from tests.kubeflow_pipelines.run_bodies import run_body
from tests.operator_fixtures import heard, in_a_dag
from tests.unit.lineage.conftest import events_file, events_in, use_transport
from tests.unit.operators.conftest import airflow_home, execute

__all__ = ["airflow_home", "events_file", "execute", "heard", "in_a_dag", "use_transport"]

CONN_ID = "kfp_operator_tests"
SECOND_TIME = """
import pathlib, sys
there = pathlib.Path("{file}")
if not there.exists():
    there.write_text("once")
    print("this is what went wrong")
    sys.exit(3)
print("well")
"""


@pytest.fixture(scope="module")
def pods(running_kubeflow, tmp_path_factory):
    with running_pods(running_kubeflow, tmp_path_factory.mktemp("pods"), identity={}) as pods:
        yield pods
    assert pods.problems == []


@pytest.fixture
def connected(kubeflow_server, pods, airflow_home, monkeypatch):
    connection = {"conn_type": "kubeflow_pipelines", "host": kubeflow_server.address}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "tests")
    monkeypatch.setattr(logs, "SERVER_SECONDS", 0.3)
    return airflow_home


def pipeline(script: str, name: str = "a-step"):
    """A compiled pipeline whose one task runs a script, with a parameter that it does not need."""
    spec = run_body()["pipeline_spec"]["pipeline_spec"]
    spec["pipelineInfo"]["name"] = name
    container = {"image": "registry.example.com/python:3", "command": ["python3", "-c"], "args": [script]}
    spec["deploymentSpec"]["executors"]["exec-step"]["container"] = container
    spec["root"]["inputDefinitions"] = {"parameters": {"rows": {"parameterType": "NUMBER_INTEGER", "defaultValue": 1}}}
    return spec


@pytest.fixture
def operator(in_a_dag):
    def make(given, **fields):
        said = {"conn_id": CONN_ID, "deferrable": False, "pipeline": given, **fields}
        return in_a_dag(KubeflowPipelinesRunOperator, **said)

    return make


def runs(server):
    return server.request("GET", "/apis/v2beta1/runs?page_size=200&sort_by=created_at%20desc").json().get("runs") or []


def test_a_pipeline_runs_to_its_end(kubeflow_server, operator, execute, heard):
    ti = execute(operator(pipeline("print('hello')"), parameters={"rows": 5}, experiment="operators"))
    assert ti.result["tasks"]["step"]["state"] == "SUCCEEDED"
    (run,) = [one for one in runs(kubeflow_server) if one["run_id"] == ti.result["run_id"]]
    assert run["runtime_config"] == {"parameters": {"rows": 5}}
    assert "step succeeded" in " ".join(heard)
    assert len(kubeflow_server.workflows(ti.result["run_id"])) == 1


def test_every_task_is_a_run_below_the_pipelines_in_the_lineage(operator, execute, events_file):
    execute(operator(pipeline("print('hello')", "traced"), experiment="operators"))
    events = events_in(events_file)
    assert [event["eventType"] for event in events] == ["START", "START", "COMPLETE", "COMPLETE"]
    whole, task = events[3], events[2]
    assert whole["job"]["name"].endswith(".task.traced")
    assert task["job"]["name"] == f"{whole['job']['name']}.step"
    parent = task["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (whole["run"]["runId"], whole["job"]["name"])


def test_what_the_pipeline_does_not_take_starts_nothing(kubeflow_server, operator, execute):
    before = len(runs(kubeflow_server))
    with pytest.raises(InvalidStep, match=r"rows.*NUMBER_INTEGER") as refused:
        execute(operator(pipeline("pass"), parameters={"rows": "many", "rws": 1}))
    assert "did you mean `rows`" in str(refused.value)
    assert len(runs(kubeflow_server)) == before


def test_a_failure_says_which_task_and_shows_its_log(operator, execute, tmp_path):
    with pytest.raises(StepFailed) as failed:
        execute(operator(pipeline("import sys\nprint('this is what went wrong')\nsys.exit(3)")))
    text = str(failed.value)
    assert "task `step` failed" in text
    assert "exit code 3" in text
    assert "| this is what went wrong" in text


@pytest.mark.parametrize(("on_retry", "made"), [("resume", 1), (None, 2)])
def test_a_retry_resumes_the_run_or_makes_another(kubeflow_server, operator, execute, pods, on_retry, made):
    file = tempfile.mktemp(dir="/var/tmp")  # seen by both pods
    script, before = SECOND_TIME.format(file=file), len(pods.started)
    with pytest.raises(StepFailed):
        execute(operator(pipeline(script), retries=1, on_retry=on_retry))
    ti = execute(operator(pipeline(script), retries=1, on_retry=on_retry), try_number=2)
    os.unlink(file)
    assert ti.result["tasks"]["step"]["state"] == "SUCCEEDED"
    assert len(set(pods.started[before:])) == made
    assert len(pods.started[before:]) == 2


def test_a_task_that_is_killed_stops_its_run(operator, execute, pods: Pods):
    task = operator(pipeline("import time\ntime.sleep(300)"))

    def kill():
        while not pods.running:
            time.sleep(0.1)
        task.on_kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(Exception, match="its job was asked to stop"):
        execute(task)
    killer.join()
    until = time.monotonic() + 20
    while pods.running and time.monotonic() < until:
        time.sleep(0.1)
    assert pods.running == []


def test_a_registered_pipeline_is_uploaded_once_run_and_waited_for(kubeflow_server, operator, in_a_dag, execute):
    spec = pipeline("print('registered')", name="registered")
    upload = {"conn_id": CONN_ID, "pipeline": spec, "pipeline_name": "registered"}
    first = execute(in_a_dag(KubeflowPipelinesUploadOperator, **upload)).result
    assert execute(in_a_dag(KubeflowPipelinesUploadOperator, **upload)).result == first
    ti = execute(operator(None, pipeline_name="registered", version=first["version"], parameters={"rows": 2}))
    assert ti.result["pipeline"] == "registered"
    (run,) = [one for one in runs(kubeflow_server) if one["run_id"] == ti.result["run_id"]]
    assert run["pipeline_version_reference"]["pipeline_version_id"] == first["pipeline_version_id"]
    sensor = in_a_dag(KubeflowPipelinesRunSensor, conn_id=CONN_ID, run_id=ti.result["run_id"], deferrable=False)
    assert execute(sensor).result["state"] == "succeeded"
