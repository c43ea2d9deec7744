"""A real MLflow server, in an environment of its own, which is also the interpreter of the steps that log to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from demo.standalone import free_port
from tests.e2e.harness import Environment

MLFLOW: Final = Environment("mlflow")
START_SECONDS: Final = 120


@dataclass(frozen=True)
class MlflowServer:
    """A running tracking server, asked through its REST API."""

    url: str
    folder: Path

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """For a block, with all that it keeps in a folder."""
        MLFLOW.check()
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        command = [
            str(MLFLOW.bin / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts",
        ]  # fmt: skip
        env = {**os.environ, "PATH": f"{MLFLOW.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        found = cls(f"http://127.0.0.1:{port}", folder)
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            until = time.monotonic() + START_SECONDS
            while not found._answers():
                assert process.poll() is None and time.monotonic() < until, found.tail()
                time.sleep(0.5)
            yield found
        finally:
            process.terminate()
            process.wait(30)

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The runs of an experiment, the first begun first."""
        found = self._ask(f"experiments/get-by-name?experiment_name={experiment}")
        asked = {"experiment_ids": [found["experiment"]["experiment_id"]], "order_by": ["attributes.start_time ASC"]}
        runs: list[dict[str, Any]] = self._ask("runs/search", asked)["runs"]
        return runs

    def experiments(self) -> Sequence[str]:
        """The names of all experiments."""
        return sorted(one["name"] for one in self._ask("experiments/search", {"max_results": 100})["experiments"])

    def tail(self, lines: int = 40) -> str:
        """The end of what it printed."""
        return "\n".join((self.folder / "server.log").read_text(errors="replace").splitlines()[-lines:])

    def _ask(self, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _answers(self) -> bool:
        health = f"{self.url}/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=5) as answer:
            return bool(answer.status == 200)
        return False
