"""The tasks of a run, for lineage: which they are, and what each read and wrote."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import Reading
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.inner import inner_tasks
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outcome import result_of
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import native_tasks, tasks_of_workflow
from airflow_provider_mlx.runtime.values import Dataset
from tests.unit.backends.kubeflow_pipelines.objects import node, run, workflow
from tests.unit.backends.kubeflow_pipelines.runs.made import cached_driver, driver


def reading(*nodes, phase="Succeeded", state="SUCCEEDED"):
    flow = workflow(*nodes, phase=phase)
    return Reading(run(state), tasks_of_workflow(flow), flow)


def pod(task, phase="Succeeded", message="", *, start=4, end=13):
    path = f"root.{task.replace('/', '.')}"
    return (
        node(path, phase, kind="DAG", start=start, end=end),
        node(f"{path}.executor", phase, message, start=start, end=end),
    )


def tasks_of(read, wanted=None, **more):
    return {task.name: task for task in inner_tasks(read, wanted or {}, **more)}


def test_a_task_has_its_parameters_and_the_objects_of_both_sides():
    read = reading(
        driver(
            "train", parameters={"rate": 0.5}, artifacts={"rows": "s3://lake/rows"}, writes={"model": "minio://b/m"}
        ),
        *pod("train"),
    )
    train = tasks_of(read)["train"]
    assert (train.state, train.parameters, train.id != "") == (State.SUCCEEDED, {"rate": 0.5}, True)
    assert (train.read, train.written) == ((Dataset("s3://lake/rows"),), (Dataset("s3://b/m"),))


def test_a_cached_task_wrote_what_came_out_of_it_and_the_run_did_not_read_it():
    read = reading(
        cached_driver("train"),
        node("root.train", "Succeeded", kind="DAG", start=2, end=3),
        node("root.train.executor", "Skipped", kind="Skipped", start=3, end=3),
        driver(TASK, artifacts={"best": "minio://b/m"}),
        *pod(TASK),
    )
    wanted = {"best": "train.model"}
    train = tasks_of(read, wanted)["train"]
    assert (train.cached, train.written) == (True, (Dataset("s3://b/m"),))
    datasets = result_of(read, wanted)["datasets"]
    assert datasets == {"read": [], "written": [Dataset("s3://b/m").to_wire()]}


def test_metrics_are_no_objects():
    read = reading(
        driver("evaluate", writes={"metrics": "minio://b/x"}, kind="system.Metrics"),
        *pod("evaluate"),
        driver(TASK, artifacts={"m": "minio://b/x"}, metadata={"auc": 0.9, "note": "fine"}, kind="system.Metrics"),
    )
    evaluate = tasks_of(read, {"m": "evaluate.metrics"})["evaluate"]
    assert (evaluate.metrics, evaluate.written) == ({"auc": 0.9}, ())


@pytest.mark.parametrize(
    ("message", "stopped", "state"),
    [
        ("Error (exit code 1)", False, State.FAILED),
        ("Error (exit code 1)", True, State.FAILED),
        ("Step exceeded its deadline", True, State.STOPPED),
        ("workflow shutdown with strategy:  Terminate", True, State.STOPPED),
        ("Step exceeded its deadline", False, State.FAILED),
    ],
)
def test_a_task_that_the_stop_of_its_run_ended_did_not_fail(message, stopped, state):
    read = reading(driver("train", writes={"model": "s3://b/m"}), *pod("train", "Failed", message), phase="Failed")
    train = tasks_of(read, stopped=stopped)["train"]
    assert (train.state, train.reason, train.written) == (state, message, ())


def test_what_never_began_and_groups_are_no_runs():
    read = reading(
        node("root.condition-1", "Succeeded", kind="DAG", start=1, end=9), *pod("condition-1/train"),
        node("root.condition-2", "Skipped", kind="Skipped", start=1, end=1),
    )  # fmt: skip
    assert list(tasks_of(read)) == ["condition-1/train"]


def test_a_native_server_tells_both_sides_itself():
    told = {
        "name": "train", "state": "SUCCEEDED", "parent_task_id": "root", "type": "RUNTIME",
        "start_time": "2026-11-23T10:00:04Z", "end_time": "2026-11-23T10:00:13Z", "pods": [{"name": "p", "type": "EXECUTOR"}],
        "inputs": {"parameters": [{"parameter_key": "rate", "value": 0.5}],
                   "artifacts": [{"artifact_key": "rows", "artifacts": [{"uri": "s3://lake/rows"}]}]},
        "outputs": {"artifacts": [{"artifact_key": "model", "artifacts": [{"uri": "s3://b/m", "type": "system.Model"}]}]},
    }  # fmt: skip
    whole = run("SUCCEEDED", tasks=[told])
    train = tasks_of(Reading(whole, native_tasks(whole)))["train"]
    assert (train.parameters, train.read, train.written, train.id) == (
        {"rate": 0.5}, (Dataset("s3://lake/rows"),), (Dataset("s3://b/m"),), "p",
    )  # fmt: skip
