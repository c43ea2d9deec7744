"""
The life of one step in a worker: arrive, submit or adopt, watch, collect or fail; stop when Airflow says so.

``decision.py`` decides; this module does what was decided, in the order that makes a crash at any point harmless:
context (takes the number) → bundle → ``job.json`` → backend → ``handle.json`` → watch → ``claim``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn, TypeVar

from ..backends.base import Backend, FoundJob, JobHandle, JobStatus, State
from ..exceptions import BackendUnavailable, Disposition, JobCancelled, JobConflict, JobTimeout, MlxError
from .collection import Collected, collect
from .decision import (
    ENDINGS,
    Arrival,
    Ending,
    KillDecision,
    LedgerSays,
    Move,
    Watch,
    on_arrival,
    on_kill,
    while_watching,
)
from .failures import describe_job, from_error, from_status, lost, result_missing
from .ledger import AttemptLedger, AttemptRecord, Ledger
from .logs import JobLog
from .plan import PlannedAttempt
from .ports import Ports, TryFacts

T = TypeVar("T")

FIRST_LOOK_SECONDS: Final = 0.05
LONGEST_LOOK_SECONDS: Final = 2.0
LONGEST_BACKOFF_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
"""How long a worker whose step timed out waits for the job to stop before it says so."""


@dataclass
class ActiveAttempt:
    """One attempt that this worker looks after."""

    ledger: AttemptLedger
    record: AttemptRecord
    backend: Backend
    handle: JobHandle
    log: JobLog
    cursor: str = ""
    stop_reason: str | None = None


class StepLife:
    """
    Runs one try of one step to its end.

    :param plan: plans the attempt of a number, for the target of an index in the fallback list; pure but for reading.
    :param connect: the backend that a record names, for adoption.
    :param targets: how many targets the fallback list has.
    :param preemptions: further attempts within this try after a lost or preempted job.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        facts: TryFacts,
        plan: Callable[[int, int], PlannedAttempt],
        connect: Callable[[AttemptRecord], Backend],
        ports: Ports,
        targets: int = 1,
        preemptions: int = 0,
    ) -> None:
        self._ledger = ledger
        self._facts = facts
        self._plan = plan
        self._connect = connect
        self._ports = ports
        self._targets = targets
        self._preemptions = preemptions

    def run(self) -> Collected:
        """
        The step's result.

        :raises MlxError: the step failed, timed out, was cancelled, or could not be submitted.
        """
        active: ActiveAttempt | None = None
        try:
            active = self._arrive()
            while True:
                status = self._watch(active)
                error = self._failure(active, status)
                if error is None:
                    return self._collect(active)
                active = self._after_failure(active, error)
        except MlxError:
            raise
        except BaseException as error:
            if active is not None:
                self._interrupted(active, error)
            raise
        finally:
            if active is not None:
                active.log.close()

    # --- arriving ------------------------------------------------------------------------------------------------

    def _arrive(self) -> ActiveAttempt:
        latest = self._patiently("read the ledger", self._ledger.latest)
        if latest is None:
            return self._start(1)
        while True:
            record = self._patiently("read the ledger", latest.read_record)
            if record is None:
                latest.abandon()
                record = latest.read_record()  # its writer may have been faster
            backend = self._connect(record) if record else None
            arrival, found = self._look(latest, record, backend)
            move = on_arrival(arrival)
            if move is Move.NEXT_ATTEMPT or record is None or backend is None:
                self._ports.say(_why_again(arrival, latest.attempt))
                return self._start(latest.attempt + 1)
            if move is not Move.WAIT:
                return self._take_over(move, latest, record, backend, found)
            if found is not None and not found.status.stopping:
                self._ports.say(f"attempt {latest.attempt} is still active and is asked to stop before a new one starts")
                self._patiently("stop the old job", lambda: self._stop(latest, backend, found.handle, "superseded"))
            self._check_killed(None)
            self._ports.pause(1.0)

    def _look(
        self, latest: AttemptLedger, record: AttemptRecord | None, backend: Backend | None
    ) -> tuple[Arrival, FoundJob | None]:
        if record is None or backend is None:
            return Arrival(State.ABSENT, LedgerSays.NOTHING, recorded=False), None
        handle = self._patiently("read the ledger", latest.read_handle)
        try:
            found = backend.find(record.job, handle.location if handle else None)
            state = found.status.state if found else State.ABSENT
        except BackendUnavailable as error:
            self._ports.say(f"waiting: {error}")
            found, state = None, State.UNKNOWN
        if found is not None and found.request_digest != record.request_digest:
            raise JobConflict(
                f"the job {record.job} was made from another request than attempt {latest.attempt}'s",
                job=str(self._ledger.identity),
                remedy="two Airflows with one `[mlx] deployment_id` share this backend: give each its own",
            )
        if found is not None and state.finished:
            self._patiently("bring the results", lambda: backend.collect(found.handle))
        cleared = record.max_tries < self._facts.max_tries or record.run_started != self._facts.run_started
        return Arrival(
            state=state,
            ledger=self._ledger_says(latest),
            submitted=handle is not None,
            stop_requested=self._patiently("read the ledger", latest.read_stop_request) is not None,
            cleared=cleared,
            stopping=bool(found and found.status.stopping),
        ), found

    def _take_over(
        self, move: Move, latest: AttemptLedger, record: AttemptRecord, backend: Backend, found: FoundJob | None
    ) -> ActiveAttempt:
        handle = found.handle if found else JobHandle(record.backend, record.job)
        if move is Move.SUBMIT:
            handle = self._patiently("submit the job", lambda: backend.submit(record.request))
            latest.write_handle(handle)
            self._ports.say(f"submitted {record.backend} job {record.job} as attempt {latest.attempt} recorded it")
        elif move is Move.ADOPT:
            self._ports.say(f"adopted {record.backend} job {record.job} (attempt {latest.attempt}), which is running")
        elif move is Move.COLLECT:
            self._ports.say(f"attempt {latest.attempt} has finished already: its result is collected, nothing is run again")
        self._ports.publish_link(backend.link(handle))
        return ActiveAttempt(latest, record, backend, handle, self._open_log(record))

    # --- starting ------------------------------------------------------------------------------------------------

    def _start(self, number: int, *, target: int = 0, deadline: datetime | None = None) -> ActiveAttempt:
        while True:
            planned = self._plan(number, target)
            ledger = self._ledger.attempt(number)
            self._patiently("upload the code", planned.upload)
            if not self._patiently("write the ledger", lambda: ledger.take(planned.context)):  # noqa: B023
                number += 1  # another worker was faster
                continue
            now = self._ports.now()
            limit = now + planned.limit if planned.limit else None
            record = planned.record(facts=self._facts, started_at=now, deadline=deadline or limit)
            if not self._patiently("write the ledger", lambda: ledger.write_record(record)):  # noqa: B023
                raise JobCancelled(
                    f"attempt {number} was closed by a later try while this worker was away",
                    job=str(self._ledger.identity), remedy="nothing was submitted; the later try goes on",
                )  # fmt: skip
            handle = self._submit(planned.backend, record)
            ledger.write_handle(handle)
            self._ports.say(f"submitted {record.backend} job {record.job} · stack {record.stack} · target {record.target}")
            self._ports.publish_link(planned.backend.link(handle))
            return ActiveAttempt(ledger, record, planned.backend, handle, self._open_log(record))

    def _submit(self, backend: Backend, record: AttemptRecord) -> JobHandle:
        """After an ambiguous failure: find first, never submit blindly."""
        try:
            return backend.submit(record.request)
        except BackendUnavailable as error:
            self._ports.say(f"waiting: {error}")

        def found_or_submitted() -> JobHandle:
            found = backend.find(record.job)
            return found.handle if found else backend.submit(record.request)

        return self._patiently("submit the job", found_or_submitted)

    # --- watching ------------------------------------------------------------------------------------------------

    def _watch(self, active: ActiveAttempt) -> JobStatus:
        """Show the log and wait for the end; the status is a finished one, or absent."""
        pause, said, stop_until = FIRST_LOOK_SECONDS, "", None
        while True:
            status = self._status(active)
            self._show_log(active, patiently=status.state.finished)
            if status.reason and status.reason != said and not status.state.finished:
                self._ports.say(f"waiting: {status.reason}")
            said = status.reason
            now = self._ports.now()
            verdict = while_watching(status, deadline=active.record.deadline, now=now)
            if verdict is Watch.FINISHED:
                return status
            self._check_killed(active)
            if verdict is Watch.TIMED_OUT and stop_until is None:
                active.stop_reason = "timeout"
                self._ports.say("the step's deadline passed: its job is stopped")
                self._patiently("stop the job", lambda: self._stop(active.ledger, active.backend, active.handle, "timeout"))
                stop_until = now + timedelta(seconds=STOP_SECONDS)
            elif stop_until is not None and now > stop_until:
                raise JobTimeout(
                    "the step's deadline passed; its job was asked to stop and has not ended yet",
                    job=self._describe(active), attempt=active.ledger.attempt, log_tail=active.log.tail,
                )  # fmt: skip
            self._ports.pause(pause)
            pause = min(pause * 1.3, LONGEST_LOOK_SECONDS)

    def _status(self, active: ActiveAttempt) -> JobStatus:
        try:
            found = active.backend.find(active.record.job, active.handle.location)
        except BackendUnavailable as error:
            return JobStatus(State.UNKNOWN, str(error).splitlines()[0])
        return found.status if found else JobStatus(State.ABSENT)

    def _show_log(self, active: ActiveAttempt, *, patiently: bool) -> None:
        while True:
            try:
                chunk = active.backend.read_log(active.handle, active.cursor)
            except BackendUnavailable as error:
                if patiently:
                    self._ports.say(f"the end of the job's log cannot be read: {error}")
                return
            active.log.add(chunk.lines)
            if chunk.cursor == active.cursor:
                return
            active.cursor = chunk.cursor

    # --- ending --------------------------------------------------------------------------------------------------

    def _failure(self, active: ActiveAttempt, status: JobStatus) -> MlxError | None:
        """Why there is no result to collect; ``None`` if there is one."""
        if status.state is not State.ABSENT:
            self._patiently("bring the results", lambda: active.backend.collect(active.handle))
        ending = ENDINGS[status.state, self._ledger_says(active.ledger)]
        if ending is Ending.COLLECT:
            return None
        self._keep_log(active)
        job, url, number = self._describe(active), active.backend.link(active.handle), active.ledger.attempt
        if ending is Ending.LOST:
            return lost(status, job=job, attempt=number)
        if ending is Ending.RESULT_MISSING:
            return result_missing(job=job, attempt=number, uri=active.ledger.uri, url=url, log_tail=active.log.tail)
        error = active.ledger.read_error()
        if error is not None and active.stop_reason is None:
            return from_error(error, job=job, attempt=number, url=url)
        return from_status(
            status, job=job, attempt=number, url=url, log_tail=active.log.tail, stop_reason=active.stop_reason
        )

    def _after_failure(self, active: ActiveAttempt, error: MlxError) -> ActiveAttempt:
        if error.disposition is not Disposition.NEXT_ATTEMPT:
            raise error
        number, target = active.ledger.attempt + 1, active.record.target_index
        if self._preemptions > 0:
            self._preemptions -= 1
        elif target + 1 < self._targets:
            target += 1
        else:
            raise error
        self._ports.say(f"{error.what}: attempt {number} follows within this try")
        active.log.close()
        return self._start(number, target=target, deadline=active.record.deadline)

    def _collect(self, active: ActiveAttempt) -> Collected:
        collected = self._patiently("read the result", lambda: collect(active.ledger, active.record))
        self._keep_log(active)
        active.ledger.claim(
            try_number=self._facts.try_number, max_tries=self._facts.max_tries, ti_id=self._facts.ti_id,
            now=self._ports.now(),
        )  # fmt: skip
        active.backend.forget(active.handle)
        return collected

    def _keep_log(self, active: ActiveAttempt) -> None:
        try:
            active.log.save(lambda file: active.ledger.write_log(file.read_text(encoding="utf-8")))
        except BackendUnavailable as error:
            self._ports.say(f"the log could not be kept: {error}")

    # --- being asked to end --------------------------------------------------------------------------------------

    def _check_killed(self, active: ActiveAttempt | None) -> None:
        if self._ports.killed.is_set():
            self._end_by_request(active)

    def _end_by_request(self, active: ActiveAttempt | None) -> NoReturn:
        state = self._ports.task_state()
        decision = on_kill(task_state=state, tries_left=self._facts.tries_left)
        if active is None:
            raise JobCancelled("the worker was asked to end before it had a job", job=str(self._ledger.identity))
        if decision is KillDecision.LEAVE:
            raise JobCancelled(
                "this worker was asked to end while the task still counts as running: the job goes on, "
                "and the next try adopts it",
                job=self._describe(active), attempt=active.ledger.attempt,
            )  # fmt: skip
        self._stop(active.ledger, active.backend, active.handle, f"task is {state}")
        raise JobCancelled(
            f"the task was ended by Airflow (its state is {state}); its job was asked to stop",
            job=self._describe(active), attempt=active.ledger.attempt,
        )  # fmt: skip

    def _interrupted(self, active: ActiveAttempt, error: BaseException) -> None:
        """An exception that is none of ours came into the loop: Airflow's timeout, Ctrl-C, a termination, or a bug."""
        wish = isinstance(error, KeyboardInterrupt) or self._ports.is_timeout(error)
        if not wish:
            decision = on_kill(task_state=self._ports.task_state(), tries_left=self._facts.tries_left)
            wish = decision is KillDecision.STOP
        if wish:
            try:
                self._stop(active.ledger, active.backend, active.handle, type(error).__name__)
            except MlxError as unanswered:
                self._ports.say(f"the job could not be asked to stop: {unanswered}")

    def _stop(self, ledger: AttemptLedger, backend: Backend, handle: JobHandle, reason: str) -> None:
        ledger.request_stop(reason=reason, now=self._ports.now())
        backend.cancel(handle)

    # --- the rest ------------------------------------------------------------------------------------------------

    def _patiently(self, what: str, act: Callable[[], T]) -> T:
        """Do it; unknown is not failed: wait with jitter until there is an answer, or somebody says stop."""
        pause = 1.0
        while True:
            try:
                return act()
            except BackendUnavailable as error:
                self._ports.say(f"cannot {what} yet: {str(error).splitlines()[0]}; trying again in {pause:.0f} s")
            if self._ports.killed.is_set():
                raise JobCancelled(f"asked to end while waiting to {what}", job=str(self._ledger.identity))
            self._ports.pause(pause * random.uniform(0.75, 1.25))  # noqa: S311
            pause = min(pause * 2, LONGEST_BACKOFF_SECONDS)

    def _ledger_says(self, ledger: AttemptLedger) -> LedgerSays:
        if self._patiently("read the ledger", ledger.read_result) is not None:
            return LedgerSays.RESULT
        return LedgerSays.ERROR if self._patiently("read the ledger", ledger.read_error) is not None else LedgerSays.NOTHING

    def _open_log(self, record: AttemptRecord) -> JobLog:
        return JobLog(nonce=record.nonce, show=self._ports.show)

    def _describe(self, active: ActiveAttempt) -> str:
        return describe_job(
            self._ledger.identity, attempt=active.ledger.attempt, backend=active.record.backend, job=active.record.job
        )


def _why_again(seen: Arrival, attempt: int) -> str:
    if not seen.recorded:
        return f"attempt {attempt} was never submitted: a new one starts"
    if seen.stop_requested:
        return f"attempt {attempt} was stopped: a new one starts"
    if seen.cleared:
        return f"attempt {attempt} is from before the task was cleared: a new one starts"
    return f"attempt {attempt} is over ({seen.state.value}): a new one starts"
