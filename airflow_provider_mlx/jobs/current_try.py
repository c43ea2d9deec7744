"""One try of one step in a worker: what it answers for, how it waits, and what it does when asked to end."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from airflow_provider_mlx.backends.base import Backend
from airflow_provider_mlx.exceptions import BackendUnavailable, JobCancelled, MlxError, first_line

from .attempt import ActiveAttempt
from .decision import KillDecision, on_kill, stop_reason
from .failures import describe_job
from .ledger import AttemptLedger, AttemptRecord, Ledger
from .logs import JobLog
from .ports import Ports, TryFacts

T = TypeVar("T")

LONGEST_BACKOFF_SECONDS: Final = 60.0


class CurrentTry:
    """
    The state that the parts of a step's life share.

    :param connect: the backend that a record names.
    """

    def __init__(
        self, *, ledger: Ledger, facts: TryFacts, ports: Ports, connect: Callable[[AttemptRecord], Backend]
    ) -> None:
        self.ledger = ledger
        self.facts = facts
        self.ports = ports
        self.connect = connect
        self.active: ActiveAttempt | None = None
        """The attempt that this worker answers for, from just before its job is submitted."""

    def answer_for(self, active: ActiveAttempt) -> ActiveAttempt:
        """From now on this attempt's job is stopped if the worker is to stop it."""
        self.close()
        self.active = active
        self.ports.identify(active.record.backend, active.record.job, active.ledger.attempt)
        return active

    def close(self) -> None:
        """Free what the active attempt holds open here."""
        if self.active is not None:
            self.active.close()

    def say(self, text: str) -> None:
        """One line of ours in the task's log."""
        self.ports.say(text)

    def count(self, event: str, record: AttemptRecord, **tags: str) -> None:
        """One of ``mlx.job.submitted``, ``adopted``, ``cancelled``, ``failed``."""
        self.ports.count(f"mlx.job.{event}", {"backend": record.backend, **tags})

    def open_log(self, record: AttemptRecord, *, shown_lines: int = 0) -> JobLog:
        """
        The log of an attempt's job.

        :param shown_lines: how many of its first lines stand in the task's log already.
        """
        return JobLog(nonce=record.nonce, show=self.ports.show, shown_lines=shown_lines)

    def describe(self, active: ActiveAttempt) -> str:
        """Which step and job, for messages."""
        return describe_job(
            self.ledger.identity, attempt=active.ledger.attempt, backend=active.record.backend, job=active.record.job
        )

    def supersede(self, ledger: AttemptLedger) -> None:
        """Mark an attempt whose writer may only be frozen."""
        ledger.request_stop(reason="superseded", now=self.ports.now())

    # --- waiting for an answer ---------------------------------------------------------------------------------------

    def patiently(self, what: str, act: Callable[[], T]) -> T:
        """Do it; unknown is not failed: wait with jitter until there is an answer, or somebody says stop."""
        pause = 1.0
        while True:
            try:
                return act()
            except BackendUnavailable as error:
                self.say(f"cannot {what} yet: {first_line(error)}; trying again in {pause:.0f} s")
            self.check_killed()
            self.ports.pause(pause * random.uniform(0.75, 1.25))  # noqa: S311
            pause = min(pause * 2, LONGEST_BACKOFF_SECONDS)

    # --- being asked to end ------------------------------------------------------------------------------------------

    def check_killed(self) -> None:
        """
        End here if Airflow wants this task to end.

        :raises JobCancelled: it does; the job was stopped, or is left to the next try.
        """
        if self.ports.killed.is_set():
            self._end_by_request(self.ports.task_state())

    def check_still_ours(self) -> None:
        """
        The last look before this worker leaves: a mark or a clear that came a moment ago has not killed it yet.

        :raises JobCancelled: the task is not running any more.
        """
        state = self.ports.task_state()
        if state not in ("running", None):
            self._end_by_request(state)

    def _end_by_request(self, state: str | None) -> NoReturn:
        active = self.active
        decision = on_kill(task_state=state, tries_left=self.facts.tries_left)
        if active is None:
            raise JobCancelled("the worker was asked to end before it had a job", job=str(self.ledger.identity))
        if decision is KillDecision.LEAVE:
            raise JobCancelled(
                "this worker was asked to end while the task still counts as running: the job goes on, "
                "and the next try adopts it",
                job=self.describe(active), attempt=active.ledger.attempt,
            )  # fmt: skip
        stopped = self.try_to_stop(active, stop_reason(state))
        ended = JobCancelled(
            f"the task was ended by Airflow (its state is {state}); its job "
            + ("was asked to stop" if stopped else "could not be asked to stop, as said above"),
            job=self.describe(active), attempt=active.ledger.attempt,
        )  # fmt: skip
        self.ports.tell_ended(active, ended)
        raise ended

    def interrupted(self, error: BaseException) -> None:
        """An exception that is none of ours came into the loop: Airflow's timeout, Ctrl-C, a termination, or a bug."""
        if self.active is None:
            return
        wish = isinstance(error, KeyboardInterrupt) or self.ports.is_timeout(error)
        if not wish:
            decision = on_kill(task_state=self.ports.task_state(), tries_left=self.facts.tries_left)
            wish = decision is KillDecision.STOP
        if wish:
            self.try_to_stop(self.active, type(error).__name__)
            self.ports.tell_ended(self.active, error)

    def try_to_stop(self, active: ActiveAttempt, reason: str) -> bool:
        """Ask the job to stop; whether there was an answer. There is no time to wait for one."""
        try:
            active.stop(reason, self.ports.now())
        except MlxError as unanswered:
            self.say(f"the job could not be asked to stop: {first_line(unanswered)}")
            return False
        self.count("cancelled", active.record, reason=reason)
        return True
