"""A pipeline as its authors wrote it. Kubeflow's SDK compiles it, in an environment of its own."""

from kfp import dsl

IMAGE = "registry.example.com/ml:1"


@dsl.component(base_image=IMAGE)
def prepare(day: str, table: dsl.Output[dsl.Dataset]) -> int:
    """A table with the rows of a day."""
    from pathlib import Path

    rows = [f"{day},{number % 7},{number % 2}\n" for number in range(1000)]
    Path(table.path).write_text("".join(rows))
    return len(rows)


@dsl.component(base_image=IMAGE)
def train(table: dsl.Input[dsl.Dataset], epochs: int, model: dsl.Output[dsl.Model]):
    """A model of the table: how often the last column is 1."""
    from pathlib import Path

    labels = [int(line.rsplit(",", 1)[1]) for line in Path(table.path).read_text().splitlines()]
    Path(model.path).write_text(str(sum(labels) / len(labels)))
    model.metadata["epochs"] = epochs


@dsl.component(base_image=IMAGE)
def evaluate(model: dsl.Input[dsl.Model], scores: dsl.Output[dsl.Metrics]) -> float:
    """How good it is."""
    from pathlib import Path

    auc = 1.0 - abs(0.5 - float(Path(model.path).read_text()))
    scores.log_metric("auc", auc)
    return auc


@dsl.pipeline(name="churn-training", description="trains a model of a day's table, and says how good it is")
def churn_training(day: str, epochs: int = 3):
    """Three tasks, one after the other."""
    prepared = prepare(day=day)
    trained = train(table=prepared.outputs["table"], epochs=epochs).set_memory_limit("4Gi")
    evaluate(model=trained.outputs["model"])
