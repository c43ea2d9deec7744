"""What a cluster does to a job, and what its API server does to whoever watches it: one job, and the truth about it."""

from __future__ import annotations

import json
import threading
import time

import pytest
import yaml

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes import watching
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings
from airflow_provider_mlx.exceptions import BackendUnavailable
from airflow_provider_mlx.testing.steps import ContractStep
from tests.cluster.waiting import wait_until
from tests.contract.test_kubernetes import ConnectedKubernetes
from tests.kubernetes.fixtures import CONN_ID

WAITS = (
    "import time\n\ndef run(seconds):\n    print('started', flush=True)\n    time.sleep(seconds)\n    return 'whole'\n"
)


@pytest.fixture
def backend(connected, namespace, store):
    made = ConnectedKubernetes(KubernetesSettings(namespace=namespace, env_from=[{"secret": "s3"}]), CONN_ID, store)
    yield made
    made.client.close()


@pytest.fixture
def submit(backend, root):
    """Submits a step that waits, and deletes its job at the end."""
    handles = []

    def submit(name, seconds):
        handles.append(ContractStep(WAITS, run_id=name, arguments={"seconds": seconds}).submit(backend, root))
        return handles[-1]

    yield submit
    for handle in handles:
        backend.forget(handle)


@pytest.fixture
def observer(backend):
    made = backend.observer()
    yield made
    made.close()


def look(observer, handle, until, seconds=120):
    """What the observer sees as soon as it is so; no answer for a while is an answer too."""
    end, seen = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            seen = observer.observe((handle,), 0.5)[handle.name]
        except BackendUnavailable as error:
            seen = error
            time.sleep(0.5)
        else:
            if until(seen):
                return seen
    raise AssertionError(f"after {seconds} s: {seen}")


def pod_of(cluster, namespace, handle):
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=batch.kubernetes.io/job-name={handle.name}"
    (pod,) = cluster.api.get(path)["items"]
    return pod


def test_a_pod_that_somebody_deletes_is_a_lost_job_not_a_failed_step(submit, observer, backend, cluster, namespace):
    handle = submit("deleted by hand", 300)
    look(observer, handle, lambda seen: seen.running)
    pod = pod_of(cluster, namespace, handle)["metadata"]["name"]
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod}?gracePeriodSeconds=1")
    seen = look(observer, handle, lambda seen: seen.state.finished)
    assert (seen.state, seen.failure) == (State.STOPPED, "Preempted"), seen
    assert backend.find(handle.name).status.failure == "Preempted"


def test_an_api_server_that_restarts_ends_nothing_and_hides_nothing(submit, observer, backend, own_cluster):
    handle = submit("server restarts", 20)
    look(observer, handle, lambda seen: seen.running)
    own_cluster.restart_apiserver()
    seen = look(observer, handle, lambda seen: seen.state.finished)
    assert seen.state is State.SUCCEEDED
    assert backend.find(handle.name).status.state is State.SUCCEEDED


def test_a_version_that_the_server_has_forgotten_is_listed_anew(submit, observer, monkeypatch):
    handle = submit("forgotten version", 15)
    look(observer, handle, lambda seen: seen.running)
    listed = []
    list_anew, watch = watching.Watched._list, watching.Watched._watch
    monkeypatch.setattr(watching.Watched, "_list", lambda self: listed.append(self) or list_anew(self))
    monkeypatch.setattr(
        watching.Watched, "_watch", lambda self, version: watch(self, version if self in listed else "1")
    )
    for watched in (observer._jobs, observer._pods):
        watched._lines.end()  # as if the connection had broken, a week ago
    assert look(observer, handle, lambda seen: seen.state.finished).state is State.SUCCEEDED
    assert set(listed) == {observer._jobs, observer._pods}


def test_a_token_that_is_not_taken_any_more_is_read_again(submit, backend, tenant, tmp_path, monkeypatch):
    handle = submit("new token", 15)
    config = yaml.safe_load(tenant.kubeconfig.read_text())
    good = config["users"][0]["user"]["token"]
    config["users"][0]["user"]["token"] = "expired"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(path)}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    other = ConnectedKubernetes(backend.settings, CONN_ID, backend.store)
    with pytest.raises(BackendUnavailable, match="does not take the connection's credentials"):
        other.find(handle.name)
    observer = other.observer()
    try:
        with pytest.raises(BackendUnavailable):
            observer.observe((handle,), 0.5)
        config["users"][0]["user"]["token"] = good  # somebody has renewed the connection
        path.write_text(json.dumps(config))
        assert other.find(handle.name).status.state is not State.ABSENT
        assert look(observer, handle, lambda seen: seen.state.finished).state is State.SUCCEEDED
    finally:
        observer.close()
        other.client.close()


def test_two_workers_that_submit_and_watch_at_once_have_one_job(backend, root, cluster, namespace):
    step = ContractStep(WAITS, run_id="twins", arguments={"seconds": 1})
    request = step.prepare(backend, root)
    twin = ConnectedKubernetes(backend.settings, CONN_ID, backend.store)
    handles = []
    workers = [threading.Thread(target=lambda one=one: handles.append(one.submit(request))) for one in (backend, twin)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert handles[0] == handles[1]
    jobs = cluster.api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
    assert [job["metadata"]["name"] for job in jobs].count(handles[0].name) == 1
    twin.client.close()
    backend.forget(handles[0])


def test_a_creation_whose_answer_is_lost_is_found_again_and_made_whole(backend, root, cluster, namespace, monkeypatch):
    create, lost = backend.client.create, []

    def arrives(place, body):
        made = create(place, body)
        if not lost:
            lost.append(made["metadata"]["uid"])
            raise BackendUnavailable("the connection broke before the answer came")
        return made

    monkeypatch.setattr(backend.client, "create", arrives)
    step = ContractStep(WAITS, run_id="answer lost", arguments={"seconds": 1})
    request = step.prepare(backend, root)
    with pytest.raises(BackendUnavailable):
        backend.submit(request)
    found = backend.find(request["name"])
    assert found is not None
    assert [found.handle.id] == lost
    handle = backend.submit(request)
    assert handle == found.handle
    wait_until("it runs to its end", lambda: backend.find(handle.name).status.state is State.SUCCEEDED)
    jobs = cluster.api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
    assert [job["metadata"]["name"] for job in jobs].count(handle.name) == 1
    backend.forget(handle)


def test_a_lost_node_is_a_lost_job_and_its_next_attempt_runs_elsewhere(
    submit, observer, backend, root, own_cluster, namespace
):
    handle = submit("node lost", 600)
    look(observer, handle, lambda seen: seen.running)
    node = pod_of(own_cluster, namespace, handle)["spec"]["nodeName"]
    own_cluster.stop_node(node)
    try:
        seen = look(observer, handle, lambda seen: seen.state.finished, seconds=240)
        assert (seen.state, seen.failure) == (State.STOPPED, "Preempted"), seen
        again = ContractStep(WAITS, run_id="node lost", arguments={"seconds": 1}).submit(backend, root, attempt=2)
        assert look(observer, again, lambda seen: seen.state.finished).state is State.SUCCEEDED
        assert pod_of(own_cluster, namespace, again)["spec"]["nodeName"] != node
        backend.forget(again)
    finally:
        own_cluster.start_node(node)
