"""Parts of Workflows with what drivers of Kubeflow Pipelines 2.14 write; ``recorded/workflow-kinds.json`` is a whole one."""

from __future__ import annotations

import json

from tests.unit.backends.kubeflow_pipelines.objects import node

SESSION = json.dumps(
    {"Provider": "minio", "Params": {"endpoint": "10.96.0.9:9000", "secretName": "mlpipeline-minio-artifact"}}
)
_TYPES = {bool: "BOOLEAN", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", str: "STRING", list: "LIST", dict: "STRUCT"}


def driver(task, *, parameters=None, artifacts=None, writes=None, metadata=None, kind="system.Model", **more):
    """
    The driver's node of a task: it patches its pod with the launcher's command.

    What is given has lost its type, and has what the server notes; what is written has no name yet, and with it goes
    what the task prints. Whole numbers have no point.
    """
    given = {
        key: {"artifacts": [{
            "name": "5", "type": {"instanceSchema": ""}, "uri": uri,
            "metadata": {"display_name": key, "store_session_info": SESSION, **(metadata or {})},
        }]}
        for key, uri in (artifacts or {}).items()
    }  # fmt: skip
    logs = {
        "executor-logs": {
            "artifacts": [{"type": {"schemaTitle": "system.Artifact"}, "uri": f"minio://b/{task}/executor-logs"}]
        }
    }
    written = {
        key: {"artifacts": [{"type": {"schemaTitle": kind, "schemaVersion": "0.0.1"}, "uri": uri}]}
        for key, uri in (writes or {}).items()
    }
    plain = {
        key: int(one) if isinstance(one, float) and one == int(one) else one for key, one in (parameters or {}).items()
    }
    executor_input = {
        "inputs": {**({"parameterValues": plain} if plain else {}), **({"artifacts": given} if given else {})},
        "outputs": {"artifacts": {**written, **logs}, "outputFile": "/tmp/kfp_outputs/output_metadata.json"},
    }
    component = {"executorLabel": f"exec-{task}", "inputDefinitions": {
        "parameters": {key: {"parameterType": _TYPES[type(one)]} for key, one in (parameters or {}).items()},
        "artifacts": {key: {"artifactType": {"schemaTitle": kind, "schemaVersion": "0.0.1"}} for key in artifacts or {}},
    }}  # fmt: skip
    command = [
        "/kfp-launcher/launch", "--pipeline_name", "churn", "--run_id", "r-1", "--execution_id", "7",
        "--executor_input", json.dumps(executor_input), "--component_spec", json.dumps(component),
        "--pod_name", "$(KFP_POD_NAME)", "--pod_uid", "$(KFP_POD_UID)", "--publish_logs", "true", "--",
    ]  # fmt: skip
    args = ["python3", "-c", "…", "--executor_input", "{{$}}", "--function_to_execute", "run"]
    patch = {"containers": [{"name": "main", "image": "python:3", "command": command, "args": args, "resources": {}}]}
    raw = node(f"root.{task.replace('/', '.')}-driver", "Succeeded", template="system-container-driver", **more)
    raw["outputs"] = {
        "parameters": [
            {"name": "pod-spec-patch", "value": json.dumps(patch)},
            {"name": "cached-decision", "value": "false"},
            {"name": "condition", "value": "nil"},
        ],
        "exitCode": "0",
    }
    return raw


def cached_driver(task, **more):
    """The driver's node of a task that was not run, since the same was run before: it patches nothing."""
    raw = node(f"root.{task.replace('/', '.')}-driver", "Succeeded", template="system-container-driver", **more)
    raw["outputs"] = {
        "parameters": [{"name": "pod-spec-patch", "value": ""}, {"name": "cached-decision", "value": "true"}],
        "exitCode": "0",
    }
    return raw
