"""The trigger form switches a whole run to another stack: the DAG declares the param ``mlx_stack``."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import mlx_stack_param


@dag(
    schedule=None, params={"mlx_stack": mlx_stack_param("laptop", "careful", default="laptop")}, tags=["mlx", "example"]
)
def switch_stack() -> None:
    """Says where it runs."""

    @task.mlx
    def mode() -> str:
        import os

        return os.environ.get("MODE", "relaxed")

    @task
    def say(mode: str) -> None:
        print(f"this run is {mode}")

    say(mode())


switch_stack()
