"""
The Argo Workflow of a run, read as a value: which pods it has, what became of them, and what is said about them.

A server of Kubeflow Pipelines keeps it as it was last told; nothing else there has a message. The names of nodes are
paths: ``<workflow>.root.<task>.executor``, with ``<task>-driver`` beside each task. A loop has
``iteration-iterations(<number>:<item>).iteration-item`` between itself and its tasks, and an exit task is below the
``onExit`` of the group that it ends. Sources: ``argocompiler/dag.go`` and ``container.go`` of Kubeflow Pipelines, and
``workflow/util/pod_name.go``, ``hooks.go`` and ``operator.go`` of Argo Workflows 3.6.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .times import moment

PHASES: Final[Mapping[str, str]] = {
    "Pending": "PENDING",
    "Running": "RUNNING",
    "Succeeded": "SUCCEEDED",
    "Skipped": "SKIPPED",
    "Omitted": "SKIPPED",
    "Failed": "FAILED",
    "Error": "FAILED",  # as the server itself reads it
}
"""A node's phase as a state of the API; ``pkg/apis/workflow/v1alpha1/workflow_types.go``, NodePhase."""
_SEGMENT: Final = re.compile(r"(?:[^.(]|\([^)]*\))+")
_EXECUTOR: Final = re.compile(r"executor(\(\d+\))?")
_ITERATION: Final = re.compile(r"iteration[a-z-]*\((?P<number>\d+):.*\)", re.DOTALL)
_BETWEEN: Final = frozenset({"iteration", "iteration-iterations", "iteration-item"})
"""Segments between a loop and its tasks."""
_DRIVERS_OF_LOOPS: Final = frozenset({"iteration-driver", "iteration-item-driver"})
_ON_EXIT: Final = "onExit"
_WORKS: Final = frozenset({"Pod", "Plugin"})
"""Types of nodes that do something themselves; newer servers have their drivers as plugins of one pod."""
_POD_NAME_LIMIT: Final = 253 - 10 - 1
"""Of the part before the hash."""


@dataclass(frozen=True)
class Node:
    """
    One node of a Workflow.

    :param path: the tasks around it and its own, from the outside; empty for the root's.
    :param part: ``task``, ``driver`` or ``executor``: what of the task it is.
    :param state: a state of the API.
    :param works: it does something itself, instead of holding others.
    :param pod: the pod's name; empty for a node that has none of its own.
    """

    path: tuple[str, ...]
    part: str
    state: str
    message: str = ""
    works: bool = False
    pod: str = ""
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def task(self) -> str:
        """The task's name, with those around it."""
        return "/".join(self.path)


def nodes_of(workflow: Mapping[str, Any]) -> tuple[Node, ...]:
    """All nodes, in the order in which they began."""
    found = (node for node, _ in raw_nodes_of(workflow))
    return tuple(sorted(found, key=lambda node: (node.started is None, node.started, node.path)))


def raw_nodes_of(workflow: Mapping[str, Any]) -> Iterator[tuple[Node, Mapping[str, Any]]]:
    """All nodes, each with what the Workflow has of it."""
    name = str((workflow.get("metadata") or {}).get("name") or "")
    for raw in _raw(workflow):
        if (node := _node(raw, name)) is not None:
            yield node, raw


def failed_nodes(workflow: Mapping[str, Any]) -> tuple[Node, ...]:
    """What failed by itself, the first one first: what failed after it may have failed because of it."""
    failed = [node for node in nodes_of(workflow) if node.works and node.state == "FAILED"]
    return tuple(sorted(failed, key=lambda node: (node.ended is None, node.ended, node.path)))


def waiting_reason(workflow: Mapping[str, Any]) -> str:
    """Why a pod does not begin, in the cluster's words: no room, an image that cannot be pulled, …"""
    waits = [node.message for node in nodes_of(workflow) if node.pod and node.state == "PENDING" and node.message]
    return waits[0] if waits else ""


def message_of(workflow: Mapping[str, Any]) -> str:
    """What is said of the Workflow as a whole, as when it could not begin at all."""
    return str((workflow.get("status") or {}).get("message") or "")


def pod_name(workflow: str, node: Mapping[str, Any]) -> str:
    """
    The pod of a node.

    The API gives the node's id, ``<workflow>-<hash>``; the pod's name has the template between the two.
    """
    identifier, template = str(node.get("id") or ""), _template(node)
    if node.get("name") == workflow or not template:
        return identifier
    hashed = identifier.rpartition("-")[2]
    return f"{f'{workflow}-{template}'[:_POD_NAME_LIMIT]}-{hashed}"


def _raw(workflow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Argo compresses the nodes of a large Workflow."""
    status = workflow.get("status") or {}
    nodes = status.get("nodes")
    if not nodes and (packed := status.get("compressedNodes")):
        try:
            nodes = json.loads(gzip.decompress(base64.b64decode(packed)))
        except (ValueError, OSError, EOFError):
            nodes = None
    yield from (one for one in (nodes or {}).values() if isinstance(one, Mapping))


def _node(given: Mapping[str, Any], workflow: str) -> Node | None:
    """``None`` for the nodes that the Workflow itself brings: its entry, what is around tries, items and exit tasks."""
    segments = _SEGMENT.findall(str(given.get("name") or "").removeprefix(f"{workflow}."))
    around = given.get("type") in ("Retry", "TaskGroup")
    if not segments or segments[0] not in ("root", "root-driver") or segments[-1] == _ON_EXIT or around:
        return None
    path, part = _place(segments)
    kind = given.get("type")
    return Node(
        path=path, part=part, state=PHASES.get(str(given.get("phase") or "Pending"), "PENDING"),
        message=str(given.get("message") or ""), works=kind in _WORKS,
        pod=pod_name(workflow, given) if kind == "Pod" else "",
        started=moment(given.get("startedAt")), ended=moment(given.get("finishedAt")),
    )  # fmt: skip


def _place(segments: list[str]) -> tuple[tuple[str, ...], str]:
    """The task of a node, and what of it the node is."""
    path: list[str] = []
    for segment in segments[1:]:
        if found := _ITERATION.fullmatch(segment):
            path[-1:] = [f"{path[-1]}[{found['number']}]"] if path else []
        elif segment == _ON_EXIT:  # an exit task is beside the group that it ends
            path = path[:-1]
        elif segment not in _BETWEEN:
            path.append(segment)
    last = path[-1] if path else segments[0]
    if _EXECUTOR.fullmatch(last):
        return tuple(path[:-1]), "executor"
    if last in _DRIVERS_OF_LOOPS or last == "root-driver":
        return tuple(path[:-1]), "driver"
    if last.endswith("-driver"):
        return (*path[:-1], last.removesuffix("-driver")), "driver"
    return tuple(path), "task"


def _template(node: Mapping[str, Any]) -> str:
    named = node.get("templateRef") or {}
    return str(node.get("templateName") or named.get("template") or "")
