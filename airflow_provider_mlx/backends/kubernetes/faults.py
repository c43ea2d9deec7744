"""
Why a pod came to its end or will never start: what the kubelet, the scheduler and the controllers call it → ours.

Sources, Kubernetes 1.36: ``pkg/kubelet`` (``images/types.go``, ``kuberuntime/kuberuntime_container.go``,
``eviction/helpers.go``, ``nodeshutdown``, ``preemption``, ``lifecycle/predicate.go``), ``k8s.io/cri-api/pkg/errors``,
``pkg/controller`` (``podgc``, ``tainteviction``), ``k8s.io/api/core/v1``, and containerd for a task's exit.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .kinds import JobKind, main_container
from .reading import at, condition, is_true, maps, moment, number, text

_LONG: Final = 600

_SKEW_SECONDS: Final = 5.0
"""Nodes and the API server read different clocks: a deletion counts as a pod's end only this much later."""


@dataclass(frozen=True)
class Fault:
    """
    What is wrong with a pod.

    :param reason: for people: what happened, and what to do about it where the kubelet does not say.
    :param failure: name of a class of ``exceptions``; ``None`` for a process that ended by itself.
    :param exit_code: of the main container.
    :param at: when it happened, in seconds since 1970.
    """

    reason: str
    failure: str | None = None
    exit_code: int | None = None
    at: float | None = None


POD_REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "Evicted": ("Preempted", "its node evicted it"),
    "NodeLost": ("Preempted", "its node does not answer any more"),
    "Terminated": ("Preempted", "its node was shut down"),
    "Shutdown": ("Preempted", "its node was shut down"),  # before 1.22
    "NodeShutdown": ("Preempted", "its node was shutting down and did not take it"),
    "Preempting": ("Preempted", "its node took it away to make room for a critical pod"),
    "UnexpectedAdmissionError": ("Preempted", "its node could not give it what the scheduler had promised"),
    "NodeAffinity": ("Preempted", "its node had lost the labels for which it was chosen"),
    "DeadlineExceeded": ("JobTimeout", "it ran longer than its `activeDeadlineSeconds`"),
}
"""``status.reason`` of a pod that failed as a whole."""

_NO_ROOM: Final = ("Preempted", "its node had no room left when it came")
"""``OutOfcpu``, ``OutOfmemory``, ``OutOfpods``, ``OutOfnvidia.com/gpu``: ``OutOf`` and the resource."""

DISRUPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "PreemptionByScheduler": ("Preempted", "the scheduler took its place for a pod of higher priority"),
    "DeletionByTaintManager": ("Preempted", "its node was lost, or got a taint that it does not tolerate"),
    "EvictionByEvictionAPI": ("Preempted", "it was evicted by the API, as a drained node does"),
    "TerminationByKubelet": ("Preempted", "its node ended it: it was short of something, or shut down"),
    "DeletionByPodGC": ("Preempted", "its node is gone"),
}
"""Reasons of the pod condition ``DisruptionTarget``: the pod is taken away through no fault of its own."""

_OTHER_DISRUPTION: Final = ("Preempted", "it was taken away")

ENDED: Final[Mapping[str, tuple[str, str]]] = {
    "OOMKilled": ("OutOfMemory", "was killed for its memory"),
    "StartError": ("JobMisconfigured", "could not be started"),
    "ContainerCannotRun": ("JobMisconfigured", "could not be started"),
    "ContainerStatusUnknown": ("Preempted", "was lost with its node"),
    "DeadlineExceeded": ("JobTimeout", "ran longer than its pod may"),
}
"""``state.terminated.reason`` of a container. ``Error`` and ``Completed`` are not here: the exit status tells all."""

STUCK: Final[Mapping[str, tuple[str, str]]] = {
    "ImagePullBackOff": ("ImageUnavailable", "cannot pull its image"),
    "InvalidImageName": ("ImageUnavailable", "names no valid image"),
    "ErrImageNeverPull": ("ImageUnavailable", "may not pull its image, and the node has it not"),
    "SignatureValidationFailed": ("ImageUnavailable", "has an image whose signature is not accepted"),
    "CreateContainerConfigError": ("JobMisconfigured", "cannot be configured"),
    "CreateContainerError": ("JobMisconfigured", "cannot be created"),
    "RunContainerError": ("JobMisconfigured", "cannot be started"),
}
"""``state.waiting.reason`` of a container that will never start; the pod stays ``Pending``, and its job with it."""

PASSING: Final = re.compile(
    r"too ?many ?requests|50[0234] (Internal|Bad|Service|Gateway)|i/o timeout|TLS handshake timeout|unexpected EOF"
    r"|connection (refused|reset)|no route to host|server misbehaving|context deadline exceeded"
    r"|failed to reserve container name|failed to sync \S+ cache|timed out waiting for the condition",
    re.IGNORECASE,
)
"""What a registry, a network or a kubelet says when it may work in a minute: such a container is waited for."""

_OWN_DISK: Final = re.compile(r"exceed(s|ed) (its|the) (local ephemeral storage limit|total limit|limit)")
"""``eviction/helpers.go``: the pod went over a limit of its own, and another node would say the same."""


def stuck(kind: JobKind, pod: Mapping[str, Any]) -> Fault | None:
    """Why a pod that was not given up yet will never start; ``None`` if it may."""
    for container in _containers(pod):
        waiting = at(container, "state.waiting")
        failure, what = STUCK.get(text(waiting, "reason"), ("", ""))
        message = text(waiting, "message")
        if failure and not PASSING.search(message):
            return Fault(_said(f"{_called(container, kind, pod)} {what}", message), failure)
    return None


def fault_of(kind: JobKind, pod: Mapping[str, Any], *, deleted_by_job: bool = False) -> Fault | None:
    """
    Why a pod ended, or is about to; ``None`` for one that succeeded, or of which nothing is known to be wrong.

    :param deleted_by_job: the job deletes its pods when it fails, so that a deletion tells nothing.

    What took the pod away is asked for first: its processes then end by SIGTERM, and their exit status tells nothing.
    """
    if text(pod, "status.phase") == "Succeeded":
        return None
    ended = _ended(kind, pod)
    deletion = _deleted(kind, pod)
    if deletion is not None and deleted_by_job:
        return _taken_away(pod)
    found = _taken_away(pod) or deletion or _process(kind, pod) or _unexplained(pod)
    if found is None or found.exit_code is not None:
        return found
    return replace(found, exit_code=number(ended, "exitCode"), at=found.at or moment(ended, "finishedAt"))


def _taken_away(pod: Mapping[str, Any]) -> Fault | None:
    reason, message = text(pod, "status.reason"), text(pod, "status.message")
    failure, what = POD_REASONS.get(reason) or (_NO_ROOM if reason.startswith("OutOf") else ("", ""))
    if failure and _OWN_DISK.search(message):
        return Fault(_said("it used more disk than it may", message, "ask for more: Resources(disk=…), shm=…"))
    if failure:
        advice = "ask for what it uses: Resources(memory=…)" if "larger consumption of memory" in message else ""
        return Fault(_said(what, message, advice), failure)
    disruption = condition(pod, "DisruptionTarget")
    if not is_true(disruption):
        return None
    failure, what = DISRUPTIONS.get(text(disruption, "reason"), _OTHER_DISRUPTION)
    return Fault(_said(what, text(disruption, "message")), failure, at=moment(disruption, "lastTransitionTime"))


def _deleted(kind: JobKind, pod: Mapping[str, Any]) -> Fault | None:
    """A pod that was deleted before its process ended. Kubernetes dates a deletion at the end of the grace period."""
    until = moment(pod, "metadata.deletionTimestamp")
    if until is None:
        return None
    if _started_again(kind, pod):
        return None
    asked = until - (number(pod, "metadata.deletionGracePeriodSeconds") or 0)
    finished = moment(_ended(kind, pod), "finishedAt")
    if finished is not None and finished < asked - _SKEW_SECONDS:
        return None
    return Fault("somebody deleted its pod", "Preempted", at=asked + _SKEW_SECONDS)


def _process(kind: JobKind, pod: Mapping[str, Any]) -> Fault | None:
    """The first container whose end failed the pod: an init container, the main one, another."""
    main = main_container(kind, pod)
    by_interest = sorted(_containers(pod), key=lambda one: text(one, "name") != main)
    for container in by_interest:
        terminated = _terminated(container)
        reason, code = text(terminated, "reason"), number(terminated, "exitCode")
        if reason not in ENDED and not code:
            continue
        called = _called(container, kind, pod)
        when = moment(terminated, "finishedAt")
        own_code = code if text(container, "name") == main else None
        failure, what = ENDED.get(reason, (None, f"ended with {_exit(code)}"))
        if reason == "OOMKilled":
            said = _said(f"{called} {what}", _limit(container, pod), "ask for more: Resources(memory=…)")
        else:
            said = _said(f"{called} {what}", _first_line(terminated))
        return Fault(said, failure, own_code, when)
    return None


def _unexplained(pod: Mapping[str, Any]) -> Fault | None:
    if text(pod, "status.phase") != "Failed":
        return None
    return Fault(_said(text(pod, "status.reason") or "its pod failed", text(pod, "status.message")))


def _containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The states of init containers, then of containers; not of sidecars, which end with the others."""
    sidecars = {text(one, "name") for one in maps(pod, "spec.initContainers") if text(one, "restartPolicy") == "Always"}
    for statuses in ("status.initContainerStatuses", "status.containerStatuses"):
        yield from (one for one in maps(pod, statuses) if text(one, "name") not in sidecars)


def _main(kind: JobKind, pod: Mapping[str, Any]) -> Mapping[str, Any]:
    name = main_container(kind, pod)
    return next((one for one in maps(pod, "status.containerStatuses") if text(one, "name") == name), {})


def _ended(kind: JobKind, pod: Mapping[str, Any]) -> Any:
    return _terminated(_main(kind, pod))


def _started_again(kind: JobKind, pod: Mapping[str, Any]) -> bool:
    """Whether the main container had failed before the pod was deleted, since nothing is started again after that."""
    return bool(number(_main(kind, pod), "lastState.terminated.exitCode"))


def _terminated(container: Mapping[str, Any]) -> Any:
    return at(container, "state.terminated") or at(container, "lastState.terminated")


def _called(container: Mapping[str, Any], kind: JobKind, pod: Mapping[str, Any]) -> str:
    name = text(container, "name")
    if name == main_container(kind, pod):
        return "its container"
    inits = [text(one, "name") for one in maps(pod, "status.initContainerStatuses")]
    return f"its {'init container' if name in inits else 'container'} `{name}`"


def _limit(container: Mapping[str, Any], pod: Mapping[str, Any]) -> str:
    name = text(container, "name")
    specs = [one for part in ("initContainers", "containers") for one in maps(pod, f"spec.{part}")]
    own = [text(one, "resources.limits.memory") for one in specs if text(one, "name") == name]
    limit = next((one for one in own if one), "") or text(pod, "spec.resources.limits.memory")
    return f"its limit is {limit}" if limit else "it has no limit, and its node had no more"


def _exit(code: int | None) -> str:
    try:
        return f"exit status {code} ({signal.Signals((code or 0) - 128).name})"
    except ValueError:
        return f"exit status {code}"


def _first_line(terminated: Any) -> str:
    """Of the termination message, in which our runtime leaves a word."""
    message = at(terminated, "message")
    return " ".join(message.strip().partition("\n")[0].split()) if isinstance(message, str) else ""


def _said(what: str, message: str, advice: str = "") -> str:
    said = f"{what}: {message}" if message else what
    return f"{said[:_LONG]} → {advice}" if advice else said[:_LONG]
