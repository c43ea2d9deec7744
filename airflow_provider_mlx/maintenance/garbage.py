"""
What of an artifact root may be removed: pure, from its listing, Airflow's words and the time.

A run is judged as a whole, since its steps use each other's outputs: while it is not over, nothing of it is touched.
Of a task that Airflow still knows, the small records stay: they are how the next attempt gets its number, and some
backends never give a job's name again. Checkpoints stay as long as their task instance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.lineage.names import END_MARK
from airflow_provider_mlx.runtime.protocol import CONTEXT_FILE, ERROR_FILE, RESULT_FILE
from airflow_provider_mlx.step.identity import path_segment

from .listing import AttemptFolder, RunFolder, TaskFolder

OVER: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""Airflow's words for a task instance that nothing will happen to by itself."""

RECORDS: Final = frozenset({CONTEXT_FILE, "job.json", "handle.json", "stop_requested"})
"""What stays of an attempt whose task Airflow still knows; a few kilobytes."""

GRACE: Final = timedelta(days=1)
"""Whatever was written since may be in use, whoever says what."""

BUNDLE_GRACE: Final = timedelta(days=7)
"""Longer than ``jobs.plan.BUNDLE_RENEWAL``: a bundle that is still used is younger."""


@dataclass(frozen=True)
class Keep:
    """How long what is over is kept."""

    results: timedelta
    failures: timedelta


@dataclass(frozen=True)
class RunPlan:
    """
    What becomes of one run.

    :param remove: objects, in the order in which they go: results first, so that nobody finds half of one.
    :param kept: the attempts whose code is kept.
    :param why: why it is kept, empty where something is removed.
    """

    run: RunFolder
    remove: tuple[ObjectFacts, ...] = ()
    kept: tuple[AttemptFolder, ...] = ()
    why: str = ""

    @property
    def size(self) -> int:
        """The bytes that it frees."""
        return sum(facts.size for facts in self.remove)


def is_old(run: RunFolder, keep: Keep, now: datetime) -> bool:
    """Whether anything of a run is old enough to be worth a question to Airflow."""
    least = max(GRACE, min(keep.results, keep.failures))
    return any(now - attempt.modified >= least for attempt in run.attempts)


def plan_run(
    run: RunFolder, states: Mapping[str, str] | None, *, gone: frozenset[str], keep: Keep, now: datetime, knows: bool
) -> RunPlan:
    """
    What of one run may go.

    :param states: Airflow's words for all its task instances, ours or not; empty: it does not know the run.
    :param gone: those of :attr:`RunFolder.tasks` that are not among them.
    :param knows: this Airflow knows other runs of the ledger, so that "gone" is not said by a wrong database.
    """
    why = _why_kept(run, states, now, knows=knows)
    if why:
        return RunPlan(run, kept=tuple(run.attempts), why=why)
    results_too = now - run.modified >= max(keep.results, GRACE)
    remove: list[ObjectFacts] = []
    kept: list[AttemptFolder] = []
    for key, task in run.tasks.items():
        old = {number for number, item in task.attempts.items() if _is_over(item, keep, now, results_too=results_too)}
        kept += [item for number, item in task.attempts.items() if number not in old]
        remove += _of_task(task, old, whole=key in gone and old == set(task.attempts))
    return RunPlan(run, tuple(remove), tuple(kept), "" if remove else "nothing of it is old enough, or large enough")


def _why_kept(run: RunFolder, states: Mapping[str, str] | None, now: datetime, *, knows: bool) -> str:
    if now - run.modified < GRACE:
        return "something was written there within a day"
    if states is None:
        return "Airflow cannot be asked about it"
    if not states and not knows:
        return "this Airflow knows none of the ledger's latest runs: is it the right one?"
    waiting = sorted(f"{task} is {state}" for task, state in states.items() if state not in OVER)
    return f"the run is not over: {waiting[0]}" if waiting else ""


def _is_over(attempt: AttemptFolder, keep: Keep, now: datetime, *, results_too: bool) -> bool:
    """Results go with their run, since a later step may have been given them; what failed goes by itself."""
    return results_too if attempt.has_result else now - attempt.modified >= max(keep.failures, GRACE)


def _of_task(task: TaskFolder, old: set[int], *, whole: bool) -> list[ObjectFacts]:
    """
    :param whole: the task instance is gone and all its attempts are old: nothing of it stays.
    """
    found = [
        facts
        for number in sorted(old)
        for name, facts in task.attempts[number].objects.items()
        if whole or name not in RECORDS
    ]
    first = (f"/{RESULT_FILE}", f"/{ERROR_FILE}")
    last = (f"/{CONTEXT_FILE}", f"/{END_MARK}")  # a start whose end is gone would be told again
    found.sort(key=lambda facts: (not facts.uri.endswith(first), facts.uri.endswith(last)))
    return [*task.further, *found] if whole else found


def unused_bundles(
    bundles: Iterable[ObjectFacts], *, used: Iterable[str], runs: Iterable[RunFolder], now: datetime
) -> tuple[list[ObjectFacts], str]:
    """
    Bundles that may go, and why there are none where an attempt is being recorded right now.

    :param used: digests that kept attempts name, of all deployments of this root.
    """
    needed = set(used)
    for run in runs:
        for attempt in run.attempts:
            if not attempt.is_recorded and now - attempt.modified < GRACE:
                return [], f"{attempt.uri} is being recorded and does not name its bundle yet"
    stale = [item for item in bundles if digest_of(item) and is_stale(item, now)]
    return [item for item in stale if digest_of(item) not in needed], ""


def is_stale(bundle: ObjectFacts, now: datetime) -> bool:
    """Whether no step can have found this bundle lately; asked again just before it is removed."""
    return bundle.modified is not None and now - bundle.modified >= BUNDLE_GRACE


def digest_of(bundle: ObjectFacts) -> str:
    """The digest that a bundle's name says; empty for another object."""
    match = re.fullmatch(r"([0-9a-f]{64})\.zip", bundle.uri.rpartition("/")[2])
    return match[1] if match else ""


def gone_tasks(run: RunFolder, states: Mapping[str, str]) -> frozenset[str]:
    """The task instances of a run's folder that Airflow's answer does not have."""
    return frozenset(key for key in run.tasks if not any(_is_of(state, key) for state in states))


def _is_of(state_key: str, folder: str) -> bool:
    """Whether Airflow's key (``task``, ``task_3``) names the task instance of a folder (``task/-1``, ``task/3``)."""
    task, _, index = folder.rpartition("/")
    if index == "-1":
        return path_segment(state_key) == task
    return state_key.endswith(f"_{index}") and path_segment(state_key.removesuffix(f"_{index}")) == task
