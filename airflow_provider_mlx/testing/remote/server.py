"""
The server: ``python -m airflow_provider_mlx.testing.remote.server --folder F --record R.jsonl --token T``.

It prints ``ready <port>`` when it listens. SIGTERM ends it and everything it runs; so does SIGKILL. Bodies are JSON;
every request carries ``Authorization: Bearer <token>``.

::

    POST   /v1/jobs                 {name, argv, env, secrets, labels, spot, native_limit_seconds, grace_seconds}
                                    201 created · 200 there already, from the same request · 409 from another one
    GET    /v1/jobs/<name>          200 · 404
    POST   /v1/jobs/<name>/stop     {id?}                      202 · 404
    DELETE /v1/jobs/<name>?id=      204 · 404 · 409 not over
    GET    /v1/jobs/<name>/log?offset=&limit=                  200 {lines, next} · 404
    POST   /v1/changes              {since?, also?, deployments?, wait?}   200 {cursor, reset, jobs, absent}

    POST   /control/scripts         scripts.Script             204    DELETE takes back what no job has taken
    POST   /control/outage          {seconds, how: 503|drop}   204
    POST   /control/token           {token}                    204    another token from now on
    GET    /control/requests        how many requests of each kind were made

The first word of ``argv`` may be empty for the server's own interpreter. A secret is ``{"variable": NAME}`` of the
server's own environment.
"""

from __future__ import annotations

import argparse
import hmac
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, unquote, urlsplit

from .jobs import Job, Jobs, NotFinished
from .logs import CHUNK_BYTES, read_lines
from .record import RecordWriter
from .scripts import Outage, Scripts, script_from

LONGEST_WAIT_SECONDS: Final = 60.0

_STATUS: Final = {"created": 201, "duplicate_create": 200, "conflict": 409}


@dataclass
class Service:
    """Everything behind the requests."""

    jobs: Jobs
    scripts: Scripts
    token: str
    outage: Outage = field(default_factory=Outage)
    requests: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Request:
    """One request, taken apart."""

    name: str
    query: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """
    One answer.

    :param body: JSON; ``None`` for none.
    :param lost: the connection is closed instead.
    """

    status: int
    body: Any = None
    lost: bool = False


ABSENT: Final = Answer(404, {"error": "there is no such job"})


def create(service: Service, request: Request) -> Answer:
    """Get or create a job."""
    wanted = request.body
    if not isinstance(wanted.get("name"), str) or not wanted.get("argv"):
        return Answer(400, {"error": "a job needs a name and an argv"})
    outcome, job = service.jobs.create(wanted)
    script = job.scripts.get("answer") if outcome == "created" else None
    if script is not None and script.then == "hold_create":
        time.sleep(script.after_seconds)
    return Answer(
        _STATUS[outcome], service.jobs.describe(job), lost=script is not None and script.then == "lose_answer"
    )


def find(service: Service, request: Request) -> Answer:
    """One job."""
    return _answer_with(service, service.jobs.find(request.name), 200)


def stop(service: Service, request: Request) -> Answer:
    """Ask a job to stop."""
    return _answer_with(service, service.jobs.stop(request.name, str(request.body.get("id", ""))), 202)


def delete(service: Service, request: Request) -> Answer:
    """Forget a finished job."""
    try:
        return Answer(204) if service.jobs.delete(request.name, request.query.get("id", "")) else ABSENT
    except NotFinished as error:
        return Answer(409, {"error": str(error)})


def read_log(service: Service, request: Request) -> Answer:
    """Lines of a job's log."""
    job = service.jobs.find(request.name)
    if job is None:
        return ABSENT
    ended = job.is_over  # before the log is read: it may grow in between
    offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", CHUNK_BYTES))
    lines, following = read_lines(job.log, offset, min(limit, CHUNK_BYTES), ended=ended)
    return Answer(200, {"lines": lines, "next": following})


def changes(service: Service, request: Request) -> Answer:
    """What changed since a cursor."""
    body = request.body
    return Answer(
        200,
        service.jobs.changes(
            since=str(body.get("since", "")),
            also=list(body.get("also") or ()),
            deployments=body.get("deployments"),
            wait=min(float(body.get("wait", 0.0)), LONGEST_WAIT_SECONDS),
        ),
    )


def add_script(service: Service, request: Request) -> Answer:
    """Set a script for the next jobs."""
    service.scripts.add(script_from(request.body))
    return Answer(204)


def clear_scripts(service: Service, request: Request) -> Answer:
    """Take back what no job has taken."""
    service.scripts.clear()
    return Answer(204)


def begin_outage(service: Service, request: Request) -> Answer:
    """Begin or end an outage; who waits for changes is hit at once."""
    service.outage.begin(float(request.body["seconds"]), str(request.body.get("how", "503")))
    service.jobs.wake()
    return Answer(204)


def change_token(service: Service, request: Request) -> Answer:
    """Rotate the credentials."""
    service.token = str(request.body["token"])
    return Answer(204)


def count_requests(service: Service, request: Request) -> Answer:
    """How many requests of each kind were made, ``/control`` left out."""
    return Answer(200, dict(service.requests))


def _answer_with(service: Service, job: Job | None, status: int) -> Answer:
    return ABSENT if job is None else Answer(status, service.jobs.describe(job))


ROUTES: Final[Mapping[tuple[str, str], Callable[[Service, Request], Answer]]] = {
    ("POST", "/v1/jobs"): create,
    ("GET", "/v1/jobs/<name>"): find,
    ("POST", "/v1/jobs/<name>/stop"): stop,
    ("DELETE", "/v1/jobs/<name>"): delete,
    ("GET", "/v1/jobs/<name>/log"): read_log,
    ("POST", "/v1/changes"): changes,
    ("POST", "/control/scripts"): add_script,
    ("DELETE", "/control/scripts"): clear_scripts,
    ("POST", "/control/outage"): begin_outage,
    ("POST", "/control/token"): change_token,
    ("GET", "/control/requests"): count_requests,
}


def split_path(path: str) -> tuple[str, str]:
    """The route of a path, and the job's name in it: ``/v1/jobs/a/log`` is ``/v1/jobs/<name>/log`` and ``a``."""
    parts = path.split("/")
    if parts[:3] != ["", "v1", "jobs"] or len(parts) < 4:
        return path, ""
    return "/".join([*parts[:3], "<name>", *parts[4:]]), unquote(parts[3])


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a service; connections stay open."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of an answer leave together
    disable_nagle_algorithm = True
    service: ClassVar[Service]

    def do_GET(self) -> None:
        """Any verb."""
        address = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))  # also when refused: the next one follows
        route, name = split_path(address.path)
        control = route.startswith("/control/")
        if not control:
            self.service.requests[f"{self.command} {route}"] += 1
        query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        answer = self._refusal(control) or self._answer(route, name, query, data)
        self._send(self._refusal(control) or answer)  # an outage may have begun meanwhile

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _refusal(self, control: bool) -> Answer | None:
        outage = "" if control else self.service.outage.now
        if outage:
            return Answer(503, {"error": "an outage"}, lost=outage == "drop")
        return None

    def _answer(self, route: str, name: str, query: Mapping[str, str], data: bytes) -> Answer:
        given = self.headers.get("Authorization") or ""
        if not hmac.compare_digest(given.encode(), f"Bearer {self.service.token}".encode()):
            return Answer(401, {"error": "the token is not taken"})
        act = ROUTES.get((self.command, route))
        if act is None:
            return Answer(404, {"error": f"there is no {self.command} {route}"})
        try:
            body = json.loads(data) if data else {}
            return act(self.service, Request(name, query, body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Answer(400, {"error": f"{type(error).__name__}: {error}"})

    def _send(self, answer: Answer) -> None:
        if answer.lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        data = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        if answer.status != 204:  # RFC 9110, 8.6: no Content-Length there
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the record says what happened."""


class Server(ThreadingHTTPServer):
    """A thread per connection."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no news."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="Runs jobs for the `fake-remote` backend.")
    parser.add_argument("--port", type=int, default=0, help="0 chooses one")
    parser.add_argument("--folder", type=Path, required=True, help="where jobs have their folders")
    parser.add_argument("--record", type=Path, required=True, help="the file of what happened")
    parser.add_argument("--token", required=True)
    parser.add_argument("--slots", type=int, help="how many jobs run at once")
    given = parser.parse_args()

    given.folder.mkdir(parents=True, exist_ok=True)
    scripts = Scripts()
    jobs = Jobs(given.folder, RecordWriter(given.record), scripts, given.slots)
    handler = type("BoundHandler", (Handler,), {"service": Service(jobs, scripts, given.token)})
    server = Server(("127.0.0.1", given.port), handler)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", server.server_address[1], flush=True)
    ended.wait()
    server.server_close()
    jobs.close()


if __name__ == "__main__":
    main()
