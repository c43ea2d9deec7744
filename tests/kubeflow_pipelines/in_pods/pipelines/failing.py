"""A task that fails, after another and with an exit task."""

from kfp import dsl


@dsl.component
def count(rows: int) -> int:
    return rows


@dsl.component
def train(rows: int) -> float:
    print("training on", rows)
    raise ValueError("too few rows")


@dsl.component
def clean(status: dsl.PipelineTaskFinalStatus):
    print("cleaned up after", status.state)


@dsl.pipeline(name="failing")
def failing(rows: int = 1):
    with dsl.ExitHandler(clean(), name="guarded"):
        train(rows=count(rows=rows).output)
