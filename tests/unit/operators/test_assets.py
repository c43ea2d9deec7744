"""What an asset's event hands to a step, and what a step's outputs tell in an event."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias

from airflow_provider_mlx import AssetArtifact
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.operators.events import fill_events, metrics_of_events, tell_outlets

TABLE, OTHER = Asset("s3://lake/table.parquet"), Asset(name="model", uri="mlx://churn/model")
REFERENCE = {
    "mlx": "artifact/1", "uri": "s3://ml/x", "sha256": "0" * 64, "size": 1, "codec": "json", "type": "dict", "name": "x",
    "version": "0", "producer": {},
}  # fmt: skip


def event(time: str, **extra: Any) -> Any:
    return SimpleNamespace(timestamp=time, extra=extra)


class Inlets(dict[Any, Any]):
    """As Airflow's: by the asset."""


def context(triggering: Any = (), latest: Any = (), inlets: Any = ()) -> dict[str, Any]:
    task = SimpleNamespace(inlets=list(inlets))
    return {
        "ti": SimpleNamespace(task=task),
        "triggering_asset_events": dict(triggering),
        "inlet_events": Inlets(latest),
    }


def dataset(uri: str, version: str | None = None) -> dict[str, Any]:
    return {"mlx": "dataset/1", "uri": uri, "version": version}


@pytest.mark.parametrize(
    ("events", "every", "expected"),
    [
        pytest.param([event("1")], False, dataset(TABLE.uri), id="an event that says nothing: the asset's own data"),
        pytest.param([event("1", version="v7")], False, dataset(TABLE.uri, "v7"), id="with the version that it says"),
        pytest.param([event("1", uri="s3://lake/t/2")], False, dataset("s3://lake/t/2"), id="and the place"),
        pytest.param([event("1", mlx_artifact=REFERENCE)], False, REFERENCE, id="the artifact of a step"),
        pytest.param(
            [event("2", version="b"), event("1", version="a")], False, dataset(TABLE.uri, "b"), id="the last of several"
        ),
        pytest.param(
            [event("2", version="b"), event("1", version="a")], True,
            [dataset(TABLE.uri, "a"), dataset(TABLE.uri, "b")], id="every one, oldest first",
        ),
        pytest.param([event("1", mlx_artifact="x", uri=3)], False, dataset(TABLE.uri), id="nonsense in an event"),
    ],
)  # fmt: skip
def test_an_argument_becomes_what_the_event_carries(events: Any, every: bool, expected: Any) -> None:
    given = {"a": [AssetArtifact(TABLE, every=every).to_wire()], "b": 1}
    found = fill_events(given, context([(TABLE, events), (OTHER, [event("9", version="other")])]))
    assert found == {"a": [expected], "b": 1}


def test_a_run_by_hand_takes_the_last_event_of_an_inlet() -> None:
    by_hand = context(latest=[(TABLE, [event("1", version="a"), event("2", version="b")])], inlets=[TABLE])
    assert fill_events(AssetArtifact(TABLE), by_hand) == dataset(TABLE.uri, "b")


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(context(), id="no event and no inlet"),
        pytest.param(context(latest=[(TABLE, [])], inlets=[TABLE]), id="an inlet without an event"),
        pytest.param(context(latest=[(OTHER, [event("1")])], inlets=[OTHER]), id="another inlet"),
    ],
)
def test_no_event_is_refused_with_the_way_out(nothing: Any) -> None:
    with pytest.raises(InvalidStep, match=r"no event of the asset `s3://lake/table.parquet`.*\n?.*inlets="):
        fill_events((AssetArtifact(TABLE),), nothing)


def test_the_metrics_of_the_last_event_that_has_some() -> None:
    assert metrics_of_events([{"metrics": {"a": 1}}, {"metrics": {"a": 2}}, {}]) == {"a": 2}
    assert metrics_of_events([{}]) is None


BODY = """
from typing import NamedTuple
from airflow.sdk import Asset, AssetAlias
from airflow_provider_mlx import Metrics

class Made(NamedTuple):
    model: str
    table: Dataset
    scores: Metrics

@task.mlx(outlets=[{outlets}])
def step() -> Made:
    return Made("x" * 60_000, Dataset("s3://lake/table.parquet/", "v1"), {{"auc": 0.5, "bad": float("nan")}})
step()
"""


def told(load: Callable[..., Any], execute: Callable[..., Any], outlets: str) -> dict[Any, Any]:
    task = load(BODY.format(outlets=outlets))["step"]
    events = execute(task).outlet_events
    return {getattr(asset, "uri", asset): found.extra for asset, found in events.items()}


def test_each_outlet_is_told_of_its_own_output(load: Callable[..., Any], execute: Callable[..., Any]) -> None:
    outlets = "Asset('s3://lake/table.parquet'), Asset(name='model', uri='mlx://churn/model'), AssetAlias('x')"
    found = told(load, execute, outlets)
    assert set(found) == {"s3://lake/table.parquet", "mlx://churn/model"}
    assert found["s3://lake/table.parquet"] == {
        "uri": "s3://lake/table.parquet/", "version": "v1", "metrics": {"auc": 0.5},
    }  # fmt: skip
    model = found["mlx://churn/model"]
    assert (model["size"], model["type"], model["metrics"]) == (60_000, "str", {"auc": 0.5})
    assert model["mlx_artifact"]["sha256"] == model["sha256"]


def test_the_only_outlet_is_told_of_the_result(load: Callable[..., Any], execute: Callable[..., Any]) -> None:
    found = told(load, execute, "Asset('mlx://any/thing')")
    assert found["mlx://any/thing"]["mlx_artifact"]["name"] == "return_value"


def test_of_several_outlets_one_without_an_output_is_told_nothing(
    load: Callable[..., Any], execute: Callable[..., Any]
) -> None:
    assert told(load, execute, "Asset('mlx://a'), Asset('mlx://b')") == {}


def test_an_alias_has_no_data() -> None:
    tell_outlets([AssetAlias("x")], SimpleNamespace(outputs={}, metrics={}), None)  # type: ignore[arg-type]
