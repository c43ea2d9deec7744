"""Arriving at a task instance: what is there already, and what to do about it (``decision.ARRIVAL``)."""

from __future__ import annotations

from airflow_provider_mlx.backends.base import Backend, JobHandle, State
from airflow_provider_mlx.exceptions import (
    BackendUnavailable,
    JobCancelled,
    Preempted,
    ResultMissing,
    StepFailed,
    first_line,
)

from .attempt import ActiveAttempt, check_request
from .current_try import CurrentTry
from .decision import Arrival, LedgerSays, Move, is_clear, on_arrival, why_again
from .ledger import AttemptLedger, AttemptRecord
from .ports import TryFacts
from .submission import NumberTaken, Submission


class Arriving:
    """Submits, adopts or takes over: afterwards the worker has an attempt to watch."""

    def __init__(self, current: CurrentTry, submission: Submission) -> None:
        self._current = current
        self._submission = submission

    def arrive(self) -> ActiveAttempt:
        """The attempt that this try goes on with."""
        while True:
            try:
                return self._arrive()
            except NumberTaken as taken:
                # This worker may have been frozen since it looked, and another one has gone on without it.
                self._current.say(f"{taken}: looking again")

    def _arrive(self) -> ActiveAttempt:
        current, ledger = self._current, self._current.ledger
        latest = current.patiently("read the ledger", ledger.latest)
        if latest is None:
            return self._submission.start(1, checkpoints_since=1)
        while True:
            record = current.patiently("read the ledger", latest.read_record)
            if record is None:
                current.patiently("write the ledger", latest.abandon)
                record = current.patiently("read the ledger", latest.read_record)  # its writer may have been faster
            backend = current.connect(record) if record else None
            arrival, handle = self._look(latest, record, backend)
            move = on_arrival(arrival)
            if move is Move.NEXT_ATTEMPT or record is None or backend is None:
                current.say(why_again(arrival, latest.attempt))
                if record is not None and backend is not None and arrival.submitted:
                    self._close_account(
                        arrival, ActiveAttempt(latest, record, backend, handle, current.open_log(record))
                    )
                if record is not None and not arrival.submitted:  # its writer may only be frozen
                    current.patiently("write the ledger", lambda: current.supersede(latest))
                since = self._checkpoints_since(latest, cleared=arrival.cleared)
                return self._submission.start(latest.attempt + 1, checkpoints_since=since)
            if move is not Move.WAIT:
                return self._take_over(move, latest, record, backend, handle)
            if arrival.state is State.ACTIVE and not arrival.stopping:
                current.say(f"attempt {latest.attempt} is active and is asked to stop before a new one starts")
                old = ActiveAttempt(latest, record, backend, handle, current.open_log(record))
                current.patiently("stop the old job", lambda: old.stop("superseded", current.ports.now()))  # noqa: B023
                old.log.close()
            current.check_killed()
            current.ports.pause(1.0)

    def _checkpoints_since(self, latest: AttemptLedger, *, cleared: bool) -> int:
        """
        From which attempt on the next one may use checkpoints: the same as before, or itself after a clear.

        An attempt without a record never ran, and cannot tell: the one before it can.
        """
        current, before = self._current, latest
        record = current.patiently("read the ledger", before.read_record)
        while record is None and before.attempt > 1:
            before = current.ledger.attempt(before.attempt - 1)
            record = current.patiently("read the ledger", before.read_record)
        stop = current.patiently("read the ledger", before.read_stop_request) or {}
        cleared = cleared or record is None or was_cleared(record, current.facts)
        if is_clear(cleared=cleared, stop_reason_before=stop.get("reason")):
            return latest.attempt + 1
        return current.patiently("read the ledger", before.read_checkpoints_since)

    def come_back(self, attempt: int, *, shown_lines: int) -> ActiveAttempt:
        """
        The attempt that this same try has waited for.

        :param shown_lines: how many lines of its log stand in the task's log already.
        :raises JobCancelled: a later try has closed the attempt meanwhile.
        """
        current = self._current
        ledger = current.ledger.attempt(attempt)
        record = current.patiently("read the ledger", ledger.read_record)
        if record is None:
            raise ResultMissing(
                f"the record of attempt {attempt} is gone from the ledger", where=ledger.uri,
                job=str(current.ledger.identity), remedy="somebody removed it; clear the task to run the step again",
            )  # fmt: skip
        newer = current.ledger.attempt(attempt + 1)
        if current.patiently("read the ledger", newer.is_taken):
            raise JobCancelled(
                f"attempt {attempt + 1} was started by somebody else while this try waited",
                job=str(current.ledger.identity), remedy="that attempt goes on; nothing was submitted here",
            )  # fmt: skip
        handle = current.patiently("read the ledger", ledger.read_handle) or JobHandle(record.backend, record.job)
        log = current.open_log(record, shown_lines=shown_lines)
        active = current.answer_for(ActiveAttempt(ledger, record, current.connect(record), handle, log))
        current.ports.publish_link(active.backend.link(handle))
        return active

    def _close_account(self, seen: Arrival, old: ActiveAttempt) -> None:
        """Tell of the end of an attempt whose worker died before it could, or that somebody else stopped."""
        old.log.close()
        if seen.stop_requested or seen.cleared:
            end: BaseException = JobCancelled("superseded")
        else:
            end = Preempted("lost") if seen.state is State.ABSENT else StepFailed(f"ended as {seen.state.value}")
        self._current.ports.tell_ended(old, end)

    def _look(
        self, latest: AttemptLedger, record: AttemptRecord | None, backend: Backend | None
    ) -> tuple[Arrival, JobHandle]:
        if record is None or backend is None:
            return Arrival(State.ABSENT, LedgerSays.NOTHING, recorded=False), JobHandle("", "")
        current, facts = self._current, self._current.facts
        handle = current.patiently("read the ledger", latest.read_handle)
        try:
            found = backend.find(record.job, handle.location if handle else None)
            state = found.status.state if found else State.ABSENT
        except BackendUnavailable as error:
            current.say(f"waiting: {first_line(error)}")
            found, state = None, State.UNKNOWN
        if found is not None:
            check_request(found.request_digest, record, str(current.ledger.identity))
            if state.finished:
                current.patiently("bring the results", lambda: backend.collect(found.handle, record.request))
        cleared = was_cleared(record, facts)
        if not cleared and record.run_cleared != facts.run_cleared:
            # A clear of a running task changes neither. One that came after the result was taken, and before Airflow
            # was told so, is known only by the run's count.
            tries = {"first": record.try_number, "before": facts.try_number}
            cleared = current.patiently("read the ledger", lambda: latest.was_claimed(**tries))
        stop_requested = current.patiently("read the ledger", latest.read_stop_request) is not None
        arrival = Arrival(
            state=state,
            # What a superseded attempt wrote does not matter: a corrupt file cannot keep a clear from working.
            ledger=LedgerSays.NOTHING if cleared or stop_requested else ledger_says(current, latest),
            submitted=handle is not None or found is not None,  # a backend may know of a job that it has lost
            stop_requested=stop_requested,
            cleared=cleared,
            stopping=bool(found and found.status.stopping),
        )
        return arrival, found.handle if found else handle or JobHandle(record.backend, record.job)

    def _take_over(
        self, move: Move, latest: AttemptLedger, record: AttemptRecord, backend: Backend, handle: JobHandle
    ) -> ActiveAttempt:
        current = self._current
        active = current.answer_for(ActiveAttempt(latest, record, backend, handle, current.open_log(record)))
        if move is Move.SUBMIT:
            self._submission.submit(active)
            current.say(f"submitted {record.backend} job {record.job} as attempt {latest.attempt} recorded it")
        elif move is Move.ADOPT:
            current.say(f"adopted {record.backend} job {record.job} (attempt {latest.attempt}), which is running")
            current.count("adopted", record)
            if current.patiently("read the ledger", latest.read_handle) is None:
                self._submission.submit(active)  # its worker died meanwhile: what it had not made yet is made now
            else:
                current.ports.tell_started(active)
        elif move is Move.COLLECT:
            current.say(f"attempt {latest.attempt} has finished already: its result is collected, nothing is run again")
        current.ports.publish_link(backend.link(active.handle))
        return active


def was_cleared(record: AttemptRecord, facts: TryFacts) -> bool:
    """Whether the task was cleared since an attempt, as far as Airflow's numbers say so."""
    return record.max_tries < facts.max_tries or record.run_started != facts.run_started


def ledger_says(current: CurrentTry, ledger: AttemptLedger) -> LedgerSays:
    """What the job left in its attempt's folder."""
    if current.patiently("read the ledger", ledger.read_result) is not None:
        return LedgerSays.RESULT
    error = current.patiently("read the ledger", ledger.read_error)
    return LedgerSays.NOTHING if error is None else LedgerSays.ERROR
