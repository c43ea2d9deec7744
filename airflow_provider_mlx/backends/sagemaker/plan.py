"""A step as ``CreateTrainingJob`` or ``CreateProcessingJob``. Source: SageMaker's API reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.base import STORE_CLIENT
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.step.spec import JobSpec

from .channels import (
    CHECKPOINTS,
    DATA,
    MAX_INPUTS,
    RESULTS,
    WORDS,
    Brought,
    brought,
    checkpoints_uri,
    datasets,
    left_out,
    staging_uri,
)
from .choice import choose_instance, instance_problems, volume_gb
from .names import FAILURE_FILE, WHERE_SECRET, is_tag_value, sagemaker_name, session_tags, tags
from .settings import SageMakerSettings
from .validation import request_problems

OPERATIONS: Final = {"training": "CreateTrainingJob", "processing": "CreateProcessingJob"}
DEFAULT_RUNTIME_SECONDS: Final = 5 * 86_400
"""
Where nothing limits the step: left out, SageMaker stops a training job after a day. It is what the quotas of an account
allow at first, for both kinds of job.
"""
DEFAULT_COMMAND: Final = ("train",)
"""
What SageMaker runs in a training image where nothing else is said, so it is left out: an image with SageMaker's toolkit
then runs the script that the hyperparameters name ("script mode").
"""
_PYTHON: Final = "python3"
_RESULTS: Final = "mlx-results"


def job_request(spec: JobSpec, settings: SageMakerSettings) -> dict[str, Any]:
    """
    What is submitted for a step, as plain JSON.

    :raises InvalidStep: no instance fits, or SageMaker's own model does not allow the request.
    """
    request = _training(spec, settings) if settings.kind == "training" else _processing(spec, settings)
    request = merged(request, settings.request_override)
    operation = OPERATIONS[settings.kind]
    if problems := request_problems(operation, request):
        raise InvalidStep(f"SageMaker would refuse the request `{operation}`", problems)
    session = {"role_arn": settings.submit_role_arn, "tags": session_tags(spec)} if settings.submit_role_arn else None
    return {
        "name": spec.name,
        "operation": operation,
        "outputs": spec.outputs_uri,
        **_present("session", session),
        "request": request,
    }


def job_problems(spec: JobSpec, settings: SageMakerSettings) -> list[Problem]:
    """What keeps a job of this target from running this step, beyond what the API's own limits say."""
    found = instance_problems(spec.resources, job=settings.kind, allowed=settings.instances, prices=settings.prices)
    if not spec.image:
        found.append(
            Problem("the job has no image", "set `image:` in the target, or `image=` in the step", field="image")
        )
    if not spec.outputs_uri.startswith("s3://"):
        found.append(
            Problem(
                f"SageMaker brings and takes files of S3 alone, and the artifact root is at {spec.outputs_uri}",
                "use an s3:// root in the stack's `artifacts:`",
            )
        )
    found += [
        Problem(
            f"{dict(reference)} is not a secret of AWS",
            "in the target, map the name to `{secretsmanager: NAME}`, `{secretsmanager: NAME, key: KEY}` or "
            "`{ssm: NAME}`",
            field=f"secrets[{variable!r}]",
        )
        for variable, reference in spec.secrets.items()
        if _secret(reference) is None
    ]
    if settings.submit_role_arn and not all(map(is_tag_value, session_tags(spec).values())):
        found.append(
            Problem(
                f"the attempt's folder cannot be a session tag: {spec.outputs_uri} (256 letters, digits, `_.:/=+-@`)",
                "give the DAG, the task or the artifact root a shorter name, or leave out `submit_role_arn`",
                field="submit_role_arn",
            )
        )
    found += _dataset_problems(spec, settings)
    return found + _kind_problems(spec, settings) + _isolation_problems(spec, settings)


def merged(request: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """The request, with an override's values over it; mappings are merged, everything else is replaced."""
    result = dict(request)
    for key, value in override.items():
        ours = result.get(key)
        result[key] = merged(ours, value) if isinstance(ours, Mapping) and isinstance(value, Mapping) else value
    return result


def _kind_problems(spec: JobSpec, settings: SageMakerSettings) -> list[Problem]:
    """What training jobs have and processing jobs have not."""
    if settings.kind == "training":
        return []
    asked = {
        "spot": (spec.resources.wants_spot, "spot instances"),
        "keep_alive": (settings.keep_alive is not None, "warm pools"),
        "submit_role_arn": (settings.submit_role_arn is not None, "session tags"),
        "metrics": (bool(settings.metrics), "metrics of the log"),
        "input_mode": (settings.input_mode != "File", f"input mode {settings.input_mode}"),
        "datasets": (settings.datasets == "FastFile", "input mode FastFile"),
    }
    return [
        Problem(f"processing jobs have no {what}", "leave it out, or use a target of `kind: training`", field=name)
        for name, (is_asked, what) in asked.items()
        if is_asked
    ]


def _dataset_problems(spec: JobSpec, settings: SageMakerSettings) -> list[Problem]:
    """Datasets that SageMaker cannot bring as files."""
    found, room = datasets(spec, settings), MAX_INPUTS[settings.kind] - 2  # beside code and context
    if len(found) <= room:
        return []
    return [
        Problem(
            f"SageMaker brings {room} inputs to a {settings.kind} job, and the step has {len(found)} datasets",
            "pass a folder that has them (a URI that ends in `/`), or leave out `datasets`",
            field="datasets",
        )
    ]


def _isolation_problems(spec: JobSpec, settings: SageMakerSettings) -> list[Problem]:
    """What a job cannot have that reaches S3 by SageMaker alone."""
    if not settings.by_channels_alone:
        return []
    which = "network_isolation" if settings.network_isolation else "transfer"
    found = []
    if left := left_out(spec, settings):
        found.append(
            Problem(
                f"{left} of the step's artifacts are more than SageMaker brings to a {settings.kind} job",
                f"pass fewer artifacts, or leave out `{which}`, so that the job fetches them itself", field=which,
            )
        )  # fmt: skip
    if settings.network_isolation and spec.secrets:
        found.append(
            Problem(
                "a job without a network cannot fetch secrets", "leave out `network_isolation`, or the secrets",
                field=which,
            )
        )  # fmt: skip
    return found


# --- the two requests ------------------------------------------------------------------------------------------------


def _training(spec: JobSpec, settings: SageMakerSettings) -> dict[str, Any]:
    files = brought(spec, settings)
    entrypoint, arguments = _command(spec, files)
    return {
        "TrainingJobName": sagemaker_name(spec.name),
        "RoleArn": settings.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": spec.image or "",
            "TrainingInputMode": settings.input_mode,
            **_present("ContainerEntrypoint", [] if spec.command == DEFAULT_COMMAND else entrypoint),
            **_present("ContainerArguments", arguments),
            **_present("MetricDefinitions", _metrics(settings)),
        },
        **_present("InputDataConfig", [_channel(one, settings) for one in files.values()]),
        "OutputDataConfig": {
            "S3OutputPath": staging_uri(spec),
            "CompressionType": "NONE",
            **_present("KmsKeyId", settings.keys.output),
        },
        "CheckpointConfig": {"S3Uri": checkpoints_uri(spec), "LocalPath": CHECKPOINTS},
        "ResourceConfig": {
            **_instances(spec, settings),
            **_present("KeepAlivePeriodInSeconds", settings.seconds("keep_alive")),
        },
        "StoppingCondition": _stopping(spec, settings),
        **_present("RetryStrategy", {"MaximumRetryAttempts": settings.retries} if settings.retries else {}),
        "Environment": _environment(spec, settings),
        "Tags": tags(spec, settings.job_tags),
        **_present("VpcConfig", _vpc(settings)),
        "EnableManagedSpotTraining": spec.resources.wants_spot,
        "EnableNetworkIsolation": settings.network_isolation,
        "EnableInterContainerTrafficEncryption": settings.traffic_encryption,
        **_present("SessionChainingConfig", {"EnableSessionTagChaining": True} if settings.submit_role_arn else None),
        # each starts jobs and writes objects of its own, which nobody asked for
        "ProfilerConfig": {"DisableProfiler": True},
    }


def _processing(spec: JobSpec, settings: SageMakerSettings) -> dict[str, Any]:
    files = brought(spec, settings)
    entrypoint, arguments = _command(spec, files)
    output = {
        "OutputName": _RESULTS,
        "S3Output": {"S3Uri": spec.outputs_uri, "LocalPath": RESULTS["processing"], "S3UploadMode": "EndOfJob"},
    }
    limit = spec.native_limit_seconds or DEFAULT_RUNTIME_SECONDS
    return {
        "ProcessingJobName": sagemaker_name(spec.name),
        "RoleArn": settings.role_arn,
        "AppSpecification": {
            "ImageUri": spec.image or "",
            "ContainerEntrypoint": entrypoint,
            **_present("ContainerArguments", arguments),
        },
        "ProcessingInputs": [_processing_input(one, settings) for one in files.values()],
        "ProcessingOutputConfig": {"Outputs": [output], **_present("KmsKeyId", settings.keys.output)},
        "ProcessingResources": {"ClusterConfig": _instances(spec, settings)},
        "StoppingCondition": {"MaxRuntimeInSeconds": limit},
        "Environment": _environment(spec, settings),
        "NetworkConfig": {
            "EnableNetworkIsolation": settings.network_isolation,
            "EnableInterContainerTrafficEncryption": settings.traffic_encryption,
            **_present("VpcConfig", _vpc(settings)),
        },
        "Tags": tags(spec, settings.job_tags),
    }


# --- their parts -----------------------------------------------------------------------------------------------------


def _command(spec: JobSpec, files: Mapping[str, Brought]) -> tuple[list[str], list[str]]:
    """Entry point and arguments; each has 256 characters, in one line."""
    if spec.command is not None:
        return [*spec.command[:1]], [*spec.command[1:]]
    assert spec.bundle is not None
    assert spec.context is not None
    python, option, script, *arguments = bootstrap_command(
        python=spec.python or _PYTHON,
        bundle_path=files["mlx-code"].path, bundle_sha256=spec.bundle.sha256,
        context=files["mlx-context"].path, context_sha256=spec.context.sha256,
    )  # fmt: skip
    return [python, option, f"exec({json.dumps(script)})"], arguments


def _channel(file: Brought, settings: SageMakerSettings) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": file.uri, "S3DataDistributionType": _distribution(file, settings)}
    mode = {"InputMode": "File"}  # code and context are hashed before anything runs
    if file.name.startswith("mlx-input-"):
        mode = {}
    elif file.name.startswith(DATA):
        mode = {"InputMode": settings.datasets}
    return {"ChannelName": file.name, "DataSource": {"S3DataSource": source}, **mode}


def _distribution(file: Brought, settings: SageMakerSettings) -> str:
    """Of a dataset that is one object, every node needs all."""
    parts = settings.shard_datasets and file.name.startswith(DATA) and file.uri.endswith("/")
    return "ShardedByS3Key" if parts else "FullyReplicated"


def _processing_input(file: Brought, settings: SageMakerSettings) -> dict[str, Any]:
    return {
        "InputName": file.name,
        "S3Input": {
            "S3Uri": file.uri,
            "LocalPath": file.folder,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": _distribution(file, settings),
        },
    }


def _instances(spec: JobSpec, settings: SageMakerSettings) -> dict[str, Any]:
    kind = settings.kind
    instance = choose_instance(spec.resources, job=kind, allowed=settings.instances, prices=settings.prices)
    size = volume_gb(spec.resources, instance, settings.volume_gb)
    return {
        "InstanceType": instance.name,
        "InstanceCount": spec.resources.node_count,
        "VolumeSizeInGB": size,
        # disks that are part of an instance are encrypted by the instance, and take no key
        **_present("VolumeKmsKeyId", "" if instance.storage_bytes else settings.keys.volume),
    }


def _stopping(spec: JobSpec, settings: SageMakerSettings) -> dict[str, Any]:
    limit = spec.native_limit_seconds or DEFAULT_RUNTIME_SECONDS
    if not spec.resources.wants_spot:
        return {"MaxRuntimeInSeconds": limit}
    return {
        "MaxRuntimeInSeconds": limit, "MaxWaitTimeInSeconds": max(limit, settings.seconds("max_wait") or 2 * limit)
    }  # fmt: skip


def _environment(spec: JobSpec, settings: SageMakerSettings) -> dict[str, str]:
    secrets = {f"{WHERE_SECRET}{name}": _secret(where) or "" for name, where in sorted(spec.secrets.items())}
    gpus = spec.resources.gpus
    processes = max(1, int(gpus.count)) if gpus and spec.resources.launcher == "torchrun" else 0
    return {
        **dict(sorted(spec.env.items())),
        **secrets,
        **({FAILURE_FILE: WORDS[settings.kind]} if spec.command is None else {}),
        **({"MLX_PROCESSES_PER_NODE": str(processes)} if processes else {}),
        **({"MLX_INSTALL_CLIENT": STORE_CLIENT} if spec.install_client and not settings.by_channels_alone else {}),
    }


def _secret(reference: Mapping[str, Any]) -> str | None:
    """A reference as ``runtime/kept_secrets.py`` reads it; ``None`` for one that is none of AWS."""
    if sorted(reference) in (["secretsmanager"], ["key", "secretsmanager"]):
        key = reference.get("key")
        return f"secretsmanager:{reference['secretsmanager']}" + (f"#{key}" if key else "")
    return f"ssm:{reference['ssm']}" if list(reference) == ["ssm"] else None


def _metrics(settings: SageMakerSettings) -> list[dict[str, str]]:
    return [{"Name": name, "Regex": pattern} for name, pattern in sorted(settings.metrics.items())]


def _vpc(settings: SageMakerSettings) -> dict[str, Any]:
    if settings.vpc is None:
        return {}
    return {"SecurityGroupIds": list(settings.vpc.security_groups), "Subnets": list(settings.vpc.subnets)}


def _present(key: str, value: Any) -> dict[str, Any]:
    return {} if value in (None, "", [], {}) else {key: value}
