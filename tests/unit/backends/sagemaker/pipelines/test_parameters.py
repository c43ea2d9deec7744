"""What a pipeline's definition takes."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.backends.sagemaker.pipelines.parameters import definition_problems, parse_definition

DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [
        {"Name": "Day", "Type": "String"},
        {"Name": "Depth", "Type": "Integer", "DefaultValue": 0},
        {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Fast", "Type": "Boolean", "DefaultValue": False},
        {"Name": "Size", "Type": "String", "DefaultValue": "small", "EnumValues": ["small", "large"]},
        {"Name": "Later", "Type": "Tensor", "DefaultValue": 1},
    ],
    "Steps": [
        {"Name": "Prepare", "Type": "Processing"},
        {"Name": "Good", "Type": "Condition", "Arguments": {"IfSteps": [{"Name": "Register"}], "ElseSteps": []}},
    ],
}
DAY = {"Day": "2026-11-23"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(DAY, [], id="what has a default may be left out"),
        pytest.param({}, ["parameters: `Day` (String) has no default and is not given"], id="missing"),
        pytest.param({**DAY, "Dept": "1"}, ["has no parameter `Dept` → did you mean `Depth`?"], id="misspelt"),
        pytest.param({**DAY, "Zzz": "1"}, ["has no parameter `Zzz` → it has `Day`, `Depth`"], id="unknown"),
        pytest.param({**DAY, "Depth": "-5"}, [], id="an integer"),
        pytest.param({**DAY, "Depth": "5.0"}, ["'5.0' is no Integer → the pipeline takes a whole number"], id="a float is none"),
        pytest.param({**DAY, "Depth": "1_000"}, ["'1_000' is no Integer"], id="Python's underscore is none"),
        pytest.param({**DAY, "Rate": "1e-3"}, [], id="a float"),
        pytest.param({**DAY, "Rate": "much"}, ["'much' is no Float"], id="no float"),
        pytest.param({**DAY, "Fast": "True"}, [], id="a boolean in any case"),
        pytest.param({**DAY, "Fast": "1"}, ["'1' is no Boolean → the pipeline takes true or false"], id="no boolean"),
        pytest.param({**DAY, "Size": "huge"}, ["'huge' is none of the values that the pipeline allows → use one of `small`, `large`"], id="enum"),
        pytest.param({**DAY, "Later": "anything"}, [], id="a type of tomorrow is AWS's to judge"),
        pytest.param({"Rate": "x", "Fast": "y", "Nope": "z"}, ["`Nope`", "`Day`", "'x'", "'y'"], id="all at once"),
    ],
)  # fmt: skip
def test_parameters_against_the_definition(given, said):
    definition = parse_definition(json.dumps(DEFINITION))
    body = {"PipelineParameters": [{"Name": name, "Value": value} for name, value in given.items()]}
    found = [str(problem) for problem in definition_problems(definition, body)]
    assert len(found) == len(said), found
    assert all(words in problem for problem, words in zip(found, said, strict=True)), found


def test_selected_steps_are_the_pipelines_those_of_branches_too():
    definition = parse_definition(json.dumps(DEFINITION))
    body = {"PipelineParameters": [{"Name": "Day", "Value": "x"}]}
    names = [{"StepName": "Register"}, {"StepName": "Prepar"}]
    (problem,) = definition_problems(definition, {**body, "SelectiveExecutionConfig": {"SelectedSteps": names}})
    assert "has no step `Prepar` → did you mean `Prepare`?" in str(problem)


@pytest.mark.parametrize("text", ["", "[]", '{"Steps": 1}', '{"Parameters": [{}], "Steps": []}'])
def test_a_definition_that_we_do_not_understand_is_left_to_sagemaker(text):
    assert parse_definition(text) is None
