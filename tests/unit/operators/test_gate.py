"""``MlxGate``: what passes, what is refused, what is skipped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Asset

from airflow_provider_mlx import AssetArtifact, MlxGate
from airflow_provider_mlx.exceptions import InvalidStep

CHAMPION = Asset("mlx://churn/champion")
METRICS = {"accuracy": 0.9, "loss": {"mlx": "float/1", "value": "Infinity"}}


def run(gate: MlxGate, **context: Any) -> Any:
    task = SimpleNamespace(inlets=[CHAMPION])
    given = {"dag": SimpleNamespace(dag_id="churn"), "ti": SimpleNamespace(task=task), "inlet_events": {CHAMPION: []}}
    return gate.execute({**given, **context})


def gate(**fields: Any) -> MlxGate:
    with DAG("churn", schedule=None):
        return MlxGate(task_id="gate", **{"metrics": METRICS, "conditions": ["accuracy >= 0.9"], **fields})


def test_what_is_good_enough_passes_and_hands_the_metrics_on() -> None:
    assert run(gate()) == {"accuracy": 0.9, "loss": float("inf")}


@pytest.mark.parametrize(
    ("how", "raised"),
    [
        pytest.param("fail", AirflowFailException, id="fails at once: a retry would find the same"),
        pytest.param("skip", AirflowSkipException, id="or skips"),
    ],
)
def test_what_is_not_is_refused_with_every_reason(how: str, raised: type[Exception]) -> None:
    refusing = gate(conditions=["accuracy > 0.95", "loss < 1", "accuracy > 0"], on_refusal=how)
    with pytest.raises(raised) as caught:
        run(refusing)
    assert str(caught.value) == (
        "the gate `gate` refuses: accuracy > 0.95 (0.9 is not > 0.95); loss < 1 (inf is not < 1)"
    )


@pytest.mark.parametrize(
    ("champion", "events", "passes"),
    [
        pytest.param({"accuracy": 0.91}, [], False, id="a better champion's own metrics"),
        pytest.param({"accuracy": 0.89}, [], True, id="a worse one's"),
        pytest.param(None, [], True, id="no champion"),
        pytest.param(AssetArtifact(CHAMPION), [], True, id="no event yet"),
        pytest.param(AssetArtifact(CHAMPION), [{"metrics": {"accuracy": 0.95}}], False, id="the champion's last event"),
        pytest.param(AssetArtifact(CHAMPION), [{"other": 1}], True, id="an event without metrics"),
    ],
)
def test_the_champion(champion: Any, events: list[Any], passes: bool) -> None:
    judging = gate(conditions=["accuracy >= champion.accuracy"], champion=champion)
    latest = {CHAMPION: [SimpleNamespace(timestamp="1", extra=extra) for extra in events]}
    if passes:
        run(judging, inlet_events=latest)
    else:
        with pytest.raises(AirflowFailException, match=r"accuracy >= champion\.accuracy"):
            run(judging, inlet_events=latest)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"conditions": ["accuracy"]}, "`accuracy` is no condition", id="a condition"),
        pytest.param({"conditions": []}, "there is no condition", id="none at all"),
        pytest.param({"on_refusal": "ignore"}, "`ignore` is none of them", id="what to do then"),
    ],
)
def test_mistakes_are_told_while_the_dag_is_parsed(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidStep, match=words):
        gate(**fields)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        pytest.param({"accuracy": "high"}, "is no dict of numbers", id="a text"),
        pytest.param([1], "a list is no dict of numbers", id="a list"),
        pytest.param({"acuracy": 1}, "did you mean `acuracy`", id="a metric of another name"),
    ],
)
def test_what_is_no_metrics_is_an_error_with_the_gates_name(metrics: Any, words: str) -> None:
    with pytest.raises(AirflowFailException, match=words) as caught:
        run(gate(metrics=metrics))
    assert "gate `gate` of `churn`" in str(caught.value)


def test_templates_are_read_when_they_are_rendered() -> None:
    judging = gate(conditions="accuracy >= {{ params.least }}")
    judging.conditions = ["accuracy >= 0.5"]
    assert run(judging)["accuracy"] == 0.9
