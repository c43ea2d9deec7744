"""Real triggerers over a database with waiting tasks, and what they cost."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from . import deferred

BIN = Path(sys.executable).parent
STALL_SECONDS = 0.1
_BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")


@dataclass
class Triggerers:
    """
    An Airflow home, and the triggerers that run there.

    :param env: beside this process's own: connections, and what the triggers read.
    """

    home: Path
    env: Mapping[str, str]

    def prepare(self, triggers: Sequence[Mapping[str, Any]]) -> None:
        """A database in which every trigger has a task that waits for it."""
        (self.home / "dags").mkdir(parents=True)
        (self.home / "dags" / "waiting.py").write_text(deferred.DAG)
        (self.home / "triggers.json").write_text(json.dumps(list(triggers)))
        for command in (["db", "migrate"], ["dags", "reserialize"], ["dags", "trigger", deferred.DAG_ID]):
            self._do([str(BIN / "airflow"), *command])
        self._do([sys.executable, "-m", "benchmarks.deferred", str(self.home / "triggers.json")])

    @contextmanager
    def running(self, count: int) -> Iterator[list[psutil.Process]]:
        """So many triggerers as long as the block lasts."""
        command = [str(BIN / "airflow"), "triggerer", "--skip-serve-logs", "--capacity", "5000"]
        started = []
        for number in range(1, count + 1):
            with (self.home / f"triggerer-{number}.log").open("wb") as log:
                started.append(psutil.Popen(command, env=self._env, stdout=log, stderr=subprocess.STDOUT))
        try:
            yield started
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(60)

    def waiting(self) -> int:
        """How many tasks are still deferred."""
        return int(self._ask("SELECT count(*) FROM task_instance WHERE state = 'deferred'")[0][0])

    def fired(self) -> dict[int, float]:
        """Map index → when its task was given back to the scheduler, as a time stamp."""
        rows = self._ask("SELECT map_index, updated_at FROM task_instance WHERE state != 'deferred'")
        return {index: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for index, at in rows}

    def longest_stall(self) -> float:
        """Seconds for which an event loop could not run, by Airflow's own watchdog, which looks every 0.1 s."""
        logs = "".join(path.read_text(errors="replace") for path in self.home.glob("triggerer-*.log"))
        return max((float(found) - 0.1 for found in _BLOCKED.findall(logs)), default=0.0)

    @property
    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.env,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__TRIGGERER__BLOCKED_MAIN_THREAD_WARNING_THRESHOLD": str(0.1 + STALL_SECONDS / 2),
        }

    def _do(self, command: list[str]) -> None:
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")

    def _ask(self, query: str) -> list[Any]:
        with sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30) as database:
            return database.execute(query).fetchall()


@dataclass(frozen=True)
class Spent:
    """What some process trees have used since they began."""

    cpu_seconds: float
    memory_bytes: int
    at: float


def spent(processes: Sequence[psutil.Process]) -> Spent:
    """The sum over processes and all their children."""
    cpu, memory = 0.0, 0
    for process in processes:
        for one in [process, *process.children(recursive=True)]:
            times = one.cpu_times()
            cpu += times.user + times.system
            memory += one.memory_info().rss
    return Spent(cpu, memory, time.monotonic())
