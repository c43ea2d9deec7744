"""A step that Kueue lets go when its team's quota has room."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, tags=["mlx", "example", "kubernetes"])
def queued_step() -> None:
    """While it is queued its time does not count; preempted by Kueue, it is queued again and has not failed."""

    @task.mlx(target="queued", resources=Resources(cpu="100m", memory="512Mi", timeout="30m", priority="nightly"))
    def train(rounds: int) -> float:
        loss = 1.0
        for _ in range(rounds):
            loss *= 0.9
        return loss

    train(rounds=20)


queued_step()
