"""
The ledger of one task instance in the artifact root: what was submitted, what came back, who took it.

::

    runs/{deployment}/{dag}/{run}/{task}/{map}/
      attempt-1/
        context.json      written first, create-only: the attempt's number is taken
        job.json          the request's digest and the target, before the backend is called
        handle.json       what the backend answered
        running.json      when somebody first saw the job run
        stop_requested    before any stop
        result.json | error.json   written by the job, once
        errors/…          of each process that failed, where there are several or the job has started again
        outputs/…         written by the job
        tasks.json        of a pipeline's run: its tasks, when it is over
        lineage-start, lineage-end   which lineage events were sent
        claim-{try}       which try took the result
        log_shown.json    how far the log was shown while no worker was there
        log.txt           the whole log

Every object but a log is created, never overwritten: two workers that work on one attempt meet here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle
from airflow_provider_mlx.backends.inner import TASKS_FILE, InnerTask, parse_tasks
from airflow_provider_mlx.exceptions import ResultMissing
from airflow_provider_mlx.runtime.causes import first_cause
from airflow_provider_mlx.runtime.protocol import (
    CONTEXT_FILE,
    ERROR_FILE,
    ERRORS_FOLDER,
    LOG_FILE,
    PROTOCOL,
    RESULT_FILE,
)
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

_TIMES: Final = ("started_at", "deadline", "queue_until", "give_up_at")
_RECORD_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class AttemptRecord:
    """
    ``job.json``: what was about to be submitted; never a secret.

    :param max_tries: Airflow's count when this attempt was written; it grows when a user clears the task.
    :param run_started: when Airflow started the DAG run; a run that was cleared, or made anew under the same id,
        starts again.
    :param run_cleared: how often something of the DAG run had been cleared.
    :param limit_seconds: how long the step may run; queueing does not count.
    :param deadline: absolute, UTC; the job is stopped then. ``None`` until an attempt of the try has begun to run.
    :param queue_until: absolute; a job that has not begun to run then is stopped.
    :param give_up_at: absolute; a job that has not begun to run then makes room for the next target.
    :param preemptions_left: further attempts that this try may still make after the backend took the job away.
    """

    attempt: int
    job: str
    backend: str
    conn_id: str | None
    stack: str
    target: str
    target_index: int
    settings: Mapping[str, Any]
    request: Mapping[str, Any]
    request_digest: str
    context_sha256: str
    bundle_sha256: str
    bundle_size: int
    nonce: str
    try_number: int
    max_tries: int
    run_started: str
    run_cleared: int
    started_at: datetime
    deadline: datetime | None
    limit_seconds: float | None
    queue_until: datetime | None
    give_up_at: datetime | None
    preemptions_left: int

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON."""
        value = dict(vars(self))
        value["settings"], value["request"] = dict(self.settings), dict(self.request)
        return {**value, **{name: time.isoformat() for name in _TIMES if (time := value[name]) is not None}}

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> AttemptRecord:
        """The record that :meth:`to_wire` wrote; keys of later releases are left out."""
        known = {key: value[key] for key in cls.__dataclass_fields__}
        times = {name: datetime.fromisoformat(value[name]) for name in _TIMES if value[name] is not None}
        return cls(**{**known, **times})


@dataclass(frozen=True)
class LogShown:
    """
    How far a job's log stands in the task's log.

    :param by: which deferral of the task showed it.
    """

    cursor: str
    lines: int
    by: str


class AttemptLedger:
    """One attempt's folder."""

    def __init__(self, store: ObjectStore, root: str, identity: TaskInstanceIdentity, attempt: int) -> None:
        self.identity = identity
        self.attempt = attempt
        self.uri = join(root, identity.attempt_folder(attempt))
        self.sha256_read: dict[str, str] = {}
        """Object's name → hex SHA-256 of what was read last."""
        self._store = store

    @property
    def context_uri(self) -> str:
        """Where ``context.json`` lies."""
        return join(self.uri, CONTEXT_FILE)

    @property
    def log_uri(self) -> str:
        """Where ``log.txt`` lies."""
        return join(self.uri, LOG_FILE)

    def take(self, context: bytes) -> bool:
        """
        Write the context, and with it take this attempt's number; ``False`` if somebody else has it.

        A write whose answer was lost and that was sent again finds its own context, and that is no refusal.
        """
        return self._store.create(self.context_uri, context) or self.read_context() == context

    def is_taken(self) -> bool:
        """Whether somebody has this attempt's number."""
        return self._store.facts(self.context_uri) is not None

    def read_context(self) -> bytes | None:
        """The recorded context, or ``None``."""
        return self._store.read(self.context_uri, limit=_RECORD_LIMIT)

    def read_checkpoints_since(self) -> int:
        """The attempt from which on this one could use checkpoints."""
        value = self._read(CONTEXT_FILE) or {}
        since = value.get("checkpoints_since")
        return since if isinstance(since, int) else self.attempt

    def write_record(self, record: AttemptRecord) -> bool:
        """
        Record what is about to be submitted; ``False`` if a later try has closed this attempt.

        A write whose answer was lost and that was sent again finds its own record, and that is no refusal.
        """
        if self._store.create(join(self.uri, "job.json"), _json(record.to_wire())):
            return True
        found = self.read_record()
        ours = (record.request_digest, record.started_at)
        return found is not None and (found.request_digest, found.started_at) == ours

    def abandon(self) -> bool:
        """Close an attempt that has a context and no record, so that its writer, if it wakes up, submits nothing."""
        return self._store.create(join(self.uri, "job.json"), _json({"abandoned": True}))

    def read_record(self) -> AttemptRecord | None:
        """What was about to be submitted, or ``None`` if the writer died before it got there."""
        value = self._read("job.json")
        if value is None or value.get("abandoned"):
            return None
        try:
            return AttemptRecord.from_wire(value)
        except (KeyError, TypeError, ValueError) as error:
            raise _corrupt(join(self.uri, "job.json"), f"{type(error).__name__}: {error}") from error

    def write_handle(self, handle: JobHandle) -> None:
        """Record what the backend answered."""
        self._store.create(join(self.uri, "handle.json"), _json(handle.to_wire()))

    def read_handle(self) -> JobHandle | None:
        """What the backend answered, or ``None``."""
        value = self._read("handle.json")
        return None if value is None else JobHandle.from_wire(value)

    def note_running(self, now: datetime) -> datetime:
        """Since when the job runs: now, unless somebody saw it before."""
        self._store.create(join(self.uri, "running.json"), _json({"since": now.isoformat()}))
        value = self._read("running.json") or {}
        try:
            return datetime.fromisoformat(str(value.get("since")))
        except ValueError:
            return now

    def request_stop(self, *, reason: str, now: datetime) -> None:
        """Say that this attempt is to be stopped, before it is."""
        self._store.create(join(self.uri, "stop_requested"), _json({"reason": reason, "at": now.isoformat()}))

    def read_stop_request(self) -> Mapping[str, Any] | None:
        """Why and when a stop was asked for, or ``None``."""
        return self._read("stop_requested")

    def read_result(self) -> Mapping[str, Any] | None:
        """``result.json``, or ``None``."""
        return self._checked(RESULT_FILE)

    def read_error(self) -> Mapping[str, Any] | None:
        """
        Why the attempt failed, or ``None``.

        Several processes may have said so, and a job that started again within the attempt, too: ``error.json`` is
        what came first, and the names under ``errors/`` tell from which of them the others follow.
        """
        came_first = self._checked(ERROR_FILE)
        if came_first is None:
            return None
        found = self._store.list(join(self.uri, ERRORS_FOLDER))
        name = first_cause(facts.uri.rpartition("/")[2] for facts in found)
        return came_first if name is None else self._checked(f"{ERRORS_FOLDER}/{name}") or came_first

    def read_tasks(self) -> tuple[InnerTask, ...]:
        """What the attempt's job consisted of; empty for a job that is one thing, or whose end nobody saw."""
        body = self._read(TASKS_FILE)
        try:
            return parse_tasks(body) if body is not None else ()
        except (ValueError, KeyError, TypeError) as error:
            raise _corrupt(join(self.uri, TASKS_FILE), f"{type(error).__name__}: {error}") from error

    def has_outcome(self) -> bool:
        """Whether there is a result or an error, whoever wrote it."""
        return any(self._store.facts(join(self.uri, name)) is not None for name in (RESULT_FILE, ERROR_FILE))

    def claim(self, *, try_number: int, max_tries: int, ti_id: str, result_sha256: str, now: datetime) -> None:
        """
        Record that a try took the result; a later try may take it again if that one died.

        :param result_sha256: of ``result.json`` as that try read it.
        """
        claim = {
            "try_number": try_number, "max_tries": max_tries, "ti_id": ti_id, "result_sha256": result_sha256,
            "at": now.isoformat(),
        }  # fmt: skip
        self._store.create(join(self.uri, f"claim-{try_number}"), _json(claim))

    def was_claimed(self, *, first: int, before: int) -> bool:
        """
        Whether an earlier try than ``before`` took the result.

        :param first: the try that made the attempt.
        """
        return any(self._read(f"claim-{number}") is not None for number in range(first, before))

    def write_log_shown(self, shown: LogShown) -> None:
        """Say how far the job's log stands in the task's log, for whoever goes on after a lost process."""
        self._store.write(join(self.uri, "log_shown.json"), _json(vars(shown)))

    def read_log_shown(self) -> LogShown | None:
        """What :meth:`write_log_shown` wrote last, or ``None``."""
        value = self._read("log_shown.json") or {}
        cursor, lines, by = value.get("cursor"), value.get("lines"), value.get("by")
        if isinstance(cursor, str) and isinstance(lines, int) and isinstance(by, str):
            return LogShown(cursor, lines, by)
        return None

    def write_log(self, file: Path) -> None:
        """Keep the whole log beside the result."""
        self._store.replace(file, self.log_uri)

    def _checked(self, name: str) -> Mapping[str, Any] | None:
        value = self._read(name)
        if value is None:
            return None
        step = value.get("step")
        expected = self.identity.job_name(self.attempt)
        if value.get("protocol") != PROTOCOL or not isinstance(step, Mapping) or step.get("job") != expected:
            raise ResultMissing(
                f"{name} is not this attempt's: expected protocol {PROTOCOL} and job {expected}, found protocol "
                f"{value.get('protocol')!r} and job {step.get('job') if isinstance(step, Mapping) else step!r}",
                where=join(self.uri, name),
                remedy="look at the file; clear the task to run the step again",
            )
        return value

    def _read(self, name: str) -> Mapping[str, Any] | None:
        uri = join(self.uri, name)
        data = self._store.read(uri, limit=_RECORD_LIMIT)
        if data is None:
            return None
        self.sha256_read[name] = hashlib.sha256(data).hexdigest()
        try:
            value = json.loads(data, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise _corrupt(uri, str(error)) from error
        if not isinstance(value, dict):
            raise _corrupt(uri, "it is not a JSON object")
        return value


class Ledger:
    """All attempts of one task instance."""

    def __init__(self, store: ObjectStore, root: str, identity: TaskInstanceIdentity) -> None:
        self.identity = identity
        self.root = root
        self.store = store

    def attempt(self, number: int) -> AttemptLedger:
        """The ledger of one attempt, whether it exists or not."""
        return AttemptLedger(self.store, self.root, self.identity, number)

    def latest(self) -> AttemptLedger | None:
        """The newest attempt whose number was taken, or ``None``."""
        number = 0
        while self.attempt(number + 1).is_taken():
            number += 1
        return self.attempt(number) if number else None


def utc_now() -> datetime:
    """The clock of the loops; what decides takes the time as an argument."""
    return datetime.now(UTC)


def _no_number(word: str) -> None:
    """JSON has no ``NaN``: it would go into XCom, where a database refuses it."""
    raise ValueError(f"{word} is no JSON")


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _corrupt(uri: str, why: str) -> ResultMissing:
    return ResultMissing(
        f"a record of the ledger cannot be read: {why}",
        where=uri,
        remedy="something else wrote there: look at the file, remove it, then clear the task",
    )
