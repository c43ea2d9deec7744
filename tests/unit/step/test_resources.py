"""What a step may ask for, what is refused, and how it reads back."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.resources import Gpu, Resources, parse_timeout


@pytest.mark.parametrize(
    ("asked", "name", "value"),
    [
        pytest.param({"cpu": "500m"}, "cpu_cores", 0.5, id="half a core"),
        pytest.param({"cpu": 2}, "cpu_cores", 2.0, id="two cores"),
        pytest.param({"memory": "16Gi"}, "memory_bytes", 16 * 2**30, id="memory in bytes"),
        pytest.param({"shm": "1G"}, "shm_bytes", 10**9, id="shared memory in bytes"),
        pytest.param({"disk": "1Ti"}, "disk_bytes", 2**40, id="disk in bytes"),
        pytest.param({"gpu": 2}, "gpus", Gpu(2), id="two GPUs of any model"),
        pytest.param({"gpu": 0.5}, "gpus", Gpu(0.5), id="half a GPU"),
        pytest.param({"gpu": "L4"}, "gpus", Gpu(1, "L4"), id="a model alone is one of it"),
        pytest.param({"gpu": "A100-80GB:4"}, "gpus", Gpu(4, "A100-80GB"), id="a model and a count"),
        pytest.param({"gpu": "2"}, "gpus", Gpu(2), id="a count as a rendered template gives it"),
        pytest.param({"gpu": 0}, "gpus", None, id="no GPUs"),
        pytest.param({"nodes": "3"}, "node_count", 3, id="a rendered number of nodes"),
        pytest.param({}, "node_count", 1, id="one node unless asked otherwise"),
        pytest.param({"spot": "True"}, "wants_spot", True, id="a rendered yes"),
        pytest.param({"spot": "no"}, "wants_spot", False, id="a rendered no"),
        pytest.param({}, "wants_spot", False, id="no spot unless asked"),
        pytest.param({"timeout": "1h30m"}, "time_limit", timedelta(minutes=90), id="hours and minutes"),
        pytest.param({"timeout": 90}, "time_limit", timedelta(seconds=90), id="seconds"),
        pytest.param({"timeout": timedelta(hours=4)}, "time_limit", timedelta(hours=4), id="a timedelta"),
        pytest.param({}, "time_limit", None, id="no limit"),
    ],
)
def test_what_is_asked_for(asked, name, value):
    assert getattr(Resources(**asked), name) == value


@pytest.mark.parametrize(
    "asked",
    [
        {"cpu": 0}, {"cpu": "-1"}, {"cpu": "two"}, {"cpu": True}, {"memory": "16GB"}, {"memory": "0"}, {"gpu": 1.5},
        {"gpu": -1}, {"gpu": "L4:"}, {"gpu": ":2"}, {"gpu": "L4:many"}, {"gpu": True}, {"gpu": "a b"}, {"gpu": 10_000},
        {"nodes": 0}, {"nodes": 1.5}, {"nodes": "two"}, {"launcher": "mpi"}, {"spot": "perhaps"}, {"spot": 1},
        {"timeout": "soon"}, {"timeout": 0}, {"timeout": "-1h"}, {"timeout": "1y"}, {"timeout": "nan"},
        {"timeout": "400d"}, {"timeout": "1e999"}, {"priority": ""}, {"priority": 5}, {"shm": "x"},
        {"disk": "1e999999"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_asked_for(asked):
    with pytest.raises(InvalidStep) as refused:
        Resources(**asked)
    assert next(iter(asked)) in str(refused.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(InvalidStep) as refused:
        Resources(cpu="x", memory="y", nodes=0)
    assert len(refused.value.problems) == 3


def test_templates_are_passed_over_until_they_are_rendered():
    templated = Resources(gpu="{{ params.gpu }}", memory="{% if big %}64Gi{% endif %}")
    assert Resources.from_wire(templated.to_wire()) == templated
    with pytest.raises(InvalidStep):
        Resources.from_wire({**templated.to_wire(), "gpu": "none"} | {"memory": "rendered badly"})


@pytest.mark.parametrize(
    ("key", "way_out"),
    [("gpus", "did you mean `gpu`?"), ("ram", "the fields are cpu, memory, gpu"), (5, "the fields are")],
)
def test_an_unknown_field_names_the_nearest(key, way_out):
    with pytest.raises(InvalidStep, match="there is no resource") as refused:
        Resources.from_wire({key: 1})
    assert way_out in str(refused.value)


def test_a_step_goes_over_its_target_field_by_field():
    target = Resources(cpu=4, memory="8Gi", spot=True)
    assert Resources(cpu=1, spot=False).over(target) == Resources(cpu=1, memory="8Gi", spot=False)


def test_nothing_is_everything_left_open():
    assert Resources.from_wire(None) == Resources()
    assert Resources().to_wire() == {}


numbers = st.integers(1, 64)
wishes = st.builds(
    Resources,
    cpu=st.none() | st.floats(0.1, 512),
    memory=st.none() | numbers.map("{}Gi".format),
    gpu=st.none() | numbers | st.sampled_from(["L4", "H100:8", 0.25]),
    nodes=st.none() | numbers,
    spot=st.none() | st.booleans(),
    timeout=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=300)),
    priority=st.none() | st.sampled_from(["high", "low"]),
)


@given(wishes)
def test_the_wire_is_plain_json_and_says_the_same(wish):
    again = Resources.from_wire(json.loads(json.dumps(wish.to_wire())))
    assert again.to_wire() == wish.to_wire()
    assert again.time_limit == wish.time_limit
    assert again.gpus == wish.gpus


@given(st.text(max_size=10))
def test_any_text_is_a_duration_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert parse_timeout(text) > timedelta(0)
