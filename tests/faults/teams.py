"""
Airflow with teams: a team's own connection is given to its tasks only, and a triggerer asks without a task.

Airflow resolves the team from the task instance in the request's token; a triggerer's requests have none.
"""

from __future__ import annotations

import time
from typing import Final

from .airflow import until
from .case import Case

SAID: Final = "a worker watches the job instead"
LOOK_SECONDS: Final = 20.0


def a_worker_watches(case: Case) -> None:
    """The trigger says that it cannot watch, a worker does, and it does not defer again."""
    _reach(case)
    _stays_with_the_worker(case)
    case.release()


def marked_failed(case: Case) -> None:
    """A user marks it while the worker watches that took over."""
    _reach(case)
    _stays_with_the_worker(case)
    case.strike()
    case.mark("failed")


def _reach(case: Case) -> None:
    case.wait_jobs(1)
    until(lambda: _times_said(case) > 0, 90, f"{case.run_id}: its trigger cannot watch")
    case.wait_state("running")
    case.strike()


def _stays_with_the_worker(case: Case) -> None:
    end = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < end:
        state = case.task()["state"]
        if state != "running":
            case.blame(f"the task is {state} while a worker should watch")
            return
        time.sleep(0.5)
    if _times_said(case) != 1:
        case.blame(f"the trigger said {_times_said(case)} times that it cannot watch")


def _times_said(case: Case) -> int:
    return case.lab.airflow.logs(case.dag_id, case.run_id).count(SAID)
