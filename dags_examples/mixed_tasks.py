"""Ordinary tasks and steps side by side: values go both ways, big ones by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import dag, task

from airflow_provider_mlx import Artifact

if TYPE_CHECKING:
    import pandas as pd


@dag(schedule=None, tags=["mlx", "example"])
def mixed_tasks() -> None:
    """A task feeds a step, the step's frame goes to another step by reference, and a task reads the reference."""

    @task
    def settings() -> dict[str, Any]:
        return {"rows": 1000, "seed": 7}

    @task.mlx(requirements=["pandas==2.*"])
    def make_table(settings: dict[str, Any], run_id: str) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        numbers = np.random.default_rng(settings["seed"]).normal(size=(settings["rows"], 3))
        table = pd.DataFrame(numbers, columns=list("abc"))
        table["run"] = run_id
        return table

    @task.mlx(requirements=["pandas==2.*"], multiple_outputs=False)
    def summarize(table: pd.DataFrame) -> dict[str, float]:
        return {name: float(table[name].mean()) for name in "abc"}

    @task
    def look(table: dict[str, Any], means: dict[str, float]) -> str:
        """XCom holds a reference, never the data; ``Artifact.of`` reads it with the stack's credentials."""
        artifact = Artifact.of(table)
        print(f"{artifact.reference.type} of {artifact.reference.size:,} bytes at {artifact.uri}, means {means}")
        return artifact.reference.version

    table = make_table(settings())
    look(table, summarize(table))


mixed_tasks()
