"""
The demo: scanned digits, a classifier, and a gate that lets a good model through.

Every ``@task.mlx`` function runs as a job of its own, with its own requirements: Airflow's environment has neither
pandas nor scikit-learn. On the built-in ``local`` stack a job is a process; on another stack it is a pod or a SageMaker
job, and nothing in this file changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import dag, task

from airflow_provider_mlx import Resources

if TYPE_CHECKING:  # for editors, and for the jobs: nothing is imported when Airflow parses this file
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

FRAMES = ["pandas==2.*", "scikit-learn==1.7.*"]


@dag(schedule=None, params={"trees": 100, "minimum_accuracy": 0.95}, tags=["mlx", "example"])
def digits_quality_gate() -> None:
    """Prepare, train, evaluate, and accept or refuse."""

    # [START howto_first_step]
    @task.mlx(requirements=FRAMES, resources=Resources(cpu=1, memory="2Gi"))
    def prepare() -> pd.DataFrame:
        """1,797 scanned handwritten digits, 8 × 8 pixels each, shipped with scikit-learn."""
        from sklearn.datasets import load_digits

        digits = load_digits(as_frame=True)
        print(f"{len(digits.frame):,} images of {digits.target.nunique()} digits")
        return digits.frame

    # [END howto_first_step]

    @task.mlx(requirements=FRAMES, resources=Resources(cpu=2, memory="2Gi"))
    def train(table: pd.DataFrame, trees: int) -> RandomForestClassifier:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import train_test_split

        seen, _ = train_test_split(table, test_size=0.25, random_state=7, stratify=table["target"])
        model = RandomForestClassifier(n_estimators=int(trees), random_state=7, n_jobs=2)
        return model.fit(seen.drop(columns="target"), seen["target"])

    @task.mlx(requirements=FRAMES)
    def evaluate(model: RandomForestClassifier, table: pd.DataFrame) -> dict[str, float]:
        from sklearn.metrics import accuracy_score, f1_score
        from sklearn.model_selection import train_test_split

        from airflow_provider_mlx.runtime import current_step

        _, unseen = train_test_split(table, test_size=0.25, random_state=7, stratify=table["target"])
        guessed = model.predict(unseen.drop(columns="target"))
        scores = {
            "accuracy": float(accuracy_score(unseen["target"], guessed)),
            "f1": float(f1_score(unseen["target"], guessed, average="macro")),
        }
        current_step.log_metrics(scores)
        return scores

    @task
    def gate(scores: dict[str, float], params: dict[str, Any] | None = None) -> bool:
        """An ordinary Airflow task: a step's small JSON result is an ordinary XCom."""
        minimum = float((params or {})["minimum_accuracy"])
        if scores["accuracy"] < minimum:
            raise ValueError(f"accuracy {scores['accuracy']:.3f} is below {minimum}: the model is not accepted")
        print(f"accuracy {scores['accuracy']:.3f} ≥ {minimum}: the model is accepted")
        return True

    table = prepare()
    model = train(table, trees="{{ params.trees }}")
    gate(evaluate(model, table))


digits_quality_gate()
