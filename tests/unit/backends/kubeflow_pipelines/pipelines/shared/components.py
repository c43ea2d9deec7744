"""What several pipelines use."""

from kfp import dsl

IMAGE = "registry.example.com/ml:1"


@dsl.component(base_image=IMAGE)
def register(model: dsl.Input[dsl.Model], note: str) -> str:
    return f"{model.uri} {note}"
