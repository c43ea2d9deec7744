"""What AWS does to a step: it throttles, it takes no credentials for a while, its answer is lost, it stops too late."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from .case import Case
from .sagemaker import SageMakerJobs
from .subjects import SAGEMAKER

STORM_SECONDS = 60.0
EXPIRED_SECONDS = 20.0
OPERATIONS = ("*TrainingJob*", "*ProcessingJob*", "logs:*")


def _aws(case: Case) -> SageMakerJobs:
    system = case.lab.systems[SAGEMAKER]
    assert isinstance(system, SageMakerJobs)
    return system


def throttled(cases: Sequence[Case]) -> None:
    """Every call is throttled for a minute, in which the jobs end."""
    _misbehave(cases, "throttle", STORM_SECONDS)


def expired(cases: Sequence[Case]) -> None:
    """No credentials are taken for some seconds, in which the jobs end."""
    _misbehave(cases, "error", EXPIRED_SECONDS, code="ExpiredTokenException")


def _misbehave(cases: Sequence[Case], kind: str, seconds: float, **what: str) -> None:
    for operation in OPERATIONS:
        _aws(cases[0]).endpoint.faults.add(operation, kind, seconds=seconds, **what)
    for case in cases:
        case.thaw_held()
    time.sleep(seconds / 2)
    for case in cases:
        case.release()
    time.sleep(seconds / 2)


def stopped_at_its_end(case: Case) -> None:
    """The task is marked failed in the moment in which its job ends."""
    case.reach_point()
    release = threading.Timer(0.3, case.release)
    release.start()
    case.mark("failed")
