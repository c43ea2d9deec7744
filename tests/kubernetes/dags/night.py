"""A training on two nodes that takes a while and keeps checkpoints, and many small steps that share a pool."""

from __future__ import annotations

import os

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(dag_id="night", schedule=None)
def night() -> None:
    @task.mlx(
        resources=Resources(nodes=2, cpu="250m", launcher="torchrun"), preemptions=3, retries=2, deferrable=True,
    )  # fmt: skip
    def step(epochs: int) -> dict[str, int]:
        import time

        import torch
        import torch.distributed as dist

        from airflow_provider_mlx import current_step

        dist.init_process_group("gloo")
        folder = current_step.checkpoint_dir()
        first = int((folder / "epoch").read_text()) + 1 if (folder / "epoch").exists() else 0
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
        if first:
            model.load_state_dict(torch.load(folder / "model.pt"))
        print(f"attempt {current_step.attempt} begins at epoch {first}")
        for epoch in range(first, epochs):
            model(torch.randn(8, 4)).sum().backward()
            if dist.get_rank() == 0:
                torch.save(model.state_dict(), folder / "model.draft")
                (folder / "model.draft").replace(folder / "model.pt")
                (folder / "epoch.draft").write_text(str(epoch))
                (folder / "epoch.draft").replace(folder / "epoch")
            time.sleep(0.5)
        dist.destroy_process_group()
        return {"attempt": current_step.attempt, "began_at": first, "epochs": epochs}

    step(epochs=120)


@dag(dag_id="crowd", schedule=None)
def crowd() -> None:
    @task.mlx(resources=Resources(cpu="10m"), pool="eight", deferrable=True)
    def step(number: int) -> int:
        import time

        time.sleep(8)  # longer than a worker stays before it defers
        return number

    step.expand(number=list(range(int(os.environ.get("MLX_TEST_CROWD", "32")))))


night()
crowd()
