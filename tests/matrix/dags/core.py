"""What must work on every supported Airflow: both directions of values, mapping, failure, and a step far away."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dag(schedule=None, start_date=START)
def values() -> None:
    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task.mlx
    def total(values: list[int], run_id: str) -> dict:
        return {"sum": sum(values), "run": run_id}

    @task
    def double(value: dict[str, Any]) -> int:
        return value["sum"] * 2

    @task.mlx
    def square(value: int) -> int:
        return value * value

    given = numbers()
    double(total(given))
    square.expand(value=given)


@dag(schedule=None, start_date=START)
def failing() -> None:
    @task.mlx
    def divide(by: int) -> float:
        return 1 / by

    divide(0)


@dag(schedule=None, start_date=START)
def far_away() -> None:
    @task.mlx(stack="far", retries=1, retry_delay=datetime.timedelta(seconds=1))
    def wait(seconds: str) -> str:
        import time

        for second in range(int(seconds)):
            print("second", second, flush=True)
            time.sleep(1)
        return "waited"

    wait("{{ dag_run.conf.get('seconds', 1) }}")


values()
failing()
far_away()
