"""A step on a GPU, and an ordinary task that reads its result."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, tags=["mlx", "example", "kubernetes"])
def gpu_step() -> None:
    """The device plugin gives the container its GPU, and nobody else has it meanwhile."""

    @task.mlx(target="gpu", resources=Resources(cpu="100m", memory="512Mi", gpu=1, timeout="30m"))
    def devices() -> list[str]:
        import os

        found = os.environ.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
        print(f"this container has {', '.join(found)}")
        return found

    @task
    def report(found: list[str]) -> int:
        """An ordinary Airflow task: a step's small JSON result is an ordinary XCom."""
        print(f"{len(found)} GPU")
        return len(found)

    report(devices())


gpu_step()
