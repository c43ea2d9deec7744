"""Faults of steps that wait in the triggerer."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Sequence

from .airflow import until
from .case import FINAL, Case

AWAY_SECONDS = 20.0
FROZEN_SECONDS = 60.0
"""Longer than Airflow's patience with a triggerer, which is 15 s here."""


def killed(cases: Sequence[Case]) -> None:
    """SIGKILL to the triggerer; another one comes after a while."""
    airflow = cases[0].lab.airflow
    airflow.end_parts("triggerer")
    time.sleep(AWAY_SECONDS)
    airflow.start_parts("triggerer")
    _release_later(cases)


def shut_down(cases: Sequence[Case]) -> None:
    """SIGTERM to the triggerer, as at a rolling deployment; another one comes at once."""
    airflow = cases[0].lab.airflow
    airflow.end_parts("triggerer", number=signal.SIGTERM)
    airflow.start_parts("triggerer")
    _release_later(cases)


def down_while_the_job_ends(cases: Sequence[Case]) -> None:
    """There is no triggerer when the job ends."""
    airflow = cases[0].lab.airflow
    airflow.end_parts("triggerer")
    for case in cases:
        case.release()
    for case in cases:
        case.wait_no_job_lives()
    airflow.start_parts("triggerer")


def frozen_beside_another(cases: Sequence[Case]) -> None:
    """The owner of the triggers hangs, another triggerer takes them, the first comes back and finds them gone."""
    airflow = cases[0].lab.airflow
    airflow.start_parts("triggerer-2")
    time.sleep(10)
    first = airflow.processes_of("triggerer")
    cases[0].freeze(*first)
    time.sleep(FROZEN_SECONDS)
    cases[0].thaw(*first)
    time.sleep(AWAY_SECONDS)
    _release_later(cases)
    for case in cases:
        case.wait_final()
    airflow.end_parts("triggerer-2", number=signal.SIGTERM)


def upgraded(cases: Sequence[Case]) -> None:
    """The provider changes its version while steps wait: the trigger's row is of another one."""
    airflow = cases[0].lab.airflow
    airflow.end_parts("triggerer")
    with contextlib.closing(sqlite3.connect(airflow.home / "airflow.db", timeout=30)) as database, database:
        rows = database.execute("select id, kwargs from trigger where classpath like '%mlx%'").fetchall()
        for number, kwargs in rows:
            database.execute("update trigger set kwargs = ? where id = ?", (_of_another_version(kwargs), number))
    airflow.start_parts("triggerer")
    _release_later(cases)


def _of_another_version(kwargs: str) -> str:
    changed = kwargs.replace('"version": 1', '"version": 99')
    if changed == kwargs:
        raise ValueError(f"no version is in the trigger's row: {kwargs[:200]}")
    return changed


def _release_later(cases: Sequence[Case]) -> None:
    time.sleep(8)
    for case in cases:
        case.release()


# --- one case alone --------------------------------------------------------------------------------------------------

NO_OPS = 20


def one_after_another(case: Case) -> None:
    """Nineteen more runs of a step that is over at once: none may be red."""
    case.strike()
    for number in range(2, NO_OPS + 1):
        run_id = f"{case.run_id}-{number}"
        case.lab.airflow.trigger_named(case.dag_id, run_id)
        state = _final_state(case, run_id)
        if state != "success":
            case.blame(f"run {number} of {NO_OPS} is {state}")
    for number in range(2, NO_OPS + 1):
        jobs = len(case.lab.record.of(f"{case.run_id}-{number}"))
        if jobs != 1:
            case.blame(f"run {number} of {NO_OPS} had {jobs} jobs")


def _final_state(case: Case, run_id: str) -> str:
    def final() -> str:
        state = str(case.lab.airflow.task(case.dag_id, run_id)["state"])
        return state if state in FINAL else ""

    return until(final, 120, f"{run_id} is over")
