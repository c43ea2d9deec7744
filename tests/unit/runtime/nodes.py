"""Jobs of several nodes: a supervisor per node, all on this machine, with the variables that a backend would set."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_mlx.runtime.causes import first_cause
from tests.unit.runtime.conftest import Finished, Job


def free_port() -> int:
    """Below those that the kernel gives to connections: between this and the listening, nobody takes it."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


@dataclass
class Gang:
    """
    The nodes of one job; ``run`` waits for all of them.

    :param processes: per node, for torchrun.
    """

    job: Job
    nodes: int = 2
    launcher: str = "none"
    processes: int = 2
    variables: Callable[[int], dict[str, str]] | None = None
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    attempt: Path = Path()
    command: list[str] = field(default_factory=list)
    port: int = 0

    def prepare(self, source: str, **options: Any) -> None:
        further = options.pop("change", None)

        def change(context: dict[str, Any]) -> None:
            context["nodes"], context["launcher"] = self.nodes, self.launcher
            if further:
                further(context)

        self.command, self.attempt = self.job.prepare(source, change=change, **options)

    def start(self) -> None:
        """Start every node, as an Indexed Job does; again, if it has run before."""
        self.port = free_port()
        self.running, self.logs = [], []
        for node in range(self.nodes):
            log = self.job.root / f"node-{node}-{time.monotonic_ns()}.log"
            env = self.job.environment() | (self.variables or self.of_indexed_job)(node)
            with log.open("wb") as sink:
                self.running.append(
                    subprocess.Popen(self.command, stdout=sink, stderr=subprocess.STDOUT, env=env, cwd=self.job.root)
                )
            self.logs.append(log)

    def of_indexed_job(self, node: int) -> dict[str, str]:
        return {
            "MLX_NODES": str(self.nodes), "JOB_COMPLETION_INDEX": str(node), "MLX_MASTER_ADDR": "127.0.0.1",
            "MLX_MASTER_PORT": str(self.port), "MLX_PROCESSES_PER_NODE": str(self.processes),
        }  # fmt: skip

    def finish(self, seconds: float = 300, *, together: bool = True) -> list[Finished]:
        """
        Wait for all nodes.

        :param together: when one fails, the others are told to stop, as every backend does with a gang.
        """
        until = time.monotonic() + seconds
        told = not together
        while any(node.poll() is None for node in self.running):
            assert time.monotonic() < until, f"the gang did not end\n{self.output()}"
            if not told and any(node.poll() for node in self.running):
                told = True
                self.tell(signal.SIGTERM)
            time.sleep(0.05)
        return [
            Finished(node.returncode, log.read_text(), self.attempt)
            for node, log in zip(self.running, self.logs, strict=True)
        ]

    def run(self, source: str, **options: Any) -> list[Finished]:
        self.prepare(source, **options)
        self.start()
        return self.finish()

    def tell(self, number: int) -> None:
        for node in self.running:
            if node.poll() is None:
                node.send_signal(number)

    def end(self) -> None:
        """Leave nothing running, whatever became of the test."""
        self.tell(signal.SIGTERM)
        for node in self.running:
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                node.kill()

    def until_printed(self, text: str, times: int, seconds: float = 180) -> None:
        until = time.monotonic() + seconds
        while self.output().count(text) < times:
            assert time.monotonic() < until, f"{text!r} was not printed {times} times\n{self.output()}"
            assert any(node.poll() is None for node in self.running), self.output()
            time.sleep(0.05)

    def output(self) -> str:
        return "\n".join(f"--- node {node}\n{log.read_text()}" for node, log in enumerate(self.logs))

    @property
    def error(self) -> dict[str, Any]:
        """The error that a reader chooses, by the rule of the protocol."""
        name = first_cause(path.name for path in (self.attempt / "errors").iterdir())
        return json.loads((self.attempt / "errors" / str(name)).read_text())

    @property
    def errors(self) -> list[str]:
        """Who has left an error, and what it follows from."""
        return sorted(path.stem.split("-", 1)[1] for path in (self.attempt / "errors").iterdir())
