"""
The Workflow of a run with real pods, kept as a file for unit tests: what of it they read, without what differs each time.

What is left out: everything but the status of its nodes, and of those what the API server's own rules need.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tests.kubeflow_pipelines.workflows import node_id

NAME: Final = "kinds-tm5c4"
_KEPT: Final = ("name", "displayName", "type", "templateName", "phase", "message")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS: Final = re.compile(r"\b10(?:\.\d{1,3}){3}\b")


def stable_workflow(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """The Workflow as it is kept."""
    name = workflow["metadata"]["name"]
    nodes = {}
    for raw in sorted(workflow["status"]["nodes"].values(), key=lambda node: (node["startedAt"], node["name"])):
        path = raw["name"].removeprefix(name).removeprefix(".")
        outputs = {key: raw["outputs"][key] for key in ("parameters", "exitCode") if key in raw.get("outputs", {})}
        identifier = node_id(NAME, path)
        nodes[identifier] = {
            "id": identifier, **{key: raw[key] for key in _KEPT if key in raw},
            "startedAt": f"2026-11-23T10:{len(nodes) // 60:02}:{len(nodes) % 60:02}Z",
            "finishedAt": f"2026-11-23T10:{len(nodes) // 60 + 1:02}:{len(nodes) % 60:02}Z",
            **({"outputs": outputs} if outputs else {}),
        }  # fmt: skip
    kept = {"metadata": {"name": NAME}, "status": {"phase": workflow["status"]["phase"], "nodes": nodes}}
    found: dict[str, Any] = json.loads(_stable(json.dumps(kept, ensure_ascii=False).replace(name, NAME)))
    return found


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
