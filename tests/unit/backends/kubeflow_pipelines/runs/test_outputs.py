"""How values come out of a pipeline: the task that is added, and what its driver says that it was given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import resolve_outputs
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK, given_to_tasks, with_collector
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import Artifact
from airflow_provider_mlx.exceptions import InvalidStep
from tests.unit.backends.kubeflow_pipelines.objects import node, workflow
from tests.unit.backends.kubeflow_pipelines.runs.made import cached_driver, driver
from tests.unit.backends.kubeflow_pipelines.schema import SERVERS, check_pipeline

COMPILED = Path(__file__).parents[1] / "compiled"


def compiled(name):
    return parse_pipeline((COMPILED / f"{name}.yaml").read_text())


def collected(pipeline, wanted):
    return with_collector(pipeline, resolve_outputs(pipeline, wanted))


def test_a_last_task_is_given_what_is_wanted():
    pipeline = collected(compiled("train_gpu"), {"score": "evaluate.score", "model": "train.model"})
    for release in SERVERS:
        check_pipeline(pipeline.pipeline_spec, release)
    task = pipeline.spec["root"]["dag"]["tasks"][TASK]
    assert task["dependentTasks"] == ["evaluate", "train"]
    assert task["cachingOptions"] == {}
    assert task["inputs"] == {
        "parameters": {"score": {"taskOutputParameter": {"producerTask": "evaluate", "outputParameterKey": "score"}}},
        "artifacts": {"model": {"taskOutputArtifact": {"producerTask": "train", "outputArtifactKey": "model"}}},
    }
    container = pipeline.spec["deploymentSpec"]["executors"][f"exec-{TASK}"]["container"]
    assert container["command"] == ["/kfp-launcher/launch", "--help"]
    others = {one["container"]["image"] for one in pipeline.spec["deploymentSpec"]["executors"].values()}
    assert others == {container["image"]}, "an image that is there already"


def test_the_pipeline_itself_is_not_changed():
    pipeline = compiled("train_gpu")
    before = json.dumps(pipeline.spec, sort_keys=True)
    collected(pipeline, {"score": "evaluate.score"})
    assert json.dumps(pipeline.spec, sort_keys=True) == before
    assert with_collector(pipeline, {}).spec == pipeline.spec, "nothing is wanted, and nothing is added"


def test_what_stands_in_a_group_is_brought_to_its_edge():
    pipeline = compiled("all_features")
    inner = next(task for name, task in pipeline.tasks.items() if name.count("/") == 1 and name.startswith("exit-handler-1/")
                 and not task.repeated and task.parameters)  # fmt: skip
    key = next(iter(inner.parameters))
    found = collected(pipeline, {"value": f"{inner.name}.{key}"})
    for release in SERVERS:
        check_pipeline(found.pipeline_spec, release)
    given = found.spec["root"]["dag"]["tasks"][TASK]["inputs"]["parameters"]["value"]["taskOutputParameter"]
    assert given["producerTask"] == "exit-handler-1"
    group = found.spec["components"]["comp-exit-handler-1"]
    assert given["outputParameterKey"] in group["outputDefinitions"]["parameters"]
    assert group["dag"]["outputs"]["parameters"][given["outputParameterKey"]]["valueFromParameter"] == {
        "producerSubtask": inner.name.partition("/")[2], "outputParameterKey": key,
    }  # fmt: skip


def test_what_stands_in_a_condition_is_taken_there():
    """At the root, a value that may never be would fail the run; and what came from a cache is told nowhere else."""
    wanted = {"name": "condition-1/register.Output", "model": "train.model"}
    pipeline = collected(compiled("train_gpu"), wanted)
    for release in SERVERS:
        check_pipeline(pipeline.pipeline_spec, release)
    inside = pipeline.spec["components"]["comp-condition-1"]["dag"]["tasks"][TASK]
    assert inside["dependentTasks"] == ["register"]
    assert inside["inputs"]["parameters"] == {
        "name": {"taskOutputParameter": {"producerTask": "register", "outputParameterKey": "Output"}}
    }
    outside = pipeline.spec["root"]["dag"]["tasks"][TASK]
    assert outside["inputs"] == {
        "artifacts": {"model": {"taskOutputArtifact": {"producerTask": "train", "outputArtifactKey": "model"}}}
    }
    executors = pipeline.spec["deploymentSpec"]["executors"]
    containers = {json.dumps(one) for name, one in executors.items() if TASK in name}
    assert len(containers) == 2, "the server takes components whose containers are the same for one"
    assert TASK not in collected(compiled("train_gpu"), {"name": "register.Output"}).spec["root"]["dag"]["tasks"]


def test_a_task_that_has_a_condition_itself_is_refused():
    """No compiler of the SDK makes one."""
    spec = json.loads(json.dumps(compiled("train_gpu").spec))
    spec["root"]["dag"]["tasks"]["evaluate"]["triggerPolicy"] = {"condition": "1 == 2"}
    with pytest.raises(InvalidStep, match="has a condition itself"):
        collected(parse_pipeline(spec), {"score": "evaluate.score"})
    with_artifact = collected(parse_pipeline(spec), {"metrics": "evaluate.metrics"})
    assert TASK not in with_artifact.spec["root"]["dag"]["tasks"], "its own driver says where it writes"


def test_a_pipeline_that_has_such_a_task_is_refused():
    once = collected(compiled("train_gpu"), {"score": "evaluate.score"})
    with pytest.raises(InvalidStep, match="has a task `airflow-outputs` itself"):
        collected(once, {"score": "evaluate.score"})


@pytest.mark.parametrize(("name", "said"), [("run_id", "itself"), ("9 lives", "no name of an output")])
def test_names_that_cannot_be(name, said):
    with pytest.raises(InvalidStep, match=said):
        collected(compiled("train_gpu"), {name: "evaluate.score"})


def test_what_tasks_were_given_stands_in_their_drivers_patch():
    flow = workflow(
        driver(
            "evaluate",
            parameters={"threshold": 0.5},
            artifacts={"model": "minio://mlpipeline/v2/m"},
            writes={"metrics": "minio://mlpipeline/v2/x"},
        ),
        driver(TASK, parameters={"score": 0.93}),
        node("root.train.executor", "Succeeded"),
    )
    found = given_to_tasks(flow)
    assert set(found) == {"evaluate", TASK}
    assert found[TASK].parameters == {"score": 0.93}
    assert found["evaluate"].artifacts["model"][0].uri == "minio://mlpipeline/v2/m"
    assert found["evaluate"].writes["metrics"][0].uri == "minio://mlpipeline/v2/x"


def test_numbers_and_artifacts_get_their_type_back_and_lose_what_is_the_servers():
    given = given_to_tasks(workflow(
        driver(TASK, parameters={"whole": 2.0, "count": 3, "good": True}, artifacts={"m": "minio://b/m"}, metadata={"auc": 1}, kind="system.Metrics")
    ))[TASK]  # fmt: skip
    assert [(value, type(value)) for value in given.parameters.values()] == [(2.0, float), (3, int), (True, bool)]
    assert given.artifacts["m"] == (Artifact("5", "minio://b/m", "system.Metrics", {"auc": 1}),)


@pytest.mark.parametrize(
    "patch", ["", "{", "[]", '{"containers": []}', '{"containers": [{"command": ["--executor_input"]}]}']
)
def test_a_patch_that_says_nothing_is_none(patch):
    raw = node("root.train-driver", "Succeeded")
    raw["outputs"] = {"parameters": [{"name": "pod-spec-patch", "value": patch}]}
    assert given_to_tasks(workflow(raw)) == {}
    assert given_to_tasks(workflow(cached_driver("train"))) == {}
