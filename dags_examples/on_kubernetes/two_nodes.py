"""Two nodes that train one model together: the step's function runs once on each, started by torchrun."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, params={"epochs": 60}, tags=["mlx", "example", "kubernetes"])
def two_nodes() -> None:
    """Linear regression on the CPU, so that it trains anywhere; what global rank 0 returns is the step's result."""

    # [START howto_two_nodes]
    @task.mlx(
        target="training",
        resources=Resources(nodes=2, cpu="250m", memory="2Gi", launcher="torchrun", timeout="30m"),
        preemptions=2,
    )
    def train(params: dict) -> dict[str, float]:
        import torch
        import torch.distributed as dist

        from airflow_provider_mlx import current_step

        dist.init_process_group("gloo")  # "nccl" where each node has GPUs
        rank, world = dist.get_rank(), dist.get_world_size()
        torch.manual_seed(0)
        rows = torch.randn(512, 4)[rank::world]  # each rank has its part of the data
        wanted = rows @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

        checkpoint, first = current_step.checkpoint_dir() / "model.pt", 0
        if checkpoint.exists():  # every node has it again after the job was lost
            state = torch.load(checkpoint)
            model.load_state_dict(state["model"])
            first = state["epoch"] + 1

        loss = torch.tensor(float("inf"))
        for epoch in range(first, int(params["epochs"])):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(rows), wanted)
            loss.backward()
            optimizer.step()
            if rank == 0:
                current_step.log_metric("loss", loss.item(), step=epoch)
                torch.save({"model": model.state_dict(), "epoch": epoch}, checkpoint.with_suffix(".draft"))
                checkpoint.with_suffix(".draft").replace(checkpoint)  # never half of one

        dist.destroy_process_group()
        return {"loss": loss.item(), "ranks": world, "began_at_epoch": first}

    # [END howto_two_nodes]

    @task
    def report(trained: dict[str, float]) -> float:
        """An ordinary Airflow task."""
        print(f"{trained['ranks']} ranks reached a loss of {trained['loss']:.4f}")
        return trained["loss"]

    report(train())


two_nodes()
