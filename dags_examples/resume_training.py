"""
A training run that is killed in the middle goes on from its last checkpoint, plots its loss, and is judged by a gate.

The step kills its own process once, in its first attempt, after the epoch that the param `killed_after` names: as a
lost node would. Airflow's retry makes a second attempt, which finds the checkpoints of the first.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, NamedTuple

from airflow.sdk import dag, task

from airflow_provider_mlx import Metrics, MlxGate, Output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


class Trained(NamedTuple):
    """What training leaves behind."""

    weights: Annotated[np.ndarray, Output("digits weights")]
    loss: Figure
    scores: Metrics


@dag(schedule=None, params={"epochs": 12, "killed_after": 5, "highest_loss": 0.3}, tags=["mlx", "example"])
def resume_training() -> None:
    """Softmax regression on scanned digits, by gradient descent."""

    # [START howto_checkpoints]
    @task.mlx(requirements=["numpy", "scikit-learn==1.7.*", "matplotlib"], retries=1, retry_delay=timedelta(seconds=1))
    def train(params: dict) -> Trained:
        import os
        import signal

        import numpy as np
        from matplotlib.figure import Figure
        from sklearn.datasets import load_digits

        from airflow_provider_mlx import Metrics, current_step

        images, labels = load_digits(return_X_y=True)
        images, wanted = images / 16, np.eye(10)[labels]
        weights, losses = np.zeros((images.shape[1], 10)), []

        folder = current_step.checkpoint_dir()
        if (folder / "state.npz").exists():
            state = np.load(folder / "state.npz")
            weights, losses = state["weights"], list(state["losses"])
        resumed_at = len(losses)
        print(f"attempt {current_step.attempt} begins at epoch {resumed_at}")

        for epoch in range(resumed_at, int(params["epochs"])):
            for _ in range(20):
                scores = np.exp(images @ weights)
                guessed = scores / scores.sum(axis=1, keepdims=True)
                weights -= 0.5 * images.T @ (guessed - wanted) / len(images)
            losses.append(-np.log((guessed * wanted).sum(axis=1)).mean())
            current_step.log_metric("loss", losses[-1], step=epoch)
            np.savez(folder / "draft.npz", weights=weights, losses=losses)
            (folder / "draft.npz").replace(folder / "state.npz")  # never half of one
            if epoch == int(params["killed_after"]) and current_step.attempt == 1:
                current_step.sync_checkpoints()
                os.kill(os.getpid(), signal.SIGKILL)

        figure = Figure()
        axes = figure.subplots()
        axes.plot(losses)
        axes.axvline(resumed_at, linestyle="--")
        axes.set(xlabel="epoch", ylabel="loss")
        return Trained(weights, figure, Metrics(loss=losses[-1], epochs=len(losses), resumed_at=resumed_at))

    # [END howto_checkpoints]

    trained = train()
    MlxGate(task_id="gate", metrics=trained["scores"], conditions=["loss < {{ params.highest_loss }}"])


resume_training()
