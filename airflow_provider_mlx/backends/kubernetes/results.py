"""
What a job brings back that has no runtime of ours in it: the last words of its main container.

A container may leave up to 4 KiB under ``/dev/termination-log``, which the kubelet puts into the pod's status: no
client, no volume and no Python is needed for it. Source: kubernetes.io/docs/tasks/debug/debug-application/
determine-reason-pod-failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow_provider_mlx.runtime.protocol import PROTOCOL
from airflow_provider_mlx.runtime.results import RETURN_VALUE
from airflow_provider_mlx.runtime.wire import NotPlain, encode

from .kinds import JobKind, Rank, main_container, rank_of
from .names import IDENTITY
from .reading import annotation, at, maps, text

TERMINATION_MESSAGE: Final = "termination-message"
"""Value of the annotation ``RESULT``."""


def result_of(kind: JobKind, job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """
    ``result.json`` of a job that has succeeded; its return value is what rank 0's main container said.

    It says nothing of an interpreter, since there may have been none.
    """
    ended = _end_of_rank_0(kind, pods)
    times = {ours: text(ended, theirs) for ours, theirs in _TIMES.items() if text(ended, theirs)}
    return {
        "protocol": PROTOCOL,
        "step": json.loads(annotation(job, IDENTITY)),
        "outputs": {RETURN_VALUE: {"artifact": None, "inline": True, "value": spoken(at(ended, "message"))}},
        "metrics": {},
        "datasets": {"read": [], "written": []},
        "skipped": None,
        "timings": times,
    }


_TIMES: Final = {"started_at": "startedAt", "finished_at": "finishedAt"}


def spoken(message: object) -> Any:
    """
    A termination message as a value: JSON if it is JSON, else text; ``None`` if nothing was said.

    JSON that would be taken for one of our references is text: this job has made none.
    """
    said = message.strip() if isinstance(message, str) else ""
    if not said:
        return None
    try:
        return encode(json.loads(said, parse_constant=_no_json))
    except (ValueError, RecursionError, NotPlain):
        return said


def _end_of_rank_0(kind: JobKind, pods: Iterable[Mapping[str, Any]]) -> Any:
    """How the main container of the first rank ended well; of a rank that was started again, the newest pod's."""
    found: tuple[Rank, str, Any] | None = None
    for pod in pods:
        rank, made = rank_of(kind, pod), text(pod, "metadata.creationTimestamp")
        ended = _main_end(kind, pod)
        if at(ended, "exitCode") != 0 or not rank.runs_user_code:
            continue
        if found is None or rank < found[0] or (rank == found[0] and made > found[1]):
            found = rank, made, ended
    return found[2] if found else None


def _main_end(kind: JobKind, pod: Mapping[str, Any]) -> Any:
    name = main_container(kind, pod)
    statuses = maps(pod, "status.containerStatuses")
    return next((at(one, "state.terminated") for one in statuses if text(one, "name") == name), None)


def _no_json(word: str) -> None:
    """``NaN`` and the like are no JSON: Airflow's database refuses them."""
    raise ValueError(word)
