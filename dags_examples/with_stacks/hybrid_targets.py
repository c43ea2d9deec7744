"""Two logical targets in one DAG, ``default`` and ``gpu``: what they are is said in ``mlx_stacks.yaml`` beside it."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, tags=["mlx", "example"])
def hybrid_targets() -> None:
    """Light work on the default target, heavy work on the one with GPUs."""

    @task.mlx(resources=Resources(cpu=1))
    def split(parts: int) -> list[int]:
        return list(range(parts))

    @task.mlx(target="gpu", resources=Resources(gpu="L4:1"))
    def square(part: int) -> int:
        return part * part

    @task.mlx
    def total(squares: list[int]) -> int:
        return sum(squares)

    total(square.expand(part=split(3)))


hybrid_targets()
