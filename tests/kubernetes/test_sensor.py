"""``MlxKubernetesSensor``: waits for what others have made, in its slot and in the triggerer."""

from __future__ import annotations

import asyncio
import threading

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_mlx.exceptions import InvalidStep, StepFailed
from airflow_provider_mlx.sensors.kubernetes_job import MlxKubernetesSensor
from tests.cluster.crds import Kind, apply_crds
from tests.cluster.waiting import wait_until

from .conftest import CONN_ID, first_event, job


@pytest.fixture
def sensor(in_a_dag, namespace):
    def make(name, **fields):
        said = {"conn_id": CONN_ID, "namespace": namespace, "deferrable": False, "poke_interval": 0.5, **fields}
        return in_a_dag(MlxKubernetesSensor, name=name, timeout=60, **said)

    return make


@pytest.fixture
def someone_makes(cluster, namespace):
    def make(name, script):
        manifest = job(script, metadata={"name": name}, spec={"backoffLimit": 0})
        cluster.request("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", manifest)

    return make


def test_it_waits_for_a_job_that_is_not_there_yet(sensor, execute, someone_makes):
    threading.Timer(1.5, someone_makes, ["later", "sleep 1"]).start()
    assert execute(sensor("later")).result == {"state": "succeeded", "reason": "", "failure": None}


def test_a_failed_job_fails_it_with_its_reason(sensor, execute, someone_makes):
    someone_makes("bad", "exit 5")
    with pytest.raises(StepFailed, match="exit status 5") as failed:
        execute(sensor("bad"))
    assert isinstance(failed.value, AirflowException)


def test_a_failed_job_is_an_answer_where_that_was_asked(sensor, execute, someone_makes):
    someone_makes("tolerated", "exit 6")
    assert execute(sensor("tolerated", fail_on_failure=False)).result["state"] == "failed"


def test_the_triggerer_waits_by_the_watch_of_steps(sensor, execute, someone_makes):
    someone_makes("slow", "sleep 5")
    task = sensor("slow", deferrable=True)
    with pytest.raises(TaskDeferred) as left:
        execute(task)
    _, arguments = left.value.trigger.serialize()

    event = asyncio.run(first_event(type(left.value.trigger)(**arguments)))
    assert task.execute_complete({}, event) == {"state": "succeeded", "reason": "", "failure": None}


def test_a_custom_resource_ends_as_was_said(sensor, execute, cluster, namespace):
    kind = Kind("spark.example", ("v1",), "SparkApplication", "sparkapplications")
    apply_crds(cluster.api, [kind.crd])
    place = f"/apis/spark.example/v1/namespaces/{namespace}/sparkapplications"
    manifest = {"apiVersion": "spark.example/v1", "kind": "SparkApplication", "metadata": {"name": "pi"}, "spec": {}}
    wait_until("the kind is served", lambda: cluster.api.get(place))
    cluster.request("POST", place, manifest)
    status = {"applicationState": {"state": "COMPLETED"}}
    cluster.request("PATCH", f"{place}/pi/status", {"status": status}, "application/merge-patch+json")
    ends = {
        "success": ["status.applicationState.state == COMPLETED"],
        "failure": ["status.applicationState.state == FAILED"],
    }
    assert execute(sensor("pi", kind="spark.example/v1/SparkApplication", **ends)).result["state"] == "succeeded"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("RayJob", "apiVersion/Kind", id="an unknown kind wants its version"),
        pytest.param("ray.io/v1/RayJob", "nothing says by what a RayJob", id="an unknown kind wants its ends"),
    ],
)
def test_a_kind_of_which_nothing_is_known_is_refused(sensor, execute, kind, words):
    with pytest.raises(InvalidStep, match=words) as refused:
        execute(sensor("any", kind=kind))
    assert isinstance(refused.value, AirflowFailException)
