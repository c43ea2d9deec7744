"""By what a run in an experiment tracker leads back to Airflow."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.jobs.tracking import parent_variables
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

TRAIN = TaskInstanceIdentity("prod", "churn", "manual__2026-11-23", "train")
JOB = TRAIN.job_name(2)
LINEAGE = json.dumps({"parent": {"run": {"runId": "own"}, "root": {"run": {"runId": "dag-run"}}}})
SAID = {
    "airflow.dag_id": "churn", "airflow.run_id": "manual__2026-11-23", "airflow.task_id": "train",
    "airflow.try_number": "3", "mlx.job": JOB,
}  # fmt: skip
TRACED = {"openlineage.run_id": "own", "openlineage.root_run_id": "dag-run"}


def variables(tracker, identity=TRAIN, **more):
    return parent_variables({tracker}, identity, attempt=2, try_number=3, **more)


@pytest.mark.parametrize(
    ("identity", "more", "tags"),
    [
        pytest.param(TRAIN, {}, SAID | {"mlflow.runName": "train"}, id="without lineage and a page"),
        pytest.param(TRAIN, {"lineage": LINEAGE}, SAID | TRACED | {"mlflow.runName": "train"}, id="the run of the lineage"),
        pytest.param(TRAIN, {"page": "https://airflow/x"}, SAID | {"mlflow.runName": "train", "mlflow.note.content": "[churn.train in Airflow](https://airflow/x)"}, id="a link to Airflow"),
        pytest.param(TaskInstanceIdentity("prod", "churn", "manual__2026-11-23", "train", 7), {}, SAID | {"mlflow.runName": "train[7]", "airflow.map_index": "7", "mlx.job": TaskInstanceIdentity("prod", "churn", "manual__2026-11-23", "train", 7).job_name(2)}, id="one of a mapped task"),
    ],
)  # fmt: skip
def test_a_run_of_mlflow_has_tags(identity, more, tags):
    found = variables("mlflow", identity, **more)
    assert {*found} == {"MLFLOW_RUN_CONTEXT"}
    assert json.loads(found["MLFLOW_RUN_CONTEXT"]) == tags


def test_the_steps_of_a_dag_run_are_one_group_in_weights_and_biases():
    train, prepare = (
        variables("wandb", TaskInstanceIdentity("prod", "churn", "r", task), page="https://airflow/x")
        for task in ("train", "prepare")
    )
    assert train["WANDB_RUN_GROUP"] == prepare["WANDB_RUN_GROUP"] == "churn/r"
    assert (train["WANDB_NAME"], train["WANDB_JOB_TYPE"]) == ("train", "train")
    assert train["WANDB_NOTES"].startswith("https://airflow/x\nairflow.dag_id: churn\n")


def test_long_names_fit_and_stay_different():
    groups = {
        variables("wandb", TaskInstanceIdentity("prod", "d" * 200, run, "train"))["WANDB_RUN_GROUP"] for run in "ab"
    }
    assert [len(group) for group in groups] == [128, 128]


def test_a_run_of_neptune_is_found_by_the_end_of_the_jobs_name():
    (found,) = variables("neptune").values()
    assert JOB.endswith(f"-{found}")
    assert len(found) <= 36


def test_nothing_is_said_to_a_tracker_that_the_stack_does_not_name():
    assert parent_variables((), TRAIN, attempt=1, try_number=1) == {}
