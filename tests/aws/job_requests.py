"""Requests for jobs, as short as tests want them: a script in S3, and what is special about the job."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from .endpoint import Endpoint

RESOURCES: Mapping[str, Any] = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}


def put_script(endpoint: Endpoint, name: str, script: str) -> str:
    """Put a script where a job finds it; its URI."""
    key = f"scripts/{name}/main.py"
    endpoint.client("s3").put_object(Bucket=endpoint.bucket, Key=key, Body=textwrap.dedent(script).encode())
    return f"s3://{endpoint.bucket}/{key}"


def channel(name: str, uri: str, **source: Any) -> dict[str, Any]:
    """A channel of a training job."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}}


def training_request(endpoint: Endpoint, name: str, script: str = "pass", **changes: Any) -> dict[str, Any]:
    """
    Of CreateTrainingJob.

    :param changes: members of the request; ``channels``, ``image`` and ``instances`` are short for longer ones.
    """
    algorithm = {
        "TrainingImage": changes.pop("image", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/python:3.11"),
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "/opt/ml/input/data/mlx-code/main.py"],
        **changes.pop("algorithm", {}),
    }
    code = channel("mlx-code", put_script(endpoint, name, script))
    return {
        "TrainingJobName": name,
        "RoleArn": endpoint.role_arn,
        "AlgorithmSpecification": algorithm,
        "InputDataConfig": [code, *changes.pop("channels", [])],
        "OutputDataConfig": {"S3OutputPath": f"s3://{endpoint.bucket}/out"},
        "ResourceConfig": {**RESOURCES, "InstanceCount": changes.pop("instances", 1)},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def processing_request(endpoint: Endpoint, name: str, script: str = "pass", **changes: Any) -> dict[str, Any]:
    """
    Of CreateProcessingJob.

    :param changes: members of the request; ``image``, ``inputs`` (local name to URI), ``outputs`` (local name to URI, or
        to URI and upload mode) and ``instances`` are short for longer ones.
    """
    inputs = {"code": put_script(endpoint, name, script), **changes.pop("inputs", {})}
    outputs = changes.pop("outputs", {})
    return {
        "ProcessingJobName": name,
        "RoleArn": endpoint.role_arn,
        "AppSpecification": {
            "ImageUri": changes.pop("image", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/python:3.11"),
            "ContainerEntrypoint": ["python", "/opt/ml/processing/code/main.py"],
        },
        "ProcessingInputs": [_input(name, uri) for name, uri in inputs.items()],
        "ProcessingOutputConfig": {"Outputs": [_output(name, given) for name, given in outputs.items()]},
        "ProcessingResources": {"ClusterConfig": {**RESOURCES, "InstanceCount": changes.pop("instances", 1)}},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def _input(name: str, uri: str) -> dict[str, Any]:
    source = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source}


def _output(name: str, given: str | tuple[str, str]) -> dict[str, Any]:
    uri, mode = (given, "EndOfJob") if isinstance(given, str) else given
    target = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": mode}
    return {"OutputName": name, "S3Output": target}
