"""A training script in an image with SageMaker's own toolkit, as SageMaker's estimators run it."""

from __future__ import annotations

from airflow.sdk import dag

from airflow_provider_mlx import Resources
from airflow_provider_mlx.operators.step import MlxStepOperator


@dag(schedule=None, params={"source": "s3://ml-lake/code/train.tar.gz"}, tags=["mlx", "example", "sagemaker"])
def script_mode() -> None:
    """The toolkit unpacks the archive, runs the script in it with the hyperparameters, and keeps what it leaves."""
    MlxStepOperator(
        task_id="train",
        target="script",
        command=["train"],  # what SageMaker runs where nothing else is said: the toolkit's own entry point
        resources=Resources(cpu=2),
        overrides={
            "sagemaker": {
                "request_override": {
                    "HyperParameters": {  # each is JSON in a string, as SageMaker's SDK writes them
                        "sagemaker_program": '"train.py"',
                        "sagemaker_submit_directory": '"{{ params.source }}"',
                        "epochs": "3",
                    }
                }
            }
        },
    )


script_mode()
