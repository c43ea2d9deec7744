"""Bodies of ``POST /runs`` for tests: a pipeline of one task, as small as the server takes it."""

from __future__ import annotations

import uuid
from typing import Any

NAMESPACE = uuid.UUID("7a1d6f86-5f0e-4a59-8a52-0d1f5cbb7c11")
PIPELINE = "a-step"


def run_id_of(text: str) -> str:
    """An id of a run, the same for the same text."""
    return str(uuid.uuid5(NAMESPACE, text))


def new_run_id() -> str:
    """One that no run has yet."""
    return str(uuid.uuid4())


def run_body(run_id: str = "", *, name: str = "a step", description: str = "", **more: Any) -> dict[str, Any]:
    """
    A run that brings its pipeline along, with a Kubernetes part.

    :param more: further fields of the run, or others in the place of these.
    """
    container = {"image": "python:3.11", "command": ["python3", "-c"], "args": ["print('hello')"]}
    task = {"taskInfo": {"name": "step"}, "componentRef": {"name": "comp-step"}, "cachingOptions": {}}
    spec = {
        "schemaVersion": "2.1.0",
        "sdkVersion": "tests",
        "pipelineInfo": {"name": PIPELINE},
        "components": {"comp-step": {"executorLabel": "exec-step"}},
        "deploymentSpec": {"executors": {"exec-step": {"container": container}}},
        "root": {"dag": {"tasks": {"step": task}}},
    }
    pod = {"podMetadata": {"labels": {"made-by": "tests"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-step": pod}}}}}
    body = {
        "display_name": name,
        "description": description,
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
        "runtime_config": {},
        **({"run_id": run_id} if run_id else {}),
    }
    return {**body, **more}
