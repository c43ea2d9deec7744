"""An API server of Kubernetes that answers one thing: TokenRequests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from airflow.sdk import Connection

USER_TOKEN = "of-the-connection"
ACCOUNTS = {"/api/v1/namespaces/ml/serviceaccounts/default-editor/token"}


@dataclass
class TokenServer:
    """
    :param asked: path, bearer token and body of each request.
    :param says: status and body, instead of a token.
    """

    url: str = ""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    says: tuple[int, dict[str, Any]] | None = None
    lasts: timedelta = timedelta(hours=1)

    def connection(self, conn_id: str = "k8s", token: str = USER_TOKEN) -> Connection:
        """Airflow's connection to it."""
        config = {
            "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}], "users": [{"name": "u", "user": {"token": token}}],
        }  # fmt: skip
        extra = json.dumps({"kube_config": json.dumps(config)})
        return Connection(conn_id=conn_id, conn_type="kubernetes", extra=extra)

    def answer(self, path: str, token: str, body: Any) -> tuple[int, dict[str, Any]]:
        self.asked.append((path, token, body))
        if self.says is not None:
            return self.says
        if token != USER_TOKEN:
            return 401, {"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}
        if path not in ACCOUNTS:
            return 404, {"kind": "Status", "reason": "NotFound", "message": "serviceaccounts not found"}
        ends = datetime.now(UTC) + self.lasts
        status = {"token": f"minted-{len(self.asked)}", "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return 201, {"kind": "TokenRequest", **body, "status": status}


@contextmanager
def minting() -> Iterator[TokenServer]:
    """A server, in a thread of this process."""
    server = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, said = server.answer(self.path, token, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{made.server_port}"
    try:
        yield server
    finally:
        made.shutdown()
        made.server_close()
        thread.join(timeout=5)
