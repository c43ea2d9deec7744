"""Parts of Workflows with what drivers of Kubeflow Pipelines 2.14 write."""

from __future__ import annotations

import json

from tests.unit.backends.kubeflow_pipelines.objects import node


def driver(task, *, parameters=None, artifacts=None, writes=None, metadata=None, kind="system.Model", **more):
    """The driver's node of a task: it patches its pod with the launcher's command."""

    def told(given):
        return {
            key: {"artifacts": [{"name": key, "uri": uri, "type": {"schemaTitle": kind}, "metadata": metadata or {}}]}
            for key, uri in (given or {}).items()
        }

    executor_input = {
        "inputs": {"parameterValues": parameters or {}, "artifacts": told(artifacts)},
        "outputs": {"artifacts": told(writes), "outputFile": "/tmp/kfp_outputs/output_metadata.json"},
    }
    command = [
        "/kfp-launcher/launch", "--pipeline_name", "churn", "--run_id", "r-1", "--execution_id", "7",
        "--executor_input", json.dumps(executor_input), "--component_spec", "{}", "--pod_name", "$(KFP_POD_NAME)", "--",
    ]  # fmt: skip
    patch = {"containers": [{"name": "main", "image": "python:3", "command": command, "args": ["true"]}]}
    raw = node(f"root.{task}-driver", "Succeeded", template="system-container-driver", **more)
    raw["outputs"] = {
        "parameters": [
            {"name": "pod-spec-patch", "value": json.dumps(patch)},
            {"name": "cached-decision", "value": "false"},
        ]
    }
    return raw
