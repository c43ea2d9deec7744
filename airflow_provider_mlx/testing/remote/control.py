"""
Starts a server for a test and makes it misbehave::

    with RemoteServer(tmp_path) as server:
        server.script("preempt", match="train", after_seconds=1, times=2)
        ...
        assert len(server.record().created(run_id="nightly")) == 3
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from .record import Record
from .scripts import Kind


class RemoteServer:
    """
    A server as a process of this host, and its controls.

    :param folder: where jobs and the record lie.
    :param slots: how many jobs run at once; ``None`` for no limit.
    :param env: further environment variables of the server, as the values of secrets.
    :param python: the interpreter of the server, and so of jobs that name none; it must have this package.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slots: int | None = None,
        token: str = "the token of a test",  # noqa: S107
        env: Mapping[str, str] = {},
        python: str = sys.executable,
    ) -> None:
        self.token = token
        self.record_file = folder / "record.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            python, "-m", "airflow_provider_mlx.testing.remote.server", "--folder", str(folder / "jobs"),
            "--record", str(self.record_file), "--token", token,
        ]  # fmt: skip
        command += [] if slots is None else ["--slots", str(slots)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
        assert self.process.stdout is not None
        word, _, port = self.process.stdout.readline().partition(" ")
        if word != "ready":
            raise RuntimeError(f"the server did not start: exit status {self.process.wait()}")
        self.host, self.port = "127.0.0.1", int(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and everything it runs."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

    # --- connecting ------------------------------------------------------------------------------------------------

    def connection(self) -> dict[str, Any]:
        """What an ``AIRFLOW_CONN_…`` variable holds, as JSON."""
        return {
            "conn_type": "http", "host": self.host, "port": self.port, "schema": "http", "password": self.token,
        }  # fmt: skip

    def read_connection(self, conn_id: str) -> Any:
        """Stands in for Airflow: the connection of every id is this server's."""
        return SimpleNamespace(**self.connection())

    # --- misbehaving -----------------------------------------------------------------------------------------------

    def script(
        self, then: Kind, match: str = "", *, after_seconds: float = 0.0, times: int = 1, spot: bool | None = None
    ) -> None:
        """Set a script for jobs that are yet to be created; see ``scripts.Script``."""
        body = {"then": then, "match": match, "after_seconds": after_seconds, "times": times, "spot": spot}
        self.ask("POST", "/control/scripts", body)

    def clear_scripts(self) -> None:
        """Take back what no job has taken yet."""
        self.ask("DELETE", "/control/scripts")

    def outage(self, seconds: float, how: str = "503") -> None:
        """Answer nothing but 503 (or ``drop`` connections) for so long; 0 ends it."""
        self.ask("POST", "/control/outage", {"seconds": seconds, "how": how})

    def rotate_token(self, token: str) -> None:
        """Take another token from now on; :meth:`connection` has it at once."""
        self.ask("POST", "/control/token", {"token": token})
        self.token = token

    # --- looking -----------------------------------------------------------------------------------------------------

    def record(self) -> Record:
        """What really happened so far."""
        return Record.read(self.record_file)

    def requests(self) -> Mapping[str, int]:
        """How many requests of each kind were made, as ``POST /v1/changes``."""
        counted: Mapping[str, int] = self.ask("GET", "/control/requests")[1]
        return counted

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request on a connection of its own: its status and its JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=90)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            text = answer.read()
            if path.startswith("/control/") and answer.status >= 400:
                raise ValueError(f"{method} {path}: {answer.status} {text.decode()}")
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()
