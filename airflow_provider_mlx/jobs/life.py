"""
The life of one step in a worker: arrive, watch, wait elsewhere or collect or fail; stop when Airflow says so.

``decision.py`` decides; ``arrival.py`` and ``submission.py`` get an attempt to watch; this module sees it to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from airflow_provider_mlx.backends.base import Backend, JobHandle, JobStatus, State
from airflow_provider_mlx.exceptions import CapacityUnavailable, Disposition, JobTimeout, MlxError, ResultMissing

from .arrival import Arriving, ledger_says
from .attempt import ActiveAttempt
from .collection import Collected, collect, time_spent
from .current_try import CurrentTry
from .decision import ENDINGS, Ending, Limits, Watch, while_watching
from .failures import LIMITS, explain, lost, replay_line, result_missing
from .ledger import AttemptRecord, Ledger
from .ports import Ports, TryFacts
from .submission import Plans, Submission

FIRST_LOOK_SECONDS: Final = 0.05
LONGEST_LOOK_SECONDS: Final = 2.0
LONGEST_WAIT_SECONDS: Final = 1.0
"""How long a backend may wait for a change: a worker that is asked to end has five seconds."""
STOP_SECONDS: Final = 60.0
"""How long a worker whose step timed out waits for the job to stop before it says so."""
STAY_SECONDS: Final = 6.0
"""How long a worker watches before it leaves: a job that ends at once never leaves its slot."""


@dataclass(frozen=True)
class Waiting:
    """
    The job is active, and the worker may leave: whoever watches on gets this.

    :param cursor: where in the job's log to go on.
    :param shown_lines: how many lines of it stand in the task's log.
    """

    record: AttemptRecord
    handle: JobHandle
    attempt: int
    limits: Limits
    cursor: str
    shown_lines: int


class StepLife:
    """
    Runs one try of one step to its end.

    :param connect: the backend that a record names, for adoption.
    :param preemptions: further attempts within a try after a lost or preempted job; asked when a first one starts.
    :param may_leave: whether the worker leaves a job that takes long to somebody else, and comes back.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        facts: TryFacts,
        plans: Plans,
        connect: Callable[[AttemptRecord], Backend],
        ports: Ports,
        preemptions: Callable[[], int] = lambda: 0,
        may_leave: bool = False,
    ) -> None:
        self._current = CurrentTry(ledger=ledger, facts=facts, ports=ports, connect=connect)
        self._submission = Submission(self._current, plans, preemptions=preemptions)
        self._arriving = Arriving(self._current, self._submission)
        self._ports = ports
        self._plans = plans
        self._may_leave = may_leave

    def run(self) -> Collected | Waiting:
        """
        The step's result; or that it waits, where the worker may leave.

        :raises MlxError: the step failed, timed out, was cancelled, or could not be submitted.
        """
        return self._live(self._arriving.arrive)

    def resume(self, attempt: int, *, shown_lines: int = 0) -> Collected | Waiting:
        """
        Go on with the attempt that this try left.

        :param shown_lines: how many lines of its log stand in the task's log already.
        """
        return self._live(lambda: self._arriving.come_back(attempt, shown_lines=shown_lines))

    def _live(self, begin: Callable[[], ActiveAttempt]) -> Collected | Waiting:
        try:
            active = begin()
            while True:
                status = self._watch(active)
                if status is None:
                    return self._leave(active)
                error = self._failure(active, status)
                if error is None:
                    return self._collect(active)
                self._ports.tell_ended(active, error)
                active = self._after_failure(active, error)
        except MlxError:
            raise
        except BaseException as error:
            self._current.interrupted(error)
            raise
        finally:
            self._current.close()

    # --- watching ------------------------------------------------------------------------------------------------

    def _watch(self, active: ActiveAttempt) -> JobStatus | None:
        """Show the log and wait for the end: a finished status, or absent; ``None`` when it is time to leave."""
        pause, said = FIRST_LOOK_SECONDS, ""
        passed, stop_until = None, None
        leave_at = self._ports.now() + timedelta(seconds=STAY_SECONDS) if self._leaves(active) else None
        status = active.status()
        while True:
            if status.state is State.ACTIVE:
                active.backend.tend(active.handle)
            active.show_log(self._ports.say, to_its_end=status.state.finished)
            if status.reason and status.reason != said and not status.state.finished:
                self._ports.say(f"waiting: {status.reason}")
            said = status.reason
            now = self._ports.now()
            active.note(status, now)
            verdict = while_watching(status, limits=active.limits, now=now)
            if verdict is Watch.FINISHED:
                return status
            self._current.check_killed()
            if verdict is Watch.WAIT and leave_at is not None and now >= leave_at:
                return None
            if verdict is not Watch.WAIT and active.stop_reason is None:
                self._ports.say(f"{LIMITS[verdict]}: its job is stopped")
                passed, stop_until = passed or verdict, stop_until or now + timedelta(seconds=STOP_SECONDS)
                if self._current.try_to_stop(active, verdict.value):
                    active.stop_reason = verdict
            if passed is not None and stop_until is not None and now > stop_until:
                late = JobTimeout(
                    f"{LIMITS[passed]}, and its job has not ended yet",
                    job=self._current.describe(active), attempt=active.ledger.attempt, log_tail=active.log.tail,
                )  # fmt: skip
                self._ports.tell_ended(active, late)
                raise late
            status = self._next_status(active, pause)
            pause = min(pause * 1.3, LONGEST_LOOK_SECONDS)

    def _next_status(self, active: ActiveAttempt, pause: float) -> JobStatus:
        """After a pause, or as soon as something changes, where the backend can wait for that."""
        status = active.next_status(min(pause, LONGEST_WAIT_SECONDS))
        if status is not None and status.state is not State.UNKNOWN:
            return status
        self._ports.pause(pause)
        return active.status() if status is None else status

    def _leaves(self, active: ActiveAttempt) -> bool:
        return self._may_leave and active.backend.defers

    def _leave(self, active: ActiveAttempt) -> Waiting:
        self._current.check_still_ours()
        return Waiting(
            record=active.record, handle=active.handle, attempt=active.ledger.attempt, limits=active.limits,
            cursor=active.cursor, shown_lines=active.log.lines,
        )  # fmt: skip

    # --- ending --------------------------------------------------------------------------------------------------

    def _failure(self, active: ActiveAttempt, status: JobStatus) -> MlxError | None:
        """Why there is no result to collect; ``None`` if there is one."""
        current = self._current
        if status.state is not State.ABSENT:
            bring = partial(active.backend.collect, active.handle, active.record.request)
            current.patiently("bring the results", bring)
        ending = ENDINGS[status.state, ledger_says(current, active.ledger)]
        if ending is Ending.COLLECT:
            return None
        active.keep_log(self._ports.say)
        error = self._explain(active, status, ending)
        current.count("failed", active.record, reason=error.reason)
        return error

    def _explain(self, active: ActiveAttempt, status: JobStatus, ending: Ending) -> MlxError:
        current = self._current
        job, url, number = current.describe(active), active.backend.link(active.handle), active.ledger.attempt
        if ending is Ending.LOST and active.stop_reason is None:  # else we stopped it by deleting it
            return lost(status, job=job, attempt=number)
        if ending is Ending.RESULT_MISSING:
            return result_missing(job=job, attempt=number, uri=active.ledger.uri, url=url, log_tail=active.log.tail)
        error = current.patiently("read the ledger", active.ledger.read_error)
        replay = replay_line(current.ledger.identity, attempt=number, request_digest=active.record.request_digest)
        return explain(
            error, status, job=job, attempt=number, url=url, log_tail=active.log.tail, stop_reason=active.stop_reason,
            replay=replay,
        )  # fmt: skip

    def _after_failure(self, active: ActiveAttempt, error: MlxError) -> ActiveAttempt:
        if error.disposition is not Disposition.NEXT_ATTEMPT or self._is_past(active.limits.deadline):
            raise error
        stopped = self._current.patiently("read the ledger", active.ledger.read_stop_request) is not None
        if stopped and active.stop_reason is not Watch.GAVE_UP:
            raise error  # somebody wanted it to stop, whatever the backend says about its end
        preemptions, target = active.record.preemptions_left, active.record.target_index
        elsewhere = target + 1 < self._plans.targets()
        # Where there was no room a moment ago, there is none now: capacity is looked for elsewhere first.
        if preemptions > 0 and not (elsewhere and isinstance(error, CapacityUnavailable)):
            preemptions -= 1
        elif elsewhere:
            target += 1
        else:
            raise error
        self._ports.say(f"{error.what}: attempt {active.ledger.attempt + 1} follows within this try")
        return self._submission.start_again(active, target=target, preemptions=preemptions)

    def _is_past(self, deadline: datetime | None) -> bool:
        return deadline is not None and self._ports.now() >= deadline

    def _collect(self, active: ActiveAttempt) -> Collected:
        current = self._current
        try:
            collected = current.patiently("read the result", lambda: collect(active.ledger, active.record))
        except ResultMissing as error:
            self._ports.tell_ended(active, error)
            raise
        active.keep_log(self._ports.say)
        current.patiently("write the ledger", lambda: self._claim(active, collected))
        self._ports.tell_ended(active, collected)
        active.forget(self._ports.say)
        if spent := time_spent(active.record.started_at, collected.result.get("timings")):
            self._ports.say(f"attempt {active.ledger.attempt}: {spent}")
        return collected

    def _claim(self, active: ActiveAttempt, collected: Collected) -> None:
        facts = self._current.facts
        active.ledger.claim(
            try_number=facts.try_number, max_tries=facts.max_tries, ti_id=facts.ti_id,
            result_sha256=collected.result_sha256, now=self._ports.now(),
        )  # fmt: skip
