"""A file with ``@dsl.pipeline``: compiled where tasks run, registered on the server, and run in just that version."""

from __future__ import annotations

from airflow.sdk import dag

from airflow_provider_mlx.operators.kubeflow_pipelines import KubeflowPipelinesRunOperator
from airflow_provider_mlx.operators.kubeflow_registry import KubeflowPipelinesUploadOperator

CONN_ID = "kubeflow_pipelines_default"


@dag(schedule=None, tags=["mlx", "example", "kubeflow"])
def python_pipeline() -> None:
    """Airflow needs no SDK for it: the worker makes one an environment of its own, once."""

    upload = KubeflowPipelinesUploadOperator(
        task_id="upload",
        pipeline="pipelines/churn_training.py",
        conn_id=CONN_ID,
    )

    KubeflowPipelinesRunOperator(
        task_id="train",
        pipeline_name="churn-training",
        version="{{ ti.xcom_pull('upload')['version'] }}",
        parameters={"day": "{{ run_id }}"},
        outputs={"model": "train.model"},
        conn_id=CONN_ID,
    ).set_upstream(upload)


python_pipeline()
