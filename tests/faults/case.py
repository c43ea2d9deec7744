"""One case: a row of the table with one subject, and everything that a fault can do to it."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import time
import urllib.error
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.harness import attempts

from .airflow import until
from .judge import GONE, ORPHAN_SECONDS, Seen
from .points import HELD_AT, Point
from .processes import Process, find, is_stopped, parent, send_all
from .records import Job, most_at_once, read_ledger, stops_of_local_jobs
from .subjects import BOUNDED, LOCAL, Subject

if TYPE_CHECKING:
    from .lab import Lab
    from .rows import Row
    from .systems import System

FINAL: Final = ("success", "failed", "skipped", "removed", "upstream_failed", GONE)
TEMPLATES: Final = Path(__file__).resolve().parent / "dags"


class Case:
    """
    A DAG of its own with one step, one run of it, and what is done to them.

    :ivar fault_at: seconds since the epoch; from then the table counts.
    :ivar wrong: what is wrong that the judge cannot see.
    :ivar states_elsewhere: its final states in another Airflow.
    """

    def __init__(self, lab: Lab, row: Row, subject: Subject) -> None:
        self.lab = lab
        self.row = row
        self.subject = subject
        self.dag_id = self.run_id = f"{re.sub(r'[^a-z0-9]+', '-', row.name.lower()).strip('-')}--{subject.name}"
        self.fault_at = 0.0
        self.final_at = 0.0
        self.wrong: list[str] = []
        self.states_elsewhere: list[str] = []
        self._workers: set[Process] = set()

    # --- its DAG and run ---------------------------------------------------------------------------------------------

    def write_dag(self, *, marker: str = "first", salt: str = "") -> None:
        """Write the DAG file; with another marker it is other code."""
        task: dict[str, Any] = {**self.subject.task, "retries": 0, **self.row.task}
        task["seconds"] = {"retry_delay": 2, **task.get("seconds", {})}
        if self.row.bounded:
            task["target"] += BOUNDED
        if self.row.small_disk:
            task["stack"] = self.dag_id
        values = {
            "MARKER": marker,
            "DAG_ID": self.dag_id,
            "TASK": task,
            "ARGUMENTS": {"folder": str(self.lab.folder), **({"salt": salt} if salt else {}), **self.row.arguments},
            "RUN_SECONDS": self.row.run_seconds,
        }
        text = (TEMPLATES / self.subject.template).read_text()
        for name, value in values.items():
            text = re.sub(
                rf"^({name}\b[^=]*= ).*$", lambda found, value=value: f"{found[1]}{value!r}", text, flags=re.M
            )
        draft = self.dag_file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.dag_file)

    @property
    def dag_file(self) -> Path:
        """The DAG's file."""
        return self.lab.dags / f"{self.dag_id}.py"

    def start(self) -> None:
        """Trigger the run; its worker will stop at the row's point, if that is a write of the ledger."""
        if self.row.before is not None:
            self.row.before(self)
        if self.row.at in HELD_AT:
            self.lab.points.arm(self.run_id, self.row.at)
        self.lab.airflow.trigger_named(self.dag_id, self.run_id)

    @property
    def ledger_root(self) -> Path:
        """The artifact root of its stack, or the folder that shows it."""
        system = self.lab.systems.get(self.subject.where)
        if system is not None and system.mirror is not None:
            return system.mirror
        return self.lab.small_roots / self.dag_id if self.row.small_disk else self.lab.root

    @property
    def system(self) -> System:
        """What runs its jobs, where that is one of the lab's systems."""
        return self.lab.systems[self.subject.where]

    def attempt_folders(self) -> list[Path]:
        """The ledger's folders of its run, as they are now."""
        for system in self.lab.systems.values():
            system.look()
        return attempts(self.ledger_root, self.dag_id, self.run_id)

    def task(self) -> dict[str, Any]:
        """The task instance, as Airflow shows it now; of a run that Airflow does not know, that it is gone."""
        try:
            return self.lab.airflow.task(self.dag_id, self.run_id)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return {"state": GONE, "try_number": 0}

    def jobs(self) -> list[Job]:
        """The jobs that the step's own code has recorded."""
        return self.lab.record.of(self.run_id)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def reach_point(self) -> None:
        """Wait until the step is where the row's fault happens."""
        if self.row.at in (Point.BEFORE_CLAIM, Point.AFTER_CLAIM):
            self.release()
        if self.row.at in HELD_AT:
            self._wait_held()
        else:
            self.wait_jobs(1)
        if self.row.at is Point.FINISHED:
            self.freeze(self.task_process())
            self.release()
            self.wait_no_job_lives()
        if self.row.at is Point.RUNNING and self.subject.deferred:
            self.wait_state("deferred")
        time.sleep(self.row.linger)
        self.strike()

    def strike(self) -> None:
        """The fault happens now."""
        self.fault_at = time.time()

    def wait_no_job_lives(self) -> None:
        """Wait until its jobs are over."""
        until(lambda: not self._alive(), 60, f"{self.run_id}: its jobs are over")

    def wait_jobs(self, count: int, seconds: float = 240) -> None:
        """Wait until so many jobs have started."""
        self._before_its_end(lambda: len(self.jobs()) >= count, seconds, f"{count} jobs have started")

    def wait_created(self, seconds: float = 60) -> None:
        """Wait until the backend has a job, whether it has begun or not."""
        until(lambda: self._jobs_of_backend(self.jobs())[0] >= 1, seconds, f"{self.run_id}: there is a job")

    def wait_next_try(self, seconds: float = 240) -> None:
        """Wait until a try after the one of the fault runs, or all is over already."""

        def later() -> bool:
            task = self.task()
            return bool(task["state"] in FINAL or (task["try_number"] > 1 and task["state"] == "running"))

        until(later, seconds, f"{self.run_id}: the next try runs")

    def wait_state(self, *states: str, seconds: float = 240) -> None:
        """Wait until Airflow's word for the task is one of these."""
        until(lambda: self.task()["state"] in states, seconds, f"{self.run_id}: the task is {' or '.join(states)}")

    def wait_final(self, seconds: float = 300) -> None:
        """Wait for the task's final state."""
        self.wait_state(*FINAL, seconds=seconds)
        self.final_at = time.time()

    def _wait_held(self) -> None:
        def held() -> bool:
            pid = self.lab.points.held(self.run_id)
            return pid is not None and is_stopped(pid)

        self._before_its_end(held, 90, f"its worker is {self.row.at.value}")

    def stops(self) -> int:
        """How many of its jobs the backend was asked to stop."""
        return self._jobs_of_backend(self.jobs())[2]

    def any_job_lives(self) -> bool:
        """Whether a job of it still runs."""
        return bool(self._alive())

    def _before_its_end(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something that a task which is over will never do."""

        def happened() -> bool:
            if check():
                return True
            if self.task()["state"] in FINAL:
                raise RuntimeError(f"{self.run_id} is over before this could happen: {what}")
            return False

        until(happened, seconds, f"{self.run_id}: {what}")

    # --- what a fault can do -----------------------------------------------------------------------------------------

    def release(self) -> None:
        """Let its jobs come to their end, now and later."""
        (self.lab.folder / f"{self.run_id}.finish").touch()

    def hold_jobs(self) -> None:
        """Let later jobs run on again."""
        (self.lab.folder / f"{self.run_id}.finish").unlink(missing_ok=True)

    @property
    def has_process(self) -> bool:
        """Whether a worker's process is there now: of a deferred task there is none."""
        return self.lab.points.held(self.run_id) is not None or self.task()["state"] == "running"

    def task_process(self) -> Process:
        """The process that runs the task now."""
        pid = self.lab.points.held(self.run_id)
        held = find(pid) if pid is not None else None
        found = held or until(
            lambda: self.lab.airflow.task_process(self.task()["id"]), 30, f"{self.run_id}: it has a process"
        )
        self._workers.add(found)
        return found

    def supervisor(self) -> Process:
        """The process that watches over the task's; with LocalExecutor it is the executor's worker too."""
        found = find(parent(self.task_process().pid))
        assert found is not None
        return found

    def kill(self, *processes: Process) -> None:
        """SIGKILL."""
        send_all(processes, signal.SIGKILL)

    def freeze(self, *processes: Process) -> None:
        """SIGSTOP."""
        send_all(processes, signal.SIGSTOP)

    def thaw(self, *processes: Process) -> None:
        """SIGCONT."""
        send_all(processes, signal.SIGCONT)

    def thaw_held(self) -> None:
        """Let the process go on that was held, or stopped, at the row's point."""
        pid = self.lab.points.held(self.run_id)
        process = find(pid) if pid is not None else None
        self.thaw(*self._workers, *([process] if process is not None else []))

    def blame(self, what: str) -> None:
        """Say that something is wrong which the judge cannot see."""
        self.wrong.append(what)

    def mark(self, state: str) -> None:
        """Set the task's state, as a user does."""
        self.lab.airflow.mark(self.dag_id, self.run_id, state)

    def clear(self) -> None:
        """Clear the task, as a user does."""
        self.lab.airflow.clear(self.dag_id, self.run_id)

    # --- the end -----------------------------------------------------------------------------------------------------

    def wait_orphans(self) -> int:
        """Give jobs that live on their time; how many are left."""
        with contextlib.suppress(TimeoutError):
            until(lambda: not self._alive(), ORPHAN_SECONDS, "no job is left")
        return len(self._alive())

    def seen(self) -> Seen:
        """What the records say, after the final state."""
        orphans = self.wait_orphans()
        with contextlib.suppress(TimeoutError):  # an old try that still ends may collect something
            until(lambda: not any(worker.alive() for worker in self._workers), ORPHAN_SECONDS, "no worker is left")
        for system in self.lab.systems.values():
            system.look()
        jobs, task = self.jobs(), self.task()
        started, at_once, stops = self._jobs_of_backend(jobs)
        ledger = read_ledger(self.ledger_root, self.dag_id, self.run_id)
        value = self.lab.airflow.value(self.dag_id, self.run_id)
        value = value if isinstance(value, dict) else {}
        made_by = (value.get("host", socket.gethostname()), value.get("pid"))
        return Seen(
            jobs=started, at_once=at_once, finished=sum(job.ended for job in jobs), stops=stops,
            results=ledger.claimed, orphans=orphans, state=task["state"] if task["state"] in FINAL else None,
            tries=task["try_number"], marker=value.get("marker"),
            value_is_of_a_job=any(job.ended and job.id == made_by for job in jobs),
            seconds=self.final_at - self.fault_at,
            said=self.row.expect.said in self.lab.airflow.logs(self.dag_id, self.run_id),
        )  # fmt: skip

    def _jobs_of_backend(self, jobs: list[Job]) -> tuple[int, int, int]:
        """Jobs, how many at once, and stop requests; the job server's own record counts where there is one."""
        at_once = most_at_once(jobs)
        if self.subject.where == LOCAL:
            return len(jobs), at_once, stops_of_local_jobs(self.lab.local_jobs, self.run_id)
        if self.subject.where in self.lab.systems:
            return max(len(jobs), self.system.created(self.run_id)), at_once, self.system.stops(self.run_id)
        assert self.lab.remote is not None
        record, run_id = self.lab.remote.record(), self.run_id
        started = max(len(jobs), len(record.created(run_id=run_id)))
        return started, max(at_once, record.peak_active(run_id=run_id)), len(record.stops(run_id=run_id))

    def clean_up(self) -> None:
        """Leave nothing behind, whatever has happened."""
        self.release()
        self.lab.points.disarm(self.run_id)
        left: Iterable[Process] = [*(job.process for job in self._alive() if job.process), *self._workers]
        for process in left:
            process.send(signal.SIGCONT)
            process.send(signal.SIGKILL)

    def _alive(self) -> list[Job]:
        return [job for job in self.jobs() if job.alive()]
