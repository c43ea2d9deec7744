"""
Orders from outside, for an endpoint that is a process: JSON in, JSON out, on the same port.

``GET /mlx-calls`` · ``GET /mlx-problems`` · ``POST /mlx-faults`` (the arguments of :meth:`tests.aws.faults.Faults.add`) ·
``POST /mlx-clear`` · ``POST /mlx-finish {"job"}`` · ``POST /mlx-interrupt {"job"}`` · ``POST /mlx-outcomes {"prefix", "word"}`` ·
``POST /mlx-policy {"role", "policy"}``
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Protocol

from .calls import CallLog
from .faults import Faults


class Controlled(Protocol):
    """What an endpoint lets others do."""

    calls: CallLog
    faults: Faults
    problems: list[str]

    def finish(self, job_name: str, status: str = "Completed", reason: str = "") -> None: ...
    def interrupt(self, job_name: str, wait_seconds: float | None = None) -> None: ...
    def next_outcome(self, job_name_prefix: str, word: str, times: int = 1) -> None: ...
    def put_role_policy(self, role_arn: str, policy: dict[str, Any]) -> None: ...


class Control:
    """The WSGI application of the paths that begin with ``/mlx-``."""

    def __init__(self, endpoint: Controlled) -> None:
        self._orders: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/mlx-calls": lambda _: [asdict(call) for call in endpoint.calls.copy()],
            "/mlx-problems": lambda _: list(endpoint.problems),
            "/mlx-faults": lambda given: bool(endpoint.faults.add(**given)),
            "/mlx-clear": lambda _: endpoint.faults.clear(),
            "/mlx-finish": lambda given: endpoint.finish(given.pop("job"), **given),
            "/mlx-interrupt": lambda given: endpoint.interrupt(given.pop("job"), **given),
            "/mlx-outcomes": lambda given: endpoint.next_outcome(given.pop("prefix"), **given),
            "/mlx-policy": lambda given: endpoint.put_role_policy(given["role"], given["policy"]),
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Carry one out."""
        order = self._orders.get(environ["PATH_INFO"])
        status: str = "200 OK"
        answer: Any = None
        try:
            if order is None:
                status, answer = "404 Not Found", sorted(self._orders)
            else:
                given = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                answer = order(json.loads(given or b"{}"))
        except Exception as wrong:
            status, answer = "400 Bad Request", repr(wrong)
        body = json.dumps(answer, default=str).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
