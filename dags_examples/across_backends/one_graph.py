"""
Three steps on three backends: SageMaker cleans the data, Kubeflow Pipelines makes features of it, Kubernetes trains.

Which is which is said in ``mlx_stacks.yaml`` beside it. The lineage of all of them is one graph, from the version of
the raw data to the version of the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from airflow.sdk import dag, task

from airflow_provider_mlx import Metrics, Model, Resources


@dag(schedule=None, params={"lake": "s3://ml-lake/churn", "month": "2026-10"}, tags=["mlx", "example"])
def one_graph() -> None:
    """A month of customers becomes a model."""

    @task.mlx(target="sagemaker", resources=Resources(cpu=2, memory="4Gi"))
    def clean(params: dict) -> Path:
        import csv

        import boto3

        from airflow_provider_mlx import current_step

        raw = current_step.dataset(f"{params['lake']}/{params['month']}.csv", params["month"])
        bucket, _, key = raw.uri.removeprefix("s3://").partition("/")
        text = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        cleaned = Path("cleaned.csv")
        with cleaned.open("w", newline="") as file:
            csv.writer(file).writerows(row for row in csv.reader(text.splitlines()) if all(row))
        return cleaned

    @task.mlx(target="kubeflow", resources=Resources(cpu=1, memory="1Gi"))
    def features(customers: Path) -> Path:
        import csv

        made = Path("features.csv")
        with customers.open(newline="") as source, made.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("calls_per_month", "left"))
            for row in csv.DictReader(source):
                writer.writerow((float(row["calls"]) / float(row["months"]), row["left"]))
        return made

    @task.mlx(target="cluster", resources=Resources(cpu="500m", memory="512Mi"))
    def train(table: Path, rate: float = 0.5) -> Annotated[Path, Model("churn")]:
        import csv
        import json
        import math

        from airflow_provider_mlx import current_step

        with table.open(newline="") as file:
            rows = [(float(row["calls_per_month"]), int(row["left"])) for row in csv.DictReader(file)]
        weight, bias = 0.0, 0.0
        for epoch in range(200):
            loss = 0.0
            for value, left in rows:
                chance = 1 / (1 + math.exp(-(weight * value + bias)))
                weight, bias = weight + rate * (left - chance) * value, bias + rate * (left - chance)
                loss -= math.log(max(chance if left else 1 - chance, 1e-12))
            current_step.log_metric("loss", loss / len(rows), step=epoch)
        model = Path("model.json")
        model.write_text(json.dumps({"weight": weight, "bias": bias}))
        return model

    @task.mlx(target="cluster", resources=Resources(cpu="500m", memory="512Mi"))
    def evaluate(model: Path, table: Path) -> Metrics:
        import csv
        import json

        made = json.loads(model.read_text())
        with table.open(newline="") as file:
            rows = [(float(row["calls_per_month"]), int(row["left"])) for row in csv.DictReader(file)]
        right = sum((made["weight"] * value + made["bias"] > 0) == bool(left) for value, left in rows)
        return Metrics(accuracy=right / len(rows))

    table = features(clean())
    evaluate(train(table), table)


one_graph()
