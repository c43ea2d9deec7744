"""Airflow's own events and ours in the store that its API server holds, and the graph that a user is shown."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.standalone import Standalone
from tests.e2e.harness import DEMO

TOKEN = "a-token-for-this-test-only"
DAG = """
from airflow.sdk import DAG, task


with DAG("traced", schedule=None):

    @task.mlx(deferrable=False)
    def prepare():
        from airflow_provider_mlx import current_step

        current_step.dataset("s3://lake/raw.csv", "v7")
        return ["row"] * 50_000

    @task.mlx(deferrable=False)
    def train(rows: list):
        return {"weights": rows}

    train(prepare())
"""


@pytest.fixture(scope="module")
def airflow(base: Path) -> Iterator[Standalone]:
    """A real Airflow that sends its events to itself, after one run."""
    dags = base / "traced"
    dags.mkdir()
    (dags / "traced.py").write_text(DAG)
    airflow = Standalone(bin_folder=DEMO.bin, home=base / "traced-home", dags=dags)
    transport = {
        "type": "http", "url": airflow.url, "endpoint": "mlx/lineage/api/v1/lineage", "timeout": 5,
        "auth": {"type": "api_key", "apiKey": TOKEN},
    }  # fmt: skip
    airflow.env |= {
        "AIRFLOW__MLX__LINEAGE_STORE": f"sqlite:///{base}/lineage.db", "AIRFLOW__MLX__LINEAGE_TOKEN": TOKEN,
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
    }  # fmt: skip
    with airflow:
        airflow.wait_for_dag("traced")
        state = airflow.wait_for_run("traced", airflow.trigger("traced"))
        assert state == "success", airflow.log.read_text()[-5000:]
        yield airflow


def ask(airflow: Standalone, path: str, **headers: str) -> Any:
    request = urllib.request.Request(f"{airflow.url}/mlx/lineage/api/v1/{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def login(airflow: Standalone) -> dict[str, str]:
    with urllib.request.urlopen(f"{airflow.url}/auth/token", timeout=30) as answer:
        return {"Authorization": f"Bearer {json.load(answer)['access_token']}"}


def test_one_graph_leads_from_the_raw_data_to_the_model(airflow: Standalone, login: dict[str, str]) -> None:
    (raw,) = [one for one in ask(airflow, "search?q=raw.csv", **login) if one["kind"] == "dataset"]
    graph = ask(airflow, f"graph?node={raw['key']}&down=10", **login)
    names = {node["key"]: node["name"] for node in graph["nodes"]}
    flows = {(names[source], names[target]) for source, target in graph["edges"]}
    prepared = next(name for name in names.values() if name.endswith("traced/prepare/return_value"))
    assert {("raw.csv", "traced.prepare.prepare"), ("traced.prepare.prepare", prepared),
            (prepared, "traced.train.train")} <= flows  # fmt: skip
    steps = [node for node in graph["nodes"] if node["name"] == "traced.train.train"]
    assert [(node["state"], node["dag"], node["integration"]) for node in steps] == [("complete", "traced", "LOCAL")]


def test_a_version_knows_which_version_it_came_from(airflow: Standalone, login: dict[str, str]) -> None:
    (model,) = [one for one in ask(airflow, "search?q=traced/train/return_value", **login) if one["kind"] == "dataset"]
    version = model["facets"]["version"]["datasetVersion"]
    origins = ask(airflow, f"nodes/{model['key']}/versions/{version}/origin", **login)
    (raw,) = [one for one in ask(airflow, "search?q=raw.csv", **login) if one["kind"] == "dataset"]
    assert [raw["key"], "v7"] in [read for one in origins for read in one["read"]]


def test_the_token_that_sends_does_not_read_and_a_login_does_not_send(
    airflow: Standalone, login: dict[str, str]
) -> None:
    for token in (TOKEN, "wrong"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(airflow, "search?q=raw", Authorization=f"Bearer {token}")
        assert refused.value.code in (401, 403)
    request = urllib.request.Request(f"{airflow.url}/mlx/lineage/api/v1/lineage", data=b"{}", headers=login)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 401
