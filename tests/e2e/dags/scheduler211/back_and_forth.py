"""Step → task → step, started by an Airflow 2.11 scheduler by itself; then a DAG that the first step's event starts."""

from __future__ import annotations

import datetime

from airflow.datasets import Dataset
from airflow.decorators import dag, task

from airflow_provider_mlx import AssetArtifact

VALUES = Dataset("mlx://churn/values")


@dag(schedule="@once", start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), catchup=False)
def back_and_forth() -> None:
    @task.mlx(outlets=[VALUES])
    def first() -> dict[str, int]:
        return {"value": 20}

    @task
    def second(values: dict[str, int]) -> int:
        return values["value"] + 1

    @task.mlx
    def third(value: int) -> int:
        return value * 2

    third(second(first()))


@dag(schedule=[VALUES], start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), catchup=False)
def on_the_dataset() -> None:
    @task.mlx
    def use(values: dict[str, int]) -> dict[str, int]:
        return values

    use(AssetArtifact(VALUES))


back_and_forth()
on_the_dataset()
