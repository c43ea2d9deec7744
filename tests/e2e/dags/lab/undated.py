"""In a run that was triggered without a logical date there is no ``ds``."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import dag, task


@dag(schedule=None)
def undated() -> None:
    @task.mlx
    def needs_a_day(ds: str) -> str:
        return ds

    @task.mlx
    def needs_no_day(ds: str | None = None, logical_date: datetime.datetime | None = None) -> list[Any]:
        return [ds, logical_date]

    needs_a_day()
    needs_no_day()


undated()
