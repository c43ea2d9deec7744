"""Two steps that share one GPU: KAI scheduler gives each pod its part."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, tags=["mlx", "example", "kubernetes"])
def half_a_gpu() -> None:
    """On a target without KAI this is refused before anything is submitted, with the way out."""

    @task.mlx(target="shared-gpu", resources=Resources(cpu="100m", memory="512Mi", gpu=0.5))
    def embed(part: int) -> int:
        return part * part

    embed.expand(part=[1, 2])


half_a_gpu()
