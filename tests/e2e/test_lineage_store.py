"""Airflow's own events and ours in the store that its API server holds, and the graph that a user is shown."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from demo.standalone import Standalone
from tests.e2e.traced import TOKEN, Traced


@pytest.fixture(scope="module")
def airflow(traced: Traced) -> Standalone:
    return traced.airflow


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


def test_a_run_is_found_by_airflows_own_ids_and_its_steps_know_their_tasks(
    airflow: Standalone, login: dict[str, str]
) -> None:
    (train, prepare) = ask(airflow, "steps?dag_id=traced", **login)["steps"]
    assert [(step["task"], step["try"], step["backend"], step["state"]) for step in (prepare, train)] == [
        ("prepare", 1, "local", "complete"), ("train", 1, "local", "complete"),
    ]  # fmt: skip
    place = urllib.parse.urlencode({"dag_id": "traced", "run_id": train["dag_run"]})
    whole, part = (ask(airflow, f"at?{place}{more}", **login) for more in ("", "&task_id=train"))
    names = {node["key"]: node["name"] for node in whole["graph"]["nodes"]}
    assert {"traced", "traced.prepare", "traced.train.train", "raw.csv"} <= set(names.values())
    assert {names[key] for key in part["focus"]} == {"traced.train", "traced.train.train"}
    assert whole["runs"][train["job"]] == train["run"]


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
