"""Real Airflows for these tests: environments, homes, commands, and what Airflow's own database says afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.standalone import Standalone
from tests.openlineage.collecting import events_into

ROOT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).resolve().parent / "dags"
EXAMPLES = ROOT / "dags_examples"
DRIVER = Path(__file__).resolve().parent / "driver.py"


@dataclass(frozen=True)
class Environment:
    """A virtual environment that ``make`` built, with an Airflow and our package as a user installs it."""

    name: str

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return ROOT / ".build" / self.name / "bin"

    def check(self) -> None:
        """Fail, saying how to build it, if it is not there."""
        assert (self.bin.parent / ".ready").exists(), f"the environment {self.name} is missing: run `make e2e`"


DEMO = Environment("demo")
AIRFLOW_2 = Environment("airflow-2.11")


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    def tail(self, lines: int = 60) -> str:
        """What a CI reader needs."""
        ends = (plain(text).splitlines()[-lines:] for text in (self.stdout, self.stderr))
        return f"exit status {self.code}\n" + "\n--- standard error ---\n".join("\n".join(end) for end in ends)


@dataclass(frozen=True)
class Task:
    """A task instance, as Airflow's database has it."""

    state: str
    tries: int


@dataclass
class Run:
    """A DAG run, as Airflow's database has it: read with sqlite3, not with Airflow."""

    dag_id: str
    run_id: str
    state: str
    tasks: dict[str, Task]
    values: dict[tuple[str, str], Any]
    log: str = field(default="", repr=False)

    def xcom(self, task: str, key: str = "return_value") -> Any:
        """A value as it is stored: plain JSON."""
        return self.values[task, key]

    def states(self) -> dict[str, str]:
        """Every task's state."""
        return {name: task.state for name, task in self.tasks.items()}

    def values_by_name(self) -> dict[str, Any]:
        """Every stored value."""
        return {f"{task}.{key}": value for (task, key), value in self.values.items()}

    def tail(self, lines: int = 80) -> str:
        """States and the end of what was printed."""
        return "\n".join(
            [f"{self.dag_id} {self.run_id}: {self.state} {self.states()}", *self.log.splitlines()[-lines:]]
        )


class Home:
    """
    An AIRFLOW_HOME with a fresh database.

    :param local_root: the artifact root and the environments; by default shared by the whole session, so that packages
        are installed once. ``None`` leaves Airflow's configuration as it is by default.
    """

    def __init__(
        self,
        environment: Environment,
        folder: Path,
        dags: Path,
        *,
        local_root: Path | None,
        env: Mapping[str, str] = {},
    ) -> None:
        environment.check()
        self.environment = environment
        self.folder = folder
        self.dags = dags
        self.root = local_root or folder / "mlx"
        folder.mkdir(parents=True, exist_ok=True)
        roots = {"AIRFLOW__MLX__LOCAL_ROOT": str(local_root)} if local_root else {}
        self.env = {
            **clean_environment(),
            "PATH": f"{environment.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "NO_COLOR": "1",
            "COLUMNS": "500",
            **events_into(folder / "events"),
            **roots,
            **env,
        }

    def migrate(self, template: Path | None = None) -> Home:
        """Make the database, or take the copy of one that was made in the same environment."""
        if template and template.exists():
            shutil.copy(template, self.folder / "airflow.db")
            return self
        done = self.run("airflow", "db", "migrate")
        assert done.code == 0, done.tail()
        if template:
            shutil.copy(self.folder / "airflow.db", template)
        return self

    def start(self, *command: str, env: Mapping[str, str] = {}, log: Path) -> subprocess.Popen[bytes]:
        """Start a program of the environment, printing into a file."""
        with log.open("ab") as sink:
            return subprocess.Popen(
                self._command(command), env={**self.env, **env}, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=sink, stderr=sink, start_new_session=True,
            )  # fmt: skip

    def run(self, *command: str, env: Mapping[str, str] = {}, seconds: float = 300) -> Finished:
        """Run a program of the environment to its end."""
        done = subprocess.run(
            self._command(command), env={**self.env, **env}, cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def dags_test(self, dag_id: str, *options: str, seconds: float = 300) -> tuple[Finished, Run]:
        """``airflow dags test``."""
        done = self.run("airflow", "dags", "test", dag_id, *options, seconds=seconds)
        return done, self.latest(dag_id, log=plain(f"{done.stdout}\n{done.stderr}"))

    def _command(self, command: Sequence[str]) -> list[str]:
        return [str(self.environment.bin / command[0]), *command[1:]]

    # --- what Airflow's database says ------------------------------------------------------------------------------

    def latest(self, dag_id: str, *, log: str = "") -> Run:
        """The DAG's last run."""
        with self._database() as database:
            row = database.execute(
                "select run_id, state from dag_run where dag_id = ? order by id desc limit 1", (dag_id,)
            ).fetchone()
            assert row is not None, f"Airflow has no run of {dag_id}; it printed:\n" + "\n".join(log.splitlines()[-60:])
            at = (dag_id, row[0])
            tasks = database.execute(
                "select task_id, map_index, state, try_number from task_instance where dag_id = ? and run_id = ?", at
            ).fetchall()
            values = database.execute(
                "select task_id, map_index, key, value from xcom where dag_id = ? and run_id = ?", at
            ).fetchall()
        return Run(
            dag_id, row[0], row[1],
            {name_of(task, index): Task(state, tries) for task, index, state, tries in tasks},
            {(name_of(task, index), key): decoded(value) for task, index, key, value in values},
            log,
        )  # fmt: skip

    def wait(self, dag_id: str, *, log: Path, seconds: float = 240) -> Run:
        """Wait until the DAG's run, made by a scheduler that prints into ``log``, has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self._database() as database:
                row = database.execute("select state from dag_run where dag_id = ?", (dag_id,)).fetchone()
            if row is not None and row[0] in ("success", "failed"):
                break
            time.sleep(0.5)
        return self.latest(dag_id, log=plain(log.read_text(errors="replace")))

    def _database(self) -> Any:
        return sqlite3.connect(f"file:{self.folder / 'airflow.db'}?mode=ro", uri=True, timeout=60)


class Drive:
    """DAGs that run one after another in one interpreter, in the background until somebody asks for the results."""

    def __init__(self, home: Home, *requests: str | tuple[str, Mapping[str, Any]]) -> None:
        self.home = home
        self._log = home.folder / "driver.log"
        self._requests = [request if isinstance(request, tuple) else (request, {}) for request in requests]
        self._process = home.start("python", str(DRIVER), json.dumps(self._requests), log=self._log)
        self._runs: dict[str, Run] | None = None

    def __getitem__(self, dag_id: str) -> Run:
        """The run of a DAG, when all have ended."""
        return self.runs()[dag_id]

    def runs(self, *, seconds: float = 400) -> dict[str, Run]:
        """Every run, by DAG."""
        if self._runs is None:
            self._process.wait(timeout=seconds)
            text = plain(self._log.read_text(errors="replace"))
            parts = text.split("=== driver: ")
            logs = {part.split(" ", 1)[0]: part for part in parts[1:]}
            assert all(dag_id in logs for dag_id, _ in self._requests), f"the driver ended early:\n{text[-4000:]}"
            self._runs = {dag_id: self.home.latest(dag_id, log=logs[dag_id]) for dag_id, _ in self._requests}
        return self._runs

    def stop(self) -> None:
        """End the driver, if a failed test has left it running."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=30)


class Lab:
    """A running Airflow (scheduler, workers, triggerer, API), and the runs that tests have started in it."""

    def __init__(self, airflow: Standalone, dags: Path, root: Path, *, log_of_start: str) -> None:
        self.airflow = airflow
        self.log_of_start = log_of_start
        self.dags = dags
        self.root = root
        self._runs: dict[tuple[str, str], LabRun] = {}

    def start(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, dated: bool = True) -> LabRun:
        """Trigger a run, once per session for a DAG and conf."""
        key = (dag_id, json.dumps(conf or {}, sort_keys=True))
        if key not in self._runs:
            self.airflow.wait_for_dag(dag_id)
            self._runs[key] = LabRun(self, dag_id, self.airflow.trigger(dag_id, conf, dated=dated))
        return self._runs[key]

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, dated: bool = True) -> LabRun:
        """Trigger a run, or take the one of this session, and wait for its end."""
        run = self.start(dag_id, conf, dated=dated)
        run.wait()
        return run


@dataclass
class LabRun:
    """One run in the lab, seen through the REST API."""

    lab: Lab = field(repr=False)
    dag_id: str
    run_id: str
    state: str = ""

    def wait(self, *, seconds: float = 300) -> str:
        """Wait for the run's end."""
        if not self.state:
            self.state = self.lab.airflow.wait_for_run(self.dag_id, self.run_id, seconds=seconds)
        return self.state

    def tasks(self) -> dict[str, Task]:
        """Every task instance."""
        found = self.lab.airflow.tasks(self.dag_id, self.run_id)
        return {name_of(task["task_id"], task["map_index"]): Task(task["state"], task["try_number"]) for task in found}

    def states(self) -> dict[str, str]:
        """Every task's state."""
        return {name: task.state for name, task in self.tasks().items()}

    def xcom(self, task: str, key: str = "return_value", *, map_index: int = -1) -> Any:
        """A value as the REST API shows it."""
        return self.lab.airflow.xcom(self.dag_id, self.run_id, task, key, map_index=map_index)

    def log(self, task: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """A task's log."""
        return self.lab.airflow.task_log(self.dag_id, self.run_id, task, try_number=try_number, map_index=map_index)

    def attempts(self) -> list[Path]:
        """The ledger's folders, one per job."""
        return attempts(self.lab.root, self.dag_id, self.run_id)

    def tail(self, lines: int = 40) -> str:
        """States, and the ends of the logs of the tasks that did not succeed."""
        parts = [f"{self.dag_id} {self.run_id}: {self.state} {self.states()}"]
        for task in self.lab.airflow.tasks(self.dag_id, self.run_id):
            if task["state"] == "failed":
                log = self.log(task["task_id"], try_number=max(task["try_number"], 1), map_index=task["map_index"])
                parts += [f"--- {name_of(task['task_id'], task['map_index'])}", *plain(log).splitlines()[-lines:]]
        return "\n".join(parts)


def attempts(root: Path, dag_id: str, run_id: str) -> list[Path]:
    """The ledger's attempt folders of one run: an independent record of the jobs that there were."""
    records = (root / "runs").glob(f"*/{dag_id}/*/*/*/attempt-*/context.json")
    return sorted(path.parent for path in records if json.loads(path.read_bytes())["step"]["run_id"] == run_id)


def clean_environment() -> dict[str, str]:
    """This process's environment without anything of an Airflow."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AIRFLOW", "MLX_TEST", "PYTEST", "VIRTUAL_ENV"))
    }


def decoded(value: Any) -> Any:
    """An XCom's value; SQLite gives numbers of Airflow 3's JSON column as numbers."""
    return json.loads(value) if isinstance(value, (str, bytes)) else value


def name_of(task_id: str, map_index: int) -> str:
    """A task instance's name, as ``square[2]``."""
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


def plain(text: str) -> str:
    """Without the codes for colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def processes_about(place: Path) -> Iterator[str]:
    """Every living process that has a path in its environment, arguments or working folder (Linux)."""
    needle = os.fsencode(place)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            facts = [(entry / name).read_bytes() for name in ("environ", "cmdline")]
            facts.append(os.fsencode((entry / "cwd").readlink()))
        except OSError:  # it has ended, or is not ours
            continue
        if any(needle in fact for fact in facts):
            yield f"{entry.name}: {facts[1].replace(bytes(1), b' ').decode(errors='replace')}"
