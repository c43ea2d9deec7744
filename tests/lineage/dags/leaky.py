"""A step on each backend that is given secrets in every way that there is, and fails with one of them in its words."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, params={"api_token": "", "db_password": "", "table": ""}, tags=["mlx"])
def leaky() -> None:
    for target in ("sagemaker", "kubeflow", "cluster"):

        @task.mlx(task_id=f"on_{target}", target=target, retries=0, resources=Resources(cpu="500m", memory="512Mi"))
        def leak(api_token: str, db_password: str, table: str) -> None:
            from airflow_provider_mlx import current_step

            current_step.dataset(table)
            assert api_token
            raise ValueError(f"cannot open {table}: password={db_password}")

        leak("{{ params.api_token }}", "{{ params.db_password }}", "{{ params.table }}")


leaky()
