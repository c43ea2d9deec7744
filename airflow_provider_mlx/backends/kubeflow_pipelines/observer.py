"""
What the triggerer sees of all runs of a server: one list of those that have ended, a hundred per question.

A run's row holds its pipeline and all its tasks, so that lists of everything are what makes this API slow. The server
is asked which of our runs are in a state that ends them: its answer is empty until one is. Runs whose step has not
begun are read whole, since only their tasks tell, and less often the more there are.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from airflow_provider_mlx.backends.base import JobHandle, JobObserver, JobStatus, LogChunk, State

from .client import KubeflowPipelinesClient
from .looking import Looking
from .names import run_id

ENDED: Final = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED", "CANCELING")
"""``RuntimeState`` from which on a run does not simply run."""
WHOLE: Final = 20
"""Runs of one look that are read whole."""
SECONDS_PER_WAITING_RUN: Final = 0.5
"""How much less often runs are read whole that have not begun; at the least every :data:`LONGEST_WAIT_SECONDS`."""
LONGEST_WAIT_SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 5.0
"""How often runs are read again that are over or absent, as long as somebody is interested."""
PRESENCE_SECONDS: Final = 60.0
"""How often runs are counted: one that somebody deleted is in no list."""


def id_of(handle: JobHandle) -> str:
    """The id of a job's run: one that somebody else has made is known by its own, ours by the job's name."""
    return handle.id or run_id(handle.name)


class Followed(Protocol):
    """The logs of running jobs; the thread that observes calls ``retain``, the triggerer's loop calls ``take``."""

    def take(self, job: JobHandle, cursor: str) -> LogChunk:
        """What has come since the cursor; never waits."""

    def retain(self, jobs: Sequence[JobHandle]) -> None:
        """These jobs run now."""

    def close(self) -> None:
        """Free what it holds open."""


class KubeflowPipelinesObserver(JobObserver):
    """
    Sees the runs of one connection and namespace.

    :param followed: their logs, where they can be read while they run.
    """

    pause_seconds = 2.0

    def __init__(self, client: KubeflowPipelinesClient, looking: Looking, followed: Followed | None) -> None:
        self._client = client
        self._looking = looking
        self._followed = followed
        self._known: dict[str, JobStatus] = {}
        self._whole_at = self._counted_at = self._settled_at = float("-inf")

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """Ask for what has ended, and for what is new; it does not wait."""
        runs = {job.name: id_of(job) for job in jobs}
        wanted = set(runs.values())
        self._known = {run: status for run, status in self._known.items() if run in wanted}
        self._read(sorted(wanted - self._known.keys())[:WHOLE])
        self._ask_for_ended()
        self._read_waiting()
        self._read_settled()
        self._count()
        if self._followed is not None:
            begun = {run for run, status in self._known.items() if status.running}
            self._followed.retain([job for job in jobs if runs[job.name] in begun])
        unknown = JobStatus(State.UNKNOWN, "it was not asked for yet")
        return {name: self._known.get(run, unknown) for name, run in runs.items()}

    def follow(self, handle: JobHandle, cursor: str) -> LogChunk:
        """What has come of a running job's log; where it cannot be followed, it is read at the end."""
        known = self._known.get(id_of(handle))
        if self._followed is None or known is None or not known.running:
            return LogChunk((), cursor)
        return self._followed.take(handle, cursor)

    def close(self) -> None:
        """Close the clients."""
        if self._followed is not None:
            self._followed.close()
        self._client.close()

    def _ask_for_ended(self) -> None:
        for run in self._client.list_runs(run_ids=self._active(), states=ENDED):
            self._known[str(run["run_id"])] = self._looking.status(run)

    def _read_waiting(self) -> None:
        waiting = [run for run in self._active() if not self._known[run].running]
        pause = min(len(waiting) * SECONDS_PER_WAITING_RUN, LONGEST_WAIT_SECONDS)
        if waiting and time.monotonic() - self._whole_at >= pause:
            self._whole_at = time.monotonic()
            self._read(waiting)

    def _read_settled(self) -> None:
        """What is over can be removed, or run again from its page; and what was absent can be made."""
        settled = sorted(self._known.keys() - set(self._active()))
        if settled and time.monotonic() - self._settled_at >= SETTLED_SECONDS:
            self._settled_at = time.monotonic()
            self._read(settled[:WHOLE])

    def _count(self) -> None:
        """Find those that are gone: only what is missing is asked for by name."""
        if time.monotonic() - self._counted_at < PRESENCE_SECONDS:
            return
        self._counted_at = time.monotonic()
        active = self._active()
        if self._client.count_runs(active) < len(active):
            there = {str(run["run_id"]) for run in self._client.list_runs(run_ids=active)}
            self._confirm_absent(run for run in active if run not in there)

    def _read(self, runs: Sequence[str]) -> None:
        """Read runs whole."""
        missing = set(runs)
        for run in self._client.list_runs(run_ids=runs):
            missing.discard(str(run["run_id"]))
            self._known[str(run["run_id"])] = self._looking.status(run)
        self._confirm_absent(sorted(missing))

    def _confirm_absent(self, runs: Iterable[str]) -> None:
        """No list is definite: a run may have been stored while it was read."""
        for one in runs:
            run = self._client.find_run(one)
            self._known[one] = JobStatus(State.ABSENT) if run is None else self._looking.status(run)

    def _active(self) -> list[str]:
        over = (State.SUCCEEDED, State.FAILED, State.STOPPED, State.ABSENT)
        return sorted(run for run, status in self._known.items() if status.state not in over)
