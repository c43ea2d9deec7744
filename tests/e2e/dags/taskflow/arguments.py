"""What a step may be given: templates, context names, XCom items, assets, environment, secrets."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import Asset, dag, task

from airflow_provider_mlx import Dataset, Resources


@dag(schedule=None, params={"cores": "1", "where": "other", "mode": "fast"})
def templates() -> None:
    @task.mlx
    def day(day: str, nested: dict[str, list[str]]) -> list[Any]:
        return [day, nested]

    @task.mlx(
        resources=Resources(cpu="{{ params.cores }}", memory="{{ 1 + 1 }}Gi"),
        target="{{ params.where }}",
        env={"MODE": "{{ params.mode }}", "RUN": "{{ run_id }}"},
    )
    def place() -> list[Any]:
        import os
        import resource

        cores = len(os.sched_getaffinity(0))
        return [
            os.environ["WHERE"],
            os.environ["MODE"],
            os.environ["RUN"],
            cores,
            resource.getrlimit(resource.RLIMIT_DATA)[0],
        ]

    day("{{ ds }}", {"days": ["{{ ds_nodash }}", "literal"]})
    place()


@dag(schedule=None, params={"colour": "red"})
def context() -> None:
    @task.mlx(multiple_outputs=False)
    def names(
        ds: str,
        ts: str,
        run_id: str,
        logical_date: datetime.datetime,
        data_interval_start: datetime.datetime,
        params: dict[str, Any],
        conf: dict[str, Any],
        map_index: int,
        try_number: int,
    ) -> dict[str, Any]:
        aware = [
            type(moment) is datetime.datetime and moment.tzinfo is not None
            for moment in (logical_date, data_interval_start)
        ]
        return {
            "ds": ds, "ts": ts, "run_id": run_id, "aware": aware, "logical_date": logical_date.isoformat(),
            "colour": params["colour"], "conf": conf, "map_index": map_index, "try_number": try_number,
        }  # fmt: skip

    @task.mlx
    def indexed(value: str, map_index: int) -> list[Any]:
        return [value, map_index]

    names()
    indexed.expand(value=["a", "b"])


@dag(schedule=None)
def items() -> None:
    @task.mlx
    def pair() -> dict[str, int]:
        return {"left": 1, "right": 2}

    @task.mlx
    def subtract(left: int, right: int, *rest: int) -> int:
        return left - right - sum(rest)

    @task.mlx
    def what(data: Dataset) -> list[str]:
        return [type(data).__module__, type(data).__name__, data.uri]

    found = pair()
    subtract(found["left"], found["right"])
    what.override(task_id="asset")(Asset(name="orders", uri="s3://lake/orders"))
    what.override(task_id="dataset")(Dataset("s3://lake/orders"))
    what.override(task_id="outside")(Dataset("s3://elsewhere/orders"))


@dag(schedule=None)
def secrecy() -> None:
    @task.mlx
    def never(password: str) -> str:
        return "started"

    @task.mlx(target="other", secrets={"TOKEN": "token"}, env={"PLAIN": "visible"})
    def use() -> list[Any]:
        import hashlib
        import os

        return [
            hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest(),
            os.environ["PLAIN"],
            "E2E_TOKEN" in os.environ,
        ]

    @task.mlx(secrets={"TOKEN": "token"})
    def unmapped() -> str:
        return "started"

    never("{{ var.value.e2e_password }}")
    use()
    unmapped()


templates()
context()
items()
secrecy()
