"""Does not declare ``mlx_stack``: a run's conf cannot move it to another stack."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task


@dag(schedule=None)
def undeclared() -> None:
    @task.mlx
    def mode(conf: dict[str, Any]) -> list[Any]:
        import os

        return [os.environ.get("MODE", "relaxed"), conf]

    mode()


undeclared()
