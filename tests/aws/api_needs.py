"""
Which permissions an operation of SageMaker, CloudWatch Logs and the two keepers of secrets needs, on what.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html (dependent actions included) and
list_amazoncloudwatchlogs.html, list_awssecretsmanager.html, list_awssystemsmanager.html. An operation that has no resource of its own is judged on ``*``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .policy import Need

TagsOf = Callable[[str], Mapping[str, str]]
ArnOf = Callable[[str], str]


def needs_of(
    service: str, operation: str, params: Mapping[str, Any], *, region: str, account: str, tags_of: TagsOf,
    secret_arn_of: ArnOf,
) -> tuple[Need, ...]:  # fmt: skip
    """
    Say what one call needs.

    :param tags_of: the tags of what an ARN names, for ``aws:ResourceTag/…``.
    :param secret_arn_of: the ARN of what a ``SecretId`` names.
    """
    action = f"{service}:{operation}"
    if service == "logs":
        return (Need(action, _log_stream(params, region, account), {}),)
    if service == "secretsmanager":
        return (Need(action, secret_arn_of(params["SecretId"]) if "SecretId" in params else "*", {}),)
    if service == "ssm":
        return (Need(action, _parameter(params, region, account), {}),)
    if service != "sagemaker":
        return (Need(action, "*", {}),)
    resource = _resource(params, region, account)
    asked = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in params.get("Tags", [])}
    has = {} if operation.startswith("Create") else {f"aws:ResourceTag/{k}": v for k, v in tags_of(resource).items()}
    needs = [Need(action, resource, {**asked, **has})]
    if operation.startswith("Create") and "RoleArn" in params:
        needs.append(Need("iam:PassRole", params["RoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"}))
    if operation.startswith("Create") and params.get("Tags"):  # sagemaker-roles.html: tags need sagemaker:AddTags
        needs.append(Need("sagemaker:AddTags", resource, asked))
    return tuple(needs)


def _resource(params: Mapping[str, Any], region: str, account: str) -> str:
    for member in ("ResourceArn", "PipelineExecutionArn"):
        if member in params:
            return str(params[member])
    for member, kind in (
        ("TrainingJobName", "training-job"), ("ProcessingJobName", "processing-job"), ("PipelineName", "pipeline"),
    ):  # fmt: skip
        if member in params:
            return f"arn:aws:sagemaker:{region}:{account}:{kind}/{params[member]}"
    return "*"


def _log_stream(params: Mapping[str, Any], region: str, account: str) -> str:
    """The resource as CloudWatch Logs names it in its refusals: of a group it ends in ``:log-stream:``."""
    group = params.get("logGroupName", params.get("logGroupIdentifier", ""))
    return f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{params.get('logStreamName', '')}"


def _parameter(params: Mapping[str, Any], region: str, account: str) -> str:
    """The leading slash of a name is that behind ``parameter``: sysman-paramstore-access.html."""
    name = str(params.get("Name", ""))
    if name.startswith("arn:"):
        return name
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.removeprefix('/')}" if name else "*"
