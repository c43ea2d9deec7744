"""Airflow forgets a run whose job goes on: ``reap`` stops that job, and no other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .case import Case
from .judge import ORPHAN_SECONDS
from .obstacles import job_name

if TYPE_CHECKING:
    from .lab import Lab

SCHEDULER_SECONDS = 3.0
"""Airflow 3.3's scheduler ends with ObjectDeletedError if a run goes while it looks at it: it is started again."""
BY_ITSELF_SECONDS = 15.0
"""So long the provider may notice a deleted task by itself."""


def restored(cases: Sequence[Case]) -> None:
    """All of Airflow is lost, and its database comes back as it was before some of the runs."""
    airflow = cases[0].lab.airflow
    copy = airflow.copy_database()
    _start_late(cases)
    airflow.end_parts(*airflow.parts)
    airflow.restore_database(copy)
    airflow.start_parts(*airflow.parts)
    _reap(cases)


def deleted(cases: Sequence[Case]) -> None:
    """A user deletes a DAG whose step is deferred."""
    _start_late(cases)
    _delete_late(cases)
    time.sleep(BY_ITSELF_SECONDS)
    _reap(cases)


def deleted_without_triggerer(cases: Sequence[Case]) -> None:
    """The same while no triggerer lives, so that nobody learns of it."""
    _start_late(cases)
    airflow = cases[0].lab.airflow
    airflow.end_parts("triggerer")
    _delete_late(cases)
    time.sleep(BY_ITSELF_SECONDS)
    _reap(cases)


def _start_late(cases: Sequence[Case]) -> None:
    late = [case for case in cases if case.row.late]
    for case in late:
        case.start()
    for case in late:
        case.reach_point()


def _delete_late(cases: Sequence[Case]) -> None:
    for case in cases:
        if case.row.late:
            case.dag_file.unlink()  # else the DAG would be there again at once
            case.lab.airflow.delete_dag(case.dag_id)
    time.sleep(SCHEDULER_SECONDS)
    cases[0].lab.airflow.mend()


def _reap(cases: Sequence[Case]) -> None:
    """Look, then act: only ``--apply`` changes anything, and only what nobody waits for."""
    lab = cases[0].lab
    forgotten = [case for case in cases if case.row.late and case.any_job_lives()]
    before = [case.stops() for case in cases]
    looked = reaped(lab)
    for case in forgotten:
        _blame_unless(case, looked, "without --apply", verdict="stop", done="")
    time.sleep(3)
    if [case.stops() for case in cases] != before or not all(case.any_job_lives() for case in forgotten):
        forgotten[0].blame("`reap` without --apply stopped a job")
    applied = reaped(lab, "--apply")
    for case in forgotten:
        _blame_unless(case, applied, "with --apply", verdict="stop", done="asked to stop")
    for case in cases:
        if not case.row.late and applied.get(job_name(case), {}).get("verdict", "leave") != "leave":
            case.blame(f"`reap` stops a healthy job: {applied[job_name(case)]}")
    _wait(lambda: not any(case.any_job_lives() for case in forgotten))
    left = reaped(lab)
    for case in forgotten:
        if job_name(case) in left:
            case.blame(f"after `reap --apply` its job is still there: {left[job_name(case)]}")
    for case in cases:
        if not case.row.late:
            if not case.any_job_lives():
                case.blame("its job is over, and nobody had let it end")
            case.release()


def reaped(lab: Lab, *options: str) -> Mapping[str, Mapping[str, Any]]:
    """
    What ``reap`` says, by the job's name.

    :raises RuntimeError: it failed.
    """
    done = lab.airflow.command("reap", "--json", *options)
    if done.returncode != 0:
        raise RuntimeError(f"reap: exit status {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return {item["job"]: item for item in json.loads(done.stdout)["attempts"]}


def _blame_unless(case: Case, answer: Mapping[str, Mapping[str, Any]], when: str, **expected: str) -> None:
    said = answer.get(job_name(case), {})
    if {key: said.get(key) for key in expected} != expected:
        case.blame(f"`reap` {when} says {dict(said)} of its job, not {expected}")


def _wait(check: Callable[[], bool]) -> None:
    end = time.monotonic() + ORPHAN_SECONDS
    while not check() and time.monotonic() < end:
        time.sleep(0.5)
