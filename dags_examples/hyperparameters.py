"""Dynamic mapping over hyperparameters: one job per candidate, then the best model is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import dag, task

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FRAMES = ["scikit-learn==1.7.*"]


@dag(schedule=None, tags=["mlx", "example"])
def hyperparameters() -> None:
    """Fit a model per candidate, score each, keep the best."""

    @task
    def candidates() -> list[float]:
        return [0.001, 0.01, 1.0]

    @task.mlx(requirements=FRAMES, multiple_outputs=False)
    def fit(strength: float) -> LogisticRegression:
        from sklearn.datasets import load_digits
        from sklearn.linear_model import LogisticRegression

        images, labels = load_digits(return_X_y=True)
        return LogisticRegression(C=strength, max_iter=200).fit(images[:1200] / 16, labels[:1200])

    @task.mlx(requirements=FRAMES, multiple_outputs=False)
    def choose(models: list[LogisticRegression], strengths: list[float]) -> dict[str, Any]:
        """The models arrive loaded, in the order of the candidates."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        scores = [float(model.score(images[1200:] / 16, labels[1200:])) for model in models]
        best = max(range(len(scores)), key=scores.__getitem__)
        return {"best": best, "strength": strengths[best], "accuracy": scores[best], "scores": scores}

    @task
    def report(choice: dict[str, Any]) -> str:
        return f"C={choice['strength']} wins with {choice['accuracy']:.3f}"

    strengths = candidates()
    report(choose(fit.expand(strength=strengths), strengths))


hyperparameters()
