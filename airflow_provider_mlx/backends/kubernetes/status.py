"""From one look at a job to a :class:`~airflow_provider_mlx.backends.base.JobStatus`: pure, and total."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobStatus, State

from .faults import Fault, fault_of, stuck
from .kinds import JobKind, Rank, Sign, rank_of
from .kueue import admission, hopeless
from .reading import annotation, at, has_annotation, label, moment, number, text
from .schedulers import KUEUE_QUEUE
from .waiting import gone, has_started, refused, waits_for


@dataclass(frozen=True)
class Seen:
    """
    One look at a job.

    :param object: the job's object.
    :param pods: its pods; ``None`` if they were not looked at, which is not the same as none. The object alone says
        less: not why it waits or failed, and a TrainJob of Trainer 2.0 not even whether it runs.
    :param events: of the job, of the Jobs that it makes, and of its pods.
    :param workload: Kueue's Workload of the job.
    """

    object: Mapping[str, Any]
    pods: Sequence[Mapping[str, Any]] | None = None
    events: Sequence[Mapping[str, Any]] = ()
    workload: Mapping[str, Any] | None = None


GIVEN_UP: Final[Mapping[str, State]] = {
    "ImageUnavailable": State.FAILED,
    "JobMisconfigured": State.FAILED,
    "CapacityUnavailable": State.FAILED,
    "Preempted": State.STOPPED,
}
"""
Failures that may be told of a job that Kubernetes would let wait for ever, which has not ended by itself: whoever is
told stops it (see :func:`has_ended`).
"""

LOST_AFTER: Final = timedelta(seconds=60)
"""A deleted pod that is still there so long after its grace period is on a node that does not answer."""

FAILED_BY_PODS: Final = frozenset(
    {
        "BackoffLimitExceeded", "PodFailurePolicy", "MaxFailedIndexesExceeded", "FailedIndexes",  # Job
        "FailedJobs", "ReachedMaxRestarts", "FailJobSetFailurePolicyAction",  # JobSet; TrainJob repeats them
    }
)  # fmt: skip
"""Reasons of ``Failed=True`` where a pod failed."""

MISCONFIGURED: Final = frozenset({"TrainingRuntimeNotSupported"})
"""Reasons of ``Failed=True`` where it never came to pods."""


def stop_note(status: JobStatus) -> str:
    """
    The stop annotation's value for a job that is stopped because of this status.

    A job that was given up keeps its failure this way: the next look sees a job that is stopped, and says the same.
    """
    return f"{status.failure}: {status.reason}" if status.failure in GIVEN_UP else status.reason


def has_ended(kind: JobKind, value: Mapping[str, Any]) -> bool:
    """Whether the object says that it is over: it starts nothing any more, and what still runs is being ended."""
    return kind.ending(value) is not None


def has_failed(kind: JobKind, value: Mapping[str, Any]) -> bool:
    """Whether the object says that it is over, and not that it succeeded."""
    ending = kind.ending(value)
    return ending is not None and ending[0] is not State.SUCCEEDED


def status_of(kind: JobKind, seen: Seen, *, stop_annotation: str, now: datetime | None = None) -> JobStatus:
    """
    What one look at a job means.

    :param stop_annotation: key of the annotation that we put on a job when we stop it; see :func:`stop_note`.
    :param now: aware; when it was looked, so that pods on lost nodes are not waited for.
    """
    ending = kind.ending(seen.object)
    if ending is not None and ending[0] is State.SUCCEEDED:
        return JobStatus(State.SUCCEEDED, running=True)
    if has_annotation(seen.object, stop_annotation):
        return _stopped(kind, seen, annotation(seen.object, stop_annotation), now, over=ending is not None)
    if ending is not None:
        return _failed(kind, seen, ending[1])
    if at(seen.object, "metadata.deletionTimestamp") is not None:
        return _stopping(kind, seen, now, "it is being deleted")
    return _active(kind, seen, now)


def _stopped(kind: JobKind, seen: Seen, note: str, now: datetime | None, *, over: bool) -> JobStatus:
    """A job that we stopped: it is over when it says so, or when it is suspended and its pods are gone."""
    failure, colon, reason = note.partition(": ")
    if colon and failure in GIVEN_UP:
        return JobStatus(GIVEN_UP[failure], reason, failure)
    said = f"it was stopped: {note}" if note else "it was stopped"
    suspended = any(sign.holds(seen.object) for sign in kind.suspended)  # the controller has seen it, not only we
    if over or (suspended and not _active_pods(kind, seen, now)):
        return JobStatus(State.STOPPED, said)
    return _stopping(kind, seen, now, "it is stopping")


def _stopping(kind: JobKind, seen: Seen, now: datetime | None, reason: str) -> JobStatus:
    if any(_is_lost(pod, now) for pod in seen.pods or ()) and not _active_pods(kind, seen, now):
        return JobStatus(State.STOPPED, f"{reason}, and the node of its pod does not answer")
    return JobStatus(State.ACTIVE, reason, stopping=True, running=_runs(kind, seen))


def _failed(kind: JobKind, seen: Seen, sign: Sign) -> JobStatus:
    reason, message = sign.said(seen.object)
    message = message or (text(seen.object, kind.message) if kind.message else "")
    runs = _runs(kind, seen)
    if reason == "DeadlineExceeded" or "longer than specified deadline" in message:
        said = _with("it ran longer than its own limit", message)
        return JobStatus(State.STOPPED, said, "JobTimeout", running=runs)
    fault = _first_fault(kind, seen) or _of_policy(kind, message, seen)
    if fault is None and reason in FAILED_BY_PODS and seen.pods is not None and _keeps_failed_pods(kind, seen):
        fault = gone(seen.events)
    if fault is None:
        failure = "JobMisconfigured" if reason in MISCONFIGURED else None
        fault = Fault(_with(reason, message) or "it failed and does not say why", failure)
    state = State.STOPPED if fault.failure in ("Preempted", "JobTimeout") else State.FAILED
    return JobStatus(state, fault.reason, fault.failure, exit_code=fault.exit_code, running=runs)


def _has_succeeded(kind: JobKind, seen: Seen) -> bool:
    """
    Whether as many pods of a Job have succeeded as it asks for: nothing can make it fail any more.

    Its controller says so a second or more later, which every step would wait.
    """
    wanted = number(seen.object, "spec.completions") if kind.kind == "Job" else None
    if not wanted or seen.pods is None:
        return False
    return sum(text(pod, "status.phase") == "Succeeded" for _, pod in _ranked(kind, seen.pods)) >= wanted


def _active(kind: JobKind, seen: Seen, now: datetime | None) -> JobStatus:
    if _has_succeeded(kind, seen):
        return JobStatus(State.SUCCEEDED, running=True)
    ranked = _ranked(kind, seen.pods or ())
    alive = [(rank, pod) for rank, pod in ranked if at(pod, "metadata.deletionTimestamp") is None]
    for rank, pod in alive:
        if found := stuck(kind, pod):
            return JobStatus(State.FAILED, _by(rank, found.reason), found.failure)
    if kind.is_suspended(seen.object):
        return _suspended(seen)
    for rank, pod in ranked:
        if _is_lost(pod, now):
            said = "it was deleted, and its node does not answer"
            return JobStatus(State.STOPPED, _by(rank, said), "Preempted", running=_runs(kind, seen))
    running = _runs(kind, seen)
    if not alive and not running:
        denied = refused(seen.events) or Fault("it has no pod yet" if seen.pods is not None else "")
        return JobStatus(State.FAILED if denied.failure else State.ACTIVE, denied.reason, denied.failure)
    reason = next((_by(rank, said) for rank, pod in ranked if (said := _holds_up(kind, pod, seen))), "")
    if not reason and len(alive) < (number(seen.object, "spec.parallelism") or 0):
        denied = refused(seen.events) or Fault("")
        reason = denied.reason
    return JobStatus(State.ACTIVE, reason, running=running)


def _suspended(seen: Seen) -> JobStatus:
    queue = label(seen.object, KUEUE_QUEUE)
    if not queue and seen.workload is None:
        return JobStatus(State.ACTIVE, "it is suspended, and waits for whoever did so")
    if found := hopeless(seen.workload):
        return JobStatus(State.FAILED, found.reason, found.failure)
    return JobStatus(State.ACTIVE, admission(seen.workload, queue or text(seen.workload, "spec.queueName")))


# --- pods ------------------------------------------------------------------------------------------------------------


def _ranked(kind: JobKind, pods: Sequence[Mapping[str, Any]]) -> list[tuple[Rank, Mapping[str, Any]]]:
    """Pods in the order of their ranks; of a rank that was started again, the newest only."""
    ranked = sorted(
        ((rank_of(kind, pod), text(pod, "metadata.creationTimestamp"), pod) for pod in pods), key=lambda one: one[:2]
    )
    newest = {(rank if rank.index else (rank, index)): (rank, pod) for index, (rank, _, pod) in enumerate(ranked)}
    return list(newest.values())


def _runs(kind: JobKind, seen: Seen) -> bool:
    """Whether the user's code may be running: rank 0's main container runs, or has run."""
    if seen.pods is not None and kind.pods_label:
        ranked = [(rank, pod) for rank, pod in _ranked(kind, seen.pods) if rank.runs_user_code]
        first = [pod for rank, pod in ranked if rank == ranked[0][0]]
        return any(has_started(kind, pod) for pod in first)
    if any(sign.holds(seen.object) for sign in kind.running):
        return True
    if kind.counts:
        return kind.counted(seen.object, "ready") > 0
    return not kind.running and not kind.is_suspended(seen.object)  # nothing tells: it may


def _active_pods(kind: JobKind, seen: Seen, now: datetime | None) -> bool:
    """Whether a pod may still run something."""
    if seen.pods is None:
        return any(kind.counted(seen.object, what) for what in ("active", "terminating"))
    over = ("Succeeded", "Failed")
    return any(text(pod, "status.phase") not in over and not _is_lost(pod, now) for pod in seen.pods)


def _is_lost(pod: Mapping[str, Any], now: datetime | None) -> bool:
    """Whether a pod should have been gone long ago; Kubernetes dates a deletion at the end of the grace period."""
    until = moment(pod, "metadata.deletionTimestamp")
    if now is None or until is None or text(pod, "status.phase") in ("Succeeded", "Failed"):
        return False
    return now.timestamp() > until + LOST_AFTER.total_seconds()


def _first_fault(kind: JobKind, seen: Seen) -> Fault | None:
    """Of several pods that failed, the first: the others follow it, or are ended with it."""
    kept = _keeps_failed_pods(kind, seen)
    ranked = _ranked(kind, seen.pods or ())
    faults = [(fault, rank) for rank, pod in ranked if (fault := fault_of(kind, pod, deleted_by_job=not kept))]
    if not faults:
        return None
    fault, rank = min(faults, key=lambda one: (math.inf if one[0].at is None else one[0].at, one[1]))
    return Fault(_by(rank, fault.reason), fault.failure, fault.exit_code)


_EXIT_RULE: Final = re.compile(r"Container (\S+) for pod \S+/(\S+) failed with exit code (\d{1,9}) matching")
_CONDITION_RULE: Final = re.compile(r"has condition DisruptionTarget matching")


_BY_SIGNAL: Final = frozenset({128 + signal.SIGTERM, 128 + signal.SIGKILL})
"""How a container ends whose pod is deleted, or that is killed for another reason."""


def _of_policy(kind: JobKind, message: str, seen: Seen) -> Fault | None:
    """
    What a ``podFailurePolicy`` saw, which stays in the Job when the pod is gone (``pod_failure_policy.go``).

    A pod that was deleted fails by the exit status of its SIGTERM, and is gone a moment later.
    """
    if match := _EXIT_RULE.search(message):
        container, pod, code = match[1], match[2], int(match[3])
        there = seen.pods is None or any(text(one, "metadata.name") == pod for one in seen.pods)
        if code in _BY_SIGNAL and not there and _keeps_failed_pods(kind, seen):
            return gone(seen.events)
        return Fault(f"its container `{container}` ended with exit status {code}", exit_code=code)
    return gone(seen.events) if _CONDITION_RULE.search(message) else None


def _holds_up(kind: JobKind, pod: Mapping[str, Any], seen: Seen) -> str:
    """For what a pod of an active job waits, or that it is going."""
    if at(pod, "metadata.deletionTimestamp") is None:
        return waits_for(kind, pod, seen.events)
    fault = fault_of(kind, pod)
    return f"it is ending: {fault.reason}" if fault else ""


def _keeps_failed_pods(kind: JobKind, seen: Seen) -> bool:
    """
    Whether a pod that failed stays as long as its job, so that somebody took the one that is not there.

    Where containers start again in their pod (``OnFailure``, as in Trainer's own runtimes), the Job controller deletes
    it with the others when the job fails.
    """
    policies = [text(template, "spec.restartPolicy") for template in kind.pod_templates(seen.object)]
    return bool(policies) and all(policy == "Never" for policy in policies)


def _by(rank: Rank, reason: str) -> str:
    """Which pod, where they have numbers."""
    return f"{rank}: {reason}" if str(rank) else reason


def _with(what: str, message: str) -> str:
    return f"{what}: {message}" if what and message else what or message
