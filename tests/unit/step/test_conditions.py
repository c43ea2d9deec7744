"""The little language of a gate's conditions."""

from __future__ import annotations

import math

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.conditions import judge, parse_conditions

METRICS = {"accuracy": 0.9, "loss": 0.5, "val/f1": 0.8, "nan": math.nan, "top 5": 0.99}
CHAMPION = {"accuracy": 0.92, "loss": 0.5}


@pytest.mark.parametrize(
    ("text", "held", "why"),
    [
        pytest.param("accuracy >= 0.9", True, "0.9 is >= 0.9", id="a bound is included"),
        pytest.param("accuracy > 0.9", False, "0.9 is not > 0.9", id="or not"),
        pytest.param("loss<.6", True, "0.5 is < 0.6", id="spaces do not matter"),
        pytest.param("loss <= 5e-1", True, "0.5 is <= 0.5", id="scientific numbers"),
        pytest.param("loss > -1", True, "0.5 is > -1", id="negative bounds"),
        pytest.param("val/f1 >= 0.7", True, "0.8 is >= 0.7", id="names as frameworks write them"),
        pytest.param('"top 5" >= 0.9', True, "0.99 is >= 0.9", id="any name in quotes"),
        pytest.param("accuracy >= champion.accuracy", False, "0.9 is not >= 0.92", id="against the champion"),
        pytest.param("accuracy >= champion.accuracy - 0.02", True, "0.9 is >= 0.9", id="with a margin"),
        pytest.param("loss < champion.loss + 0.1", True, "0.5 is < 0.6", id="with a margin above"),
        pytest.param("nan >= 0", False, "nan is not >= 0", id="what is not a number holds nothing"),
        pytest.param("nan < 0", False, "nan is not < 0", id="in no direction"),
    ],
)
def test_a_condition(text, held, why):
    (verdict,) = judge(parse_conditions([text]), METRICS, CHAMPION)
    assert (verdict.held, verdict.why) == (held, why)


def test_without_a_champion_there_is_nothing_to_compare_with():
    verdicts = judge(parse_conditions(["accuracy >= champion.accuracy", "loss < 0.1"]), METRICS, None)
    assert [(verdict.held, verdict.why) for verdict in verdicts] == [
        (None, "0.9, and there is no champion yet"), (False, "0.5 is not < 0.1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "problems"),
    [
        pytest.param(["accuracy"], ["`accuracy` is no condition → write"], id="no bound"),
        pytest.param(["accuracy == 1", "0.9 <= accuracy"], ["`accuracy == 1`", "`0.9 <= accuracy`"], id="all at once"),
        pytest.param(["a >= champion"], ["`a >= champion` is no condition"], id="a champion without a metric"),
        pytest.param(["a >= __import__('os')"], ["is no condition"], id="nothing is evaluated"),
        pytest.param([], ["there is no condition"], id="none at all"),
    ],
)
def test_what_is_no_condition(texts, problems):
    with pytest.raises(InvalidStep) as caught:
        parse_conditions(texts)
    for problem in problems:
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "champion", "problem"),
    [
        pytest.param(
            "acuracy > 0", None, "the metrics have no `acuracy` → did you mean `accuracy`?", id="a misspelt one"
        ),
        pytest.param("zzz > 0", None, "the metrics have no `zzz` → there are accuracy, loss", id="another one"),
        pytest.param("accuracy > champion.f1", CHAMPION, "the champion's metrics have no `f1`", id="of the champion"),
    ],
)
def test_a_missing_metric_is_an_error_not_a_verdict(text, champion, problem):
    with pytest.raises(InvalidStep) as caught:
        judge(parse_conditions([text]), METRICS, champion)
    assert problem in str(caught.value)
