"""Steps on a server: made once, found, told apart, stopped, brought home, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle, State
from airflow_provider_mlx.backends.kubeflow_pipelines.backend import KubeflowPipelinesBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.names import run_id
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import KubeflowPipelinesSettings
from airflow_provider_mlx.backends.kubeflow_pipelines.turns import Turn
from airflow_provider_mlx.exceptions import BackendUnavailable, JobConflict, JobMisconfigured
from airflow_provider_mlx.step.spec import request_digest
from tests.unit.backends.kubeflow_pipelines.objects import node, steps
from tests.unit.backends.kubeflow_pipelines.server import Server, serving

NAME = "churn-train-a0123456789abcdef-1"
RUN = run_id(NAME)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def backend_on(server, **settings) -> KubeflowPipelinesBackend:
    backend = KubeflowPipelinesBackend(KubeflowPipelinesSettings(address=server.url, **settings), store=ObjectStore())
    backend.client._sleep = backend.client.transport._sleep = lambda seconds: None
    return backend


def request_in(folder, *, runtime=True, platform=False, **run):
    spec = {"pipelineInfo": {"name": "churn-train"}}
    whole = {"pipeline_spec": spec, **({"platform_spec": {"platforms": {}}} if platform else {})}
    return {
        "name": NAME, "namespace": "", "experiment": "Default", "outputs": folder.as_uri(), "runtime": runtime,
        "run": {"run_id": RUN, "display_name": NAME, "description": "by tests", "pipeline_spec": whole, **run},
    }  # fmt: skip


def test_a_job_is_a_run_of_an_id_that_its_name_gives_it(server, tmp_path):
    backend, request = backend_on(server), request_in(tmp_path)
    handle = backend.submit(request)
    assert (handle.id, handle.name, handle.location) == (RUN, NAME, {"experiment": "e-0"})
    assert server.runs[RUN]["experiment_id"] == "e-0"
    found = backend.find(NAME)
    assert (found.handle, found.request_digest) == (handle, request_digest(request))
    assert found.status.state is State.ACTIVE
    assert backend.submit(request) == handle
    assert server.workflows == [RUN]


@pytest.mark.parametrize("fault", ["lost", 503, 500])
def test_a_creation_whose_answer_is_lost_makes_one_run(server, tmp_path, fault):
    backend, request = backend_on(server), request_in(tmp_path)
    backend.client.experiment_id("Default")
    server.faults = [None, None, None, fault]  # the run, its experiment, the run again, and then the request
    if fault == "lost":
        assert backend.submit(request).id == RUN
    else:
        with pytest.raises(BackendUnavailable):
            backend.submit(request)
        with pytest.raises(BackendUnavailable, match="asked for"):
            backend.submit(request)
    assert server.workflows == ([RUN] if fault == "lost" else [])


def test_who_was_held_up_after_its_turn_does_not_ask(server, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "airflow_provider_mlx.backends.kubeflow_pipelines.server.take_turn", lambda *_: Turn(0.0, lambda: 1.0)
    )
    with pytest.raises(BackendUnavailable, match="looks again first"):
        backend_on(server).submit(request_in(tmp_path))
    assert server.workflows == []


def test_a_run_of_another_request_is_a_conflict(server, tmp_path):
    backend = backend_on(server)
    backend.submit(request_in(tmp_path))
    with pytest.raises(JobConflict, match="another request"):
        backend.submit(request_in(tmp_path, service_account="other"))


def test_a_run_without_its_kubernetes_part_is_removed(server, tmp_path, monkeypatch):
    made = Server._create

    def dropping(self, body):
        status, run = made(self, body)
        self.runs[RUN]["pipeline_spec"] = {"pipeline_spec": {}}
        return status, run

    monkeypatch.setattr(Server, "_create", dropping)
    with pytest.raises(JobMisconfigured, match=r"dropped the Kubernetes part.*\n.*2\.14"):
        backend_on(server).submit(request_in(tmp_path, platform=True))
    assert server.runs == {}


def test_why_a_run_failed_is_in_its_workflow(server, tmp_path):
    backend = backend_on(server)
    backend.submit(request_in(tmp_path))
    server.runs[RUN]["state"] = "FAILED"
    failed = node("root.step.executor", "Failed", "OOMKilled (exit code 137)", start=9, end=12)
    server.manifests[RUN] = steps(failed, phase="Failed")
    status = backend.find(NAME).status
    assert (status.state, status.failure) == (State.FAILED, "OutOfMemory")
    assert "Resources(memory=" in status.reason


def test_a_run_that_was_stopped_is_not_a_failure(server, tmp_path):
    backend = backend_on(server)
    handle = backend.submit(request_in(tmp_path))
    backend.cancel(handle)
    assert (status := backend.find(NAME).status).stopping
    assert status.state is State.ACTIVE
    backend.cancel(handle)
    server.runs[RUN] |= {"state": "FAILED", "state_history": [{"state": "CANCELING"}, {"state": "FAILED"}]}
    assert backend.find(NAME).status.state is State.STOPPED
    backend.cancel(handle)


def test_what_waits_says_why(server, tmp_path):
    backend = backend_on(server)
    backend.submit(request_in(tmp_path))
    waits = node("root.step.executor", "Pending", "Unschedulable: 0/3 nodes have GPUs", start=9)
    server.manifests[RUN] = steps(waits)
    assert "0/3 nodes have GPUs" in backend.find(NAME).status.reason


@pytest.mark.parametrize(("runtime", "written"), [(True, False), (False, True)])
def test_airflow_writes_the_result_of_a_container_without_our_runtime(server, tmp_path, runtime, written):
    backend, request = backend_on(server), request_in(tmp_path, runtime=runtime)
    handle = backend.submit(request)
    (tmp_path / "context.json").write_text(json.dumps({"step": {"job": NAME}}))
    backend.collect(handle, request)
    assert not (tmp_path / "result.json").exists(), "it runs"
    server.runs[RUN]["state"] = "SUCCEEDED"
    backend.collect(handle, request)
    assert (tmp_path / "result.json").exists() is written
    if written:
        result = json.loads((tmp_path / "result.json").read_text())
        assert result["step"] == {"job": NAME}
        assert result["outputs"]["return_value"]["value"] is None


@pytest.mark.parametrize(
    ("keep", "state", "there"),
    [
        ("always", "SUCCEEDED", True), ("always", "FAILED", True),
        ("on_failure", "SUCCEEDED", False), ("on_failure", "FAILED", True),
        ("never", "SUCCEEDED", False), ("never", "FAILED", False),
    ],
)  # fmt: skip
def test_what_becomes_of_a_run(server, tmp_path, keep, state, there):
    backend, request = backend_on(server, keep=keep), request_in(tmp_path)
    handle = backend.submit(request)
    server.runs[RUN]["state"] = state
    backend.collect(handle, request)
    if state == "SUCCEEDED":
        backend.forget(handle)
    assert (RUN in server.runs) is there
    backend.forget(handle)


def test_without_the_cluster_the_log_comes_from_the_server(server, tmp_path, monkeypatch):
    backend = backend_on(server)
    handle = backend.submit(request_in(tmp_path))
    server.manifests[RUN] = steps(node("root.step.executor", "Running", start=9))
    text = "I1126 10:00:00.000001      16 launcher_v2.go:90] input\nfirst\nsecond\nhal"
    monkeypatch.setattr(backend.client, "pod_log", lambda run, pod: text)
    chunk = backend.read_log(handle)
    assert chunk.lines == ("first", "second"), "a line without its end is not one yet"
    assert backend.read_log(handle, chunk.cursor).lines == (), "all of it travels, so now and then only"
    text += "f\n"
    server.runs[RUN]["state"] = "SUCCEEDED"
    assert backend.read_log(handle, chunk.cursor).lines == ("half",)


def test_a_link_is_what_the_target_says(server):
    handle = JobHandle("kubeflow_pipelines", NAME, location={"experiment": "e-1"})
    assert backend_on(server).link(handle) is None
    url = "https://kubeflow.example.com/_/pipeline/?ns={namespace}#/runs/details/{run}"
    assert backend_on(server, console_url=url, namespace="ml").link(handle) == (
        f"https://kubeflow.example.com/_/pipeline/?ns=ml#/runs/details/{RUN}"
    )
