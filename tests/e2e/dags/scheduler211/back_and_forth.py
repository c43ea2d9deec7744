"""Step → task → step, started by an Airflow 2.11 scheduler by itself."""

from __future__ import annotations

import datetime

from airflow.decorators import dag, task


@dag(schedule="@once", start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), catchup=False)
def back_and_forth() -> None:
    @task.mlx
    def first() -> dict[str, int]:
        return {"value": 20}

    @task
    def second(values: dict[str, int]) -> int:
        return values["value"] + 1

    @task.mlx
    def third(value: int) -> int:
        return value * 2

    third(second(first()))


back_and_forth()
