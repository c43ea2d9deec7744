"""The relay alone, before a server of a few lines: no part of Kubeflow Pipelines is needed."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.kubeflow_pipelines.relay import Relay, relay_to, route_of


@pytest.fixture
def asked() -> list[str]:
    """What reached the server behind the relay."""
    return []


@pytest.fixture
def relay(asked: list[str]) -> Iterator[Relay]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 2))
            self.end_headers()
            self.wfile.write(b"<" + body + b">")

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with relay_to(server.server_port) as running:
        yield running
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(relay: Relay) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=relay.address, timeout=5, trust_env=False) as made:
        yield made


RUNS = "/apis/v2beta1/runs"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/apis/v2beta1/runs?page_size=20&filter=x", "GET /runs"),
        ("/apis/v2beta1/runs/6f-1", "GET /runs/{id}"),
        ("/apis/v2beta1/runs/6f-1:terminate", "GET /runs/{id}:terminate"),
        ("/apis/v1beta1/runs/6f-1", "GET /runs/{id}"),
        ("/apis/v1alpha1/runs/6f-1/nodes/a-step-1/log", "GET /runs/{id}/nodes/{id}/log"),
        ("/apis/v2beta1/pipelines/upload_version?name=v", "GET /pipelines/upload_version"),
        ("/apis/v2beta1/pipelines/names/churn", "GET /pipelines/names/{name}"),
        ("/apis/v2beta1/pipelines/6f-1/versions?filter=x", "GET /pipelines/{id}/versions"),
        ("/apis/v2beta1/experiments", "GET /experiments"),
        ("/apis/v2beta1/healthz", "GET /healthz"),
        ("/pipeline/apis/v2beta1/healthz", "GET /healthz"),
    ],
)
def test_routes_leave_out_what_differs(path: str, route: str) -> None:
    assert route_of("GET", path) == route


def test_what_passes_is_counted(relay: Relay, client: httpx.Client) -> None:
    assert client.post(RUNS, content=b"hello").content == b"<hello>"
    client.get(f"{RUNS}/1")
    client.get(f"{RUNS}/2")
    assert relay.count() == {"POST /runs": 1, "GET /runs/{id}": 2}
    assert relay.sent()["POST /runs"] == 5
    assert relay.received() == {"POST /runs": 7, "GET /runs/{id}": 4}


def test_an_answer_is_lost_after_the_request_arrived(relay: Relay, client: httpx.Client, asked: list[str]) -> None:
    relay.lose_answers("POST /runs")
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(RUNS, content=b"hello")
    assert asked == [f"POST {RUNS}"]
    assert client.post(RUNS).status_code == 200  # once
    assert [(call.status, call.reached) for call in relay.calls] == [(0, True), (200, True)]


def test_a_gateway_answers_in_the_servers_place(relay: Relay, client: httpx.Client, asked: list[str]) -> None:
    relay.answer(503, times=2)
    assert [client.get(RUNS).status_code for _ in range(3)] == [503, 503, 200]
    assert len(asked) == 1


def test_a_frozen_server_lets_nothing_through(relay: Relay, client: httpx.Client, asked: list[str]) -> None:
    relay.stop_answering(0.5)
    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(RUNS)
    assert 0.4 < time.monotonic() - began < 3
    assert asked == []
    assert client.get(RUNS).status_code == 200


def test_only_the_route_that_was_meant_is_touched(relay: Relay, client: httpx.Client) -> None:
    relay.answer(500, "POST /runs")
    assert client.get(RUNS).status_code == 200
    assert client.post(RUNS).status_code == 500
    relay.heal()
    assert client.post(RUNS).status_code == 200


def test_requests_are_passed_on_later(relay: Relay, client: httpx.Client) -> None:
    relay.delay(0.3, times=1)
    client.get(RUNS)
    client.get(RUNS)
    assert relay.calls[0].seconds >= 0.3 > relay.calls[1].seconds


def test_a_server_that_is_away_is_a_cut_connection(relay: Relay, client: httpx.Client) -> None:
    relay.port = 1
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(RUNS)
    assert [(call.status, call.reached) for call in relay.calls] == [(0, False)]
