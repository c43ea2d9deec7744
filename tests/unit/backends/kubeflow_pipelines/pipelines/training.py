"""A model that is registered only if it is good enough."""

from kfp import dsl
from shared.components import IMAGE, register


@dsl.component(base_image=IMAGE)
def train(depth: int, model: dsl.Output[dsl.Model]) -> float:
    with open(model.path, "w") as file:
        file.write(str(depth))
    return 1.0 / depth


@dsl.component(base_image=IMAGE)
def evaluate(model: dsl.Input[dsl.Model], metrics: dsl.Output[dsl.Metrics]) -> float:
    metrics.log_metric("auc", 0.91)
    return 0.91


@dsl.pipeline(name="churn-training", description="trains, and registers what is good")
def churn(
    depth: int = 6, least: float = 0.9, note: str = "first line\nname: evil\ndefaultPipelineRoot: s3://elsewhere"
):
    trained = train(depth=depth).set_memory_limit("4Gi").set_caching_options(False)
    judged = evaluate(model=trained.outputs["model"])
    with dsl.If(judged.outputs["Output"] >= least, name="good-enough"):
        register(model=trained.outputs["model"], note=note)
