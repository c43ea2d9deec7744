"""
The life of one step in a worker: arrive, submit or adopt, watch, collect or fail; stop when Airflow says so.

``decision.py`` decides; this module does what was decided, in the order that makes a crash at any point harmless:
context (takes the number) → bundle → ``job.json`` → backend → ``handle.json`` → watch → ``claim``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NoReturn, TypeVar

from airflow_provider_mlx.backends.base import Backend, JobHandle, JobStatus, State
from airflow_provider_mlx.exceptions import BackendUnavailable, Disposition, JobCancelled, JobTimeout, MlxError

from .attempt import ActiveAttempt, check_request
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
    why_again,
)
from .failures import describe_job, explain, lost, result_missing
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
        self._active: ActiveAttempt | None = None
        """The attempt that this worker answers for, from just before its job is submitted."""

    def run(self) -> Collected:
        """
        The step's result.

        :raises MlxError: the step failed, timed out, was cancelled, or could not be submitted.
        """
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
            self._interrupted(error)
            raise
        finally:
            if self._active is not None:
                self._active.log.close()

    # --- arriving ------------------------------------------------------------------------------------------------

    def _arrive(self) -> ActiveAttempt:
        latest = self._patiently("read the ledger", self._ledger.latest)
        if latest is None:
            return self._start(1)
        while True:
            record = self._patiently("read the ledger", latest.read_record)
            if record is None:
                self._patiently("write the ledger", latest.abandon)
                record = self._patiently("read the ledger", latest.read_record)  # its writer may have been faster
            backend = self._connect(record) if record else None
            arrival, handle = self._look(latest, record, backend)
            move = on_arrival(arrival)
            if move is Move.NEXT_ATTEMPT or record is None or backend is None:
                self._ports.say(why_again(arrival, latest.attempt))
                if record is not None and not arrival.submitted:  # its writer may only be frozen
                    self._patiently("write the ledger", lambda: self._supersede(latest))
                return self._start(latest.attempt + 1)
            if move is not Move.WAIT:
                return self._take_over(move, latest, record, backend, handle)
            if arrival.state is State.ACTIVE and not arrival.stopping:
                self._ports.say(f"attempt {latest.attempt} is active and is asked to stop before a new one starts")
                old = ActiveAttempt(latest, record, backend, handle, self._open_log(record))
                self._patiently("stop the old job", lambda: old.stop("superseded", self._ports.now()))  # noqa: B023
                old.log.close()
            self._check_killed()
            self._ports.pause(1.0)

    def _look(
        self, latest: AttemptLedger, record: AttemptRecord | None, backend: Backend | None
    ) -> tuple[Arrival, JobHandle]:
        if record is None or backend is None:
            return Arrival(State.ABSENT, LedgerSays.NOTHING, recorded=False), JobHandle("", "")
        handle = self._patiently("read the ledger", latest.read_handle)
        try:
            found = backend.find(record.job, handle.location if handle else None)
            state = found.status.state if found else State.ABSENT
        except BackendUnavailable as error:
            self._ports.say(f"waiting: {str(error).splitlines()[0]}")
            found, state = None, State.UNKNOWN
        if found is not None:
            check_request(found.request_digest, record, str(self._ledger.identity))
            if state.finished:
                self._patiently("bring the results", lambda: backend.collect(found.handle))
        cleared = record.max_tries < self._facts.max_tries or record.run_started != self._facts.run_started
        stop_requested = self._patiently("read the ledger", latest.read_stop_request) is not None
        arrival = Arrival(
            state=state,
            # What a superseded attempt wrote does not matter: a corrupt file cannot keep a clear from working.
            ledger=LedgerSays.NOTHING if cleared or stop_requested else self._ledger_says(latest),
            submitted=handle is not None,
            stop_requested=stop_requested,
            cleared=cleared,
            stopping=bool(found and found.status.stopping),
        )
        return arrival, found.handle if found else handle or JobHandle(record.backend, record.job)

    def _take_over(
        self, move: Move, latest: AttemptLedger, record: AttemptRecord, backend: Backend, handle: JobHandle
    ) -> ActiveAttempt:
        active = self._answer_for(ActiveAttempt(latest, record, backend, handle, self._open_log(record)))
        if move is Move.SUBMIT:
            self._submit(active)
            self._ports.say(f"submitted {record.backend} job {record.job} as attempt {latest.attempt} recorded it")
        elif move is Move.ADOPT:
            self._ports.say(f"adopted {record.backend} job {record.job} (attempt {latest.attempt}), which is running")
        elif move is Move.COLLECT:
            self._ports.say(
                f"attempt {latest.attempt} has finished already: its result is collected, nothing is run again"
            )
        self._ports.publish_link(backend.link(active.handle))
        return active

    def _supersede(self, ledger: AttemptLedger) -> None:
        ledger.request_stop(reason="superseded", now=self._ports.now())

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
            handle = JobHandle(record.backend, record.job)
            active = self._answer_for(ActiveAttempt(ledger, record, planned.backend, handle, self._open_log(record)))
            self._submit(active)
            self._ports.say(
                f"submitted {record.backend} job {record.job} · stack {record.stack} · target {record.target}"
            )
            self._ports.publish_link(planned.backend.link(active.handle))
            return active

    def _submit(self, active: ActiveAttempt) -> None:
        """
        After an ambiguous failure: find first, never submit blindly.

        This process may have been frozen since the attempt was recorded, and a later try may have gone on without it.
        """
        known = self._patiently("read the ledger", active.ledger.read_handle)
        if known is not None:
            active.handle = known
            return
        if self._patiently("read the ledger", active.ledger.read_stop_request) is not None:
            raise JobCancelled(
                f"attempt {active.ledger.attempt} was stopped by a later try while this worker was away",
                job=str(self._ledger.identity), remedy="nothing was submitted; the later try goes on",
            )  # fmt: skip
        backend, record, asked = active.backend, active.record, False

        def found_or_submitted() -> JobHandle:
            nonlocal asked
            found = backend.find(record.job) if asked else None
            asked = True
            if found is None:
                return backend.submit(record.request)
            check_request(found.request_digest, record, str(self._ledger.identity))
            return found.handle

        active.handle = self._patiently("submit the job", found_or_submitted)
        self._patiently("write the ledger", lambda: active.ledger.write_handle(active.handle))

    def _answer_for(self, active: ActiveAttempt) -> ActiveAttempt:
        if self._active is not None:
            self._active.log.close()
        self._active = active
        return active

    # --- watching ------------------------------------------------------------------------------------------------

    def _watch(self, active: ActiveAttempt) -> JobStatus:
        """Show the log and wait for the end; the status is a finished one, or absent."""
        pause, said, stop_until = FIRST_LOOK_SECONDS, "", None
        while True:
            status = active.status()
            active.show_log(self._ports.say, to_its_end=status.state.finished)
            if status.reason and status.reason != said and not status.state.finished:
                self._ports.say(f"waiting: {status.reason}")
            said = status.reason
            now = self._ports.now()
            verdict = while_watching(status, deadline=active.record.deadline, now=now)
            if verdict is Watch.FINISHED:
                return status
            self._check_killed()
            if verdict is Watch.TIMED_OUT and active.stop_reason is None:
                self._ports.say("the step's deadline passed: its job is stopped")
                stop_until = stop_until or now + timedelta(seconds=STOP_SECONDS)
                if self._try_to_stop(active, "timeout"):
                    active.stop_reason = "timeout"
            if stop_until is not None and now > stop_until:
                raise JobTimeout(
                    "the step's deadline passed, and its job has not ended yet",
                    job=self._describe(active), attempt=active.ledger.attempt, log_tail=active.log.tail,
                )  # fmt: skip
            self._ports.pause(pause)
            pause = min(pause * 1.3, LONGEST_LOOK_SECONDS)

    # --- ending --------------------------------------------------------------------------------------------------

    def _failure(self, active: ActiveAttempt, status: JobStatus) -> MlxError | None:
        """Why there is no result to collect; ``None`` if there is one."""
        if status.state is not State.ABSENT:
            self._patiently("bring the results", lambda: active.backend.collect(active.handle))
        ending = ENDINGS[status.state, self._ledger_says(active.ledger)]
        if ending is Ending.COLLECT:
            return None
        active.keep_log(self._ports.say)
        job, url, number = self._describe(active), active.backend.link(active.handle), active.ledger.attempt
        if ending is Ending.LOST:
            return lost(status, job=job, attempt=number)
        if ending is Ending.RESULT_MISSING:
            return result_missing(job=job, attempt=number, uri=active.ledger.uri, url=url, log_tail=active.log.tail)
        error = self._patiently("read the ledger", active.ledger.read_error)
        return explain(
            error, status, job=job, attempt=number, url=url, log_tail=active.log.tail, stop_reason=active.stop_reason
        )

    def _after_failure(self, active: ActiveAttempt, error: MlxError) -> ActiveAttempt:
        deadline = active.record.deadline
        if error.disposition is not Disposition.NEXT_ATTEMPT or self._is_past(deadline):
            raise error
        number, target = active.ledger.attempt + 1, active.record.target_index
        if self._preemptions > 0:
            self._preemptions -= 1
        elif target + 1 < self._targets:
            target += 1
        else:
            raise error
        self._ports.say(f"{error.what}: attempt {number} follows within this try")
        return self._start(number, target=target, deadline=deadline)

    def _is_past(self, deadline: datetime | None) -> bool:
        return deadline is not None and self._ports.now() >= deadline

    def _collect(self, active: ActiveAttempt) -> Collected:
        collected = self._patiently("read the result", lambda: collect(active.ledger, active.record))
        active.keep_log(self._ports.say)
        self._patiently("write the ledger", lambda: self._claim(active))
        active.forget(self._ports.say)
        return collected

    def _claim(self, active: ActiveAttempt) -> None:
        facts = self._facts
        active.ledger.claim(
            try_number=facts.try_number, max_tries=facts.max_tries, ti_id=facts.ti_id, now=self._ports.now()
        )

    # --- being asked to end --------------------------------------------------------------------------------------

    def _check_killed(self) -> None:
        if self._ports.killed.is_set():
            self._end_by_request()

    def _end_by_request(self) -> NoReturn:
        active, state = self._active, self._ports.task_state()
        decision = on_kill(task_state=state, tries_left=self._facts.tries_left)
        if active is None:
            raise JobCancelled("the worker was asked to end before it had a job", job=str(self._ledger.identity))
        if decision is KillDecision.LEAVE:
            raise JobCancelled(
                "this worker was asked to end while the task still counts as running: the job goes on, "
                "and the next try adopts it",
                job=self._describe(active), attempt=active.ledger.attempt,
            )  # fmt: skip
        stopped = self._try_to_stop(active, f"task is {state}")
        raise JobCancelled(
            f"the task was ended by Airflow (its state is {state}); its job "
            + ("was asked to stop" if stopped else "could not be asked to stop, as said above"),
            job=self._describe(active), attempt=active.ledger.attempt,
        )  # fmt: skip

    def _interrupted(self, error: BaseException) -> None:
        """An exception that is none of ours came into the loop: Airflow's timeout, Ctrl-C, a termination, or a bug."""
        if self._active is None:
            return
        wish = isinstance(error, KeyboardInterrupt) or self._ports.is_timeout(error)
        if not wish:
            decision = on_kill(task_state=self._ports.task_state(), tries_left=self._facts.tries_left)
            wish = decision is KillDecision.STOP
        if wish:
            self._try_to_stop(self._active, type(error).__name__)

    def _try_to_stop(self, active: ActiveAttempt, reason: str) -> bool:
        """Ask the job to stop; whether there was an answer. There is no time to wait for one."""
        try:
            active.stop(reason, self._ports.now())
        except MlxError as unanswered:
            self._ports.say(f"the job could not be asked to stop: {str(unanswered).splitlines()[0]}")
            return False
        return True

    # --- the rest ------------------------------------------------------------------------------------------------

    def _patiently(self, what: str, act: Callable[[], T]) -> T:
        """Do it; unknown is not failed: wait with jitter until there is an answer, or somebody says stop."""
        pause = 1.0
        while True:
            try:
                return act()
            except BackendUnavailable as error:
                self._ports.say(f"cannot {what} yet: {str(error).splitlines()[0]}; trying again in {pause:.0f} s")
            self._check_killed()
            self._ports.pause(pause * random.uniform(0.75, 1.25))  # noqa: S311
            pause = min(pause * 2, LONGEST_BACKOFF_SECONDS)

    def _ledger_says(self, ledger: AttemptLedger) -> LedgerSays:
        if self._patiently("read the ledger", ledger.read_result) is not None:
            return LedgerSays.RESULT
        error = self._patiently("read the ledger", ledger.read_error)
        return LedgerSays.NOTHING if error is None else LedgerSays.ERROR

    def _open_log(self, record: AttemptRecord) -> JobLog:
        return JobLog(nonce=record.nonce, show=self._ports.show)

    def _describe(self, active: ActiveAttempt) -> str:
        return describe_job(
            self._ledger.identity, attempt=active.ledger.attempt, backend=active.record.backend, job=active.record.job
        )
