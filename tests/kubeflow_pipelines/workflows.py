"""
Argo Workflows as Argo's controller would write them: pure.

Sources: ``workflow/util/pod_name.go`` and ``pkg/apis/workflow/v1alpha1/workflow_types.go`` of Argo Workflows 3.6 for
names and ids of nodes; ``argocompiler/dag.go`` of Kubeflow Pipelines 2.14 for the templates, and a run of a step with
real pods for which nodes there are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

OVER: Final = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})
COMPLETED: Final = "workflows.argoproj.io/completed"
PERSISTED: Final = "pipeline/persistedFinalState"
"""Set by the server when it was told the end. A Workflow that is reported with it is removed, as garbage."""
PHASE: Final = "workflows.argoproj.io/phase"
EXECUTOR: Final = "system-container-impl"
_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = 16777619


@dataclass(frozen=True)
class Node:
    """
    A node of a Workflow.

    :param path: its name without the Workflow's: ``root.step.executor``; empty for the Workflow's own.
    :param kind: ``Pod``, ``DAG``, …
    :param template: whose name is in the pod's.
    :param phase: ``Pending``, ``Running``, ``Succeeded``, ``Failed``, ``Error``, ``Skipped`` or ``Omitted``.
    :param children: paths of the nodes that follow it.
    :param outputs: its output parameters.
    """

    path: str
    phase: str
    kind: str = "Pod"
    template: str = ""
    message: str = ""
    children: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)

    def render(self, workflow: str, at: str) -> dict[str, Any]:
        """As it is in a Workflow's status."""
        name = node_name(workflow, self.path)
        found = {
            "id": node_id(workflow, self.path), "name": name, "displayName": self.path.rpartition(".")[2] or workflow,
            "type": self.kind, "templateName": self.template, "phase": self.phase, "startedAt": at,
            "finishedAt": at if self.phase in OVER else None,
        }  # fmt: skip
        children = [node_id(workflow, path) for path in self.children]
        outputs = [{"name": key, "value": value} for key, value in self.outputs.items()]
        return {
            **found,
            **({"children": children} if children else {}),
            **({"message": self.message} if self.message else {}),
            **({"outputs": {"parameters": outputs}} if outputs else {}),
        }


def node_name(workflow: str, path: str) -> str:
    """The whole name of a node."""
    return f"{workflow}.{path}" if path else workflow


def node_id(workflow: str, path: str) -> str:
    """The Workflow's name, and a hash (FNV-1a, 32 bits) of the node's; the Workflow's own node has its name."""
    if not path:
        return workflow
    value = _FNV_OFFSET
    for byte in node_name(workflow, path).encode():
        value = (value ^ byte) * _FNV_PRIME % 2**32
    return f"{workflow}-{value}"


def template_prefix(workflow: Mapping[str, Any]) -> str:
    """What stands before the names of the executors' templates: a task whose pod has labels of its own has its own."""
    names = [str(one["name"]) for one in workflow["spec"].get("templates") or ()]
    found = [name.removesuffix(EXECUTOR) for name in names if name.endswith(EXECUTOR)]
    return found[0] if found else ""


def step_nodes(phase: str, message: str = "", *, task: str = "step", prefix: str = "") -> list[Node]:
    """
    The nodes of a pipeline with one task, whose executor has come as far as this.

    :param message: of the executor's pod.
    :param prefix: see :func:`template_prefix`.
    """
    around = "Running" if phase in ("Pending", "Running") else phase
    driver, own, executor = f"root.{task}-driver", f"root.{task}", f"root.{task}.executor"
    return [
        Node("", around, "DAG", "entrypoint", children=("root-driver",)),
        Node("root-driver", "Succeeded", "Pod", "system-dag-driver", children=("root",)),
        Node("root", around, "DAG", "root", children=(driver,)),
        Node(driver, "Succeeded", "Pod", "system-container-driver", children=(own,)),
        Node(own, around, "DAG", f"{prefix}system-container-executor", children=(executor,)),
        Node(executor, phase, "Pod", f"{prefix}{EXECUTOR}", message),
    ]


def with_status(
    workflow: Mapping[str, Any],
    phase: str,
    nodes: Sequence[Node] = (),
    message: str = "",
    *,
    at: datetime | None = None,
) -> dict[str, Any]:
    """A Workflow in a phase, with its nodes in the place of those that it had."""
    moment = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    over = phase in OVER
    name = workflow["metadata"]["name"]
    changed = copy.deepcopy(dict(workflow))
    before = changed.get("status") or {}
    rendered = [node.render(name, moment) for node in nodes]
    changed["status"] = {
        "phase": phase, "startedAt": before.get("startedAt") or moment, "finishedAt": moment if over else None,
        "progress": f"{sum(node.phase == 'Succeeded' for node in nodes)}/{len(nodes)}",
        "nodes": {node["id"]: node for node in rendered}, **({"message": message} if message else {}),
    }  # fmt: skip
    labels = changed["metadata"].setdefault("labels", {})
    labels[PHASE] = phase
    for label in (COMPLETED, PERSISTED):
        labels.pop(label, None)
    if over:
        labels[COMPLETED] = "true"
    return changed
