"""What a run leaves: its outputs by their names, its datasets, or which task failed first and why."""

from __future__ import annotations

from airflow_provider_mlx.backends.kubeflow_pipelines.reading import Reading
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outcome import error_of, result_of
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import Artifact, Task, Values, tasks_of_workflow
from airflow_provider_mlx.runtime.values import Dataset
from tests.unit.backends.kubeflow_pipelines.objects import node, run, workflow
from tests.unit.backends.kubeflow_pipelines.runs.made import cached_driver, driver

SPEC = {"pipelineInfo": {"name": "churn"}}


def reading(*nodes, state="SUCCEEDED", phase="Succeeded", **more):
    flow = workflow(*nodes, phase=phase)
    whole = run(state, pipeline_spec=SPEC, **more)
    return Reading(whole, tasks_of_workflow(flow), flow)


def value_of(result):
    return result["outputs"]["return_value"]["value"]


def test_outputs_by_their_names_and_nothing_of_the_task_that_brings_them():
    read = reading(
        driver("train", writes={"model": "minio://mlpipeline/v2/artifacts/m"}, artifacts={"rows": "s3://lake/rows"}),
        node("root.train", "Succeeded", kind="DAG", start=2, end=14),
        node("root.train.executor", "Succeeded", start=4, end=13),
        driver(TASK, parameters={"auc": 0.93}, artifacts={"model": "minio://mlpipeline/v2/artifacts/m"}),
        node(f"root.{TASK}", "Succeeded", kind="DAG"),
    )
    result = result_of(read, {"auc": "evaluate.Output", "model": "train.model"})
    assert value_of(result) == {
        "run_id": "r-1", "pipeline": "churn", "tasks": {"train": {"state": "SUCCEEDED", "seconds": 12.0}},
        "auc": 0.93, "model": Dataset("s3://mlpipeline/v2/artifacts/m").to_wire(),
    }  # fmt: skip
    assert result["datasets"] == {
        "read": [Dataset("s3://lake/rows").to_wire()],
        "written": [Dataset("s3://mlpipeline/v2/artifacts/m").to_wire()],
    }


def test_metrics_are_values_and_no_objects():
    read = reading(
        driver("evaluate", writes={"metrics": "minio://b/x"}, kind="system.Metrics"),
        driver(
            TASK, artifacts={"metrics": "minio://b/x"}, metadata={"auc": 0.9, "note": "fine"}, kind="system.Metrics"
        ),
    )
    result = result_of(read, {"metrics": "evaluate.metrics"})
    assert value_of(result)["metrics"] == {"auc": 0.9, "note": "fine"}
    assert result["metrics"] == {"auc": 0.9}
    assert result["datasets"]["written"] == []


def test_what_stands_in_a_condition_comes_from_there_or_is_none():
    wanted = {"receipt": "register.receipt", "name": "condition-1/register.Output"}
    inside = driver(f"condition-1/{TASK}", parameters={"name": "linear"}, artifacts={"receipt": "s3://b/receipt"})
    ran = value_of(result_of(reading(cached_driver("condition-1/register"), inside), wanted))
    assert (ran["receipt"], ran["name"]) == (Dataset("s3://b/receipt").to_wire(), "linear")
    assert list(ran["tasks"]) == ["condition-1/register"]
    not_run = value_of(result_of(reading(driver("train")), wanted))
    assert (not_run["receipt"], not_run["name"]) == (None, None)


def test_a_group_that_is_used_twice_has_such_a_task_in_both():
    both = [driver(f"{group}/condition-1/{TASK}", parameters={"name": group}) for group in ("inner", "inner-2")]
    wanted = {"name": "inner-2/condition-1/register.Output"}
    assert value_of(result_of(reading(*both), wanted))["name"] == "inner-2"


def test_a_native_server_tells_everything_itself():
    outputs = Values({"score": 0.5}, {"model": (Artifact("model", "s3://b/m", "system.Model"),)})
    whole = run("SUCCEEDED", pipeline_spec=SPEC, tasks=[])
    read = Reading(whole, (Task("train", "SUCCEEDED", outputs=outputs),))
    found = value_of(result_of(read, {"score": "train.score", "model": "train.model"}))
    assert (found["score"], found["model"]) == (0.5, Dataset("s3://b/m").to_wire())


def test_the_task_that_failed_first_says_why():
    read = reading(
        node("root.train", "Failed", kind="DAG", start=2, end=14),
        node("root.train.executor", "Failed", "Error (exit code 1)", start=4, end=13),
        node("root.other", "Failed", kind="DAG", start=2, end=15),
        node("root.other.executor", "Failed", "Error (exit code 1)", start=5, end=14),
        state="FAILED", phase="Failed",
    )  # fmt: skip
    tail = [
        "loading",
        "ValueError: no rows",
        "F1126 10:00:00.000001 16 main.go:52] failed to execute component: exit status 3",
    ]
    error = error_of(read, tail)
    assert error["message"].splitlines() == [
        "task `train` failed: Error (exit code 1)",
        "  its code ended with exit code 3",
        "  so did `other`",
        "  last lines of its log:",
        "  | loading",
        "  | ValueError: no rows",
    ]
    assert (error["reason"], error["type"]) == ("StepFailed", "StepFailed")


def test_a_reason_that_is_known_has_its_class():
    read = reading(
        node("root.train.executor", "Failed", "OOMKilled (exit code 137)", start=4, end=13),
        state="FAILED",
        phase="Failed",
    )
    error = error_of(read, [])
    assert error["reason"] == "OutOfMemory"
    assert "Resources(memory=" in error["message"]


def test_a_run_that_says_nothing_failed_all_the_same():
    error = error_of(Reading(run("FAILED"), ()), [])
    assert error["message"].startswith("the run failed")
