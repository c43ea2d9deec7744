"""
Starting an attempt, in the order that makes a crash at any point harmless.

context (takes the number) → bundle → ``job.json`` → backend → ``handle.json``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from airflow_provider_mlx.backends.base import JobHandle
from airflow_provider_mlx.exceptions import (
    ArtifactError,
    BackendUnavailable,
    CapacityUnavailable,
    JobCancelled,
    QuotaExceeded,
)

from .attempt import ActiveAttempt, check_request
from .current_try import CurrentTry
from .ledger import AttemptRecord
from .plan import PlannedAttempt

Plan = Callable[[int, int], PlannedAttempt]
"""Plans the attempt of a number, for the target of an index in the fallback list; pure but for reading."""


class Plans(Protocol):
    """Where plans come from: made when the first is needed, since a worker that only collects needs none."""

    def first(self, *, checkpoints_since: int) -> Plan:
        """
        Plans from what this try has rendered; every target of the fallback list has been planned.

        :param checkpoints_since: the attempt from which on checkpoints may be used.
        :raises InvalidStep: one of them cannot run the step.
        """

    def again(self, record: AttemptRecord, context: bytes) -> Plan:
        """
        Plans for a further attempt within the try: what the attempt before recorded wins over what is rendered.

        :raises ArtifactError: that record was changed.
        """

    def targets(self) -> int:
        """How many targets the fallback list has."""


@contextlib.contextmanager
def _quota_waits(give_up_at: datetime | None, now: Callable[[], datetime]) -> Iterator[None]:
    """A quota that is used up may have room again: wait, until the target gives way to the next one."""
    try:
        yield
    except QuotaExceeded as error:
        if give_up_at is not None and now() >= give_up_at:
            raise CapacityUnavailable(error.what, remedy=error.remedy) from None
        raise BackendUnavailable(error.what) from None


class NumberTaken(Exception):
    """Another worker has taken the attempt's number: look at what it does, and start nothing beside it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"attempt {number} was taken by another worker meanwhile")


class Submission:
    """
    Starts attempts.

    :param preemptions: further attempts within this try after a lost or preempted job.
    """

    def __init__(self, current: CurrentTry, plans: Plans, *, preemptions: Callable[[], int]) -> None:
        self._current = current
        self._plans = plans
        self._preemptions = preemptions

    def start(self, number: int, *, checkpoints_since: int) -> ActiveAttempt:
        """
        The first attempt of a try, on the first target.

        :param checkpoints_since: the attempt from which on checkpoints may be used.
        :raises NumberTaken: another worker was faster; look again.
        """
        plan = self._plans.first(checkpoints_since=checkpoints_since)
        return self._start(number, 0, plan, preemptions=self._preemptions(), deadline=None)

    def start_again(self, before: ActiveAttempt, *, target: int, preemptions: int) -> ActiveAttempt:
        """A further attempt within the try: the same context, code and deadline."""
        context = self._current.patiently("read the ledger", before.ledger.read_context) or b""
        plan = self._plans.again(before.record, context)
        number = before.ledger.attempt + 1
        try:
            return self._start(number, target, plan, preemptions=preemptions, deadline=before.limits.deadline)
        except NumberTaken:
            raise JobCancelled(
                f"attempt {number} was started by somebody else while this worker was away",
                job=str(self._current.ledger.identity), remedy="that attempt goes on; nothing was submitted here",
            ) from None  # fmt: skip

    def _start(
        self, number: int, target: int, plan: Plan, *, preemptions: int, deadline: datetime | None
    ) -> ActiveAttempt:
        current, planned = self._current, plan(number, target)
        ledger = current.ledger.attempt(number)
        current.patiently("upload the code", planned.upload)
        forged = current.patiently("read the ledger", ledger.has_outcome)  # before anybody has taken the number
        if not current.patiently("write the ledger", lambda: ledger.take(planned.context)):
            raise NumberTaken(number)
        if forged:
            raise ArtifactError(
                f"attempt {number} has a result or an error before its job was submitted", where=ledger.uri,
                job=str(current.ledger.identity),
                remedy="somebody wrote to the artifact root; look at who may write there, and clear the task",
            )  # fmt: skip
        record = planned.record(
            facts=current.facts, started_at=current.ports.now(), deadline=deadline, preemptions_left=preemptions
        )
        if not current.patiently("write the ledger", lambda: ledger.write_record(record)):
            if current.patiently("read the ledger", ledger.read_record) is not None:
                raise NumberTaken(number)
            raise JobCancelled(
                f"attempt {number} was closed by a later try while this worker was away",
                job=str(current.ledger.identity), remedy="nothing was submitted; the later try goes on",
            )  # fmt: skip
        # Again, now that the record refers to it: `gc` may have run in between.
        current.patiently("upload the code", planned.upload)
        handle = JobHandle(record.backend, record.job)
        active = ActiveAttempt(ledger, record, planned.backend, handle, current.open_log(record))
        self.submit(current.answer_for(active))
        current.say(f"submitted {record.backend} job {record.job} · stack {record.stack} · target {record.target}")
        current.ports.publish_link(planned.backend.link(active.handle))
        return active

    def submit(self, active: ActiveAttempt) -> None:
        """
        After an ambiguous failure: find first, never submit blindly.

        This process may have been frozen since the attempt was recorded, and a later try may have gone on without it.
        """
        current = self._current
        known = current.patiently("read the ledger", active.ledger.read_handle)
        if known is not None:
            active.handle = known
            current.ports.tell_started(active)
            return
        if current.patiently("read the ledger", active.ledger.read_stop_request) is not None:
            raise JobCancelled(
                f"attempt {active.ledger.attempt} was stopped by a later try while this worker was away",
                job=str(current.ledger.identity), remedy="nothing was submitted; the later try goes on",
            )  # fmt: skip
        backend, record, asked = active.backend, active.record, False

        def found_or_submitted() -> JobHandle:
            nonlocal asked
            found = backend.find(record.job) if asked else None
            asked = True
            if found is None:
                with _quota_waits(record.give_up_at, current.ports.now):
                    return backend.submit(record.request)
            check_request(found.request_digest, record, str(current.ledger.identity))
            return found.handle

        try:
            active.handle = current.patiently("submit the job", found_or_submitted)
        except CapacityUnavailable as error:  # there may be a next target
            active.refused = error
            current.ports.tell_started(active)
            return
        current.count("submitted", record)
        current.patiently("write the ledger", lambda: active.ledger.write_handle(active.handle))
        current.ports.tell_started(active)
