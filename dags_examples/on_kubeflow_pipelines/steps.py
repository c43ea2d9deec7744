"""Functions of a DAG file as steps: each a run of a pipeline with one task, on a server that the stack names."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, tags=["mlx", "example", "kubeflow"])
def steps() -> None:
    """Nothing here is Kubeflow's: on another stack the same DAG runs as Jobs, or on SageMaker."""

    @task.mlx(resources=Resources(cpu=1, memory="1Gi"))
    def prepare() -> list[float]:
        return [number / 1000 for number in range(1000)]

    @task.mlx(target="gpu", resources=Resources(cpu=2, memory="8Gi", gpu="L4:1", timeout="2h"))
    def train(numbers: list[float]) -> dict[str, float]:
        from airflow_provider_mlx import current_step

        mean = sum(numbers) / len(numbers)
        current_step.log_metric("mean", mean)
        return {"mean": mean}

    train(prepare())


steps()
