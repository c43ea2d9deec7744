"""
Two DAGs and two assets: when the table changes, the model is trained again, and only a better one becomes the champion.

The first DAG's step writes the table as an artifact. Its event says where, with digest and version; the second DAG is
scheduled on it and gets that very artifact. The champion's event holds the metrics that a challenger must reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset, dag, task

from airflow_provider_mlx import AssetArtifact, Metrics, MlxGate

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

FRAMES = ["pandas==2.*", "scikit-learn==1.7.*"]

# [START howto_assets]
table = Asset("mlx://churn/table")
champion = Asset("mlx://churn/champion")
# [END howto_assets]


@dag(schedule=None, tags=["mlx", "example"])
def refresh_table() -> None:
    """Something that happens to the data."""

    # [START howto_outlet]
    @task.mlx(requirements=FRAMES, outlets=[table])
    def collect(run_id: str) -> pd.DataFrame:
        from sklearn.datasets import load_breast_cancer

        frame = load_breast_cancer(as_frame=True).frame
        return frame.sample(frac=0.9, random_state=len(run_id))

    # [END howto_outlet]

    collect()


@dag(schedule=[table], tags=["mlx", "example"])
def retrain() -> None:
    """Train on the table of the event, compare with the champion, publish if better."""

    @task.mlx(requirements=FRAMES)
    def train(table: pd.DataFrame) -> LogisticRegression:
        from sklearn.linear_model import LogisticRegression

        seen = table.iloc[:-100]
        return LogisticRegression(max_iter=10_000).fit(seen.drop(columns="target"), seen["target"])

    @task.mlx(requirements=FRAMES)
    def evaluate(model: LogisticRegression, table: pd.DataFrame) -> Metrics:
        unseen = table.iloc[-100:]
        return Metrics(accuracy=model.score(unseen.drop(columns="target"), unseen["target"]))

    # [START howto_consume]
    data = AssetArtifact(table)
    model = train(data)
    scores = evaluate(model, data)
    # [END howto_consume]

    # [START howto_champion]
    gate = MlxGate(
        task_id="gate", metrics=scores, champion=AssetArtifact(champion), inlets=[champion],
        conditions=["accuracy > 0.9", "accuracy >= champion.accuracy - 0.02"], on_refusal="skip",
    )  # fmt: skip

    @task.mlx(outlets=[champion])
    def promote(scores: dict) -> Metrics:
        """The champion's event carries the metrics that the next challenger must reach."""
        return Metrics(scores)

    promote(gate.output)
    # [END howto_champion]


refresh_table()
retrain()
