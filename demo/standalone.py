"""A real Airflow on SQLite as a child process: start, ask over REST, stop. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

FINISHED = ("success", "failed")
BUSY_SECONDS = 60
"""How long a call is made again when SQLite is locked: now and then Airflow's parts hold it up for seconds."""


class Standalone:
    """
    ``airflow standalone`` with its own home: scheduler, workers, triggerer, DAG processor, API server.

    :param bin_folder: the environment's ``bin``.
    :param home: AIRFLOW_HOME, made if it is not there.
    :param dags: folder of DAG files.
    :param port: of the API server and UI; by default a free one.
    """

    def __init__(
        self, *, bin_folder: Path, home: Path, dags: Path, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.bin = bin_folder
        self.home = home
        self.port = port or free_port()
        self.url = f"http://localhost:{self.port}"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
            "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-for-this-demonstration-only-0123456789abcdef0123456789abcdef",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__MLX__ALLOW_LOCAL": "true",
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._login: dict[str, str] = {}

    @property
    def log(self) -> Path:
        """Where all of Airflow's processes print."""
        return self.home / "standalone.log"

    def start(self, *, seconds: float = 240) -> None:
        """
        Start Airflow and wait until its API and scheduler answer.

        :raises RuntimeError: it did not come up; the message has the log's end.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.bin / "airflow"), "standalone"],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + seconds
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
                raise RuntimeError(f"Airflow did not come up within {seconds:.0f} s; its log ends:\n{tail}")
            time.sleep(0.5)

    def stop(self) -> None:
        """End the whole process group: a SIGTERM to ``standalone`` alone leaves its children behind."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
        self._process = None

    def __enter__(self) -> Standalone:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """
        One call of the public REST API; asked again while SQLite, which has one writer, is too busy for it.

        :param path: below ``/api/v2``.
        :raises urllib.error.HTTPError: the answer is an error.
        """
        request = urllib.request.Request(  # noqa: S310  (always http://localhost)
            f"{self.url}/api/v2/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._login},
            method=method or ("GET" if body is None else "POST"),
        )
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code == HTTPStatus.UNAUTHORIZED and not self._login:
                    break
                if not _rolled_back(error) or time.monotonic() > until:
                    raise
                time.sleep(0.5)
        # Airflow 3.1 wants a token of whoever may do everything, too.
        with urllib.request.urlopen(f"{self.url}/auth/token", timeout=60) as answer:  # noqa: S310
            self._login = {"Authorization": f"Bearer {json.load(answer)['access_token']}"}
        return self.ask(path, body, method=method)

    def wait_for_dag(self, dag_id: str, *, seconds: float = 120) -> None:
        """
        Wait until the DAG processor has read the DAG.

        :raises RuntimeError: it did not; the message has the import errors.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(urllib.error.HTTPError):
                self.ask(f"dags/{dag_id}")
                return
            time.sleep(0.5)
        errors = [error["stack_trace"] for error in self.ask("importErrors")["import_errors"]]
        raise RuntimeError(f"Airflow does not know the DAG {dag_id}; import errors: {errors or 'none'}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, dated: bool = True) -> str:
        """Start a run, with the present as its logical date, as the trigger form does; its id."""
        now = datetime.now(UTC).isoformat() if dated else None
        run = self.ask(f"dags/{dag_id}/dagRuns", {"logical_date": now, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def wait_for_run(
        self, dag_id: str, run_id: str, *, seconds: float = 600, progress: Callable[[str, str], None] | None = None
    ) -> str:
        """
        Wait for a run's end; its state.

        :param progress: told of each task's every new state.
        :raises TimeoutError: it did not end.
        """
        said: dict[str, str] = {}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state = str(self.ask(f"dags/{dag_id}/dagRuns/{run_id}")["state"])
            for task in self.tasks(dag_id, run_id):
                name = task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")
                if task["state"] and said.get(name) != task["state"]:
                    said[name] = task["state"]
                    if progress:
                        progress(name, task["state"])
            if state in FINISHED:
                return state
            time.sleep(0.5)
        raise TimeoutError(f"the run {run_id} of {dag_id} has not ended within {seconds:.0f} s")

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances."""
        found: list[dict[str, Any]] = self.ask(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1) -> Any:
        """An XCom's value, as the REST API gives it."""
        place = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.ask(f"{place}?map_index={map_index}&deserialize=false&stringify=false")["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """A task's log as text."""
        place = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}?map_index={map_index}"
        return "\n".join(text_of(line) for line in self.ask(place)["content"])

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310
                health = json.load(answer)
        except (OSError, ValueError):
            return False
        return bool(health["scheduler"]["status"] == "healthy")


def _rolled_back(error: urllib.error.HTTPError) -> bool:
    """Whether the API server says that its database refused the statement, in which case nothing was done."""
    if error.code != HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    try:
        return bool(json.load(error)["detail"]["reason"] == "Database error")
    except (ValueError, LookupError, TypeError):
        return False


def text_of(line: Any) -> str:
    """A log line as text, with the exceptions that Airflow keeps beside it: type, message, and the last frames."""
    if not isinstance(line, dict):
        return str(line)
    lines = [str(line.get("event", line))]
    for error in line.get("error_detail") or ():
        frames = error.get("frames") or ()
        lines += [f"  {frame['filename']}:{frame['lineno']}, in {frame['name']}" for frame in frames[-3:]]
        lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return "\n".join(lines)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
