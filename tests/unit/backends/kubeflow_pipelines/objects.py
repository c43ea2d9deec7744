"""
Runs and Workflows as a server of 2.14.3 with Argo 3.6.7 gave them, written down field by field.

Names, nodes, phases, messages and what is missing are as observed: ``error`` is never set, a pod's id is not its name,
unset times are 1970, and with caching there are details without a name.
"""

from __future__ import annotations

import zlib
from typing import Any

START = "2026-11-23T10:00:00Z"
UNSET = "1970-01-01T00:00:00Z"
WORKFLOW = "boom-tm5c4"


def detail(name: str, state: str = "", start: int = 0, end: int | None = None) -> dict[str, Any]:
    """One of ``run_details.task_details``; seconds after ``START``."""
    found = {
        "run_id": "r-1", "task_id": f"id-{name}", "create_time": at(0), "start_time": at(start),
        "end_time": UNSET if end is None else at(end),
    }  # fmt: skip
    return {
        **found,
        **({"display_name": name} if name else {"execution_id": "7"}),
        **({"state": state} if state else {}),
    }


def run(state: str = "RUNNING", *details: dict[str, Any], history: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A run."""
    return {
        "run_id": "r-1", "experiment_id": "e-1", "display_name": "churn-train-1", "storage_state": "AVAILABLE",
        "created_at": START, "scheduled_at": START, "finished_at": UNSET,
        **({"state": state} if state else {}),
        "state_history": [{"update_time": START, "state": word} for word in history],
        **({"run_details": {"task_details": list(details)}} if details else {}),
        **more,
    }  # fmt: skip


def one_step(executor: str, task: str = "", state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """The run of a one-task pipeline, with the six details that it has."""
    task = task or executor
    root = "SUCCEEDED" if task in ("SUCCEEDED", "SKIPPED") else task
    return run(
        state, detail("executor", executor, 9, 12), detail("step", task, 5, 13), detail("root-driver", "SUCCEEDED", 0, 4),
        detail(WORKFLOW, root, 0, 13), detail("step-driver", "SUCCEEDED", 5, 8), detail("root", root, 4, 13), **more,
    )  # fmt: skip


def workflow(*nodes: dict[str, Any], phase: str = "Running", message: str = "", **spec: Any) -> dict[str, Any]:
    """A Workflow."""
    return {
        "metadata": {"name": WORKFLOW, "labels": {"pipeline/runid": "r-1"}},
        "spec": spec,
        "status": {"phase": phase, "message": message, "nodes": {node["id"]: node for node in nodes}},
    }


def node(path: str, phase: str, message: str = "", *, kind: str = "Pod", start: int = 0, end: int | None = None,
         template: str = "system-container-impl") -> dict[str, Any]:  # fmt: skip
    """One node of it; its id ends in a hash of its name."""
    name = f"{WORKFLOW}.{path}" if path else WORKFLOW
    found = {
        "id": f"{WORKFLOW}-{zlib.crc32(name.encode())}", "name": name, "displayName": path.rpartition(".")[2] or WORKFLOW,
        "type": kind, "phase": phase, "startedAt": at(start), "templateName": template,
    }  # fmt: skip
    return {
        **found,
        **({"message": message} if message else {}),
        **({"finishedAt": at(end)} if end is not None else {}),
    }


def steps(executor: dict[str, Any], *more: dict[str, Any], phase: str = "Running", **kept: Any) -> dict[str, Any]:
    """The Workflow of a one-task pipeline around its executor's node."""
    word = executor["phase"]
    return workflow(
        node("", word, kind="DAG", template="entrypoint"),
        node("root-driver", "Succeeded", start=0, end=4, template="system-dag-driver"),
        node("root", word, kind="DAG", start=4, template="root"),
        node("root.step-driver", "Succeeded", start=5, end=8, template="system-container-driver"),
        node("root.step", word, kind="DAG", start=5, end=13, template="system-container-executor"),
        executor, *more, phase=phase, **kept,
    )  # fmt: skip


def at(seconds: int) -> str:
    """A time of the API."""
    return f"2026-11-23T10:{seconds // 60:02}:{seconds % 60:02}Z"
