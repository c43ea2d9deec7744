"""The tasks of a run, from both generations of servers, and the lines that a log gets of them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Missing
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.progress import new_lines, task_line
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import RunReader
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import (
    Artifact,
    Task,
    Values,
    is_native,
    native_tasks,
    task_names,
    tasks_of_run,
    tasks_of_workflow,
)
from airflow_provider_mlx.backends.kubeflow_pipelines.times import moment
from airflow_provider_mlx.backends.kubeflow_pipelines.workflow import nodes_of, pod_name
from tests.unit.backends.kubeflow_pipelines.objects import WORKFLOW, at, detail, node, one_step, run, steps, workflow

COMPILED = Path(__file__).parent / "compiled"
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def names(tasks) -> list[tuple[str, str]]:
    return [(task.name, task.state) for task in tasks]


# --- the details of a run -------------------------------------------------------------------------------------------


def test_the_details_of_one_step_are_one_task():
    (task,) = tasks_of_run(
        one_step("SUCCEEDED", state="SUCCEEDED", pipeline_spec={"root": {"dag": {"tasks": {"step": {}}}}})
    )
    assert (task.name, task.state, task.retries, task.cached) == ("step", "SUCCEEDED", 0, False)
    assert task.took == timedelta(seconds=8)
    assert task.outputs is None, "a server of this generation tells none"


def test_a_cached_step_is_known_by_its_executor_that_was_skipped():
    known = {"pipeline_spec": {"root": {"dag": {"tasks": {"step": {}}}}}}
    (task,) = tasks_of_run(one_step("SKIPPED", "SUCCEEDED", state="SUCCEEDED", **known))
    assert task.cached


def test_tries_of_one_step_are_counted():
    tries = [detail(f"executor({number})", "FAILED", number, number + 1) for number in range(3)]
    spec = {"root": {"dag": {"tasks": {"step": {}}}}}
    (task,) = tasks_of_run(
        run("FAILED", detail("step", "FAILED"), detail("executor", "FAILED"), *tries, pipeline_spec=spec)
    )
    assert task.retries == 2


def test_the_names_come_from_the_pipeline_that_the_run_holds():
    pipeline = parse_pipeline((COMPILED / "train_gpu.yaml").read_text())
    found = [detail(name, "SUCCEEDED", number) for number, name in enumerate(("prep", "train", "evaluate", "register"))]
    helpers = [detail(name, "SUCCEEDED") for name in ("train-driver", "executor", "root", WORKFLOW, "")]
    told = run("SUCCEEDED", *found, *helpers, pipeline_spec=pipeline.pipeline_spec)
    assert [task.name for task in tasks_of_run(told)] == ["prep", "train", "evaluate", "register"]
    assert not any(task.cached for task in tasks_of_run(told)), "which executor is whose is not told"


def test_without_its_pipeline_what_is_no_helper_is_a_task():
    told = run("RUNNING", *(detail(name, "RUNNING") for name in ("prep", "prep-driver", "root", "executor(0)", "")))
    assert names(tasks_of_run(told)) == [("prep", "RUNNING")]


def test_names_in_a_pipeline_with_and_without_a_platform():
    pipeline = parse_pipeline((COMPILED / "k8s_platform.yaml").read_text())
    assert sorted(task_names(pipeline.pipeline_spec)) == ["createpvc", "deletepvc", "work"]
    assert sorted(task_names(pipeline.spec)) == ["createpvc", "deletepvc", "work"]
    assert list(task_names(None)) == list(task_names({"platforms": {}})) == []


# --- the Workflow ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("executors", "task"),
    [
        pytest.param([node("root.step.executor", "Succeeded", start=9, end=12)],
                     {"state": "SUCCEEDED", "retries": 0, "cached": False}, id="succeeded"),
        pytest.param([node("root.step.executor", "Failed", "Error (exit code 1)", start=9, end=12)],
                     {"state": "FAILED", "message": "Error (exit code 1)"}, id="failed, with the message that the API lacks"),
        pytest.param([node("root.step.executor", "Error", "pod deleted", start=9, end=12)],
                     {"state": "FAILED", "message": "pod deleted"}, id="Argo's Error is a failure"),
        pytest.param([node("root.step.executor", "Pending", "ImagePullBackOff", start=9)], {"state": "PENDING"},
                     id="waiting for its image"),
        pytest.param([node("root.step.executor", "Skipped", "when 'false' evaluated false", start=9, end=9)],
                     {"state": "SKIPPED"}, id="nothing was run"),
        pytest.param([node("root.step.executor", "Failed", kind="Retry", start=9, end=20),
                      node("root.step.executor(0)", "Failed", "Error (exit code 1)", start=9, end=12),
                      node("root.step.executor(1)", "Failed", "OOMKilled (exit code 137)", start=13, end=20)],
                     {"state": "FAILED", "retries": 1, "message": "OOMKilled (exit code 137)"},
                     id="a retry, and the last message"),
    ],
)  # fmt: skip
def test_tasks_of_a_workflow(executors, task):
    (found,) = tasks_of_workflow(steps(*executors))
    assert found.name == "step"
    assert {name: getattr(found, name) for name in task} == task


def test_a_task_from_the_cache_succeeded_without_a_pod():
    kept = steps(node("root.step.executor", "Skipped", start=9, end=9))
    for one in kept["status"]["nodes"].values():
        one["phase"] = "Succeeded" if one["name"].endswith(".step") else one["phase"]
    (task,) = tasks_of_workflow(kept)
    assert (task.state, task.cached, task.pods) == ("SUCCEEDED", True, ())


def test_a_task_from_the_cache_is_known_by_an_executor_that_is_no_pod():
    """As a real server of 2.14.3 with Argo has it: a node of type Skipped."""
    flow = workflow(
        node("root.step", "Succeeded", kind="DAG"),
        node("root.step.executor", "Skipped", kind="Skipped"),
        phase="Succeeded",
    )
    (task,) = tasks_of_workflow(flow)
    assert (task.state, task.cached, task.pods) == ("SUCCEEDED", True, ())


def test_tasks_within_tasks_have_a_path_and_items_a_number():
    """The names are those that ``argocompiler/dag.go`` gives."""
    item = "root.for-loop-2.iteration-iterations(0:1.5)"
    kept = workflow(
        node("", "Running", kind="DAG"),
        node("root.for-loop-2", "Running", kind="DAG"),
        node("root.for-loop-2.iteration-driver", "Succeeded", template="system-dag-driver"),
        node("root.for-loop-2.iteration-iterations", "Running", kind="TaskGroup"),
        node(item, "Running", kind="DAG"),
        node(f"{item}.iteration-item-driver", "Succeeded", template="system-dag-driver"),
        node(f"{item}.iteration-item", "Running", kind="DAG"),
        node(f"{item}.iteration-item.square-driver", "Succeeded", template="system-container-driver"),
        node(f"{item}.iteration-item.square", "Running", kind="DAG", start=1),
        node(f"{item}.iteration-item.square.executor", "Running", start=2),
        node("root.condition-1", "Skipped", kind="DAG", start=3),
        node("root.condition-1.register", "Omitted", kind="DAG", start=4),
        node("root.exit-handler-1", "Succeeded", kind="DAG", start=5),
        node("root.exit-handler-1.onExit", "Running", kind="DAG", start=6),
        node("root.exit-handler-1.onExit.cleanup", "Running", kind="DAG", start=6),
        node("root.exit-handler-1.onExit.cleanup.executor", "Running", start=7),
    )
    assert names(tasks_of_workflow(kept)) == [
        ("for-loop-2", "RUNNING"), ("for-loop-2[0]", "RUNNING"), ("for-loop-2[0]/square", "RUNNING"),
        ("condition-1", "SKIPPED"), ("condition-1/register", "SKIPPED"),
        ("exit-handler-1", "SUCCEEDED"), ("cleanup", "RUNNING"),
    ]  # fmt: skip


def test_a_driver_without_a_pod_of_its_own_fails_too():
    """Newer servers run their drivers as plugins of an agent."""
    kept = workflow(node("root.step-driver", "Failed", "the driver said no", kind="Plugin", end=3))
    (task,) = tasks_of_workflow(kept)
    assert (task.state, task.message, task.pods) == ("FAILED", "the driver said no", ())


def test_a_task_that_is_a_pod_itself_has_no_tries():
    """An importer, and what makes and removes claims."""
    (task,) = tasks_of_workflow(workflow(node("root.importer", "Failed", "no such object", template="system-importer")))
    assert (task.name, task.state, task.message, task.retries) == ("importer", "FAILED", "no such object", 0)


def test_a_driver_that_failed_is_its_tasks_failure():
    kept = workflow(
        node("root.step-driver", "Failed", "Error (exit code 1)", template="system-container-driver", end=3)
    )
    (task,) = tasks_of_workflow(kept)
    assert (task.name, task.state, task.message) == ("step", "FAILED", "Error (exit code 1)")


def test_the_pod_of_a_node_has_the_templates_name_in_it():
    given = {
        "id": f"{WORKFLOW}-4247248200",
        "name": f"{WORKFLOW}.root.boom.executor",
        "templateName": "system-container-impl",
    }
    assert pod_name(WORKFLOW, given) == f"{WORKFLOW}-system-container-impl-4247248200"
    assert pod_name(WORKFLOW, {"id": WORKFLOW, "name": WORKFLOW, "templateName": "entrypoint"}) == WORKFLOW
    referred = {**given, "templateName": "", "templateRef": {"template": "impl"}}
    assert pod_name(WORKFLOW, referred) == f"{WORKFLOW}-impl-4247248200"
    assert len(pod_name("w" * 63, {**given, "templateName": "t" * 300})) <= 253


def test_nodes_that_argo_compressed_are_read():
    plain = steps(node("root.step.executor", "Succeeded", start=9, end=12))
    packed = base64.b64encode(gzip.compress(json.dumps(plain["status"].pop("nodes")).encode())).decode()
    small = {**plain, "status": {**plain["status"], "compressedNodes": packed}}
    assert names(tasks_of_workflow(small)) == [("step", "SUCCEEDED")]
    assert nodes_of({**plain, "status": {"compressedNodes": "no base64 of anything"}}) == ()
    assert nodes_of({}) == ()


# --- the native API -------------------------------------------------------------------------------------------------

# The branch `mlmd-removal`, backend/api/v2beta1/run.proto and artifact.proto: no release has it yet.
NATIVE = {
    "run_id": "r-1", "state": "SUCCEEDED", "task_count": 3,
    "tasks": [
        {"task_id": "1", "name": "root", "state": "SUCCEEDED", "create_time": at(0)},
        {
            "task_id": "2", "name": "train", "type": "RUNTIME", "parent_task_id": "1", "state": "SUCCEEDED",
            "start_time": at(5), "end_time": at(65), "scope_path": ["root", "train"],
            "pods": [{"name": "d", "type": "DRIVER"}, {"name": "a", "type": "EXECUTOR"}, {"name": "b", "type": "EXECUTOR"}],
            "outputs": {
                "parameters": [{"parameter_key": "score", "value": 0.93, "type": "OUTPUT"}],
                "artifacts": [{"artifact_key": "model", "artifacts": [
                    {"artifact_id": "9", "name": "model", "type": "Model", "uri": "s3://b/model", "metadata": {"f": "x"}}]}],
            },
        },
        {
            "task_id": "3", "name": "square", "type": "RUNTIME", "parent_task_id": "1", "state": "CACHED",
            "start_time": at(3), "end_time": at(3), "type_attributes": {"iteration_index": "2"},
        },
        {
            "task_id": "4", "name": "evaluate", "type": "RUNTIME", "parent_task_id": "1", "state": "FAILED",
            "start_time": at(70), "end_time": at(71), "status_metadata": {"message": "exit status 3"},
        },
    ],
}  # fmt: skip


def test_native_tasks_have_everything():
    square, train, evaluate = native_tasks(NATIVE)
    assert (square.name, square.state, square.cached) == ("square[2]", "SUCCEEDED", True)
    assert (train.retries, train.pods, train.took) == (1, ("a", "b"), timedelta(minutes=1))
    assert train.outputs == Values(
        {"score": 0.93}, {"model": (Artifact("model", "s3://b/model", "Model", {"f": "x"}),)}
    )
    assert evaluate.message == "exit status 3"


def test_a_servers_generation_is_in_its_answer():
    assert is_native(NATIVE)
    assert is_native({"task_count": 1}), "read without `view=FULL`, there are no tasks"
    assert not is_native(one_step("RUNNING"))


class Told:
    """A client that tells what it is given."""

    def __init__(self, told, kept=None):
        self.told, self.kept, self.asked = told, kept, []

    def find_run(self, run_id, *, full=False):
        self.asked.append(f"run full={full}")
        return self.told

    def workflow_of(self, run_id):
        self.asked.append("workflow")
        return self.kept


@pytest.mark.parametrize(
    ("client", "state", "outputs"),
    [
        pytest.param(Told(NATIVE), "SUCCEEDED", True, id="the native API, and nothing else is asked"),
        pytest.param(Told(one_step("FAILED"), steps(node("root.step.executor", "Failed", start=9))), "FAILED", False,
                     id="the MLMD era, with its Workflow"),
        pytest.param(Told(one_step("FAILED", pipeline_spec={"root": {"dag": {"tasks": {"step": {}}}}})), "FAILED", False,
                     id="the MLMD era, where no Workflow is kept"),
    ],
)  # fmt: skip
def test_one_reader_for_both_generations(client, state, outputs):
    reading = RunReader(client).read("r-1")
    assert reading.tasks[0].state == state
    assert (reading.outputs is not None) is outputs
    assert client.asked[0] == "run full=True"
    assert ("workflow" in client.asked) is not outputs


def test_no_run_has_no_tasks():
    with pytest.raises(Missing):
        RunReader(Told(None)).read("r-1")


# --- lines ----------------------------------------------------------------------------------------------------------


def task(state: str, seconds: int | None = None, **more) -> Task:
    ended = NOON + timedelta(seconds=seconds) if seconds is not None else None
    return Task("train", state, started=NOON, ended=ended, **more)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        pytest.param(task("PENDING"), "", id="nothing yet"),
        pytest.param(task("RUNNING"), "train runs", id="runs"),
        pytest.param(task("RUNNING", retries=1), "train runs, after 1 retry", id="runs again"),
        pytest.param(task("SUCCEEDED", 12), "train succeeded after 12 s", id="succeeded"),
        pytest.param(task("SUCCEEDED", 4_000, retries=2), "train succeeded after 1 h 6 min, with 2 retries", id="after retries"),
        pytest.param(task("SUCCEEDED", 0, cached=True), "train succeeded: taken from the cache", id="from the cache"),
        pytest.param(task("FAILED", 75, message="OOMKilled (exit code 137)"),
                     "train failed after 1 min 15 s: OOMKilled (exit code 137)", id="failed"),
        pytest.param(task("SKIPPED", 0), "train was skipped", id="skipped"),
        pytest.param(Task("train", "SUCCEEDED"), "train succeeded", id="without times"),
        pytest.param(task("PONDERING"), "train is `PONDERING`", id="a word that is not known"),
    ],
)  # fmt: skip
def test_line(told, line):
    assert task_line(told) == line


def looks() -> Iterator[list[Task]]:
    yield []
    yield [Task("prep", "RUNNING", NOON)]
    yield [Task("prep", "SUCCEEDED", NOON, NOON + timedelta(seconds=3)), Task("train", "RUNNING", NOON)]
    yield [Task("prep", "SUCCEEDED", NOON, NOON + timedelta(seconds=3)), Task("train", "FAILED", NOON)]
    yield [Task("prep", "SUCCEEDED", NOON, NOON + timedelta(seconds=3)), Task("train", "RUNNING", NOON)]  # a retry


def test_each_line_is_told_once_and_a_retry_anew():
    cursor, told = "", []
    for tasks in looks():
        for _ in range(2):
            lines, cursor = new_lines(tasks, cursor)
            told += lines
    assert told == ["prep runs", "prep succeeded after 3 s", "train runs", "train failed", "train runs"]


def test_items_of_one_name_are_told_apart():
    lines, cursor = new_lines([Task("square", "RUNNING", NOON), Task("square", "SUCCEEDED", NOON)])
    assert lines == ["square runs", "square succeeded"]
    assert new_lines([Task("square", "RUNNING", NOON), Task("square", "SUCCEEDED", NOON)], cursor)[0] == []


@pytest.mark.parametrize("cursor", ["", "nonsense", "[1]"])
def test_a_damaged_cursor_tells_all_again(cursor):
    assert new_lines([task("RUNNING")], cursor)[0] == ["train runs"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("1970-01-01T00:00:00Z", None, id="1970 is not set"),
        pytest.param("2026-11-26T12:00:00Z", NOON, id="a time"),
        pytest.param("2026-11-26T12:00:00", NOON, id="without a zone it is UTC"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param("soon", None, id="no time"),
    ],
)
def test_moment(text, found):
    assert moment(text) == found
