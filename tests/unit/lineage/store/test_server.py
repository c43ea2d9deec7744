"""The app: who may send, who may ask, and what they see."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from airflow_provider_mlx.lineage.server import mounting
from airflow_provider_mlx.lineage.server.mounting import LineageApp
from tests.unit.lineage.store.conftest import TOKEN, data, data_key, job_key, run_id, told, write_result
from tests.unit.lineage.store.test_graph import CHURN

PAYROLL = [
    told("payroll", 200, "START", dag="payroll"),
    told("payroll.pay", 210, "COMPLETE", 1, parent=("payroll", 200), dag="payroll",
         inputs=[data("salaries", "x1"), data("scores", "s1")], outputs=[data("bonus", "b1")]),
    told("churn.report", 220, "COMPLETE", 9, dag="churn", inputs=[data("bonus", "b1")], outputs=[data("page", "p1")]),
]  # fmt: skip


@pytest.fixture
def filled(client):
    answer = client.post("/api/v1/lineage/batch", json=[*CHURN, *PAYROLL], headers=TOKEN)
    assert (answer.status_code, answer.json()["summary"]["successful"]) == (200, len(CHURN) + len(PAYROLL))
    return client


def graph(client, user, node, **asked):
    answer = client.get("/api/v1/graph", params={"node": node, "up": 20, "down": 20, **asked}, headers={"X-User": user})
    assert answer.status_code == 200, answer.text
    return answer.json()


SAMPLES = {"key": data_key("model"), "version": "m1", "run": run_id(401), "output": "return_value"}
ASKED = {"node": data_key("model"), "q": "model", "dag_id": "churn", "run_id": "r1"}


def every_route(app):
    for route in app.routes:
        for method in sorted(route.methods - {"HEAD"}):
            yield method, route.path.replace(":path}", "}").format(**SAMPLES)


def test_no_route_answers_who_is_nobody_or_has_a_token_that_may_only_send(filled):
    routes = list(every_route(filled.app))
    previews = f"/api/v1/runs/{run_id(401)}/previews"
    assert {
        ("GET", "/api/v1/steps"),
        ("POST", "/api/v1/lineage"),
        ("GET", previews),
        ("GET", f"{previews}/return_value"),
    } <= set(routes)
    for method, path in routes:
        for headers in ({}, {"Authorization": "Bearer wrong"}, TOKEN if method == "GET" else {"X-User": "ann"}):
            answer = filled.request(method, path, params=ASKED, json={}, headers=headers)
            assert (method, path, answer.status_code) == (method, path, 401)


def test_every_route_answers_who_may_ask(filled, root):
    told_of_runs = [
        told("churn", 100, "RUNNING", 1, dag="churn", dag_run="r1"),
        told("churn.train", 400, dag="churn", dag_run="r1", task="train"),
        told("churn.train.fit", 401, parent=("churn.train", 400), backend="local"),
    ]
    assert filled.post("/api/v1/lineage/batch", json=told_of_runs, headers=TOKEN).status_code == 200
    write_result(root, "text")
    for method, path in every_route(filled.app):
        if method == "GET":
            assert filled.get(path, params=ASKED, headers={"X-User": "ann"}).status_code == 200, path


def test_nothing_else_is_told_of_the_app(client):
    assert client.get("/docs").status_code == client.get("/openapi.json").status_code == 404


def test_who_may_not_see_a_dag_sees_its_jobs_without_names_and_not_its_own_data(filled):
    seen = graph(filled, "ann", data_key("model"))
    names = {node["name"] for node in seen["nodes"]}
    assert {"model", "scores", "bonus", "page", "churn.report"} <= names
    assert "salaries" not in names and not [name for name in names if name.startswith("payroll")]
    hidden = next(node for node in seen["nodes"] if node["key"] == job_key("payroll.pay"))
    assert {key: value for key, value in hidden.items() if value} == {"key": hidden["key"], "kind": "job"}
    assert [data_key("scores"), hidden["key"]] in seen["edges"], "what lies behind still hangs together"


def test_each_sees_what_is_theirs(filled):
    assert {node["name"] for node in graph(filled, "bob", data_key("bonus"), up=1, down=0)["nodes"]} == {
        "bonus",
        "payroll.pay",
    }
    everything = {node["name"] for node in graph(filled, "adm", data_key("salaries"))["nodes"]}
    assert {"salaries", "page"} <= everything


@pytest.mark.parametrize("node", [data_key("salaries"), job_key("payroll.pay"), "nothing"])
def test_what_must_not_be_seen_is_not_there(filled, node):
    for path in (f"graph?node={node}", *(f"nodes/{node}/{it}" for it in ("runs", "versions", "versions/x1/origin"))):
        answer = filled.get(f"/api/v1/{path}", headers={"X-User": "ann"})
        assert (answer.status_code, answer.json()) == (404, {"detail": "there is no such node"})


def test_a_search_finds_only_what_is_seen(filled):
    def found(user, text):
        return [node["name"] for node in filled.get(f"/api/v1/search?q={text}", headers={"X-User": user}).json()]

    assert found("ann", "salar") == found("ann", "payroll") == found("eve", "o") == []
    assert found("bob", "salar") == ["salaries"]


def test_a_runs_data_and_an_origin_lack_what_is_not_seen(filled):
    origin = filled.get(f"/api/v1/nodes/{data_key('page')}/versions/p1/origin", headers={"X-User": "ann"}).json()
    bonus = next(one for one in origin if one["dataset"] == data_key("bonus"))
    assert [name for name, _ in bonus["read"]] == [data_key("scores")], "and not the salaries"
    assert bonus["run"] == "", "nor the run of the other DAG"
    runs = filled.get(f"/api/v1/nodes/{job_key('churn.report')}/runs", headers={"X-User": "ann"}).json()
    assert {one["dataset"] for one in runs[0]["data"]} == {data_key("bonus"), data_key("page")}


def test_a_token_shows_nobody_what_another_dags_jobs_use(filled):
    child = told("churn.spark", 300, parent=("churn", 100), inputs=[data("salaries", "x1"), data("own", "o1")])
    child["job"]["namespace"] = "spark"
    assert filled.post("/api/v1/lineage", json=child, headers={"Authorization": "Bearer other"}).status_code == 201

    def found(text):
        return [node["name"] for node in filled.get(f"/api/v1/search?q={text}", headers={"X-User": "ann"}).json()]

    assert (found("salar"), found("own"), found("spark")) == ([], ["own"], ["churn.spark"])


def test_a_token_is_bound_to_its_namespaces(client):
    answer = client.post("/api/v1/lineage", json=told("dag.task", 1), headers={"Authorization": "Bearer other"})
    assert (answer.status_code, "namespace" in answer.json()["detail"]) == (422, True)


def test_on_an_older_airflow_the_app_says_what_it_needs(monkeypatch):
    monkeypatch.setenv("AIRFLOW__MLX__LINEAGE_STORE", "sqlite://")
    monkeypatch.setattr(mounting, "version", lambda name: "1.4.54")
    answer = TestClient(LineageApp()).get("/api/v1/graph")
    assert (answer.status_code, "Airflow 3.2" in answer.text) == (501, True)


def test_without_a_store_the_app_says_what_to_set(monkeypatch):
    monkeypatch.setenv("AIRFLOW__MLX__LINEAGE_STORE", "")
    answer = TestClient(LineageApp()).get("/api/v1/graph")
    assert (answer.status_code, answer.text) == (404, "there is no lineage store → set `[mlx] lineage_store`\n")
