"""What comes out of a pipeline that really ran: its Workflow, as `tests/kubeflow_pipelines/in_pods` has recorded it."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import Reading
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.inner import inner_tasks
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outcome import result_of
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK, given_to_tasks
from airflow_provider_mlx.backends.kubeflow_pipelines.tasks import tasks_of_workflow
from tests.unit.backends.kubeflow_pipelines.objects import run

RECORDED = Path(__file__).parents[4] / "kubeflow_pipelines" / "recorded" / "in_pods" / "workflow-kinds.json"
WORKFLOW = json.loads(RECORDED.read_text())
WANTED = {
    "whole": "values.whole", "count": "values.count", "names": "values.names", "model": "train.model",
    "metrics": "evaluate.metrics", "registered": "register.Output", "receipt": "register.receipt",
    "other": "register-2.receipt", "unregistered": "register-2.Output", "said": "exit-handler-5/say.Output",
}  # fmt: skip


def test_outputs_of_every_kind():
    whole = run("SUCCEEDED", pipeline_spec={"pipelineInfo": {"name": "kinds"}})
    result = result_of(Reading(whole, tasks_of_workflow(WORKFLOW), WORKFLOW), WANTED)
    value = result["outputs"]["return_value"]["value"]
    assert (value["whole"], type(value["whole"]), value["count"]) == (2.0, float, 3)
    assert value["names"] == ["a", 1, None]
    assert value["said"] == 'GRÜSSE <&> "IT\'S"\n$(X) $HOME'
    assert value["metrics"] == {"auc": 0.91, "rows": 7}
    assert value["registered"].replace("minio:", "s3:") == value["model"]["uri"]
    assert value["receipt"]["uri"].endswith("/receipt")
    assert (value["other"], value["unregistered"]) == (None, None)
    assert value["tasks"]["condition-2"] == {"state": "SKIPPED"}
    assert not [name for name in value["tasks"] if TASK in name]
    assert result["datasets"]["read"] == []
    keys = {one["uri"].rpartition("/")[2] for one in result["datasets"]["written"]}
    assert keys == {"model", "table", "receipt", "note"}, "no metrics, and nothing of what tasks print"


def test_every_task_that_ran_says_what_it_was_given():
    given = given_to_tasks(WORKFLOW)
    assert sorted(name for name in given if name.endswith(TASK)) == [TASK, f"condition-1/{TASK}"]
    assert {"for-loop-4[0]/square", "for-loop-4[1]/square", "exit-handler-5/say", "clean"} <= set(given)
    assert given["total"].parameters == {"numbers": [1, 4]}


def test_every_task_that_ran_is_a_run_of_its_own():
    whole = run("SUCCEEDED", pipeline_spec={"pipelineInfo": {"name": "kinds"}})
    found = {task.name: task for task in inner_tasks(Reading(whole, tasks_of_workflow(WORKFLOW), WORKFLOW), WANTED)}
    assert "condition-2" not in found and not [name for name in found if TASK in name]
    assert {"for-loop-4[0]/square", "for-loop-4[1]/square"} <= set(found)
    assert not {"for-loop-4", "for-loop-4[0]", "condition-1", "exit-handler-5"} & set(found), "groups are no runs"
    train, evaluate = found["train"], found["evaluate"]
    assert [one.uri.rpartition("/")[2] for one in train.written] == ["model", "table"]
    assert set(train.written) & set(evaluate.read), "what one wrote and another read joins them"
    assert evaluate.metrics == {"auc": 0.91, "rows": 7.0}
    assert all(task.state is State.SUCCEEDED and task.id for task in found.values() if not task.cached)
