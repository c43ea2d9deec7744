"""
What the triggerer sees of all jobs of a region: one list of what has changed, and a question per job that has.

SageMaker has no watch. Its lists are filtered by our name prefix and by the time of the last change, 100 jobs a page,
so that the cost follows the changes. That a job is over is in a list, too: no task waits for a question of its own.
What is not, why a job waits or failed, is asked for as far as one look may ask.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobHandle, JobObserver, JobStatus, LogChunk, State
from airflow_provider_mlx.exceptions import BackendUnavailable

from .client import AwsClient, Missing
from .following import Following
from .names import PREFIX, sagemaker_name
from .settings import Kind
from .status import RUNS, STATES, WORDS, status_of

PAGE: Final = 100
PAGES: Final = 50
"""Of one look: who has more jobs than this pages reach is asked for by name."""
OVERLAP: Final = timedelta(seconds=60)
"""Lists may lag behind, and their times are whole seconds."""
QUESTIONS: Final = 20
"""Of one look; of jobs that are left over is known what the list has told, and nothing until then of those in none."""
FINISHED_AGAIN_SECONDS: Final = 10.0
ACTIVE_AGAIN_SECONDS: Final = 600.0
"""A job whose record is removed is in no list: once in a while each is asked for by name."""


@dataclass
class Known:
    """
    What was seen of a job last.

    :param version: of the list's entry: its words and the time of its last change.
    :param asked_at: when it was asked for by name, on the monotonic clock.
    """

    version: tuple[Any, ...]
    status: JobStatus
    asked_at: float


class SageMakerObserver(JobObserver):
    """Sees the training or the processing jobs of one connection and region."""

    pause_seconds = 2.0

    def __init__(self, client: AwsClient, kind: Kind) -> None:
        self._client = client
        self._kind: Kind = kind
        self._words = WORDS[kind]
        self._known: dict[str, Known] = {}
        self._changed_until: datetime | None = None
        self._following = Following(client, kind)

    def observe(self, jobs: Sequence[JobHandle], wait_seconds: float) -> Mapping[str, JobStatus]:
        """One list, then a question per job of which it does not tell enough; it does not wait."""
        names = {job.name: sagemaker_name(job.name) for job in jobs}
        wanted = set(names.values())
        self._known = {name: known for name, known in self._known.items() if name in wanted}
        if wanted:
            entries = self._changes(wanted)
            self._ask(self._questions(wanted, entries), entries)
            self._following.refresh({name for name, known in self._known.items() if known.status.running})
        unknown = Known((), JobStatus(State.UNKNOWN, "it was not asked for yet"), 0.0)
        return {job: self._known.get(name, unknown).status for job, name in names.items()}

    def follow(self, handle: JobHandle, cursor: str) -> LogChunk | None:
        """What a running job has printed, as far as the last look has brought it."""
        return self._following.take(handle, cursor)

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def _changes(self, wanted: set[str]) -> dict[str, Mapping[str, Any]]:
        """The list's entries of jobs of interest: all that have changed, or at first as many as there are."""
        request: dict[str, Any] = {"NameContains": PREFIX, "MaxResults": PAGE, "SortBy": "CreationTime"}
        request["SortOrder"] = "Descending"
        first = self._changed_until is None
        if self._changed_until is not None:
            request["LastModifiedTimeAfter"] = self._changed_until - OVERLAP
        found: dict[str, Mapping[str, Any]] = {}
        asked_at: datetime | None = None
        for _ in range(PAGES):
            answer = self._client.call(f"list_{self._kind}_jobs", **request)
            asked_at = asked_at or _answered_at(answer)
            for entry in answer[f"{self._kind.capitalize()}JobSummaries"]:
                if entry[self._words.name] in wanted:
                    found[entry[self._words.name]] = entry
            token = answer.get("NextToken")
            if not token or (first and wanted <= found.keys()):
                break
            request["NextToken"] = token
        self._changed_until = asked_at
        return found

    def _questions(self, wanted: set[str], entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Who must be asked for by name; what the list tells is noted."""
        now, questions = time.monotonic(), []
        for name in sorted(wanted):
            entry, known = entries.get(name), self._known.get(name)
            if entry is not None and (known is None or known.version != self._version(entry)):
                status = self._told(entry)
                if status is not None:
                    self._known[name] = Known(self._version(entry), status, now)
                if status is None or status.state in (State.FAILED, State.STOPPED):
                    questions.append(name)
            elif known is None or now - known.asked_at > self._rest(known.status):
                questions.append(name)
        return questions[:QUESTIONS]

    def _ask(self, names: Sequence[str], entries: Mapping[str, Mapping[str, Any]]) -> None:
        for name in names:
            version = self._version(entries[name]) if name in entries else ()
            known = self._known.get(name)
            try:
                job = self._client.call(f"describe_{self._kind}_job", **{self._words.name: name})
                status = status_of(self._kind, job)
            except Missing:
                status = JobStatus(State.ABSENT)
            except BackendUnavailable:
                if known is None:
                    raise
                continue  # the others are asked all the same, and this one again at the next look
            self._known[name] = Known(version or (known.version if known else ()), status, time.monotonic())

    def _told(self, entry: Mapping[str, Any]) -> JobStatus | None:
        """What an entry tells: that a job is over, and that a training job simply runs. ``None``: ask for it."""
        state = STATES.get(entry[self._words.status], State.UNKNOWN)
        if state.finished:
            return JobStatus(state, running=state is State.SUCCEEDED)
        runs = entry[self._words.status] == "InProgress" and entry.get("SecondaryStatus") in RUNS
        return JobStatus(State.ACTIVE, running=True) if runs else None

    def _version(self, entry: Mapping[str, Any]) -> tuple[Any, ...]:
        return entry[self._words.status], entry.get("SecondaryStatus"), entry.get("LastModifiedTime")

    def _rest(self, status: JobStatus) -> float:
        return FINISHED_AGAIN_SECONDS if status.state is not State.ACTIVE else ACTIVE_AGAIN_SECONDS


def _answered_at(answer: Mapping[str, Any]) -> datetime:
    """By the clock that also writes the times in a list; this host's may be wrong."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
