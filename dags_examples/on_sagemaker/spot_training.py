"""A training on spot instances that goes on from its last checkpoint when AWS takes them back."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources


@dag(schedule=None, params={"epochs": 20, "seconds_per_epoch": 1.0}, tags=["mlx", "example", "sagemaker"])
def spot_training() -> None:
    """SageMaker starts the same job again when there are instances again: no failure, no try of Airflow's spent."""

    # [START howto_spot]
    @task.mlx(target="spot", resources=Resources(cpu=2, memory="4Gi"), preemptions=2)
    def train(params: dict) -> dict[str, float]:
        import json
        import time

        from airflow_provider_mlx import current_step

        file = current_step.checkpoint_dir() / "state.json"
        state = json.loads(file.read_text()) if file.exists() else {"epoch": 0, "weight": 0.0}
        begun_at = state["epoch"]
        print(f"begins at epoch {begun_at}")
        while state["epoch"] < params["epochs"]:
            time.sleep(params["seconds_per_epoch"])
            state = {"epoch": state["epoch"] + 1, "weight": state["weight"] + 0.5 * (3.0 - state["weight"])}
            draft = file.with_name("draft.json")
            draft.write_text(json.dumps(state))
            draft.replace(file)  # never half of one
            current_step.log_metric("distance", 3.0 - state["weight"], step=state["epoch"])
        return {"weight": state["weight"], "epochs": state["epoch"], "begun_at": begun_at}

    # [END howto_spot]

    train()


spot_training()
