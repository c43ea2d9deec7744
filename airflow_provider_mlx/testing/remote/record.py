"""
What really happened: the server appends one JSON line per event, and a test counts from that file alone.

Every line has ``event``, ``time`` (of ``time.time()``, seconds), ``name`` and ``id`` of the job. Events: ``created``
(``labels``, who the request says it is, and ``spot``), ``duplicate_create`` (asked again, answered with the job that is
there), ``conflict`` (asked with another request), ``started``, ``stop_requested``, ``ended`` (``status``, ``failure``,
``exit_code``), ``deleted``.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class RecordWriter:
    """Appends events; whole lines, also when the server is killed between two of them."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = threading.Lock()

    def add(self, event: str, **facts: Any) -> None:
        """Append one event with the time of now."""
        with self._lock:
            line = json.dumps({"event": event, "time": time.time(), **facts}) + "\n"
            os.write(self._file, line.encode())


@dataclass
class RecordedJob:
    """
    One job, as the server saw it; times are of ``time.time()``.

    :param labels: who the request says it is: ``deployment_id``, ``dag_id``, ``run_id``, ``task_id`` and so on.
    :param started: when its process started; ``None`` for a job that never ran.
    :param status: how it ended: ``succeeded``, ``failed``, ``stopped`` or ``vanished``; empty before the end.
    :param duplicates: how often its name was asked for again with the same request.
    :param conflicts: how often its name was asked for with another request.
    :param stop_requests: when a client asked it to stop; a preemption is none.
    """

    name: str
    id: str
    created: float
    labels: Mapping[str, Any] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    status: str = ""
    failure: str | None = None
    exit_code: int | None = None
    duplicates: int = 0
    conflicts: int = 0
    stop_requests: list[float] = field(default_factory=list)
    deleted: float | None = None

    def is_active_at(self, moment: float) -> bool:
        """Whether it had been accepted and was not over then, queued or running."""
        return self.created <= moment and (self.ended is None or moment < self.ended)


@dataclass(frozen=True)
class Record:
    """Every job that a server ever accepted, in the order of their creation."""

    jobs: tuple[RecordedJob, ...]

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record as it stands now; empty where there is no file yet."""
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be half written
        return cls.of(json.loads(line) for line in whole.splitlines())

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Record:
        """The jobs that these events tell of."""
        jobs: dict[str, RecordedJob] = {}
        for event in events:
            if event["event"] == "created":
                jobs[event["id"]] = RecordedJob(event["name"], event["id"], event["time"], event["labels"])
            else:
                _apply(jobs[event["id"]], event)
        return cls(tuple(jobs.values()))

    def created(self, match: str = "", *, run_id: str | None = None) -> list[RecordedJob]:
        """Every job that was created: of names that contain ``match``, of one DAG run."""
        return [
            job for job in self.jobs
            if match in job.name and (run_id is None or job.labels.get("run_id") == run_id)
        ]  # fmt: skip

    def peak_active(self, match: str = "", *, run_id: str | None = None) -> int:
        """How many of them were active at once, at most: accepted and not over, queued ones as well."""
        jobs = self.created(match, run_id=run_id)
        return max((sum(job.is_active_at(other.created) for job in jobs) for other in jobs), default=0)

    def peak_running(self, match: str = "", *, run_id: str | None = None) -> int:
        """How many of them had a process at once, at most."""
        jobs = [job for job in self.created(match, run_id=run_id) if job.started is not None]
        moments = [job.started for job in jobs if job.started is not None]
        return max((sum(job.started <= moment and job.is_active_at(moment) for job in jobs if job.started is not None)
                    for moment in moments), default=0)  # fmt: skip

    def stops(self, match: str = "", *, run_id: str | None = None) -> list[RecordedJob]:
        """The jobs that a client asked to stop."""
        return [job for job in self.created(match, run_id=run_id) if job.stop_requests]

    def active_at(self, moment: float) -> list[RecordedJob]:
        """The jobs that were accepted and not over at a time."""
        return [job for job in self.jobs if job.is_active_at(moment)]

    def orphans_at(self, moment: float) -> list[RecordedJob]:
        """The active jobs that nobody had asked to stop by then; of use when Airflow has ended everything."""
        return [
            job for job in self.active_at(moment) if not any(requested <= moment for requested in job.stop_requests)
        ]


def _apply(job: RecordedJob, event: Mapping[str, Any]) -> None:
    kind, moment = event["event"], float(event["time"])
    if kind == "duplicate_create":
        job.duplicates += 1
    elif kind == "conflict":
        job.conflicts += 1
    elif kind == "started":
        job.started = moment
    elif kind == "stop_requested":
        job.stop_requests.append(moment)
    elif kind == "ended":
        job.ended, job.status = moment, event["status"]
        job.failure, job.exit_code = event["failure"], event["exit_code"]
    elif kind == "deleted":
        job.deleted = moment
