"""A compiled pipeline with this run's parameters, and ordinary tasks that take what it has made."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Param, dag, task

from airflow_provider_mlx.operators.kubeflow_pipelines import KubeflowPipelinesRunOperator

MODEL = Asset(name="churn-model", uri="mlx://models/churn")


@dag(
    schedule=None,
    tags=["mlx", "example", "kubeflow"],
    params={"epochs": Param(3, type="integer", minimum=1)},
    render_template_as_native_obj=True,  # so that the template of a number gives a number
)
def compiled_pipeline() -> None:
    """Its tasks are told in the task's log; a retry of the task adopts a run that goes on."""

    train = KubeflowPipelinesRunOperator(
        task_id="train",
        pipeline="pipelines/churn_training.yaml",
        parameters={"day": "{{ run_id }}", "epochs": "{{ params.epochs }}"},
        outputs={"churn-model": "train.model", "auc": "evaluate.Output", "scores": "evaluate.scores"},
        conn_id="kubeflow_pipelines_default",
        max_runtime="4h",
        outlets=[MODEL],
    )

    @task
    def report(auc: float, model: dict[str, Any]) -> str:
        """A value is a value; a model or a dataset is a reference, with its address in ``uri``."""
        print(f"{model['uri']} has {auc:.3f}")
        return str(model["uri"])

    report(train.output["auc"], train.output["churn-model"])


compiled_pipeline()
