"""
A tiny server that answers as the API server of 2.14.3 does where it matters to a client, over real connections.

What it copies: the Workflow is made before the row of the run, so that a second ``POST /runs`` of one id makes a second
Workflow and says 500; a run that is over cannot be terminated ("Row not found"); pages are bound to their filter.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API = "/apis/v2beta1"
OVER = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Server:
    """
    What it holds, what it was asked, and what goes wrong.

    :param faults: what happens to the next requests, in turn: a status; ``lost``, done but not answered; ``cut``, neither
        done nor answered; ``None``, nothing.
    """

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    workflows: list[str] = field(default_factory=list)
    experiments: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    recurring: dict[str, dict[str, Any]] = field(default_factory=dict)
    manifests: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    prefix: str = ""
    gives_own_ids: bool = False
    knows_pipeline_names: bool = True

    def calls(self, method: str = "") -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked if not method or one.method == method]

    # --- what it answers ---------------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if self.token and asked.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, error(16, "there is no user identity header")
        if not asked.path.startswith(f"{self.prefix}/apis"):
            return 404, "404 page not found"
        path = asked.path.removeprefix(self.prefix)
        name, _, rest = path.removeprefix(f"{API}/").partition("/")
        if path.startswith("/apis/v1beta1/runs/"):
            return self._manifest(path.rpartition("/")[2])
        if path.startswith("/apis/v1alpha1/"):
            return 200, ""
        handler: Callable[..., tuple[int, Any]] = getattr(self, f"_{name}", lambda *_: (404, error(5, "Not Found")))
        return handler(asked, rest)

    def _healthz(self, asked: Asked, rest: str) -> tuple[int, Any]:
        return 200, {"commit_sha": "fc3214d4b4d3", "tag_name": "2.14.3", "multi_user": False}

    def _manifest(self, run: str) -> tuple[int, Any]:
        if run not in self.manifests:
            return 404, error(5, f"Run {run} not found")
        return 200, {"run": {"id": run}, "pipeline_runtime": {"workflow_manifest": json.dumps(self.manifests[run])}}

    def _runs(self, asked: Asked, rest: str) -> tuple[int, Any]:
        name, _, verb = rest.partition(":")
        if asked.method == "POST" and not rest:
            return self._create(asked.body)
        if not name and asked.query.get("page_token") and '"IN"' in asked.query.get("filter", ""):
            return 400, error(3, "page token does not match the supplied sort by and/or filtering criteria")
        if not name:
            return 200, page(asked, "runs", [run for run in self.runs.values() if matches(asked, run)])
        if name not in self.runs:
            return 404, error(5, f"Run {name} not found")
        run = self.runs[name]
        if asked.method == "DELETE":
            del self.runs[name]
        elif verb == "terminate":
            if run["state"] in (*OVER, "CANCELING"):
                return 400, error(3, "Failed to terminate a run: Row not found")
            run["state"] = "CANCELING"
        elif verb == "retry":
            if run["state"] != "FAILED":
                return 409, error(10, "the run is not retryable")
            run["state"] = "RUNNING"
        else:
            return 200, run
        return 200, {}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        run_id = body.get("run_id") or "made-by-the-server"
        if self.gives_own_ids:
            run_id = "made-by-the-server"
        self.workflows.append(run_id)
        if run_id in self.runs:
            return 500, error(13, f"Error 1062: Duplicate entry '{run_id}' for key 'PRIMARY'")
        self.runs[run_id] = {**body, "run_id": run_id, "state": "PENDING"}
        return 200, self.runs[run_id]

    def _experiments(self, asked: Asked, rest: str) -> tuple[int, Any]:
        if asked.method == "POST":
            name = asked.body["display_name"]
            if name in self.experiments:
                return 409, error(6, f"The experiment {name} already exist")
            self.experiments[name] = f"e-{len(self.experiments)}"
        rows = [{"experiment_id": key, "display_name": name} for name, key in self.experiments.items()]
        if asked.method == "POST":
            return 200, rows[-1]
        return 200, page(asked, "experiments", [row for row in rows if matches(asked, row)])

    def _pipelines(self, asked: Asked, rest: str) -> tuple[int, Any]:
        if rest.startswith("names/"):
            name = unquote(rest.removeprefix("names/"))
            if name not in self.pipelines:
                return 404, error(5, f"Pipeline {name} not found")
            return 200, {"pipeline_id": self.pipelines[name], "display_name": name}
        if rest == "upload_version":
            if any(one["name"] == asked.query["name"] for one in self.versions):
                return 409, error(6, "the version already exists")
            self.uploads.append(asked.body)
            self.versions.append({"pipeline_version_id": f"v-{len(self.versions)}", **asked.query})
            return 200, self.versions[-1]
        if asked.method == "DELETE":
            if asked.query.get("cascade") != "true":
                return 400, error(3, "the pipeline has versions")
            self.pipelines = {name: key for name, key in self.pipelines.items() if key != rest}
            return 200, {}
        if asked.method == "POST":
            if "name" in asked.body and not self.knows_pipeline_names:
                return 400, error(3, 'unknown field "name"')
            self.pipelines[asked.body["display_name"]] = f"p-{len(self.pipelines)}"
            return 200, {"pipeline_id": self.pipelines[asked.body["display_name"]]}
        return 200, page(asked, "pipeline_versions", [one for one in self.versions if matches(asked, one)])

    def _recurringruns(self, asked: Asked, rest: str) -> tuple[int, Any]:
        name, _, verb = rest.partition(":")
        if asked.method == "POST" and not rest:
            key = f"r-{len(self.recurring)}"
            self.recurring[key] = {**asked.body, "recurring_run_id": key, "status": "ENABLED"}
            return 200, self.recurring[key]
        if not name:
            return 200, page(asked, "recurringRuns", list(self.recurring.values()))
        if name not in self.recurring:
            return 404, error(5, f"Job {name} not found")
        if asked.method == "DELETE":
            del self.recurring[name]
        elif verb:
            self.recurring[name]["status"] = f"{verb.upper()}D"
        return 200, {}


@contextmanager
def serving(server: Server | None = None) -> Iterator[Server]:
    """A server, in a thread of this process."""
    server = server or Server()
    made = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{made.server_port}{server.prefix}"
    try:
        yield server
    finally:
        made.shutdown()
        made.server_close()
        thread.join(timeout=5)


def error(code: int, message: str) -> dict[str, Any]:
    """As ``google.rpc.Status``."""
    return {"code": code, "message": message, "details": [{"message": message}]}


def page(asked: Asked, items: str, rows: list[Any]) -> dict[str, Any]:
    """One page of a list; the next one's token is its offset and its filter."""
    size = min(int(asked.query.get("page_size") or 20) or 20, 200)
    start = int(asked.query.get("page_token", "").partition("|")[0] or 0)
    found: dict[str, Any] = {items: rows[start : start + size], "total_size": len(rows)}
    if start + size < len(rows):
        found["next_page_token"] = f"{start + size}|{filter_of(asked)}"
    return found


def filter_of(asked: Asked) -> str:
    """The list's filter, which a page token holds too."""
    return asked.query.get("filter") or asked.query.get("page_token", "").partition("|")[2]


def matches(asked: Asked, row: Mapping[str, Any]) -> bool:
    """Whether a row passes the filter."""
    for one in json.loads(filter_of(asked) or "{}").get("predicates", ()):
        value = row.get(one["key"])
        wanted = one["string_values"]["values"] if one["operation"] == "IN" else [one["string_value"]]
        if value not in wanted:
            return False
    return True


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # headers and body in one packet

        def _any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            is_json = self.headers.get("Content-Type") == "application/json"
            asked = Asked(
                self.command, parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()},
                dict(self.headers), json.loads(raw) if is_json and raw else raw,
            )  # fmt: skip
            server.asked.append(asked)
            fault = server.faults.pop(0) if server.faults else None
            if fault == "cut":
                return self._hang_up()
            if isinstance(fault, int):
                return self._send(fault, error(14, "injected"))
            status, body = server.answer(asked)
            return self._hang_up() if fault == "lost" else self._send(status, body)

        def _send(self, status: int, body: Any) -> None:
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: Any) -> None:
            return

        do_GET = do_POST = do_DELETE = do_PATCH = _any

    return Handler
