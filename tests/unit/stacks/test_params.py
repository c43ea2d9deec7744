from __future__ import annotations

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import declared_stack_param, stack_param


def test_named_stacks_are_offered_with_an_empty_choice():
    param = stack_param("dev", "prod", "dev")
    assert (param["default"], param["type"], param["enum"]) == (None, ["string", "null"], [None, "dev", "prod"])


def test_a_default_makes_it_a_plain_choice():
    param = stack_param("dev", "prod", default="dev")
    assert (param["default"], param["type"], param["enum"]) == ("dev", "string", ["dev", "prod"])
    assert set(param) == {"default", "type", "enum", "title", "description_md"}


def test_names_come_from_the_file_beside_the_dag(tmp_path):
    assert stack_param(dag_file=tmp_path / "dag.py")["enum"] == [None, "local"]
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text("default: dev\nstacks: {dev: 1, prod: 2}")
    assert stack_param(dag_file=tmp_path / "dag.py", default="prod")["enum"] == ["dev", "prod"]
    file.write_text("[]")
    assert stack_param(dag_file=tmp_path / "dag.py")["enum"] == [None, "local"]
    file.write_text("stacks: [")
    with pytest.raises(InvalidStep, match=r"the stacks of .*/mlx_stacks\.yaml cannot be listed"):
        stack_param(dag_file=tmp_path / "dag.py")


@pytest.mark.parametrize("options", [{}, {"default": "x", "names": ["dev"]}])
def test_nothing_to_offer_is_refused(options):
    names = options.pop("names", [])
    with pytest.raises(InvalidStep, match="the param `mlx_stack` cannot be declared"):
        stack_param(*names, **options)


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        pytest.param({"mlx_stack": 1}, "prod", "prod", id="declared and chosen"),
        pytest.param({"mlx_stack": 1}, None, None, id="declared and left open"),
        pytest.param({"mlx_stack": 1}, "", None, id="declared and emptied"),
        pytest.param({}, "prod", None, id="a conf that the DAG does not declare does nothing"),
        pytest.param({}, ["prod"], None, id="whatever it is"),
    ],
)
def test_only_a_declared_param_counts(declared, value, expected):
    assert declared_stack_param(declared, value) == expected


def test_a_declared_param_must_be_a_name():
    with pytest.raises(InvalidStep, match="the run's `mlx_stack` is a list, not the name of a stack"):
        declared_stack_param(["mlx_stack"], ["prod"])
