"""A job that prints ten thousand numbered lines: what is kept of them when those who read them are lost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .airflow import until
from .case import Case

LINES = 10_000
BETWEEN = 300
"""So many lines more must have been shown before the next reader is lost."""
GOES_ON = "another triggerer goes on"


def triggerer_lost_twice(cases: Sequence[Case]) -> None:
    """The triggerer is killed twice while the job prints."""
    airflow = cases[0].lab.airflow
    for _ in range(2):
        for case in cases:
            _wait_for_more(case)
        airflow.end_parts("triggerer")
        time.sleep(2)
        airflow.start_parts("triggerer")
    for case in cases:
        case.release()
        case.wait_final()
    for case in cases:
        check_log(case)
        if place := repeated_without_marker(case.lab.airflow.logs(case.dag_id, case.run_id)):
            case.blame(f"the task's log repeats lines without saying so: {place}")


def task_lost(case: Case) -> None:
    """The task's process is killed while the job prints; the next try shows the log from its beginning."""
    case.reach_point()
    _wait_for_more(case)
    case.kill(case.task_process())
    case.wait_next_try()
    case.release()
    case.wait_final()
    check_log(case)


def _wait_for_more(case: Case) -> None:
    def shown() -> int:
        return len(numbered(case.lab.airflow.logs(case.dag_id, case.run_id)))

    before = shown()
    until(lambda: shown() > before + BETWEEN, 60, f"{case.run_id}: {BETWEEN} more lines are shown", pause=1)


def check_log(case: Case) -> None:
    """The whole log is in the ledger, and the task's log lacks nothing."""
    expected = [f"line {number:06d}" for number in range(LINES)]
    kept = case.attempt_folders()[0] / "log.txt"
    if numbered(kept.read_text() if kept.exists() else "") != expected:
        case.blame("log.txt in the ledger does not hold every line once and in order")
    text = case.lab.airflow.logs(case.dag_id, case.run_id)
    missing = set(expected) - set(numbered(text))
    if missing:
        case.blame(f"the task's log lacks {len(missing)} lines, the first is {min(missing)}")


def numbered(text: str) -> list[str]:
    """The step's numbered lines."""
    return [line[line.index("line ") :][:11] for line in text.splitlines() if "line 0" in line]


def repeated_without_marker(text: str) -> str:
    """Where a numbered line comes after a higher one with no marker between the two: the lines about it, or nothing."""
    highest, lines = "", text.splitlines()
    for at, line in enumerate(lines):
        if GOES_ON in line:
            highest = ""
        elif "line 0" in line:
            number = line[line.index("line ") :][:11]
            if number <= highest:
                return " | ".join(lines[max(0, at - 4) : at + 3])
            highest = number
    return ""
