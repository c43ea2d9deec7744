"""
The Workflow of a run with real pods, kept as a file for unit tests: what of it they read, without what differs each time.

What is left out: everything but the status of its nodes, and of those what the API server's own rules need.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.kubeflow_pipelines.workflows import node_id

NAME: Final = "kinds-tm5c4"
START: Final = datetime(2026, 11, 23, 10, tzinfo=UTC)
_KEPT: Final = ("name", "displayName", "type", "templateName", "phase", "message")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS: Final = re.compile(r"\b10(?:\.\d{1,3}){3}\b")


def stable_workflow(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """The Workflow as it is kept."""
    name = workflow["metadata"]["name"]
    nodes: dict[str, Any] = {}
    by = START - datetime.fromisoformat(workflow["status"]["startedAt"])
    for raw in sorted(workflow["status"]["nodes"].values(), key=lambda node: (node["startedAt"], node["name"])):
        path = raw["name"].removeprefix(name).removeprefix(".")
        outputs = [
            {key: one[key] for key in ("name", "value")} for one in (raw.get("outputs") or {}).get("parameters") or ()
        ]
        identifier = node_id(NAME, path)
        nodes[identifier] = {
            "id": identifier, **{key: raw[key] for key in _KEPT if key in raw},
            "startedAt": _later(raw["startedAt"], by), "finishedAt": _later(raw["finishedAt"], by),
            **({"outputs": {"parameters": outputs}} if outputs else {}),
        }  # fmt: skip
    kept = {"metadata": {"name": NAME}, "status": {"phase": workflow["status"]["phase"], "nodes": nodes}}
    found: dict[str, Any] = json.loads(_stable(json.dumps(kept, ensure_ascii=False).replace(name, NAME)))
    return found


def _later(moment: str, by: timedelta) -> str:
    return (datetime.fromisoformat(moment) + by).strftime("%Y-%m-%dT%H:%M:%SZ")


def outline(workflow: Mapping[str, Any]) -> list[Any]:
    """What is the same each time: which nodes there are, and which parameters they give."""
    name = workflow["metadata"]["name"]
    return sorted(
        [
            node["name"].removeprefix(name), node["type"], node["phase"], node.get("message", ""),
            sorted(one["name"] for one in (node.get("outputs") or {}).get("parameters") or ()),
        ]
        for node in workflow["status"]["nodes"].values()
    )  # fmt: skip


def _stable(text: str) -> str:
    numbers: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"00000000-0000-4000-8000-{len(numbers) + 1:012}")

    return _UUID.sub(numbered, _ADDRESS.sub("10.96.0.9", text))
