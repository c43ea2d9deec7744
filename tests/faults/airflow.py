"""A real Airflow whose parts are processes of their own, so that each can be killed, stopped and started again."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from demo.standalone import Standalone, free_port
from tests.e2e.harness import plain, processes_about
from tests.openlineage.collecting import events_into

from .gate import Gate
from .processes import Process, find, send_all, titled, tree
from .worlds import ORDINARY, World

T = TypeVar("T")

PARTS: Final = ("api-server", "scheduler", "dag-processor", "triggerer")
LOCAL_JOB: Final = "backends/local/launcher.py"
HEARTBEAT_SECONDS: Final = 20
"""Airflow's default is 300: shortened, so that a lost worker is noticed within a test."""

LOCK_SECONDS: Final = 4
"""How long SQLite waits for a lock. The API server can wait for itself (its event loop for a thread that has the lock,
and the thread for the loop) and answers nobody for so long; who gets an error then asks again."""

_SHORTENED: Final = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    # Ten minutes by default. While its API was unreachable, the scheduler may take the late "success" of one try for the
    # answer of the next, and leave that one queued until then.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}


class Airflow(Standalone):
    """
    The parts of one Airflow 3, with LocalExecutor and SQLite. A task reaches Airflow's API through a gate.
    """

    def __init__(
        self, *, bin_folder: Path, home: Path, dags: Path, env: Mapping[str, str], parallelism: int = 12,
        world: World = ORDINARY,
    ) -> None:  # fmt: skip
        super().__init__(bin_folder=bin_folder, home=home, dags=dags)
        self.url = f"http://127.0.0.1:{self.port}"
        self.api_gate = Gate(self.port)
        self.parts = PARTS
        self._world = world
        self._ended = threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._hands = threading.RLock()  # of a case's, or of the supervisor's: one of them ends and starts parts
        self._one_at_a_time = threading.Lock()
        self.env |= {
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.api_gate.port}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.absolute()}/airflow.db?timeout={LOCK_SECONDS}",
            "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "NO_COLOR": "1",
            **events_into(home / "events"),
            **_SHORTENED,
            **world.variables(dags),
            **env,
        }

    # --- its parts -------------------------------------------------------------------------------------------------

    def start(self, *, seconds: float = 240) -> None:
        """Make the database, start every part, and wait until the scheduler lives."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not (self.home / "airflow.db").exists():
            self._prepare("db", "migrate")
            if self._world.team:
                self._prepare("teams", "create", self._world.team)
            # Else a reader of Airflow's API keeps the scheduler from writing, and both stand still for a minute.
            with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
                database.execute("pragma journal_mode = wal")
        self.start_parts(*self.parts, seconds=seconds)
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def _supervise(self) -> None:
        """Start again what has ended by itself: a scheduler does when SQLite is locked for too long."""
        while not self._ended.wait(2):
            with self._hands:
                for name, process in [*self._running.items()]:
                    if process.poll() is None:
                        continue
                    print(
                        f"{name} has ended by itself (exit code {process.returncode}); it is started again", flush=True
                    )
                    self.end_parts(name)
                    self._launch(name)

    def _prepare(self, *arguments: str) -> None:
        with self._log_of("prepare").open("ab") as log:
            subprocess.run(
                [str(self.bin / "airflow"), *arguments], env=self.env, check=True, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip

    def start_parts(self, *names: str, seconds: float = 240) -> None:
        """Start some parts; with the scheduler or the API server, wait until both answer."""
        if "api-server" in names and "scheduler" in names:
            self._launch(*(name for name in names if name != "scheduler"))
            until(self._answers, seconds, "the API server answers")  # a worker that starts sooner fails its task
            self._launch("scheduler")
        else:
            self._launch(*names)
        if {"api-server", "scheduler"} & set(names):
            until(self._healthy, seconds, "Airflow answers")

    def _launch(self, *names: str) -> None:
        for name in names:
            env = self.env
            if name == "triggerer-2":
                env = env | {"AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port())}
            part = name.removesuffix("-2")
            with self._log_of(name).open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [str(self.bin / "airflow"), part, *self._world.options(part)],
                    env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5):
            return True

    def processes_of(self, *names: str) -> list[Process]:
        """Every process of some parts, the workers and tasks under the scheduler included; local jobs are no parts."""
        running = [self._running[name].pid for name in names if name in self._running]
        return [process for pid in running for process in tree(pid, without=LOCAL_JOB)]

    def end_parts(self, *names: str, number: signal.Signals = signal.SIGKILL, patience: float = 20) -> None:
        """Signal some parts and wait for their end; what is left then is killed."""
        with self._hands:
            known = self.processes_of(*names)
            ending = [self._running.pop(name) for name in names if name in self._running]
        if number is signal.SIGKILL:
            send_all(known, number)
        for process in ending:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        send_all(known, signal.SIGKILL)

    def mend(self) -> None:
        """Whatever has gone is there again, as a process supervisor sees to it."""
        self.api_gate.open()
        gone = [part for part in self.parts if part not in self._running or self._running[part].poll() is not None]
        self.end_parts(*gone)
        self.start_parts(*gone)

    def copy_database(self) -> Path:
        """A copy of the database as it is now."""
        copy = self.home / "yesterday.db"
        copy.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database,
            contextlib.closing(sqlite3.connect(copy)) as other,
        ):
            database.backup(other)
        return copy

    def restore_database(self, copy: Path) -> None:
        """Put a copy in the database's place; no part may run."""
        for end in ("", "-wal", "-shm"):
            (self.home / f"airflow.db{end}").unlink(missing_ok=True)
        copy.rename(self.home / "airflow.db")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``python -m airflow_provider_mlx …`` in this Airflow's environment."""
        return subprocess.run(
            [str(self.bin / "python"), "-m", "airflow_provider_mlx", *arguments], env=self.env, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def stop(self) -> None:
        """End everything that belongs to this home; once."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.api_gate.open()
        self.end_parts(*self._running, number=signal.SIGTERM, patience=8)
        for line in list(processes_about(self.home)):
            process = find(int(line.partition(":")[0]))
            if process is not None:
                process.send(signal.SIGKILL)
        self.api_gate.close()

    def _log_of(self, part: str) -> Path:
        return self.home / f"{part}.log"

    # --- tasks -------------------------------------------------------------------------------------------------------

    def task(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """The run's only task instance, as the REST API shows it."""
        return self.tasks(dag_id, run_id)[0]

    def task_process(self, ti_id: str) -> Process | None:
        """The process that runs a task instance: the task runner gives itself this title."""
        return titled(f"airflow worker -- {ti_id}")

    def trigger_named(self, dag_id: str, run_id: str) -> None:
        """Start a run under an id of ours; one at a time, since SQLite has one writer."""
        self.wait_for_dag(dag_id, seconds=600)  # a whole table is four hundred files to read

        def post() -> bool:
            try:
                with self._one_at_a_time:
                    self.ask(f"dags/{dag_id}/dagRuns", {"logical_date": None, "dag_run_id": run_id})
            except urllib.error.HTTPError as error:
                if error.code != 409:
                    raise
            return True

        until(post, 60, f"{run_id} is triggered")

    def mark(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the task's state, as a user does in the UI."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/step"
        until(lambda: self.ask(path, {"new_state": state}, method="PATCH") is not None, 60, f"{run_id} is marked")

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear the task, as a user does in the UI."""
        body = {
            "dry_run": False, "dag_run_id": run_id, "task_ids": ["step"], "only_failed": False, "only_running": False,
            "reset_dag_runs": True,
        }  # fmt: skip
        until(lambda: self.ask(f"dags/{dag_id}/clearTaskInstances", body), 60, f"{run_id} is cleared")

    def delete_dag(self, dag_id: str) -> None:
        """Delete a DAG with its runs, as a user does; its file must be gone."""

        def deleted() -> bool:
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(f"{self.url}/api/v2/dags/{dag_id}", method="DELETE"), timeout=60
                ):
                    return True
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return True
                raise

        until(deleted, 60, f"{dag_id} is deleted")

    def value(self, dag_id: str, run_id: str) -> Any:
        """The task's ``return_value``; ``None`` if there is none."""
        try:
            return self.xcom(dag_id, run_id, "step")
        except urllib.error.HTTPError:
            return None

    def logs(self, dag_id: str, run_id: str) -> str:
        """
        Everything that any try has logged, from the files, in the order of its time: a worker writes to a file of its
        own before and after the triggerers write to theirs. JSON lines become their texts.
        """
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
        lines: list[tuple[str, str]] = []
        for file in sorted(path for path in folder.rglob("attempt=*") if path.is_file()):
            at = ""
            for line in file.read_text(errors="replace").splitlines():
                at = _time(line) or at
                lines.append((at, line))
        return plain("\n".join(_text(line) for _, line in sorted(lines, key=lambda one: one[0])))


def until(check: Callable[[], T], seconds: float, what: str, *, pause: float = 0.4) -> T:
    """
    Ask again and again, until the answer is true; an Airflow that does not answer is asked again.

    :raises TimeoutError: it never became true.
    """
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            found = check()
            if found:
                return found
        except (OSError, ValueError, LookupError) as error:
            last = error
        time.sleep(pause)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s" + (f" ({last!r})" if last else ""))


def _time(line: str) -> str:
    """When a line was logged, in UTC; empty for a line that does not say."""
    try:
        value = json.loads(line)
        return datetime.fromisoformat(value["timestamp"]).astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, KeyError, TypeError):
        return ""


def _text(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return line
    if not isinstance(value, dict):
        return line
    errors = [f"{error.get('exc_type')}: {error.get('exc_value')}" for error in value.get("error_detail") or ()]
    return "\n".join([f"{str(value.get('timestamp', ''))[11:23]} {value.get('event', line)}", *errors])
