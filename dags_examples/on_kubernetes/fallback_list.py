"""A step that runs on cheap nodes if they come in time, and elsewhere if not."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, tags=["mlx", "example", "kubernetes"])
def fallback_list() -> None:
    """The first target of the list is given up after its time; the second one runs within the same try."""

    @task.mlx(target="spot-first", resources=Resources(cpu="100m", memory="512Mi"))
    def where() -> str:
        import platform

        return platform.node()

    @task
    def show(pod: str) -> None:
        print(f"it ran in {pod}")

    show(where())


fallback_list()
