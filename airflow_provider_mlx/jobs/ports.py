"""What the life of a job needs of its surroundings: who runs it, what time it is, whether it was asked to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from .ledger import utc_now

if TYPE_CHECKING:
    from .attempt import ActiveAttempt
    from .collection import Collected


@dataclass(frozen=True)
class TryFacts:
    """
    Airflow's facts about this try.

    :param max_tries: grows when a user clears the task.
    :param tries_left: Airflow will start another try when this one fails.
    :param ti_id: Airflow's id of this try's task instance.
    :param run_started: when the DAG run was started, in Airflow's words.
    :param run_cleared: how often something of the DAG run was cleared.
    """

    try_number: int
    max_tries: int
    tries_left: bool
    ti_id: str
    run_started: str
    run_cleared: int = 0


@dataclass(frozen=True)
class Ports:
    """
    The effects that the life of a job has besides the backend and the ledger; tests replace them.

    :param show: prints one line of the job's log.
    :param say: prints one line of ours.
    :param task_state: Airflow's word for this task now, or ``None`` when it cannot be asked.
    :param killed: set by ``on_kill``; a signal handler may do no more than that.
    :param identify: from now on, lines are about this backend's job of this attempt.
    :param tell_started: an attempt's job was submitted or adopted; lineage listens, and neither raises nor waits long.
    :param tell_ended: an attempt is over, with its result or why there is none.
    :param count: adds one to a counter, with tags.
    :param is_timeout: whether an exception is Airflow's own execution timeout.
    :param publish_link: makes the job's page known, after submit and after adopt.
    """

    show: Callable[[str], None]
    say: Callable[[str], None]
    task_state: Callable[[], str | None]
    publish_link: Callable[[str | None], None] = lambda url: None
    identify: Callable[[str, str, int], None] = lambda backend, job, attempt: None
    tell_started: Callable[[ActiveAttempt], None] = lambda active: None
    tell_ended: Callable[[ActiveAttempt, Collected | BaseException], None] = lambda active, outcome: None
    count: Callable[[str, Mapping[str, str]], None] = lambda name, tags: None
    is_timeout: Callable[[BaseException], bool] = lambda error: isinstance(error, TimeoutError)
    killed: threading.Event = field(default_factory=threading.Event)
    now: Callable[[], datetime] = utc_now

    def pause(self, seconds: float) -> None:
        """Sleep, but wake up at once when asked to end."""
        self.killed.wait(seconds)
