"""One attempt in the hands of a worker: what is asked of its job, in one place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from airflow_provider_mlx.backends.base import Backend, JobHandle, JobObserver, JobStatus, LogChunk, State
from airflow_provider_mlx.exceptions import BackendUnavailable, CapacityUnavailable, JobConflict, MlxError, first_line

from .decision import Limits, Watch
from .ledger import AttemptLedger, AttemptRecord
from .logs import JobLog

_CHUNKS_AT_ONCE: Final = 16
"""A job that prints faster than its log can be read must not keep the worker from its clock."""


@dataclass
class ActiveAttempt:
    """
    One attempt that this worker looks after.

    :param handle: made from the name alone until the backend has answered.
    """

    ledger: AttemptLedger
    record: AttemptRecord
    backend: Backend
    handle: JobHandle
    log: JobLog
    cursor: str = ""
    stop_reason: Watch | None = None
    running_since: datetime | None = None
    refused: CapacityUnavailable | None = None
    """The backend has no room for the job at all, and did not make it."""
    _observer: JobObserver | None = None

    def note(self, status: JobStatus, now: datetime) -> None:
        """Remember since when the job runs, for the step's deadline; what cannot be noted now is noted next time."""
        if status.running and self.running_since is None and self.record.limit_seconds is not None:
            with contextlib.suppress(BackendUnavailable):
                self.running_since = self.ledger.note_running(now)

    @property
    def limits(self) -> Limits:
        """When waiting for this job ends."""
        return limits_of(self.record, self.running_since)

    def status(self) -> JobStatus:
        """
        The job's status; no answer is a status too.

        :raises JobConflict: the job of this name was made from another request.
        """
        if self.refused is not None:
            return JobStatus(State.FAILED, f"{self.refused.what} → {self.refused.remedy}", "CapacityUnavailable")
        try:
            found = self.backend.find(self.record.job, self.handle.location or None)
        except BackendUnavailable as error:
            return JobStatus(State.UNKNOWN, first_line(error))
        if found is None:
            return JobStatus(State.ABSENT)
        check_request(found.request_digest, self.record, str(self.ledger.identity))
        return found.status

    def next_status(self, wait_seconds: float) -> JobStatus | None:
        """
        The job's status as soon as it changes, or after the wait; ``None``: this backend is asked by :meth:`status`.

        An end is asked for by :meth:`status` too: it is the word that counts.
        """
        if self._observer is None:
            self._observer = self.backend.observer_of(self.handle)
        if self._observer is None:
            return None
        try:
            seen = self._observer.observe((self.handle,), wait_seconds)[self.handle.name]
        except BackendUnavailable as error:
            return JobStatus(State.UNKNOWN, first_line(error))
        return self.status() if seen.state.finished or seen.state is State.ABSENT else seen

    def close(self) -> None:
        """Free what is held open for this attempt."""
        self.log.close()
        if self._observer is not None:
            self._observer.close()

    def show_log(self, say: Callable[[str], None], *, to_its_end: bool) -> None:
        """Pass on what the job has printed since the last look; what cannot be read now may be read next time."""
        chunks = 0
        while to_its_end or chunks < _CHUNKS_AT_ONCE:
            try:
                chunk = self._next_lines(to_its_end=to_its_end)
            except BackendUnavailable as error:
                if to_its_end:
                    say(f"the end of the job's log cannot be read: {error}")
                return
            self.log.add(chunk.lines)
            if chunk.cursor == self.cursor:
                return
            self.cursor = chunk.cursor
            chunks += 1

    def _next_lines(self, *, to_its_end: bool) -> LogChunk:
        """Followed lines while the job runs, where its observer follows it; its log itself at the end."""
        followed = None if to_its_end or self._observer is None else self._observer.follow(self.handle, self.cursor)
        return self.backend.read_log(self.handle, self.cursor) if followed is None else followed

    def keep_log(self, say: Callable[[str], None]) -> None:
        """Put the whole log beside the result; of a job whose log is gone, what an earlier try has kept stays."""
        try:
            if self.log.lines:
                self.log.save(self.ledger.write_log)
        except BackendUnavailable as error:
            say(f"the log could not be kept: {error}")

    def stop(self, reason: str, now: datetime) -> None:
        """
        Mark the attempt and ask the job to stop, in this order.

        :raises BackendUnavailable: one of the two gave no answer; the other was tried nevertheless.
        """
        unmarked: BackendUnavailable | None = None
        try:
            self.ledger.request_stop(reason=reason, now=now)
        except BackendUnavailable as error:
            unmarked = error
        self._cancel()
        if unmarked is not None:
            raise unmarked

    def _cancel(self) -> None:
        if not self.handle.id and not self.handle.location:  # submitted, and the answer never came
            found = self.backend.find(self.record.job)
            if found is None or found.request_digest != self.record.request_digest:
                return
            self.handle = found.handle
        self.backend.cancel(self.handle)

    def forget(self, say: Callable[[str], None]) -> None:
        """Let the backend remove what it still holds; a collected result is not lost over it."""
        try:
            self.backend.forget(self.handle)
        except MlxError as error:
            say(f"what the backend holds of {self.record.job} could not be removed: {error}")


def limits_of(record: AttemptRecord, running_since: datetime | None) -> Limits:
    """The limits of an attempt; a deadline that an attempt before has set stays."""
    deadline = record.deadline
    if deadline is None and running_since is not None and record.limit_seconds is not None:
        deadline = running_since + timedelta(seconds=record.limit_seconds)
    return Limits(deadline, record.queue_until, record.give_up_at)


def check_request(digest: str, record: AttemptRecord, step: str) -> None:
    """
    Whether a job with our name is ours.

    :raises JobConflict: it was made from another request than the ledger records.
    """
    if digest != record.request_digest:
        raise JobConflict(
            f"the job {record.job} was made from another request than attempt {record.attempt}'s",
            job=step,
            remedy="two Airflows with one `[mlx] deployment_id` share this backend: give each its own",
        )
