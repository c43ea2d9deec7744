"""A step whose lineage goes to a real HTTP server that is well, refuses, fails, or swallows what it is sent."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_mlx.lineage import emitter, provider
from airflow_provider_mlx.lineage.root_spool import RootSpool
from airflow_provider_mlx.lineage.spool import Spool
from tests.unit.lineage.conftest import IDENTITY, ROOT, make_active, make_collected


class Receiver:
    """
    A consumer of events.

    :ivar answer: a status, or ``None`` for a server that takes a request and never answers.
    """

    def __init__(self):
        self.answer: int | None = 201
        self.taken: list[dict] = []
        self._over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.answer is None:
                    receiver._over.wait(60)
                    return
                if receiver.answer < 300:
                    receiver.taken.append(json.loads(body))
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def kinds(self):
        return [event["eventType"] for event in self.taken]

    def close(self):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(emitter.PROCESS_BREAKER, "open", False)
    monkeypatch.setattr(emitter.ROOT_BREAKER, "open", False)
    monkeypatch.setitem(emitter.SafeEmitter.__init__.__kwdefaults__, "event_seconds", 1.5)


def run_step(context, store, tmp_path, attempt):
    lineage = provider.step_lineage(
        context["task"], context, identity=IDENTITY, store=store, root=ROOT, spool=tmp_path / "spool"
    )
    active = make_active(store, attempt)
    began = time.perf_counter()
    lineage.started(active)
    lineage.ended(active, make_collected(active))
    return time.perf_counter() - began


@pytest.mark.parametrize("answer", [pytest.param(503, id="503"), pytest.param(None, id="a black hole")])
def test_what_a_receiver_does_not_take_arrives_later_whole_and_in_order(
    context, store, tmp_path, use_transport, receiver, answer
):
    use_transport(type="http", url=receiver.url, timeout=20, retry={"total": 0})
    receiver.answer = answer
    for attempt in (1, 2):
        assert run_step(context, store, tmp_path, attempt) < emitter.TASK_SECONDS
    assert receiver.taken == []

    receiver.answer = 201
    report = provider.replay_spools([Spool(tmp_path / "spool"), RootSpool(store, ROOT, "prod")])
    assert (report.sent, report.left, report.problem) == (4, 0, "")
    runs = {event["run"]["runId"] for event in receiver.taken}
    assert len(runs) == 2
    for run in runs:
        assert [event["eventType"] for event in receiver.taken if event["run"]["runId"] == run] == ["START", "COMPLETE"]
    assert provider.replay_spools([Spool(tmp_path / "spool"), RootSpool(store, ROOT, "prod")]).sent == 0


def test_a_receiver_that_is_still_down_keeps_everything_where_it_is(context, store, tmp_path, use_transport, receiver):
    use_transport(type="http", url=receiver.url, timeout=2, retry={"total": 0})
    receiver.answer = 503
    run_step(context, store, tmp_path, 1)
    places = [Spool(tmp_path / "spool"), RootSpool(store, ROOT, "prod")]
    assert provider.replay_spools(places).left == 2
    receiver.answer = 201
    assert provider.replay_spools(places).sent == 2
    assert receiver.kinds == ["START", "COMPLETE"]


def test_a_receiver_that_is_well_gets_them_at_once(context, store, tmp_path, use_transport, receiver):
    use_transport(type="http", url=receiver.url, timeout=2, retry={"total": 0})
    run_step(context, store, tmp_path, 1)
    assert receiver.kinds == ["START", "COMPLETE"]
    assert provider.replay_spools([RootSpool(store, ROOT, "prod")]).sent == 0
