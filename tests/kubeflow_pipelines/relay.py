"""
What stands between a client and the API server, as a gateway does: it counts, and misbehaves when told to.

A fault is asked of each request in the order in which faults were added; the first that applies counts.
"""

from __future__ import annotations

import http.client
import http.server
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

SERVER_SECONDS: Final = 60.0
"""The API server itself is waited for so long."""
_PART: Final = r"[^/:?]+"
ROUTES: Final = tuple(
    (re.compile(pattern.replace("{}", _PART) + r"(:\w+)?"), route)
    for pattern, route in (
        (r"/(runs|experiments|recurringruns|pipelines)/{}", r"/\1/{id}\2"),
        (r"/pipelines/(upload|upload_version)", r"/pipelines/\1"),
        (r"/pipelines/names/{}", "/pipelines/names/{name}"),
        (r"/pipelines/{}/versions", "/pipelines/{id}/versions"),
        (r"/pipelines/{}/versions/{}", "/pipelines/{id}/versions/{id}"),
        (r"/runs/{}/nodes/{}/log", "/runs/{id}/nodes/{id}/log"),
    )
)
_NOT_IDS: Final = ("upload", "upload_version")
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})


def route_of(method: str, path: str) -> str:
    """A request without what is different each time: ``POST /runs/{id}:terminate``; the version of the API is left out."""
    below = re.sub(r"^.*/apis/v\w+", "", urlsplit(path).path)
    for pattern, route in ROUTES:
        found = pattern.fullmatch(below)
        if found and not ("{id}" in route and below.rpartition("/")[2] in _NOT_IDS):
            return f"{method} {found.expand(route)}"
    return f"{method} {below}"


@dataclass(frozen=True)
class Call:
    """
    A request that came.

    :param status: of the answer that was sent; 0: none was.
    :param reached: whether the API server was asked.
    :param sent: bytes of the request's body.
    :param received: bytes of the body that answered it, whether or not it was passed on.
    """

    route: str
    path: str
    status: int
    reached: bool
    sent: int
    received: int
    seconds: float


@dataclass
class Fault:
    """
    How some requests are treated.

    :param route: as :func:`route_of` gives it, or the beginning of one; empty for all.
    :param status: is answered, and the API server not asked.
    :param hangs: the request is left without an answer as long as the fault lasts, and cut then; it is not passed on.
    :param loses: the request is passed on, and the connection cut in the place of its answer.
    :param delay: seconds before the request is passed on.
    :param times: so many requests; None for all of them.
    :param until: on the monotonic clock.
    """

    route: str = ""
    status: int = 0
    body: bytes = b""
    content_type: str = "text/plain"
    hangs: bool = False
    loses: bool = False
    delay: float = 0.0
    times: int | None = None
    until: float | None = None

    def over(self) -> bool:
        """Whether it applies no more."""
        return self.times == 0 or (self.until is not None and time.monotonic() > self.until)


@dataclass
class Relay:
    """
    Passes requests on to a port of the loopback; a context manager of its own: :func:`relay_to`.

    :param port: of the API server.
    """

    port: int
    address: str = ""
    calls: list[Call] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- what a test decides -----------------------------------------------------------------------------------------

    def stop_answering(self, seconds: float, route: str = "") -> None:
        """Leave requests without an answer, as a server that is frozen; they never reach it."""
        self._add(Fault(route, hangs=True, until=time.monotonic() + seconds))

    def answer(
        self, status: int, route: str = "", *, times: int | None = None, seconds: float | None = None,
        body: bytes = b"upstream connect error", content_type: str = "text/plain",
    ) -> None:  # fmt: skip
        """Answer in the API server's place, as its gateway does when it is away; a body is HTML, say, for a login page."""
        until = None if seconds is None else time.monotonic() + seconds
        self._add(Fault(route, status, body, content_type, times=times, until=until))

    def lose_answers(self, route: str, times: int = 1) -> None:
        """Let the API server do what it is asked, and cut the connection in the place of its answer."""
        self._add(Fault(route, loses=True, times=times))

    def delay(self, seconds: float, route: str = "", *, times: int | None = None) -> None:
        """Pass requests on later."""
        self._add(Fault(route, delay=seconds, times=times))

    def heal(self) -> None:
        """Take all faults away; requests that hang are cut."""
        with self._lock:
            for fault in self._faults:
                fault.times = 0
            self._faults.clear()

    # --- what it saw -------------------------------------------------------------------------------------------------

    def count(self) -> Counter[str]:
        """Requests by route."""
        return Counter(call.route for call in list(self.calls))

    def received(self) -> Counter[str]:
        """Bytes of answers' bodies by route."""
        total: Counter[str] = Counter()
        for call in list(self.calls):
            total[call.route] += call.received
        return total

    def sent(self) -> Counter[str]:
        """Bytes of requests' bodies by route."""
        total: Counter[str] = Counter()
        for call in list(self.calls):
            total[call.route] += call.sent
        return total

    # --- parts -------------------------------------------------------------------------------------------------------

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def fault_for(self, route: str) -> Fault | None:
        """The fault of a request, which is used up by it."""
        with self._lock:
            self._faults = [fault for fault in self._faults if not fault.over()]
            for fault in self._faults:
                if route.startswith(fault.route):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


@contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """A relay as long as the block lasts; :attr:`Relay.address` is where clients find it."""
    relay = Relay(port)
    handler = type("Handler", (_Handler,), {"relay": relay})
    server = _Server(("127.0.0.1", 0), handler)
    relay.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.heal()
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_servers: bool


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that keeps its connection would keep it from ending
    request_queue_size = 256


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    relay: Relay

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client is gone
            self.close_connection = True

    def pass_on(self) -> None:
        """Answer one request. It is counted first, so that a client which has its answer finds it counted."""
        began = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = route_of(self.command, self.path)
        fault = self.relay.fault_for(route)
        answer = self._answer(fault, body)
        lost = answer is None or (fault is not None and fault.loses)
        self.relay.calls.append(
            Call(
                route, self.path, status=0 if answer is None or lost else answer.status,
                reached=answer is not None and answer.is_servers, sent=len(body),
                received=len(answer.body) if answer else 0, seconds=time.monotonic() - began,
            )
        )  # fmt: skip
        if answer is None or lost:
            self._cut()
        else:
            self._say(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def _answer(self, fault: Fault | None, body: bytes) -> _Answer | None:
        """What is to be answered; None for nothing."""
        if fault is not None and fault.hangs:
            _wait_out(fault)
            return None
        if fault is not None and fault.status:
            return _Answer(fault.status, {"Content-Type": fault.content_type}, fault.body, is_servers=False)
        time.sleep(fault.delay if fault else 0)
        return self._asked(body)

    def _asked(self, body: bytes) -> _Answer | None:
        """The API server's answer; None where it does not run, or ended while it was asked."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        connection = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=SERVER_SECONDS)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return _Answer(answer.status, dict(answer.getheaders()), answer.read(), is_servers=True)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _say(self, answer: _Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _wait_out(fault: Fault) -> None:
    while not fault.over():
        time.sleep(0.02)
