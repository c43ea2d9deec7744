"""``KubeflowPipelinesRunSensor``: waits for runs that others have made, in its slot and in the triggerer."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred
from airflow.sdk import DAG, Asset
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_mlx.exceptions import InvalidStep, JobCancelled, JobMisconfigured, OutOfMemory, StepFailed
from airflow_provider_mlx.sensors.kubeflow_pipelines import KubeflowPipelinesRunSensor
from airflow_provider_mlx.triggers import watcher
from airflow_provider_mlx.triggers.kubeflow_run import RunTrigger
from tests.unit.backends.kubeflow_pipelines.objects import node, steps, workflow
from tests.unit.backends.kubeflow_pipelines.runs.made import driver
from tests.unit.operators.conftest import airflow_home, execute
from tests.unit.operators.kubeflow import CONN_ID, PIPELINE, connected, heard, in_a_dag, server

__all__ = ["airflow_home", "connected", "execute", "heard", "in_a_dag", "server"]

RUN = "5f2c0c4e-0000-4000-8000-000000000001"


@pytest.fixture
def sensor(in_a_dag):
    def make(**fields):
        said = {"conn_id": CONN_ID, "run_id": RUN, "deferrable": False, "poke_interval": 0.1, "timeout": 60, **fields}
        return in_a_dag(KubeflowPipelinesRunSensor, **said)

    return make


@pytest.fixture
def someone_runs(server):
    """A run of somebody else's, as it is now."""

    def make(state, *nodes, **more):
        server.runs[RUN] = {
            "run_id": RUN, "state": state, "pipeline_spec": {"pipeline_spec": dict(PIPELINE.spec)}, **more,
        }  # fmt: skip
        if nodes:
            server.manifests[RUN] = workflow(*nodes, phase=state.title())

    return make


def first_event(task, context):
    """What the trigger fires for a task that leaves its slot; it is asked anew, as in another process."""

    async def fired():
        async with asyncio.timeout(60):
            return (await anext(again.run())).payload

    with pytest.raises(TaskDeferred) as left:
        context(task)
    place, arguments = left.value.trigger.serialize()
    assert place == "airflow_provider_mlx.triggers.kubeflow_run.RunTrigger"
    assert left.value.timeout is not None
    again = RunTrigger(**json.loads(json.dumps(arguments)))
    return asyncio.run(fired())


# --- how it ends -----------------------------------------------------------------------------------------------------


def test_it_waits_until_the_run_has_ended(sensor, execute, server, someone_runs, heard):
    someone_runs("RUNNING")
    threading.Timer(0.5, lambda: server.runs[RUN].update(state="SUCCEEDED")).start()
    assert execute(sensor()).result == {"run_id": RUN, "state": "succeeded", "reason": ""}
    assert any("waiting" in line for line in heard)


def test_a_failed_run_fails_it_with_its_reason(sensor, execute, server, someone_runs):
    someone_runs("FAILED")
    failed = node("root.step.executor", "Failed", "OOMKilled (exit code 137)", start=9, end=12)
    server.manifests[RUN] = steps(failed, phase="Failed")
    with pytest.raises(OutOfMemory, match=f"the run `{RUN}` has failed: ") as caught:
        execute(sensor())
    assert isinstance(caught.value, AirflowException)
    assert "sensor `task`" in str(caught.value)


def test_a_run_without_a_reason_fails_it_all_the_same(sensor, execute, someone_runs):
    someone_runs("FAILED")
    with pytest.raises(StepFailed, match="has failed"):
        execute(sensor())


def test_a_run_that_was_stopped_is_not_green(sensor, execute, someone_runs):
    someone_runs("FAILED", state_history=[{"state": "CANCELING"}, {"state": "FAILED"}])
    with pytest.raises(JobCancelled, match="has stopped: it was stopped"):
        execute(sensor())


def test_a_failed_run_is_an_answer_where_that_was_asked(sensor, execute, someone_runs):
    someone_runs("FAILED")
    assert execute(sensor(fail_on_failure=False)).result["state"] == "failed"


@pytest.mark.parametrize("fail_on_failure", [True, False])
def test_a_run_that_is_not_there_is_not_waited_for(sensor, execute, fail_on_failure):
    with pytest.raises(JobMisconfigured, match="there is no run") as caught:
        execute(sensor(fail_on_failure=fail_on_failure))
    assert isinstance(caught.value, AirflowFailException)


def test_no_answer_is_no_end(sensor, execute, server, someone_runs):
    someone_runs("SUCCEEDED")
    server.faults = [503] * 6
    assert execute(sensor()).result["state"] == "succeeded"


def test_no_run_is_refused(sensor, execute, server):
    with pytest.raises(InvalidStep, match="give the id of a run"):
        execute(sensor(run_id=""))
    assert server.asked == []


# --- in the triggerer ------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch):
    """A trigger that fires at once, and looks often."""
    from airflow_provider_mlx.operators import deferral

    monkeypatch.setattr(deferral, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(watcher, "LOOK_SECONDS", 0.1)


def test_the_triggerer_waits_by_the_watch_of_runs(sensor, execute, server, someone_runs, soon):
    someone_runs("RUNNING")
    task = sensor(deferrable=True)
    threading.Timer(0.5, lambda: server.runs[RUN].update(state="SUCCEEDED")).start()
    event = first_event(task, execute)
    assert task.execute_complete({}, event) == {"run_id": RUN, "state": "succeeded", "reason": ""}


def test_what_is_over_already_leaves_no_slot(sensor, execute, someone_runs):
    someone_runs("SUCCEEDED")
    assert execute(sensor(deferrable=True)).result["state"] == "succeeded"


def test_a_run_that_is_removed_while_it_is_waited_for_ends_the_wait(
    sensor, execute, server, someone_runs, soon, monkeypatch
):
    from airflow_provider_mlx.backends.kubeflow_pipelines import observer

    monkeypatch.setattr(observer, "PRESENCE_SECONDS", 0.0)
    someone_runs("RUNNING")
    task = sensor(deferrable=True)
    threading.Timer(0.5, server.runs.clear).start()
    event = first_event(task, execute)
    assert event["state"] == "absent"
    with pytest.raises(JobMisconfigured, match="how it ended is lost"):
        task.execute_complete({}, event)


def test_a_triggerer_that_cannot_watch_hands_the_run_back_to_a_worker(sensor, someone_runs, heard):
    someone_runs("SUCCEEDED")
    task = sensor(deferrable=True)
    assert task.execute_complete({}, {"cannot_watch": "no connection"})["state"] == "succeeded"
    assert "mlx: no connection: a worker watches the run instead" in heard


# --- what the run has made -------------------------------------------------------------------------------------------

MODEL, TABLE = Asset("s3://b/model"), Asset("s3://elsewhere/table")
TRAINED = driver("train", writes={"model": "minio://b/model"})


def test_its_outputs_are_references(sensor, execute, someone_runs):
    someone_runs("SUCCEEDED", TRAINED)
    found = execute(sensor(outputs={"model": "train.model", "table": "prep.dataset"})).result
    assert found["pipeline"] == "train-gpu"
    assert found["outputs"] == {"model": {"mlx": "dataset/1", "uri": "s3://b/model", "version": None}, "table": None}


def test_an_event_says_which_run_it_was_and_where_its_outputs_lie(sensor, execute, someone_runs):
    someone_runs("SUCCEEDED", TRAINED)
    done = execute(sensor(outputs={"model": "train.model"}, outlets=[MODEL, TABLE]))
    said = {"run_id": RUN, "pipeline": "train-gpu", "state": "succeeded", "outputs": {"model": "s3://b/model"}}
    assert done.outlet_events[TABLE].extra == said
    assert done.outlet_events[MODEL].extra == {**said, "uri": "s3://b/model", "version": None}


def test_a_run_of_a_registered_pipeline_is_told_by_its_version(sensor, execute, server, someone_runs):
    server.register("churn", "v1")
    named = {"pipeline_id": "p-0", "pipeline_version_id": "id-v1"}
    someone_runs("SUCCEEDED", TRAINED, pipeline_spec=None, pipeline_version_reference=named)
    done = execute(sensor(outlets=[TABLE]))
    assert done.outlet_events[TABLE].extra["pipeline"] == "train-gpu"
    server.versions.clear()
    assert execute(sensor(outlets=[TABLE])).result["pipeline"] == ""


def test_a_failed_run_has_no_outputs_and_its_event_says_so(sensor, execute, someone_runs):
    someone_runs("FAILED", TRAINED)
    done = execute(sensor(outputs={"model": "train.model"}, outlets=[TABLE], fail_on_failure=False))
    assert done.result["outputs"] == {}
    assert done.outlet_events[TABLE].extra == {"run_id": RUN, "pipeline": "train-gpu", "state": "failed"}


def test_outputs_that_nothing_tells_are_refused_before_anybody_waits(sensor, execute, someone_runs):
    someone_runs("RUNNING")
    with pytest.raises(InvalidStep, match=r"no task `trian` → did you mean `train`\?"):
        execute(sensor(outputs={"model": "trian.model"}))
    with pytest.raises(InvalidStep, match=r"`evaluate.score` is a parameter.*KubeflowPipelinesRunOperator"):
        execute(sensor(outputs={"score": "evaluate.score"}))


# --- its fields ------------------------------------------------------------------------------------------------------


def test_its_templates():
    fields = set(KubeflowPipelinesRunSensor.__init__.__annotations__) - {"kwargs", "return"}
    assert fields - set(KubeflowPipelinesRunSensor.template_fields) == {"fail_on_failure", "deferrable"}


def test_a_dag_with_it_is_stored_and_read_by_airflow():
    with DAG("dag", schedule=None) as dag:
        KubeflowPipelinesRunSensor(task_id="wait", run_id="{{ params.run }}", outputs={"model": "train.model"})
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    task = DagSerialization.from_dict(stored).get_task("wait")
    assert task.operator_name == "KubeflowPipelinesRunSensor"
    task = SimpleNamespace(**stored["dag"]["tasks"][0]["__var"])
    assert (task.run_id, task.outputs) == ("{{ params.run }}", {"model": "train.model"})
