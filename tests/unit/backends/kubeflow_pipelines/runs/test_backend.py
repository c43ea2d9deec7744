"""Pipelines as jobs: compiled and registered ones, what is refused before a start, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle, State
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend import PipelineRunBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.settings import RunSettings
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.step.spec import JobSpec, request_digest
from tests.unit.backends.kubeflow_pipelines.objects import node, workflow
from tests.unit.backends.kubeflow_pipelines.runs.made import driver
from tests.unit.backends.kubeflow_pipelines.server import Server, serving

COMPILED = Path(__file__).parents[1] / "compiled"
PIPELINE = parse_pipeline((COMPILED / "train_gpu.yaml").read_text())
IDENTITY = TaskInstanceIdentity("prod", "churn", "nightly", "train")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def backend(server) -> PipelineRunBackend:
    backend = PipelineRunBackend(RunSettings(address=server.url, experiment="nightly"), store=ObjectStore())
    backend.client._sleep = backend.client.transport._sleep = lambda seconds: None
    return backend


def spec(folder, **asked):
    whole = {"pipeline": {"spec": dict(PIPELINE.spec), "platform": PIPELINE.platform}, **asked}
    return JobSpec(
        name=IDENTITY.job_name(1), identity=IDENTITY, attempt=1, resources=Resources(), outputs_uri=folder.as_uri(),
        manifest=whole,
    )  # fmt: skip


def said(backend, folder, **asked):
    return [f"{one.field}: {one.what}" for one in backend.problems(spec(folder, **asked))]


def test_a_compiled_pipeline_goes_with_its_run(server, backend, tmp_path):
    request = backend.plan(spec(tmp_path, parameters={"lr": 0.1}, caching=False, display_name="nightly churn"))
    assert json.loads(json.dumps(request)) == request
    handle = backend.submit(request)
    (run,) = server.runs.values()
    assert run["runtime_config"] == {"parameters": {"lr": 0.1}}
    assert (run["display_name"], run["experiment_id"]) == ("nightly churn", "e-0")
    inner = run["pipeline_spec"].get("pipeline_spec", run["pipeline_spec"])
    assert {json.dumps(task["cachingOptions"]) for task in inner["root"]["dag"]["tasks"].values()} == {"{}"}
    assert backend.find(handle.name).handle == handle


def test_everything_that_is_wrong_is_said_at_once(backend, tmp_path):
    found = said(backend, tmp_path, parameters={"lrr": 1}, outputs={"x": "trian.model", "tasks": "train.model"})
    assert any("no parameter `lrr`" in one for one in found)
    assert any("no task `trian`" in one for one in found)
    assert any("'tasks'" in one for one in found)


def test_a_registered_pipeline_is_looked_up_when_it_runs(server, backend, tmp_path):
    server.pipelines["churn"] = "p-0"
    content = {"pipeline_spec": dict(PIPELINE.spec), "platform_spec": PIPELINE.platform}
    for name in ("v1", "v2"):
        server.versions.append({
            "name": name, "display_name": name, "pipeline_id": "p-0", "pipeline_version_id": f"id-{name}", "pipeline_spec": content,
        })  # fmt: skip
    request = backend.plan(spec(tmp_path, pipeline={"name": "churn", "version": "v2"}))
    backend.submit(request)
    (run,) = server.runs.values()
    assert run["pipeline_version_reference"] == {"pipeline_id": "p-0", "pipeline_version_id": "id-v2"}
    assert "pipeline_spec" not in run


def test_a_registered_pipeline_whose_outputs_are_wanted_goes_with_its_run(server, backend, tmp_path):
    server.pipelines["churn"] = "p-0"
    content = {"pipeline_spec": dict(PIPELINE.spec), "platform_spec": PIPELINE.platform}
    server.versions.append({"name": "v1", "pipeline_id": "p-0", "pipeline_version_id": "id", "pipeline_spec": content})
    backend.submit(backend.plan(spec(tmp_path, pipeline={"name": "churn"}, outputs={"model": "train.model"})))
    (run,) = server.runs.values()
    assert TASK in run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]


@pytest.mark.parametrize(
    ("pipeline", "asked", "said"),
    [
        ({"name": "nobody"}, {}, "there is no pipeline `nobody`"),
        ({"name": "churn", "version": "v9"}, {}, "version `v9`"),
        ({"name": "churn"}, {"parameters": {"lrr": 1}}, "no parameter `lrr`"),
    ],
)
def test_what_a_registered_pipeline_does_not_take_starts_nothing(server, backend, tmp_path, pipeline, asked, said):
    server.pipelines["churn"] = "p-0"
    content = {"pipeline_spec": dict(PIPELINE.spec), "platform_spec": PIPELINE.platform}
    server.versions.append({"name": "v1", "pipeline_id": "p-0", "pipeline_version_id": "id", "pipeline_spec": content})
    with pytest.raises(InvalidStep, match=said):
        backend.submit(backend.plan(spec(tmp_path, pipeline=pipeline, **asked)))
    assert server.workflows == []


def finished(server, backend, folder, state, *nodes):
    request = backend.plan(spec(folder, outputs={"model": "train.model"}))
    handle = backend.submit(request)
    (folder / "context.json").write_text(json.dumps({"step": {"job": handle.name}}))
    server.runs[handle.id]["state"] = state
    server.manifests[handle.id] = workflow(*nodes, phase="Failed" if state == "FAILED" else "Succeeded")
    return handle, request


def test_what_is_left_is_written_once(server, backend, tmp_path):
    handle, request = finished(server, backend, tmp_path, "SUCCEEDED", driver(TASK, artifacts={"model": "minio://b/m"}))
    backend.collect(handle, request)
    first = (tmp_path / "result.json").read_text()
    assert json.loads(first)["outputs"]["return_value"]["value"]["model"]["uri"] == "s3://b/m"
    server.manifests.clear()
    backend.collect(handle, request)
    assert (tmp_path / "result.json").read_text() == first


def test_a_failure_has_the_end_of_its_log(server, backend, tmp_path, monkeypatch):
    failed = node("root.train.executor", "Failed", "Error (exit code 1)", start=4, end=13)
    handle, request = finished(server, backend, tmp_path, "FAILED", failed)
    monkeypatch.setattr(backend.client, "pod_log", lambda run, pod: "one\nValueError: no rows\n")
    assert backend.find(handle.name).status.state is State.FAILED
    backend.collect(handle, request)
    assert "  | ValueError: no rows" in json.loads((tmp_path / "error.json").read_text())["message"].splitlines()


def test_its_log_is_what_its_tasks_do(server, backend, tmp_path):
    running = node("root.train", "Running", kind="DAG", start=2)
    handle, _ = finished(server, backend, tmp_path, "RUNNING", running)
    chunk = backend.read_log(handle)
    assert chunk.lines == ("train runs",)
    assert backend.read_log(handle, chunk.cursor).lines == ()


def attempt(number, folder, *, since=1, **asked):
    return replace(
        spec(folder / f"attempt-{number}", on_retry="resume", **asked),
        attempt=number,
        name=IDENTITY.job_name(number),
        goes_on_since=since,
    )


def test_a_retry_may_have_the_failed_tasks_run_again(server, backend, tmp_path):
    first = backend.submit(backend.plan(attempt(1, tmp_path)))
    server.runs[first.id]["state"] = "FAILED"
    request = backend.plan(attempt(2, tmp_path))
    again = backend.submit(request)
    assert (again.id, again.name) == (first.id, IDENTITY.job_name(2))
    assert (server.workflows, server.runs[first.id]["state"]) == ([first.id], "RUNNING")
    assert backend.submit(request) == again, "it goes on: a worker that died had it run again"
    assert server.calls("POST").count(f"POST /apis/v2beta1/runs/{first.id}:retry") == 1
    found = backend.find(again.name, JobHandle.from_wire(again.to_wire()).location)
    assert (found.handle, found.request_digest) == (again, request_digest(request))
    (seen,) = backend.observer().observe([again], 0.0).values()
    assert seen.state is State.ACTIVE
    server.runs[first.id]["state"] = "FAILED"
    third = backend.submit(backend.plan(attempt(3, tmp_path)))
    assert third.id == first.id, "whose run is that of the attempt before the last one"
    backend.cancel(third)
    assert server.runs[first.id]["state"] == "CANCELING"


def test_a_clear_and_a_run_that_was_stopped_begin_anew(server, backend, tmp_path):
    first = backend.submit(backend.plan(attempt(1, tmp_path)))
    server.runs[first.id]["state"] = "FAILED"
    cleared = backend.submit(backend.plan(attempt(2, tmp_path, since=2)))
    assert cleared.id != first.id
    server.runs[cleared.id] |= {"state": "FAILED", "state_history": [{"state": "CANCELING"}]}
    stopped = backend.submit(backend.plan(attempt(3, tmp_path, since=2)))
    assert len({first.id, cleared.id, stopped.id}) == 3


def test_what_a_retry_does_is_one_of_two(backend, tmp_path):
    assert said(backend, tmp_path, on_retry="again") == ["on_retry: `again` is none of them"]
