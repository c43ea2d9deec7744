"""Which jobs nobody waits for any more: a table, pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.jobs.decision import KillDecision, on_lost_interest

from .listing import AttemptFolder, RunFolder


class Verdict(enum.Enum):
    """What becomes of a job."""

    STOP = "stop"
    LEAVE = "leave"


@dataclass(frozen=True)
class Judged:
    """A verdict and its reason."""

    verdict: Verdict
    why: str


def may_be_active(runs: list[RunFolder]) -> list[tuple[RunFolder, AttemptFolder]]:
    """Attempts that were recorded and did not say how they ended: their jobs are worth a question."""
    return [
        (run, attempt) for run in runs for attempt in run.attempts if attempt.is_recorded and not attempt.has_outcome
    ]


def judge(
    status: JobStatus | None, *, task_state: str | None, stop_requested: bool, knows_runs: bool, ours: bool
) -> Judged:
    """
    What to do with the job of an attempt.

    :param status: the backend's word; ``None`` if it knows no such job.
    :param task_state: Airflow's word; ``"removed"`` for a task that is gone, ``None`` without an answer.
    :param stop_requested: somebody has wished its end before, and perhaps died before the backend was told.
    :param knows_runs: this Airflow knows other runs of the ledger, so that "gone" is not said by a wrong database.
    :param ours: the job was made from the request that the ledger records.
    """
    if status is None or status.state.finished or status.state is State.ABSENT:
        return Judged(Verdict.LEAVE, "it is over")
    if status.state is State.UNKNOWN:
        return Judged(Verdict.LEAVE, f"the backend gives no answer: {status.reason}")
    if not ours:
        return Judged(Verdict.LEAVE, "it was made from another request than the ledger records: not ours")
    if stop_requested:
        return Judged(Verdict.STOP, "its end was asked for before, and it still runs")
    if task_state is None:
        return Judged(Verdict.LEAVE, "Airflow cannot be asked about its task")
    if task_state == "removed" and not knows_runs:
        return Judged(Verdict.LEAVE, "this Airflow knows none of the ledger's latest runs: is it the right one?")
    if on_lost_interest(task_state) is KillDecision.STOP:
        return Judged(Verdict.STOP, f"its task is {task_state}" if task_state != "removed" else "its task is gone")
    return Judged(Verdict.LEAVE, f"its task is {task_state}")
