"""
Every way in which a step can go wrong, by what to do about it.

::

    MlxError
    ├── InvalidStep            the step, its stack or its arguments are wrong: nothing was submitted
    ├── StepFailed             the user's own code raised
    ├── OutOfMemory            the job was killed by its memory limit
    ├── ImageUnavailable       the image cannot be pulled
    ├── JobMisconfigured       a secret, a role or a requirement is missing
    ├── CapacityUnavailable    the backend has no room, now
    ├── Preempted              the backend took the node away
    ├── QuotaExceeded          the account's or namespace's quota refuses the job
    ├── JobTimeout             the step's deadline passed and the job was stopped
    ├── JobCancelled           somebody stopped the job
    ├── JobConflict            a job with our name is not ours
    ├── BackendUnavailable     the backend or the artifact store cannot be reached: unknown, not failed
    ├── ResultMissing          the backend says success but there is no result
    └── ArtifactError          an artifact is missing, changed, or not allowed to be read

This module imports nothing of Airflow; the operator turns each class into an ``AirflowException`` or an
``AirflowFailException`` (``operators/failures.py``), according to :attr:`MlxError.disposition`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from airflow_provider_mlx.runtime.uris import without_credentials
from airflow_provider_mlx.scrub import scrub


class Disposition(enum.Enum):
    """What a failure asks for."""

    RETRY = "retry"
    """Airflow's ``retries`` decide."""
    WAIT = "wait"
    """Nothing is known to be wrong with the job: keep waiting until the deadline."""
    NEXT_ATTEMPT = "next attempt"
    """The job was lost through no fault of its own: another attempt, or the next target, within the same try."""
    FAIL_FAST = "fail fast"
    """Doing the same again cannot help."""


class MlxError(Exception):
    """
    What happened · to which step and job · what to do.

    :param what: one sentence that says what happened.
    :param where: the place, as ``dags/churn.py:41, in train``.
    :param job: which step and job, as ``step `train` of `churn` · attempt 2 · job mlx-…``.
    :param remedy: what the reader should do next.
    :param url: the job's page in the backend's own console.
    :param attempt: the attempt's number.
    :param log_tail: the last lines of the job's log.
    """

    disposition: ClassVar[Disposition] = Disposition.RETRY

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        job: str = "",
        remedy: str = "",
        url: str | None = None,
        attempt: int | None = None,
        log_tail: Sequence[str] = (),
    ) -> None:
        what = without_credentials(what)  # a client's text is in many of them
        super().__init__(what)
        self.what = what
        self.where = where
        self.job = job
        self.remedy = remedy
        self.url = url
        self.attempt = attempt
        self.log_tail = tuple(map(scrub, log_tail))

    @property
    def reason(self) -> str:
        """The class's name: a stable word for callbacks and metrics."""
        return type(self).__name__

    def __str__(self) -> str:
        place = " · ".join(part for part in (f"at {self.where}" if self.where else "", self.job) if part)
        lines = [self.what]
        if place:
            lines.append(f"  {place}")
        if self.log_tail:
            lines.append("  last lines of the job's log:")
            lines.extend(f"  | {line}" for line in self.log_tail)
        if self.url:
            lines.append(f"  see {self.url}")
        if self.remedy:
            lines.append(f"  → {self.remedy}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong before submission, and the way out."""

    what: str
    remedy: str = ""
    field: str = ""

    def __str__(self) -> str:
        head = f"{self.field}: {self.what}" if self.field else self.what
        return f"{head} → {self.remedy}" if self.remedy else head


class InvalidStep(MlxError):
    """The step cannot be submitted as it stands; all its problems at once."""

    disposition = Disposition.FAIL_FAST

    def __init__(self, what: str, problems: Sequence[Problem] = (), *, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  - {problem}" for problem in self.problems)])


class StepFailed(MlxError):
    """
    The user's code raised, or exited with a code that is not zero.

    ``exit_code`` is the process's, where the job or its backend tells it.
    """

    exit_code: int | None = None


class OutOfMemory(MlxError):
    """The job needed more memory than it was given."""


class ImageUnavailable(MlxError):
    """The backend cannot pull the image."""

    disposition = Disposition.FAIL_FAST


class JobMisconfigured(MlxError):
    """The job could not start as configured: a missing secret, a bad role, a requirement that does not install."""

    disposition = Disposition.FAIL_FAST


class CapacityUnavailable(MlxError):
    """The backend has no room for the job."""

    disposition = Disposition.NEXT_ATTEMPT


class Preempted(MlxError):
    """The backend took the job's node away, or lost the job."""

    disposition = Disposition.NEXT_ATTEMPT


class QuotaExceeded(MlxError):
    """A quota refuses the job for now."""

    disposition = Disposition.WAIT


class JobTimeout(MlxError):
    """The step's deadline passed; its job was stopped."""


class JobCancelled(MlxError):
    """The job was stopped by somebody."""


class JobConflict(MlxError):
    """A job has our name and is not ours: neither adopted nor deleted."""

    disposition = Disposition.FAIL_FAST


class BackendUnavailable(MlxError):
    """The backend or the artifact store cannot be reached. Unknown is not failed."""

    disposition = Disposition.WAIT


class ResultMissing(MlxError):
    """The backend says that the job succeeded, and the ledger holds no result."""


class ArtifactError(MlxError):
    """An artifact is missing, is not what its reference says, or must not be read."""

    disposition = Disposition.FAIL_FAST


def first_line(error: BaseException) -> str:
    """An error's sentence, without credentials: clients append dumps that may hold a request's headers."""
    return without_credentials((str(error).splitlines() or [type(error).__name__])[0])[:300]
