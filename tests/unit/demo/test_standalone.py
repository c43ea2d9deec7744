"""The driver of a real Airflow: what it does when Airflow's own database is locked."""

from __future__ import annotations

import json
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from demo.standalone import Standalone

LOCKED = {"detail": {"reason": "Database error", "orig_error": "hidden"}}
BROKEN = {"detail": "Internal Server Error"}


class Scripted(HTTPServer):
    """Answers with the next of its answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, object]] = []
        self.asked = 0


class Handler(BaseHTTPRequestHandler):
    """One scripted answer a call."""

    server: Scripted

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        status, body = self.server.answers.pop(0)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        threading.Thread(target=scripted.serve_forever, daemon=True).start()
        yield scripted
        scripted.shutdown()


@pytest.fixture
def airflow(server: Scripted, tmp_path: Path) -> Standalone:
    return Standalone(bin_folder=tmp_path, home=tmp_path, dags=tmp_path, port=server.server_port)


def test_a_locked_database_fails_no_call(server: Scripted, airflow: Standalone) -> None:
    server.answers = [(500, LOCKED), (200, {"name": "small"})]
    assert airflow.ask("pools", {"name": "small"}) == {"name": "small"}
    assert server.asked == 2


def test_another_error_of_the_server_is_raised_at_once(server: Scripted, airflow: Standalone) -> None:
    server.answers = [(500, BROKEN), (200, {})]
    with pytest.raises(urllib.error.HTTPError):
        airflow.ask("pools", {"name": "small"})
    assert server.asked == 1
