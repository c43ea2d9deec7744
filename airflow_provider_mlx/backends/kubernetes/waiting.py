"""
For what a job waits that does not run yet, and what events tell of pods that are not there.

Sources: ``k8s.io/api/core/v1`` (pod conditions), ``pkg/kubelet/events/event.go``, and the API server's refusals as
the Job controller and the training operator repeat them in ``FailedCreate`` and ``FailedCreatePod`` (Kubernetes 1.36).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .faults import Fault
from .kinds import JobKind, main_container
from .reading import at, condition, maps, moment, text

REFUSALS: Final[tuple[tuple[str, str | None, str], ...]] = (
    ("exceeded quota", None, "the namespace's quota has no room for it"),
    ("it is being terminated", "JobMisconfigured", "the namespace is being deleted"),
    ("violates PodSecurity", "JobMisconfigured", "the namespace's Pod Security Standard refuses its pod"),
    (r"admission webhook \S+ denied", "JobMisconfigured", "an admission webhook refuses its pod"),
    (r"AdmissionPolicy \S+ .*denied request", "JobMisconfigured", "an admission policy refuses its pod"),
    ("serviceaccount .*not found", "JobMisconfigured", "its service account is missing"),
    ("no PriorityClass with name", "JobMisconfigured", "its PriorityClass is missing"),
    ("RuntimeClass .*not found", "JobMisconfigured", "its RuntimeClass is missing"),
    ("failed quota: .*must specify", "JobMisconfigured", "the namespace's quota wants amounts that it does not name"),
    (r"(maximum|minimum) \S+ usage per", "JobMisconfigured", "the namespace's LimitRange refuses its pod"),
    (r"\bis invalid: ", "JobMisconfigured", "the API server refuses its pod"),
)
"""
Words of a refusal to make a pod → the failure, and what it means; the first that is found. Quota is waited for, and so
is what is not here: a webhook that does not answer, a conflict.
"""

_CREATED: Final = frozenset({"SuccessfulCreate", "SuccessfulCreatePod"})
_REFUSED: Final = frozenset({"FailedCreate", "FailedCreatePod", "JobCreationFailed"})

PENDING_EVENTS: Final[Mapping[str, str]] = {
    "FailedScheduling": "no node has room",
    "FailedMount": "a volume cannot be mounted",
    "FailedAttachVolume": "a volume cannot be attached",
    "FailedCreatePodSandBox": "its network or sandbox is not ready",
    "NetworkNotReady": "its node's network is not ready",
    "Pulling": "pulls its image",
    "Failed": "something does not work yet",
}
"""The last event of a pod that has not started → what it waits for. It is tried again until it works."""

_USUAL: Final = frozenset({"", "ContainerCreating", "PodInitializing"})


def refused(events: Sequence[Mapping[str, Any]]) -> Fault | None:
    """
    That the job's last pod was not made, and why; its failure is ``None`` if it will be tried again.

    :param events: of the job, of the Jobs that it makes, and of its pods.
    """
    last = _last(event for event in events if text(event, "reason") in _CREATED | _REFUSED)
    if text(last, "reason") not in _REFUSED:
        return None
    message = _message(last).removeprefix("Error creating: ")
    for words, failure, what in REFUSALS:
        if re.search(words, message):
            return Fault(f"{what}: {message}", failure)
    return Fault(f"its pod cannot be made now: {message}")


TAKEN_EVENTS: Final[Mapping[str, str]] = {
    "Preempted": "the scheduler took its place for a pod of higher priority",
    "TaintManagerEviction": "its node was lost, or got a taint that it does not tolerate",
    "Evicted": "its node evicted it",
    "NodeNotReady": "its node was lost",
}
"""Events of a pod that say who took it, where the pod itself is gone."""


def gone(events: Sequence[Mapping[str, Any]]) -> Fault:
    """What is known of a failed pod that is not there any more."""
    last = _last(event for event in events if text(event, "reason") in TAKEN_EVENTS and _about(event)[0] == "Pod")
    if last is None:
        return Fault("its pod was taken away: somebody deleted it, or its node was drained or removed", "Preempted")
    return Fault(_with(f"its pod was taken away: {TAKEN_EVENTS[text(last, 'reason')]}", _message(last)), "Preempted")


def waits_for(kind: JobKind, pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """For what this pod waits before its main container starts; empty for one that has started."""
    if has_started(kind, pod) or text(pod, "status.phase") in ("Succeeded", "Failed"):
        return ""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _unscheduled(pod, scheduled)
    name = text(pod, "metadata.name")
    last = _last(event for event in events if _about(event) == ("Pod", name))
    for status in (*maps(pod, "status.initContainerStatuses"), *maps(pod, "status.containerStatuses")):
        waiting = at(status, "state.waiting")
        if text(waiting, "reason") not in _USUAL:
            return _with(f"{text(waiting, 'reason')} of `{text(status, 'name')}`", text(waiting, "message"))
    if known := PENDING_EVENTS.get(text(last, "reason")):
        return _with(known, _message(last))
    node = text(pod, "spec.nodeName")
    return f"starts on {node}" if node else f"waits for a node (scheduler `{text(pod, 'spec.schedulerName') or '?'}`)"


def has_started(kind: JobKind, pod: Mapping[str, Any]) -> bool:
    """Whether the main container runs, or has run."""
    name = main_container(kind, pod)
    return any(
        at(status, "state.running") is not None
        or bool(at(status, "state.terminated"))
        or bool(at(status, "lastState.terminated"))
        for status in maps(pod, "status.containerStatuses")
        if text(status, "name") == name
    )


def _unscheduled(pod: Mapping[str, Any], scheduled: Mapping[str, Any]) -> str:
    message = text(scheduled, "message")
    if text(scheduled, "reason") == "SchedulingGated":
        gates = ", ".join(text(gate, "name") for gate in maps(pod, "spec.schedulingGates"))
        return f"waits for {gates or 'its scheduling gates'}"
    return _with("no node has room", message)


def _about(event: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name of an event's object: ``involvedObject`` in ``v1``, ``regarding`` in ``events.k8s.io/v1``."""
    about = at(event, "involvedObject") or at(event, "regarding")
    return text(about, "kind"), text(about, "name")


def _message(event: Mapping[str, Any] | None) -> str:
    return text(event, "message") or text(event, "note")


def _last(events: Any) -> Mapping[str, Any] | None:
    """The latest event; of equal times the last of the list."""
    times = ("series.lastObservedTime", "lastTimestamp", "eventTime", "deprecatedLastTimestamp")
    dated = [
        (max((found for path in times if (found := moment(event, path)) is not None), default=0.0), index, event)
        for index, event in enumerate(events)
    ]
    return max(dated, key=lambda item: item[:2])[2] if dated else None


def _with(what: str, message: str) -> str:
    return f"{what}: {message}" if message else what
