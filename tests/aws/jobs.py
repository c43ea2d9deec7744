"""
What every job of SageMaker has: a name that is taken for good, a status, times, and words on why it ended.

A job is read and changed by API threads and by the thread that runs it; whoever does holds :attr:`Job.lock`.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from .roles import Principal

FINISHED: Final = ("Completed", "Failed", "Stopped")
REASON_LENGTH: Final = 1024
"""FailureReason and ExitMessage: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html"""

_numbers = itertools.count()


def utcnow() -> datetime:
    """Now, in whole milliseconds as AWS tells times."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class Command:
    """
    What somebody wants of a job that is not over.

    :param name: ``stop``, ``interrupt``, ``kill`` when the endpoint ends, ``exited`` when a container has ended.
    """

    name: str
    payload: Any = None


class Job:
    """
    One job.

    :param request: that created it.
    :param arn: its own.
    """

    kind: ClassVar[str]
    """``training-job`` or ``processing-job``, as in ARNs."""
    noun: ClassVar[str]
    prefix: ClassVar[str]
    """Of its members: ``TrainingJobName``, ``TrainingEndTime``, …"""
    log_group: ClassVar[str]

    def __init__(self, request: Mapping[str, Any], arn: str) -> None:
        self.request, self.arn = request, arn
        self.name: str = request[f"{self.prefix}JobName"]
        self.principal = Principal(request["RoleArn"])
        """As whom it runs; with session tags where they were chained to it."""
        self.tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.number = next(_numbers)
        self.created = self.modified = utcnow()
        self.status = "InProgress"
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.reason = ""
        self.taken_up = False
        """Has a thread begun to run it?"""

    @property
    def is_over(self) -> bool:
        """Has it a status that stays?"""
        return self.status in FINISHED

    def show(self, status: str | None, secondary: str | None = None, message: str = "", *, reason: str = "") -> None:
        """
        Change what is said of it.

        :param status: None leaves it as it is.
        :param secondary: a secondary status, which only training jobs have.
        :param reason: for the failure.
        """
        with self.lock:
            if self.is_over:
                return
            self.modified = max(utcnow(), self.modified)
            if reason:
                self.reason = reason[:REASON_LENGTH]
            self._show_secondary(secondary, message)
            if status in FINISHED:
                self.ended = self.modified
                self._on_end()
            if status:
                self.status = status
            self.changed.notify_all()

    def has_been(self, secondary: str) -> bool:
        """Has it, or has it had, a secondary status?"""
        return False

    def begin(self) -> None:
        """Its instances are there: from now on it costs."""
        with self.lock:
            if self.started is None:
                self.started = utcnow()

    def describe(self) -> dict[str, Any]:
        """Of DescribeTrainingJob or DescribeProcessingJob."""
        raise NotImplementedError

    def summary(self) -> dict[str, Any]:
        """Of ListTrainingJobs or ListProcessingJobs."""
        raise NotImplementedError

    def _show_secondary(self, secondary: str | None, message: str) -> None:
        """Processing jobs have none."""

    def _on_end(self) -> None:
        """What is known when it ends."""
