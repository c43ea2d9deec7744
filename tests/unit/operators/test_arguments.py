"""The arguments of a step's call."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.operators.arguments import by_name


def plain(rows, api_token, rate=0.1): ...


def positional_only(rows, /, rate): ...


def any_number(rows, *more, rate=0.1): ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "told"),
    [
        (plain, [1, "t"], {"rate": 2}, ([], {"rows": 1, "api_token": "t", "rate": 2})),
        (plain, [], {"rows": 1}, ([], {"rows": 1})),
        (positional_only, [1, 2], {}, ([1], {"rate": 2})),
        (any_number, [1], {}, ([], {"rows": 1})),
        (any_number, [1, 2, 3], {"rate": 4}, ([1, 2, 3], {"rate": 4})),
        (plain, [1, 2, 3, 4], {}, ([1, 2, 3, 4], {})),
        (plain, [1], {"rows": 2}, ([1], {"rows": 2})),
    ],
)
def test_what_is_given_by_position_has_its_parameters_name(function, args, kwargs, told):
    assert by_name(function, args, kwargs) == told
