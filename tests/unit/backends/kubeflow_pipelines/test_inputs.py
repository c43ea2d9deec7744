"""Compiled pipelines, and what of a run they do not take, before anything is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import KINDS, Parameter, TaskOutputs, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import OutputReference, parameter_problems, resolve_outputs
from airflow_provider_mlx.exceptions import InvalidStep
from tests.unit.backends.kubeflow_pipelines.schema import check_pipeline

COMPILED = Path(__file__).parent / "compiled"
SAMPLES = sorted(path.stem for path in COMPILED.glob("*.yaml"))


def sample(name: str):
    return parse_pipeline((COMPILED / f"{name}.yaml").read_text())


def made(parameters=None, artifacts=None, **more):
    inputs = {"parameters": parameters or {}, "artifacts": artifacts or {}}
    return parse_pipeline(
        {
            "schemaVersion": "2.1.0",
            "pipelineInfo": {"name": "p"},
            "root": {"dag": {}, "inputDefinitions": inputs},
            **more,
        }
    )


def problems(pipeline, given) -> list[str]:
    return [str(problem) for problem in parameter_problems(pipeline, given)]


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_read_and_are_what_the_published_schema_knows(name):
    pipeline = sample(name)
    assert pipeline.name == name.replace("_", "-")
    check_pipeline({"pipeline_spec": pipeline.spec, **({"platform_spec": pipeline.platform} if pipeline.platform else {})},
                   "2.17.0")  # fmt: skip
    assert parse_pipeline(pipeline.pipeline_spec) == pipeline, "what a run brings along is read the same way"
    assert parse_pipeline(pipeline.to_yaml()) == pipeline


def test_a_platform_is_the_second_document():
    assert sample("k8s_platform").platform is not None
    assert sample("all_features").platform is None
    assert "platform_spec" not in sample("all_features").pipeline_spec


def test_inputs_of_a_pipeline():
    found = sample("train_gpu").parameters
    assert found["epochs"] == Parameter("epochs", "NUMBER_INTEGER", True, 3.0)
    assert sorted(found) == ["epochs", "lr", "min_score", "model_name", "rows"]


def test_tasks_of_a_pipeline_and_what_they_give():
    found = sample("train_gpu").tasks
    assert list(found) == ["condition-1", "condition-1/register", "evaluate", "prep", "train"]
    assert found["evaluate"] == TaskOutputs(
        "evaluate", {"score": "NUMBER_DOUBLE", "verdict": "STRING"}, {"metrics": "system.Metrics"}
    )


def test_tasks_of_a_loop_are_known_to_be_repeated():
    repeated = {name for name, task in sample("all_features").tasks.items() if task.repeated}
    assert {name.rpartition("/")[2] for name in repeated} == {"for-loop-2", "square"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("a: [", "it is no YAML", id="no YAML"),
        pytest.param("- 1", "0 pipelines", id="a list"),
        pytest.param("", "0 pipelines", id="nothing"),
        pytest.param("a: 1\n---\nb: 2", "2 pipelines", id="two pipelines"),
        pytest.param("apiVersion: argoproj.io/v1alpha1\nkind: Workflow", "version 1 of the SDK", id="a Workflow of Argo"),
        pytest.param("schemaVersion: 2.0.0\npipelineInfo: {name: p}\nroot: {dag: {}}", "its schema is 2.0.0", id="an older schema"),
        pytest.param("schemaVersion: 2.1.0\nroot: {dag: {}}", "it has no name", id="no name"),
        pytest.param("schemaVersion: 2.1.0\npipelineInfo: {name: p}", "it has no root", id="no root"),
        pytest.param("schemaVersion: 2.1.0\npipelineInfo: {name: p}\nroot: {dag: {}}\nname: evil",
                     "written into the comments", id="a default with a line feed, which the compiler writes as a key"),
        pytest.param("schemaVersion: 2.1.0\npipelineInfo: {name: p}\nroot: {dag: {}}\ncomponents: {a: 2026-11-26}",
                     "it is no JSON", id="a date"),
    ],
)  # fmt: skip
def test_no_pipeline(source, said):
    with pytest.raises(InvalidStep) as refused:
        parse_pipeline(source)
    assert said in str(refused.value)


def test_every_problem_of_a_pipeline_is_said():
    with pytest.raises(InvalidStep) as refused:
        parse_pipeline({"schemaVersion": "2.2.0"})
    assert len(refused.value.problems) == 3


def test_deprecated_types_are_read():
    assert made({"n": {"type": "INT"}}).parameters["n"].type == "NUMBER_INTEGER"


def test_a_component_that_holds_itself_ends():
    loop = {"dag": {"tasks": {"again": {"componentRef": {"name": "loop"}}}}}
    found = parse_pipeline(
        {"schemaVersion": "2.1.0", "pipelineInfo": {"name": "p"}, "root": loop, "components": {"loop": loop}}
    )
    assert list(found.tasks) == ["again", "again/again"]


# --- parameters -----------------------------------------------------------------------------------------------------

EVERY_TYPE = {kind: {"parameterType": kind} for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        pytest.param("STRING", "x", True, id="text"),
        pytest.param("STRING", 1, False, id="a number is no text"),
        pytest.param("NUMBER_INTEGER", 3, True, id="a whole number"),
        pytest.param("NUMBER_INTEGER", 3.0, True, id="a whole number as JSON may write it"),
        pytest.param("NUMBER_INTEGER", 3.5, False, id="3.5 is not whole: the server would take it"),
        pytest.param("NUMBER_INTEGER", "3", False, id="text is no number"),
        pytest.param("NUMBER_INTEGER", True, False, id="a boolean is no number"),
        pytest.param("NUMBER_INTEGER", 2**53 + 1, False, id="a number that loses its last digit"),
        pytest.param("NUMBER_DOUBLE", 1, True, id="a whole number is a number"),
        pytest.param("NUMBER_DOUBLE", float("nan"), False, id="NaN is no JSON"),
        pytest.param("BOOLEAN", False, True, id="a boolean"),
        pytest.param("BOOLEAN", 0, False, id="0 is no boolean"),
        pytest.param("LIST", [1, "a"], True, id="a list"),
        pytest.param("LIST", "[1]", False, id="the text of a list is none"),
        pytest.param("STRUCT", {"a": 1}, True, id="a mapping"),
        pytest.param("STRUCT", [1], False, id="a list is no mapping"),
        pytest.param("STRUCT", {"a": object()}, False, id="what is no JSON"),
        pytest.param("STRING", None, False, id="null"),
        pytest.param("STRING", "\N{ROCKET}", False, id="an emoji, which is a 500 and leaves a Workflow behind"),
        pytest.param("LIST", ["grüße", "日本"], True, id="other letters are fine"),
        pytest.param("TASK_FINAL_STATUS", {"any": 1}, True, id="a type that is not known is the server's"),
    ],
)
def test_types(kind, value, taken):
    assert (problems(made({"x": {"parameterType": kind}}), {"x": value}) == []) is taken


def test_all_problems_are_said_at_once():
    said = problems(sample("train_gpu"), {"epoch": 3, "lr": "0.1", "rows": 1.5})
    assert said == [
        "parameters: the pipeline has no parameter `epoch` → did you mean `epochs`?",
        "parameters['lr']: '0.1' is no NUMBER_DOUBLE → the pipeline takes a number, as 0.5",
        "parameters['rows']: 1.5 is no NUMBER_INTEGER → the pipeline takes a whole number, as 5",
    ]


@pytest.mark.parametrize(
    ("declared", "given", "said"),
    [
        pytest.param({"n": {"parameterType": "STRING"}}, {}, "`n` (STRING) has no default and is not given", id="missing"),
        pytest.param({"n": {"parameterType": "STRING", "isOptional": True}}, {}, None, id="optional"),
        pytest.param({"n": {"parameterType": "STRING", "defaultValue": ""}}, {}, None, id="with a default that is empty"),
        pytest.param({}, {"n": 1}, "it has none: leave it out", id="a pipeline without parameters"),
        pytest.param({"n": {"parameterType": "STRING", "literals": ["a", "b"]}}, {"n": "c"}, "use one of 'a', 'b'",
                     id="a value that is not listed"),
        pytest.param({"n": {"parameterType": "STRING"}}, {"n": "x" * 1_500_000}, "pass a reference", id="too large"),
    ],
)  # fmt: skip
def test_parameters(declared, given, said):
    found = problems(made(declared), given)
    assert found == [] if said is None else said in found[0]


def test_an_artifact_as_an_input_cannot_be_given():
    pipeline = made({}, {"data": {"artifactType": {}}, "more": {"isOptional": True}})
    assert problems(pipeline, {}) == [
        "parameters: the pipeline wants the artifact `data`, and a run takes parameters alone → have the pipeline fetch it "
        "by an importer, from a URI that is a parameter"
    ]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_run_with_their_defaults(name):
    assert problems(sample(name), {}) == []


# --- outputs --------------------------------------------------------------------------------------------------------


def test_outputs_of_named_tasks():
    found = resolve_outputs(
        sample("train_gpu"), {"model": "train.model", "auc": "evaluate.score", "where": "register.Output"}
    )
    assert found == {
        "model": OutputReference("train", "model", "artifact", "system.Model"),
        "auc": OutputReference("evaluate", "score", "parameter", "NUMBER_DOUBLE"),
        "where": OutputReference("condition-1/register", "Output", "parameter", "STRING"),
    }


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        pytest.param("train_gpu", "trian.model", "no task `trian` → did you mean `train`?", id="an unknown task"),
        pytest.param("train_gpu", "train.modle", "no output `modle` → did you mean `model`?", id="an unknown output"),
        pytest.param("train_gpu", "condition-1.x", "has no output `x` → it has none", id="a task without outputs"),
        pytest.param("train_gpu", "model", "write it as `task.output`", id="no task"),
        pytest.param("all_features", "square.Output", "once per item of a loop", id="an output of a loop"),
    ],
)
def test_no_output(name, wanted, said):
    with pytest.raises(InvalidStep) as refused:
        resolve_outputs(sample(name), {"x": wanted})
    assert said in str(refused.value)


def test_a_name_that_several_tasks_have_is_asked_for_in_full():
    pipeline = yaml.safe_load((COMPILED / "train_gpu.yaml").read_text().split("\n---\n")[0])
    pipeline["components"]["comp-condition-1"]["dag"]["tasks"]["train"] = pipeline["root"]["dag"]["tasks"]["train"]
    found = parse_pipeline(pipeline)
    assert resolve_outputs(found, {"m": "train.model"})["m"].task == "train", "the outer one has this whole name"
    del pipeline["root"]["dag"]["tasks"]["train"]
    pipeline["root"]["dag"]["tasks"]["twice"] = pipeline["root"]["dag"]["tasks"]["condition-1"]
    with pytest.raises(InvalidStep, match="several tasks are called `train`"):
        resolve_outputs(parse_pipeline(pipeline), {"m": "train.model"})


def test_all_outputs_that_are_not_there_are_said_at_once():
    with pytest.raises(InvalidStep) as refused:
        resolve_outputs(sample("train_gpu"), {"a": "x.y", "b": "train.z"})
    assert len(refused.value.problems) == 2
