"""From a run's JSON to a ``JobStatus``: pure, and total."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobStatus, State

from .workflow import waiting_reason

# backend/api/v2beta1/run.proto, RuntimeState: all its words.
STATES: Final[Mapping[str, State]] = {
    "PENDING": State.ACTIVE,  # the Workflow was made, and nothing was reported of it yet
    "RUNNING": State.ACTIVE,  # may be missed: PENDING → SUCCEEDED was seen
    "PAUSED": State.ACTIVE,  # "it can be resumed"; nothing in the server writes it
    "CANCELING": State.ACTIVE,  # a stop was accepted; a Workflow that is gone leaves a run here for good
    "SUCCEEDED": State.SUCCEEDED,  # the server's word only; result.json decides
    "SKIPPED": State.SUCCEEDED,  # over, and nothing went wrong: cached, or its condition was false
    "FAILED": State.FAILED,  # a run that was terminated ends here too
    "CANCELED": State.STOPPED,  # nothing in the server writes it; a newer one may
}
"""``RUNTIME_STATE_UNSPECIFIED``, or no state at all, is a word that says nothing: it is not here, so it is unknown."""

STOPPED_REASON: Final = "it was stopped"
_EXECUTOR: Final = re.compile(r"executor(\(\d+\))?")
_BEGUN: Final = frozenset({"RUNNING", "SUCCEEDED", "SKIPPED", "FAILED"})


def status_of(run: Mapping[str, Any], *, stop_requested: bool = False, workflow: Any = None) -> JobStatus:
    """
    What a run's answer means. It may change even when it is over: a retry brings it back to RUNNING.

    :param stop_requested: we asked it to stop; the server does not keep that.
    :param workflow: its Argo Workflow, which does, where it was read.
    """
    word = str(run.get("state") or "")
    state = STATES.get(word)
    if state is None:
        said = f"Kubeflow Pipelines says `{word}`, which is not known here" if word else "the server gives no state"
        return JobStatus(State.UNKNOWN, said)
    running = has_begun(run)
    if state is State.ACTIVE:
        stopping = word == "CANCELING"
        reason = "" if running or stopping else _waits(word, workflow)
        return JobStatus(state, reason, stopping=stopping, running=running)
    if state is State.FAILED and (stop_requested or was_terminated(run, workflow)):
        return JobStatus(State.STOPPED, STOPPED_REASON, running=running)
    if state is State.STOPPED:
        return JobStatus(state, STOPPED_REASON, running=running)
    return JobStatus(state, error_of(run), running=running)


def was_terminated(run: Mapping[str, Any], workflow: Any = None) -> bool:
    """
    Whether somebody stopped a run that is FAILED now.

    Its history says CANCELING if the server was told of the Workflow between the wish and the end; the Workflow's own
    deadline of 0 seconds, by which it was stopped, says so always.
    """
    history = run.get("state_history") or ()
    if any(one.get("state") == "CANCELING" for one in history):
        return True
    spec = workflow.get("spec") if isinstance(workflow, Mapping) else None
    return isinstance(spec, Mapping) and spec.get("activeDeadlineSeconds") == 0


def has_begun(run: Mapping[str, Any]) -> bool:
    """
    Whether the code of any task may be running, or has run: not queued, not pulling its image.

    A server that tells no tasks is believed when it says RUNNING.
    """
    executors = [one for one in details(run) if _EXECUTOR.fullmatch(str(one.get("display_name") or ""))]
    if executors:
        return any(one.get("state") in _BEGUN for one in executors)
    word = run.get("state")
    return word in ("SUCCEEDED", "SKIPPED") or (word == "RUNNING" and not any(True for _ in details(run)))


def error_of(run: Mapping[str, Any]) -> str:
    """
    ``error`` of a run: why it could not be rendered. Why its tasks failed is never there.

    Source: ``backend/src/apiserver/server/api_converter.go``, and every failed run that was looked at.
    """
    error = run.get("error")
    return str(error.get("message") or "") if isinstance(error, Mapping) else ""


def is_archived(run: Mapping[str, Any]) -> bool:
    """Whether somebody put it away; it goes on all the same."""
    return run.get("storage_state") == "ARCHIVED"


def details(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The task details that a server of the MLMD era gives: one per node of the Workflow, in no order."""
    found = (run.get("run_details") or {}).get("task_details") or ()
    return (one for one in found if isinstance(one, Mapping))


def _waits(word: str, workflow: Any) -> str:
    said = waiting_reason(workflow) if isinstance(workflow, Mapping) else ""
    known = {"PENDING": "it waits for its Workflow to begin", "PAUSED": "it is paused"}
    first = known.get(word, "its step's pod has not begun")
    return f"{first}: {said}" if said else first
