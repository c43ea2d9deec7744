"""One DAG on SageMaker, Kubeflow Pipelines and Kubernetes: one graph, from the raw data to the model."""

from __future__ import annotations

from typing import Any

import pytest

from tests.openlineage.validation import events_in

from .backends import TracingAirflow
from .conftest import MONTHS
from .feast import Feast


@pytest.fixture(scope="module")
def model(airflow: TracingAirflow) -> dict[str, Any]:
    [model] = [one for one in airflow.lineage("search", q="one_graph/train") if one["kind"] == "model"]
    return model


def reached_from(name: str, flows: set[tuple[str, str]]) -> set[str]:
    """Everything that data flows to."""
    reached = front = {name}
    while front:
        front = {target for source, target in flows if source in front} - reached
        reached = reached | front
    return reached


def test_the_graph_leads_from_the_raw_data_to_the_model_across_three_backends(airflow, model):
    graph = airflow.lineage("graph", node=model["key"], up=12, down=2)
    by_key = {node["key"]: node for node in graph["nodes"]}
    steps = {node["name"]: node["integration"] for node in by_key.values() if node["name"].count(".") == 2}
    assert steps == {
        "one_graph.clean.clean": "SAGEMAKER", "one_graph.features.features": "KUBEFLOW",
        "one_graph.train.train": "KUBERNETES", "one_graph.evaluate.evaluate": "KUBERNETES",
    }  # fmt: skip
    flows = {(by_key[source]["name"], by_key[target]["name"]) for source, target in graph["edges"]}
    assert model["name"] in reached_from("churn/2026-10.csv", flows)


def test_each_version_of_the_model_came_from_its_own_month(airflow, model):
    versions = airflow.lineage(f"nodes/{model['key']}/versions")
    assert len(versions) == len(MONTHS)
    for version, month in zip(reversed(versions), MONTHS, strict=True):
        origins = airflow.lineage(f"nodes/{model['key']}/versions/{version['version']}/origin")
        raw = {tuple(read) for one in origins for read in one["read"]} - {
            (one["dataset"], one["version"]) for one in origins
        }
        names = {airflow.lineage("graph", node=key, up=0, down=0)["nodes"][0]["name"]: told for key, told in raw}
        assert names == {f"churn/{month}.csv": month}


def test_an_independent_consumer_has_the_same_graph(airflow, model, tmp_path):
    with Feast.running(tmp_path) as feast:
        feast.take(events_in(airflow.events))
        flows, versions = feast.flows(), feast.versions(model["namespace"], model["name"])
    steps = {f"one_graph.{name}.{name}" for name in ("clean", "features", "train")}
    assert {*steps, model["name"]} <= reached_from("churn/2026-10.csv", flows)
    ours = airflow.lineage(f"nodes/{model['key']}/versions")
    assert versions == {one["version"] for one in ours}
