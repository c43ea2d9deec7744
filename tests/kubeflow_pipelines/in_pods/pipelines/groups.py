"""What stands in groups: an exit handler, a pipeline in it, and branches of which one runs."""

from kfp import dsl


@dsl.component
def say(text: str, note: dsl.Output[dsl.Artifact]) -> str:
    with open(note.path, "w") as file:
        file.write(text)
    return text.upper()


@dsl.component
def clean(status: dsl.PipelineTaskFinalStatus):
    print("cleaned up after", status.state)


@dsl.pipeline(name="inner")
def inner(text: str) -> str:
    return say(text=text).outputs["Output"]


@dsl.pipeline(name="groups")
def groups(flag: bool = True):
    with dsl.ExitHandler(clean(), name="guarded"):
        nested = inner(text="nested")
        with dsl.If(flag == True):  # noqa: E712
            first = say(text="first")
        with dsl.Else():
            second = say(text="second")
        say(text=dsl.OneOf(first.outputs["Output"], second.outputs["Output"])).after(nested)
