"""
Why Kueue does not let a job go, from its Workload: what to wait for, and what no waiting will change.

Source: Kueue 0.19, ``apis/kueue/v1beta2/workload_types.go``; the finer reasons of ``QuotaReserved`` came with it, and
versions before say ``Pending`` and ``Inadmissible``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .faults import Fault
from .reading import at, condition, is_true, text

HOPELESS: Final[Mapping[str, tuple[str, str]]] = {
    "ExceedsMaxQuota": (
        "it asks for more than its ClusterQueue may ever have",
        "ask for less, or ask the queue's administrator for a higher quota or borrowing limit",
    ),
    "NoMatchingFlavor": (
        "no ResourceFlavor of its ClusterQueue fits its node selector and tolerations",
        "ask the queue's administrator for a flavor with such nodes, or change the target's selectors",
    ),
    "Misconfigured": (
        "its queue cannot admit it",
        "ask the administrator whether the LocalQueue and its ClusterQueue exist and take this namespace",
    ),
    "Suspended": (
        "its queue is stopped",
        "ask the queue's administrator to start it again (`stopPolicy`)",
    ),
    "Inadmissible": (  # to 0.18: both of the two above
        "its queue is missing or stopped",
        "ask the administrator whether the LocalQueue and its ClusterQueue exist, take this namespace and are active",
    ),
    "Deactivated": (
        "its Workload was deactivated",
        "ask the queue's administrator why; it starts again when the Workload's `spec.active` is true",
    ),
}  # fmt: skip
"""Reason of ``QuotaReserved=False`` → what it means, and whom to ask. Kueue itself waits for ever."""

_EVICTED: Final[Mapping[str, str]] = {
    "Preempted": "preempted by Kueue",
    "PodsReadyTimeout": "taken back by Kueue, since not all its pods were ready in time",
    "NodeFailures": "taken back by Kueue, since nodes failed",
}
"""Reason of ``Evicted=True``; the job is suspended, waits in its queue again, and has not failed."""


def hopeless(workload: Mapping[str, Any] | None) -> Fault | None:
    """Why a suspended job will never be admitted as things are; ``None`` if it may be."""
    quota = condition(workload, "QuotaReserved")
    reason = "" if is_true(quota) else text(quota, "reason")
    evicted = condition(workload, "Evicted")
    if at(workload, "spec.active") is False:
        reason, quota = "Deactivated", evicted
    if reason not in HOPELESS:
        return None
    what, advice = HOPELESS[reason]
    message = text(quota, "message")
    return Fault(f"{what}{f': {message}' if message else ''} → {advice}", "CapacityUnavailable")


def admission(workload: Mapping[str, Any] | None, queue: str) -> str:
    """For what a suspended job waits, for people."""
    evicted, quota, admitted = (condition(workload, kind) for kind in ("Evicted", "QuotaReserved", "Admitted"))
    said = []
    if is_true(evicted):
        what = _EVICTED.get(text(evicted, "reason"), "taken back by Kueue")
        said.append(_with(what, text(evicted, "message")))
    if is_true(quota) and not is_true(admitted):
        said.append(_with("has its quota and waits for Kueue's admission checks", text(admitted, "message")))
    elif text(quota, "message"):
        said.append(_with(f"waits in Kueue's queue `{queue}`", text(quota, "message")))
    return "; ".join(said) or f"waits in Kueue's queue `{queue}`"


def _with(what: str, message: str) -> str:
    return f"{what}: {message}" if message else what
