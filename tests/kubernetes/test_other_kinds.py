"""Kinds whose controllers do not run here: their released CRDs, and a status that the test writes."""

from __future__ import annotations

import threading

import pytest
from airflow.providers.common.compat.sdk import BaseHook, TaskDeferred

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes.resource import ResourceBackend
from airflow_provider_mlx.exceptions import JobCancelled, JobTimeout, StepFailed
from airflow_provider_mlx.operators.kubernetes_resource import MlxKubernetesResourceOperator
from airflow_provider_mlx.triggers.order import WatchOrder
from tests.cluster.crds import Kind, apply_crds
from tests.cluster.waiting import wait_until

from .conftest import CONN_ID, job, pod

MERGE = "application/merge-patch+json"


class Controller:
    """Stands for the controller of one object, in a thread beside the task: this test writes the status."""

    def __init__(self, cluster, place):
        self._cluster = cluster
        self._place = place

    def only(self):
        """The object that the task has made."""
        found = self._cluster.api.get(self._place)["items"]
        return found[0] if found else None

    def say(self, status):
        """Write a status."""
        name = wait_until("the object is there", self.only)["metadata"]["name"]
        self._cluster.request("PATCH", f"{self._place}/{name}/status", {"status": status}, MERGE)


@pytest.fixture
def fresh(cluster):
    name = cluster.new_namespace()
    yield name
    cluster.delete_namespace(name)


@pytest.fixture
def controller(cluster, fresh):
    return lambda group_version, plural: Controller(cluster, f"/apis/{group_version}/namespaces/{fresh}/{plural}")


@pytest.fixture
def operator(in_a_dag, fresh):
    def make(manifest, **fields):
        said = {"conn_id": CONN_ID, "namespace": fresh, "deferrable": False, "keep": "always", **fields}
        return in_a_dag(MlxKubernetesResourceOperator, manifest=manifest, **said)

    return make


@pytest.fixture
def beside(request):
    """Does something in a thread; what went wrong in it fails the test."""
    wrong: list[BaseException] = []

    def start(*acts):
        def run():
            try:
                for act in acts:
                    act()
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        request.addfinalizer(thread.join)

    yield start
    assert not wrong


def condition(kind, reason="", message=""):
    now = "2026-11-25T00:00:00Z"
    return {
        "type": kind,
        "status": "True",
        "reason": reason or kind,
        "message": message,
        "lastTransitionTime": now,
        "lastUpdateTime": now,
    }


@pytest.fixture(scope="module")
def training_operator(cluster):
    cluster.apply_crds("training-operator")


def pytorchjob():
    template = {"spec": {"containers": [{"name": "pytorch", "image": "any"}]}}
    replicas = {"Master": {"replicas": 1, "restartPolicy": "Never", "template": template}}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": replicas}}


@pytest.mark.usefixtures("training_operator")
class TestPyTorchJob:
    def test_it_succeeds_when_its_condition_says_so(self, operator, execute, controller, beside):
        theirs = controller("kubeflow.org/v1", "pytorchjobs")
        beside(
            lambda: theirs.say({"conditions": [condition("Running")]}),
            lambda: theirs.say({"conditions": [condition("Succeeded")]}),
        )
        assert execute(operator(pytorchjob())).result is None
        template = theirs.only()["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
        assert template["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "airflow-provider-mlx"

    def test_it_fails_with_its_conditions_words(self, operator, execute, controller, beside):
        theirs = controller("kubeflow.org/v1", "pytorchjobs")
        beside(
            lambda: theirs.say({"conditions": [condition("Failed", "PyTorchJobFailed", "because 1 replica failed")]})
        )
        with pytest.raises(StepFailed, match="because 1 replica failed"):
            execute(operator(pytorchjob()))

    def test_a_kill_suspends_it_by_its_own_field(self, operator, execute, controller, beside):
        theirs = controller("kubeflow.org/v1", "pytorchjobs")
        task = operator(pytorchjob())
        beside(lambda: theirs.say({"conditions": [condition("Running")]}), task.on_kill)
        with pytest.raises(JobCancelled):
            execute(task)
        assert theirs.only()["spec"]["runPolicy"]["suspend"] is True


RAY = Kind("ray.io", ("v1",), "RayJob", "rayjobs")


@pytest.fixture(scope="module")
def ray(cluster):
    apply_crds(cluster.api, [RAY.crd])


def rayjob():
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"entrypoint": "python train.py"}}


RAY_ENDS = {
    "success": ["status.jobStatus == SUCCEEDED"],
    "failure": ["status.jobStatus == FAILED | STOPPED"],
    "running": ["status.jobStatus == RUNNING"],
}


@pytest.mark.usefixtures("ray")
class TestCustomResource:
    def test_it_succeeds_by_a_field(self, operator, execute, controller, beside):
        theirs = controller("ray.io/v1", "rayjobs")
        beside(lambda: theirs.say({"jobStatus": "RUNNING"}), lambda: theirs.say({"jobStatus": "SUCCEEDED"}))
        assert execute(operator(rayjob(), **RAY_ENDS)).result is None

    def test_it_fails_by_a_field(self, operator, execute, controller, beside):
        theirs = controller("ray.io/v1", "rayjobs")
        beside(lambda: theirs.say({"jobStatus": "STOPPED"}))
        with pytest.raises(StepFailed):
            execute(operator(rayjob(), **RAY_ENDS))

    def test_a_deadline_deletes_what_cannot_be_suspended_and_is_called_one(self, operator, execute, controller, beside):
        theirs = controller("ray.io/v1", "rayjobs")
        beside(lambda: theirs.say({"jobStatus": "RUNNING"}))
        with pytest.raises(JobTimeout):
            execute(operator(rayjob(), max_runtime="3s", **RAY_ENDS))
        assert theirs.only() is None

    def test_its_pods_are_found_by_the_label_that_was_said(self, operator, execute, controller, beside, cluster, fresh):
        theirs = controller("ray.io/v1", "rayjobs")

        def run_its_pod():
            name = wait_until("the object is there", theirs.only)["metadata"]["name"]
            pods = f"/api/v1/namespaces/{fresh}/pods"
            spec = pod("echo from ray; printf 5 > /dev/termination-log")
            metadata = {"name": "head", "labels": {"ray.io/job": name}}
            cluster.request("POST", pods, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            wait_until("it is over", lambda: cluster.api.get(f"{pods}/head")["status"]["phase"] == "Succeeded")
            theirs.say({"jobStatus": "SUCCEEDED"})

        beside(run_its_pod)
        assert execute(operator(rayjob(), pods_label="ray.io/job", **RAY_ENDS)).result == 5

    def test_the_triggerers_watch_sees_its_pods_too(self, operator, execute, controller, beside, cluster, fresh):
        theirs = controller("ray.io/v1", "rayjobs")

        def run_its_pod():
            name = wait_until("the object is there", theirs.only)["metadata"]["name"]
            pods = f"/api/v1/namespaces/{fresh}/pods"
            metadata = {"name": "head", "labels": {"ray.io/job": name}}
            manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod("sleep 60")}
            cluster.request("POST", pods, manifest)

        beside(run_its_pod)
        ends = {key: said for key, said in RAY_ENDS.items() if key != "running"}
        with pytest.raises(TaskDeferred) as left:
            execute(operator(rayjob(), deferrable=True, pods_label="ray.io/job", **ends))
        order = WatchOrder.from_wire(left.value.trigger.order)
        backend = ResourceBackend.from_recorded(order.settings, order.conn_id, read_connection=BaseHook.get_connection)
        observer = backend.observer()

        def seen():
            return observer.observe([order.handle], 1.0)[order.handle.name]

        assert wait_until("the pod is seen to run", lambda: seen() if seen().running else None).state is State.ACTIVE
        observer.close()


class TestKueue:
    @pytest.fixture(scope="class", autouse=True)
    def kueue(self, cluster):
        cluster.apply_crds("kueue")

    def test_a_job_in_a_queue_is_waited_for_and_runs_when_it_is_admitted(
        self, operator, execute, beside, cluster, fresh, heard
    ):
        place = f"/apis/batch/v1/namespaces/{fresh}/jobs"

        def admit():
            made = wait_until("the job is there", lambda: cluster.api.get(place)["items"])[0]
            workloads = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{fresh}/workloads"
            labels = {"kueue.x-k8s.io/job-uid": made["metadata"]["uid"]}
            template = {"spec": pod("true")}
            cluster.request("POST", workloads, {
                "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload",
                "metadata": {"name": "wl", "labels": labels},
                "spec": {"queueName": "team-a", "podSets": [{"name": "main", "count": 1, "template": template}]},
            })  # fmt: skip
            pending = {**condition("QuotaReserved", "Pending", "insufficient quota for cpu"), "status": "False"}
            cluster.request("PATCH", f"{workloads}/wl/status", {"status": {"conditions": [pending]}}, MERGE)
            wait_until("the reason is told", lambda: any("insufficient quota" in line for line in heard))
            cluster.request("PATCH", f"{place}/{made['metadata']['name']}", {"spec": {"suspend": False}}, MERGE)

        beside(admit)
        metadata = {"labels": {"kueue.x-k8s.io/queue-name": "team-a"}}
        task = operator(job("printf 1 > /dev/termination-log", metadata=metadata, spec={"suspend": True}))
        assert execute(task).result == 1
