"""What a step's own code finds of its stack's trackers, in a real local job."""

from __future__ import annotations

import json

from tests.unit.lineage.conftest import events_file, events_in, use_transport

__all__ = ["events_file", "use_transport"]

BODY = """
@task.mlx(env={"WANDB_ENTITY": "mine", "WANDB_NAME": "mine too"})
def step():
    import os

    return {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW_", "WANDB_", "NEPTUNE_"))}

step()
"""
STACKS = """
default: one
stacks:
  one:
    artifacts: {}
    targets: {default: {backend: local}}
    tracking:
      mlflow: {uri: "http://mlflow:5000", secrets: {MLFLOW_TRACKING_TOKEN: {env: TOKEN_OF_THE_WORKER}}}
      wandb: {project: churn, entity: acme}
"""


def test_it_finds_settings_secrets_and_its_parent(load, execute, events_file, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_THE_WORKER", "of the worker")
    found = execute(load(BODY, stacks=STACKS)["step"]).result
    tags = json.loads(found.pop("MLFLOW_RUN_CONTEXT"))
    (start,) = [event for event in events_in(events_file) if event["eventType"] == "START"]
    assert tags["openlineage.run_id"] == start["run"]["runId"]
    assert found.pop("WANDB_RUN_GROUP").startswith(f"{tags['airflow.dag_id']}/")
    assert found.pop("WANDB_NOTES")
    assert found == {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_TRACKING_TOKEN": "of the worker",
        "WANDB_PROJECT": "churn", "WANDB_ENTITY": "mine", "WANDB_NAME": "mine too", "WANDB_JOB_TYPE": "step",
    }  # fmt: skip


def test_without_trackers_there_is_nothing(load, execute):
    assert execute(load(BODY)["step"]).result == {"WANDB_ENTITY": "mine", "WANDB_NAME": "mine too"}
