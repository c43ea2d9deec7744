"""
Misbehaviour on demand: throttling, errors, answers that are lost, calls that nobody answers.

``ThrottlingException``, ``InternalFailure``, ``ExpiredTokenException``, ``AccessDeniedException`` and the rest are AWS's
common errors: https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import fnmatch
import threading
import time
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from .calls import Call
from .errors import AwsError

Kind = Literal["throttle", "error", "lost_response", "blackhole"]

_ERRORS: Final[dict[str, tuple[int, str]]] = {
    "ThrottlingException": (400, "Rate exceeded"),
    "InternalFailure": (500, "The request processing has failed because of an unknown error, exception or failure."),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
    "ExpiredTokenException": (400, "The security token included in the request is expired"),
    "UnrecognizedClientException": (400, "The security token included in the request is invalid."),
    "InvalidSignatureException": (400, "Signature expired: the request is older than five minutes"),
    "ResourceLimitExceeded": (
        400,
        "The account-level service limit 'ml.m5.large for training job usage' is 0 Instances, with current utilization "
        "of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for "
        "this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
}
"""Status and words of what is injected most. (How the words of ``ResourceLimitExceeded`` read, its users report.)"""


@dataclass
class Fault:
    """
    One rule.

    :param operation: a name, a pattern (``List*``), or one with its service (``s3:*``).
    :param times: how many calls it meets; None for all.
    :param until: a monotonic time after which it is over.
    :param principal: whose calls it meets: a pattern over :attr:`tests.aws.calls.Call.principal`.
    """

    operation: str
    kind: Kind
    times: int | None = None
    until: float = float("inf")
    code: str = "InternalFailure"
    status: int | None = None
    message: str | None = None
    hold_seconds: float = 60.0
    principal: str = "administrator"
    met: int = field(default=0, init=False)

    def matches(self, call: Call) -> bool:
        """Is it for this call, and not yet used up?"""
        if time.monotonic() >= self.until or (self.times is not None and self.met >= self.times):
            return False
        return fnmatch.fnmatchcase(call.principal, self.principal) and (
            fnmatch.fnmatchcase(call.operation, self.operation)
            or fnmatch.fnmatchcase(f"{call.service}:{call.operation}", self.operation)
        )

    def error(self, call: Call) -> AwsError:
        """What it answers."""
        code = "ThrottlingException" if self.kind == "throttle" else self.code
        if (
            call.service == "s3"
        ):  # S3 has its own words: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
            code = {"ThrottlingException": "SlowDown", "ExpiredTokenException": "ExpiredToken"}.get(code, code)
        status, message = _ERRORS.get(code, (400, code))
        if code == "AccessDeniedException":
            message = (
                f"User: arn:aws:iam::123456789012:user/airflow is not authorized to perform: {call.service}:{call.operation} "
                f"on resource: {_resource(call)} because no identity-based policy allows the "
                f"{call.service}:{call.operation} action"
            )
        return AwsError(code, self.message or message, self.status or status)


class Faults:
    """The rules in force, the oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self.over = threading.Event()

    def add(
        self, operation: str, kind: Kind, *, times: int | None = None, seconds: float | None = None,
        code: str = "InternalFailure", status: int | None = None, message: str | None = None,
        hold_seconds: float = 60.0, principal: str = "administrator",
    ) -> Fault:  # fmt: skip
        """
        Misbehave from now on.

        :param seconds: for how long; with neither this nor ``times``, until :meth:`clear`.
        :param hold_seconds: of a blackhole, how long a connection is kept open without an answer.
        """
        if kind not in get_args(Kind):
            raise ValueError(f"no such kind of fault: {kind}; there are {', '.join(get_args(Kind))}")
        until = time.monotonic() + seconds if seconds is not None else float("inf")
        rule = Fault(operation, kind, times, until, code, status, message, hold_seconds, principal)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Behave again, from the next call on; connections that are held open are closed."""
        with self._lock:
            self._rules.clear()
            self.over.set()
            self.over = threading.Event()

    def meet(self, call: Call) -> Fault | None:
        """The first rule for a call, which counts as met."""
        with self._lock:
            for rule in self._rules:
                if rule.matches(call):
                    rule.met += 1
                    return rule
            return None


def _resource(call: Call) -> str:
    name = call.params.get("TrainingJobName") or call.params.get("ProcessingJobName")
    kind = "training-job" if "TrainingJobName" in call.params else "processing-job"
    return f"arn:aws:sagemaker:eu-central-1:123456789012:{kind}/{name}" if name else "*"
