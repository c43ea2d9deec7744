"""Outputs of every kind: all types of parameters, artifacts with and without an object, in and beside groups."""

from typing import NamedTuple

from kfp import dsl


@dsl.component
def values(text: str) -> NamedTuple(
    "Values", [("text", str), ("count", int), ("whole", float), ("share", float), ("good", bool), ("names", list),
               ("facts", dict), ("nothing", str)]):  # fmt: skip
    return (text, 3, 2.0, 0.25, True, ["a", 1, None], {"k": {"deep": [1.5]}}, "")


@dsl.component
def train(rows: int, table: dsl.Output[dsl.Dataset], model: dsl.Output[dsl.Model]):
    with open(table.path, "w") as file:
        file.write("\n".join(map(str, range(rows))))
    with open(model.path, "w") as file:
        file.write("a model")
    model.metadata["framework"] = "none"
    table.metadata["rows"] = rows


@dsl.component
def evaluate(model: dsl.Input[dsl.Model], table: dsl.Input[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> float:
    with open(table.path) as file:
        rows = len(file.read().splitlines())
    with open(model.path) as file:
        assert file.read() == "a model"
    metrics.log_metric("rows", rows)
    metrics.log_metric("auc", 0.91)
    return 0.91


@dsl.component
def register(model: dsl.Input[dsl.Model], receipt: dsl.Output[dsl.Artifact]) -> str:
    with open(receipt.path, "w") as file:
        file.write(model.uri)
    return model.uri


@dsl.component
def say(text: str, note: dsl.Output[dsl.Artifact]) -> str:
    with open(note.path, "w") as file:
        file.write(text)
    return text.upper()


@dsl.component
def square(number: int) -> int:
    return number * number


@dsl.component
def total(numbers: list) -> int:
    return sum(numbers)


@dsl.component
def clean(status: dsl.PipelineTaskFinalStatus):
    print("cleaned up after", status.state)


@dsl.pipeline(name="kinds")
def kinds(text: str = 'grüße <&> "it\'s"\n$(x) $HOME', rows: int = 4, least: float = 0.9):
    values(text=text)
    trained = train(rows=rows)
    judged = evaluate(model=trained.outputs["model"], table=trained.outputs["table"])
    with dsl.If(judged.outputs["Output"] >= least, name="good-enough"):
        register(model=trained.outputs["model"])
    with dsl.If(judged.outputs["Output"] < least, name="too-bad"):
        register(model=trained.outputs["model"])
    with dsl.ParallelFor([1, 2]) as number:
        squared = square(number=number)
    total(numbers=dsl.Collected(squared.output))
    with dsl.ExitHandler(clean(), name="guarded"):
        say(text=text)
