"""A pipeline that is in SageMaker already, with this run's parameters, and an ordinary task that reads what it made."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_mlx import MlxSageMakerPipelineOperator


@dag(schedule=None, tags=["mlx", "example", "sagemaker"], params={"epochs": Param(3, type="integer", minimum=1)})
def pipeline() -> None:
    """Its steps are told in the task's log; a retry of the task adopts an execution that still runs."""

    train = MlxSageMakerPipelineOperator(
        task_id="train",
        pipeline="churn-training",
        parameters={"Day": "{{ ds }}", "Epochs": "{{ params.epochs }}"},
        conn_id="aws_ml",
        max_runtime="4h",
    )

    @task
    def report(made: dict[str, Any]) -> list[str]:
        """The result has an entry for each step: its status, its job, its model, its outputs."""
        models = [step["model"] for step in made["steps"].values() if "model" in step]
        print(f"{made['execution']} made {', '.join(models)}")
        return models

    report(train.output)


pipeline()
