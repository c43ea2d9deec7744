"""Mapping and overriding; the functions stand in the module, so that a test can call them."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import MlxStepOperator, Resources


@task.mlx(resources=Resources(cpu=1))
def add(left: int, right: int = 10) -> int:
    return left + right


@task.mlx
def cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


@dag(schedule=None)
def mapped() -> None:
    @task
    def pairs() -> list[dict[str, int]]:
        return [{"left": 1, "right": 1}, {"left": 2, "right": 2}]

    add.partial(right=100).expand(left=[1, 2, 3])
    add.override(task_id="add_pairs").expand_kwargs(pairs())
    add.override(task_id="add_literal").expand_kwargs([{"left": 5}, {"left": 6, "right": 0}])
    cores.override(task_id="one_core", resources=Resources(cpu=1))()
    MlxStepOperator.partial(task_id="scripts", script="echo.py", resources=Resources(cpu=1, memory="1Gi")).expand(
        argv=[["one", "{{ ds }}"], ["two", "three"]]
    )


mapped()
