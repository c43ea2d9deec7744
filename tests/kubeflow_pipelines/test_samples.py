"""
Every compiled sample on a real server: submitted as the operator submits it, brought to its end as Argo and its agent
do, and told by its tasks and outputs. What real drivers write is in ``in_pods/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.inner import parse_tasks
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend import PipelineRunBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.settings import RunSettings
from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.runtime.values import Dataset
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec
from tests.kubeflow_pipelines.server import Server
from tests.kubeflow_pipelines.test_pipelines import COMPILED
from tests.kubeflow_pipelines.workflows import Node
from tests.unit.backends.kubeflow_pipelines.runs.made import driver

MODEL: Final = "s3://mlpipeline/v2/artifacts/model"
WANTED: Final[Mapping[str, Mapping[str, tuple[str, Any]]]] = {
    "train_gpu": {"model": ("train.model", Dataset(MODEL)), "score": ("evaluate.score", 0.97)},
    "all_features": {"sum": ("total.Output", 14), "text": ("echo-types.Output", "hi|7")},
    "k8s_platform": {"files": ("work.Output", "lost+found")},
}
"""What is asked of each, and what its tasks are made to give."""


@pytest.fixture
def backend(kubeflow_server: Server) -> Iterator[PipelineRunBackend]:
    backend = PipelineRunBackend(RunSettings(address=kubeflow_server.address), store=ObjectStore())
    yield backend
    backend.client.close()


def nodes_of(spec: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Node]:
    """Every task of a pipeline, succeeded; of a loop its first round."""
    yield Node("", "Succeeded", "DAG", "entrypoint", children=("root-driver",))
    yield Node("root-driver", "Succeeded", "Pod", "system-dag-driver", children=("root",))
    yield Node("root", "Succeeded", "DAG", "root")
    yield from _tasks(spec, spec["root"], "root", given)


def _tasks(spec: Mapping[str, Any], around: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> Iterator[Node]:
    for name, task in around["dag"]["tasks"].items():
        component, own = spec["components"][task["componentRef"]["name"]], f"{path}.{name}"
        yield Node(own, "Succeeded", "DAG", "system-container-executor")
        if "dag" in component:
            loops = "parameterIterator" in task or "artifactIterator" in task
            inner = f"{own}.iteration-iterations(0:one).iteration-item" if loops else own
            yield from _tasks(spec, component, inner, given)
            continue
        outputs = {one["name"]: one["value"] for one in _given(given)} if name == TASK else {}
        yield Node(f"{own}-driver", "Succeeded", "Pod", "system-container-driver", outputs=outputs)
        yield Node(f"{own}.executor", "Succeeded", "Pod", "system-container-impl")


def _given(given: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the driver of the last task writes."""
    parameters = {name: value for name, value in given.items() if not isinstance(value, Dataset)}
    artifacts = {name: value.uri for name, value in given.items() if isinstance(value, Dataset)}
    found: list[dict[str, str]] = driver(TASK, parameters=parameters, artifacts=artifacts)["outputs"]["parameters"]
    return found


def leaves(spec: Mapping[str, Any], around: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, task in around["dag"]["tasks"].items():
        component = spec["components"][task["componentRef"]["name"]]
        own = f"{path}{name}" + ("[0]" if "parameterIterator" in task or "artifactIterator" in task else "")
        yield from leaves(spec, component, f"{own}/") if "dag" in component else [own]


@pytest.mark.parametrize("name", WANTED)
def test_a_sample_runs_and_tells_its_tasks_and_outputs(
    kubeflow_server: Server, backend: PipelineRunBackend, tmp_path: Path, name: str
) -> None:
    pipeline = parse_pipeline((COMPILED / f"{name}.yaml").read_text())
    identity = TaskInstanceIdentity("tests", "samples", "run", name)
    wanted = {key: reference for key, (reference, _) in WANTED[name].items()}
    # what the samples say of Kubernetes is for newer servers than this one: see the test below
    manifest = {"pipeline": {"spec": dict(pipeline.spec)}, "outputs": wanted}
    spec = JobSpec(
        identity=identity, attempt=1, name=identity.job_name(1), outputs_uri=tmp_path.as_uri(), manifest=manifest
    )
    assert backend.problems(spec) == []
    request = backend.plan(spec)
    handle = backend.submit(request)
    (tmp_path / "context.json").write_text(json.dumps({"step": {"job": handle.name}}))

    submitted = request["run"]["pipeline_spec"]
    given = {key: value for key, (_, value) in WANTED[name].items()}
    kubeflow_server.report(handle.id, "Succeeded", list(nodes_of(submitted.get("pipeline_spec", submitted), given)))
    found = backend.find(spec.name)
    assert found is not None and found.status.state is State.SUCCEEDED
    backend.collect(found.handle, request)

    result = json.loads((tmp_path / "result.json").read_text())["outputs"]["return_value"]["value"]
    told = {key: value.to_wire() if isinstance(value, Dataset) else value for key, value in given.items()}
    assert {key: result[key] for key in told} == told
    expected = set(leaves(pipeline.spec, pipeline.spec["root"]))
    assert expected <= set(result["tasks"]), "every task, and with those around it"
    assert {task.name for task in parse_tasks(json.loads((tmp_path / "tasks.json").read_text()))} == expected


def test_what_a_server_does_not_know_of_the_kubernetes_part_is_refused_and_nothing_runs(
    kubeflow_server: Server, backend: PipelineRunBackend, tmp_path: Path
) -> None:
    pipeline = parse_pipeline((COMPILED / "k8s_platform.yaml").read_text())
    identity = TaskInstanceIdentity("tests", "samples", "run", "newer")
    manifest = {"pipeline": {"spec": dict(pipeline.spec), "platform": pipeline.platform}}
    spec = JobSpec(
        identity=identity, attempt=1, name=identity.job_name(1), outputs_uri=tmp_path.as_uri(), manifest=manifest
    )
    with pytest.raises(JobMisconfigured, match="dropped the Kubernetes part"):
        backend.submit(backend.plan(spec))
    assert backend.find(spec.name) is None
