"""Attempts whose lineage has a start and no end, although nobody is left to tell it: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.jobs.decision import KillDecision, on_lost_interest
from airflow_provider_mlx.lineage.names import END_MARK, START_MARK

from .listing import AttemptFolder, RunFolder

QUIET: Final = timedelta(minutes=10)
"""Since the last write in an attempt's folder: a worker that has just ended it may be about to tell of it."""

FORGOTTEN: Final = timedelta(days=1)
"""After so long without a write, a job that is not known on this machine is not sought on another one either."""


@dataclass(frozen=True)
class Untold:
    """
    An attempt that was told of at its start only.

    :param latest: there is no later attempt of its task instance.
    """

    attempt: AttemptFolder
    latest: bool


def untold(runs: Iterable[RunFolder], now: datetime) -> Iterator[Untold]:
    """The attempts that are worth a question, by a listing alone."""
    for run in runs:
        for task in run.tasks.values():
            for number, attempt in task.attempts.items():
                told = attempt.is_recorded and START_MARK in attempt.objects and END_MARK not in attempt.objects
                if told and now - attempt.modified >= QUIET:
                    yield Untold(attempt, number == max(task.attempts))


def is_left_alone(item: Untold, *, task_state: str | None, knows_runs: bool) -> bool:
    """
    Whether somebody else may still tell its end: the task itself, whose try adopts the job or has just collected it.

    :param task_state: Airflow's word; ``"removed"`` for a task that is gone, ``None`` without an answer.
    :param knows_runs: this Airflow knows other runs of the ledger, so that "gone" is not said by a wrong database.
    """
    if task_state is None or (task_state == "removed" and not knows_runs):
        return True
    return item.latest and on_lost_interest(task_state) is not KillDecision.STOP


def is_over(state: State, item: Untold, *, seen_everywhere: bool, now: datetime) -> bool:
    """
    Whether the backend's word is its last one.

    :param seen_everywhere: the backend's jobs can be seen from every machine, so that "there is none" is definite.
    """
    if state is State.ABSENT:
        return seen_everywhere or item.attempt.has_outcome or now - item.attempt.modified >= FORGOTTEN
    return state.finished
