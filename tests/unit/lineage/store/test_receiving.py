"""What is sent: how much of it, how fast, and what is answered."""

from __future__ import annotations

import gzip
import json

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from airflow_provider_mlx.lineage.server.app import make_app
from airflow_provider_mlx.lineage.server.receiving import MAX_BODY, MAX_EVENTS, Limiter
from airflow_provider_mlx.lineage.store.told import MAX_BYTES
from tests.unit.lineage.store.conftest import OTHER, OURS, TOKEN, job_key, told, user_of


def post(client, body, path="lineage", **headers):
    return client.post(f"/api/v1/{path}", content=body, headers={**TOKEN, **headers})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no", 400), (b"[" * 100_000, 400), (b"{}", 422), (b"[]", 200), (b"[{}]", 422),
        (b"x" * (MAX_BODY + 1), 413), (json.dumps([{}] * (MAX_EVENTS + 1)).encode(), 413),
        (json.dumps(told("dag.task", 1, note="x" * MAX_BYTES)).encode(), 422),
    ],
    ids=["no JSON", "deep", "no event", "none", "none that is one", "long", "many", "large"],
)  # fmt: skip
def test_what_is_no_event_or_too_much_is_refused(client, body, code):
    assert post(client, body).status_code == code


def test_an_event_is_taken_once_however_it_is_packed(client):
    body = json.dumps(told("dag.task", 1)).encode()
    first = post(client, gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert (first.status_code, first.json()["summary"]["known"]) == (201, 0)
    assert post(client, body).json()["summary"]["known"] == 1


def test_numbers_that_json_has_no_word_for_are_left_out_and_spoil_no_answer(client):
    body = json.dumps(told("dag.task", 1, dag="churn", note={"loss": float("nan")})).replace(
        '"loss"', '"big": 1e999, "loss"'
    )
    assert post(client, body.encode()).status_code == 201
    runs = client.get(f"/api/v1/nodes/{job_key('dag.task')}/runs", headers={"X-User": "ann"}).json()
    assert runs[0]["facets"]["note"] == {"big": None, "loss": None}


@pytest.mark.parametrize(("body", "packing", "code"), [
    (b"no", "gzip", 400), (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400), (gzip.compress(b" " * (MAX_BODY * 4), mtime=0), "gzip", 413),
    (b"{}", "br", 415),
], ids=["no gzip", "cut off", "too long", "unknown"])  # fmt: skip
def test_a_body_is_unpacked_no_further_than_it_may_be_long(client, body, packing, code):
    assert post(client, body, **{"Content-Encoding": packing}).status_code == code


def test_a_list_is_answered_with_what_became_of_each(client):
    large = told("dag.large", 3, note="x" * MAX_BYTES)
    answer = post(client, json.dumps([told("dag.a", 1), {"x": 1}, told("dag.b", 2), large]).encode(), "lineage/batch")
    said = answer.json()
    assert (answer.status_code, said["status"]) == (207, "partial_success")
    assert (said["summary"]["successful"], said["summary"]["failed"]) == (2, 2)
    assert [(one["index"], one["retriable"]) for one in said["failed_events"]] == [(1, False), (3, False)]
    assert "at most 250,000" in said["failed_events"][1]["reason"]


def test_who_sends_too_fast_is_told_when_to_send_again(store):
    now = [0.0]
    limiter = Limiter(rate=2, burst=3, clock=lambda: now[0])
    tokens = {"t0ken": OURS}
    client = TestClient(make_app(store, tokens, user=user_of, dags_of=lambda _: set(), limiter=limiter))
    codes = [post(client, json.dumps(told("dag.task", number)).encode()).status_code for number in range(4)]
    assert codes == [201, 201, 201, 429]
    refused = post(client, json.dumps([told("dag.task", number) for number in range(5, 8)]).encode())
    assert (refused.headers["Retry-After"], "send again in 2 seconds" in refused.json()["detail"]) == ("2", True)
    now[0] = 2.0
    assert post(client, json.dumps(told("dag.task", 9)).encode()).status_code == 201


def test_one_senders_haste_holds_up_no_other():
    limiter = Limiter(rate=1, burst=1, clock=lambda: 0.0)
    limiter.take("spark", 1)
    with pytest.raises(HTTPException):
        limiter.take("spark", 1)
    limiter.take("airflow", 1)


def test_the_openlineage_client_waits_as_it_is_told_and_sends_again(store, monkeypatch):
    """Its own transport against a real server."""
    import threading
    from datetime import UTC, datetime

    import uvicorn
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport

    app = make_app(
        store, {"t0ken": OURS}, user=user_of, dags_of=lambda _: set(), limiter=Limiter(rate=4, burst=1)
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    config = HttpConfig(
        url=f"http://127.0.0.1:{port}", endpoint="api/v1/lineage", auth=ApiKeyTokenProvider({"apiKey": "t0ken"})
    )
    client = OpenLineageClient(transport=HttpTransport(config))
    for number in range(2):
        run = Run(f"018f0000-0000-7000-8000-00000000000{number}")
        client.emit(
            RunEvent(eventType=RunState.START, eventTime=datetime.now(UTC).isoformat(), run=run, job=Job("a", "b"))
        )
    server.should_exit = True
    thread.join()
    assert store.count() == 2


def test_a_token_is_bound_to_its_namespaces(client):
    answer = client.post("/api/v1/lineage", json=told("dag.task", 1), headers=OTHER)
    assert (answer.status_code, "`namespaces`" in answer.json()["detail"]) == (422, True)
