"""A pipeline of Kubeflow's makes a model, and a step on SageMaker takes it: by its address, never through Airflow."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Dataset, Resources
from airflow_provider_mlx.operators.kubeflow_pipelines import KubeflowPipelinesRunOperator


@dag(dag_id="kubeflow_to_sagemaker", schedule=None, tags=["mlx", "example", "kubeflow", "sagemaker"])
def hybrid() -> None:
    """Both sides see the bucket in which Kubeflow Pipelines keeps its artifacts."""

    made = KubeflowPipelinesRunOperator(
        task_id="pipeline",
        pipeline="pipelines/churn_training.yaml",
        parameters={"day": "{{ run_id }}"},
        outputs={"model": "train.model"},
        pipeline_root="s3://ml-lake/kubeflow",
    )

    @task.mlx(target="sagemaker", resources=Resources(cpu=2, memory="4Gi"))
    def score(model: Dataset) -> dict[str, float]:
        import boto3

        bucket, _, key = model.uri.removeprefix("s3://").partition("/")
        share = float(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        return {"share": share}

    score(made.output["model"])


hybrid()
