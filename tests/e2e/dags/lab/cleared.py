"""Is edited by the test between two runs of its task."""

from __future__ import annotations

from airflow.sdk import dag, task

MARKER = "old code"


@dag(schedule=None)
def cleared() -> None:
    @task.mlx
    def marker() -> str:
        return MARKER

    @task
    def repeat(value: str) -> str:
        return value

    repeat(marker())


cleared()
