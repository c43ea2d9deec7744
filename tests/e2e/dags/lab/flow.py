"""What the scheduler decides: retries, trigger rules, setup and teardown, groups, pools, skips, outlets."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import Asset, dag, task, task_group

NOW = datetime.timedelta(0)


@task_group
def group() -> None:
    @task.mlx(pool="small", pool_slots=1)
    def pooled(value: int) -> int:
        return value + 1

    @task.mlx(outlets=[Asset(name="model", uri="s3://lake/model")])
    def publish(value: int) -> int:
        return value

    publish(pooled(1))


@dag(schedule=None)
def flow() -> None:
    @task.mlx(retries=2, retry_delay=NOW)
    def second_time(try_number: int) -> int:
        if try_number == 1:
            raise ConnectionError("the first try fails")
        return try_number

    @task.mlx
    def make_room() -> str:
        return "room"

    @task.mlx
    def breaks(room: str) -> None:
        raise ValueError(f"{room} is too small")

    @task.mlx
    def clean_up(room: str) -> str:
        return f"{room} is gone"

    @task.mlx(trigger_rule="all_done")
    def whatever_happens() -> str:
        return "done"

    @task.mlx
    def after_success() -> None: ...

    @task.mlx
    def nothing_new() -> None:
        from airflow_provider_mlx.runtime import current_step

        current_step.skip("nothing new today")

    @task.mlx
    def behind_a_skip(value: Any) -> None: ...

    second_time()
    room = make_room().as_setup()
    broken = breaks(room)
    gone = clean_up(room).as_teardown(setups=room)
    broken >> [gone, whatever_happens(), after_success()]
    behind_a_skip(nothing_new())
    group()


flow()
