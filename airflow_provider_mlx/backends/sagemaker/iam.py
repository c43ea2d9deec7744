"""
The rights that this backend needs of AWS, as tables with a reason in each row, and the policies that are made of them.

``python -m airflow_provider_mlx init sagemaker`` writes them, ``doctor`` asks IAM for Airflow's, and
``docs/reference/sagemaker-iam.md`` is generated from them. Sources: the Service Authorization Reference, and of
SageMaker's developer guide "How to use SageMaker execution roles" and "Cross-service confused deputy prevention".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from airflow_provider_mlx.runtime.protocol import (
    CHECKPOINTS_FOLDER,
    ERROR_FILE,
    ERRORS_FOLDER,
    OUTPUTS_FOLDER,
    RESCUE_FOLDER,
    RESULT_FILE,
)

from .channels import STAGING
from .iam_scope import Scope
from .logs import GROUPS
from .names import ATTEMPT_TAG, PREFIX, TASK_TAG
from .settings import Kind

INLINE_CHARACTERS: Final = 10_240
"""Of all inline policies of a role together; source: "IAM and AWS STS quotas". White space does not count."""
MANAGED_CHARACTERS: Final = 6_144
"""Of one managed policy; same source."""

SERVICE: Final = "sagemaker.amazonaws.com"
WRITTEN: Final = (
    f"{OUTPUTS_FOLDER}/*", f"{ERRORS_FOLDER}/*", f"{RESCUE_FOLDER}/*", RESULT_FILE, ERROR_FILE,
)  # fmt: skip
"""What a job writes in its attempt's folder, and nothing else of it: context, record and claims are Airflow's."""

Condition = Mapping[str, Mapping[str, str | Sequence[str]]]


def may_write(name: str) -> bool:
    """Whether a job may write this in its attempt's folder: asked also of what others carry there for it."""
    return any(fnmatchcase(name, pattern) for pattern in WRITTEN)


@dataclass(frozen=True)
class Permission:
    """
    One row.

    :param sid: name of the statement.
    :param on: ARNs, or ``*``.
    :param why: what it is for.
    :param where: which targets need it; empty for all.
    """

    sid: str
    actions: tuple[str, ...]
    on: tuple[str, ...]
    why: str
    where: str = ""
    condition: Condition = field(default_factory=dict)

    def statement(self) -> dict[str, Any]:
        """As IAM writes it."""
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": list(self.on),
            **({"Condition": self.condition} if self.condition else {}),
        }


def policy(permissions: Iterable[Permission]) -> dict[str, Any]:
    """The policy document of some rows."""
    return {"Version": "2012-10-17", "Statement": [one.statement() for one in permissions]}


def characters(document: Mapping[str, Any]) -> int:
    """How long a document is for IAM."""
    return len(re.sub(r"\s", "", json.dumps(document)))


# --- Airflow's own ---------------------------------------------------------------------------------------------------


def airflow_permissions(scope: Scope) -> tuple[Permission, ...]:
    """What the identity of Airflow's workers and triggerers may do."""
    return (*_jobs(scope), *_logs(scope), *_store(scope), *_airflows_keys(scope))


def submit_permissions(scope: Scope) -> tuple[Permission, ...]:
    """What the role of ``submit_role_arn`` may do: nothing but create training jobs."""
    return (_creating(scope, "training"), _passing(scope)) if scope.submit_role_arn else ()


def submit_trust(scope: Scope) -> dict[str, Any]:
    """Who may assume that role: whom IAM allows it in this account, which is Airflow's policy, with these two tags."""
    tags = {"ForAllValues:StringEquals": {"aws:TagKeys": [ATTEMPT_TAG, TASK_TAG]}}
    account = f"arn:{scope.partition}:iam::{scope.account}:root"
    return _trust({"AWS": account}, ["sts:AssumeRole", "sts:TagSession"], tags)


def _jobs(scope: Scope) -> Iterator[Permission]:
    for kind in scope.kinds:
        if not (kind == "training" and scope.submit_role_arn):
            yield _creating(scope, kind)
        noun = f"{kind.capitalize()}Job"
        removing = (f"sagemaker:Delete{noun}",) if scope.removes_records else ()
        yield Permission(
            f"Follow{noun}s", (f"sagemaker:Describe{noun}", f"sagemaker:Stop{noun}", *removing),
            (_job_arn(scope, kind),),
            "how a job stands and why it failed; a stop that a user, a deadline or a clear asks for"
            + ("; its record is removed when its result was collected" if removing else ""),
            _of(kind) + ("; deleting with `keep: on_failure` or `never`" if removing else ""),
        )  # fmt: skip
        yield Permission(
            f"List{noun}s", (f"sagemaker:List{noun}s",), ("*",),
            "which of all jobs have changed: one question for every step that waits. IAM knows no narrower list",
            _of(kind),
        )  # fmt: skip
    if "processing" in scope.kinds or not scope.submit_role_arn:
        yield _passing(scope)
    if scope.submit_role_arn and "training" in scope.kinds:
        yield Permission(
            "SubmitAs", ("sts:AssumeRole", "sts:TagSession"), (scope.submit_role_arn,),
            "each training job is created in the name of this role, with tags that name its attempt",
            "with `submit_role_arn`",
        )  # fmt: skip


def _creating(scope: Scope, kind: Kind) -> Permission:
    noun = f"{kind.capitalize()}Job"
    return Permission(
        f"Create{noun}s", (f"sagemaker:Create{noun}", "sagemaker:AddTags"), (_job_arn(scope, kind),),
        "the steps' jobs, and the tags that they are created with", _of(kind),
    )  # fmt: skip


def _passing(scope: Scope) -> Permission:
    return Permission(
        "PassJobRole", ("iam:PassRole",), (scope.role_arn,),
        "the job runs as this role and no other; SageMaker alone is given it",
        condition={"StringEquals": {"iam:PassedToService": SERVICE}},
    )  # fmt: skip


def _logs(scope: Scope) -> Iterator[Permission]:
    groups = [_group_arn(scope, kind) for kind in scope.kinds]
    yield Permission(
        "ReadLogs", ("logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"),
        tuple(each for group in groups for each in (group, f"{group}:*")),
        "the log in Airflow, of one job and of all that run",
    )  # fmt: skip


def _store(scope: Scope) -> Iterator[Permission]:
    bucket, objects = scope.bucket_arn(scope.root), scope.objects_arn(scope.root)
    written = tuple(f"{objects}/{folder}/*" for folder in ("runs", "bundles", "lineage-spool", "doctor"))
    yield Permission(
        "ListStore", ("s3:ListBucket",), (bucket,),
        "what a run has left. Without a condition on the prefix: only to whoever may list the bucket S3 says that an "
        "object is not there, and to others that it may not be read",
    )  # fmt: skip
    yield Permission(
        "ReadStore", ("s3:GetObject",), (f"{objects}/*", *(f"{scope.objects_arn(uri)}/*" for uri in scope.allowed)),
        "results, records, and the `result.json` beside every artifact that a step is given",
    )  # fmt: skip
    yield Permission(
        "WriteStore", ("s3:PutObject", "s3:AbortMultipartUpload"), written,
        "code, arguments, records and logs; the results that SageMaker has taken from a job, moved to its attempt; "
        "lineage events that cannot be sent yet; `doctor`'s probe",
    )  # fmt: skip
    yield Permission(
        "CleanStore", ("s3:DeleteObject",), written,
        "what was moved, what was sent, what `gc` removes, and `doctor`'s probe; a deployment that runs no `gc` needs "
        "it for `doctor` and for jobs without a client of S3",
    )  # fmt: skip


def _airflows_keys(scope: Scope) -> Iterator[Permission]:
    if scope.output_key:
        yield _key_permission(
            scope, "UseOutputKey", ("kms:Decrypt", "kms:GenerateDataKey"), scope.output_key,
            "objects that this key encrypts are read, and written where it is the bucket's own", "with `keys.output`",
        )  # fmt: skip


# --- the job's -------------------------------------------------------------------------------------------------------


def job_permissions(scope: Scope) -> tuple[Permission, ...]:
    """
    What a job may do, its code as well as SageMaker for it.

    With ``submit_role_arn`` writing is bound to the attempt by the session's tags, else by the shape of the names.
    """
    return (
        *_reading(scope), *_writing(scope), *_reporting(scope), *_image(scope), *_network(scope), *_secrets(scope),
        *_jobs_keys(scope),
    )  # fmt: skip


def job_trust(scope: Scope) -> dict[str, Any]:
    """Who may assume the job's role: SageMaker, for this account."""
    actions = ["sts:AssumeRole", *(["sts:TagSession"] if scope.submit_role_arn else [])]
    return _trust({"Service": SERVICE}, actions, {"StringEquals": {"aws:SourceAccount": scope.account}})


def _reading(scope: Scope) -> Iterator[Permission]:
    places = (scope.root, *scope.allowed)
    yield Permission(
        "ReadInputs", ("s3:GetObject",), tuple(f"{scope.objects_arn(uri)}/*" for uri in places),
        "its code and arguments, artifacts of other steps, and datasets below the stack's `artifacts.allowed`",
    )  # fmt: skip
    prefixes: dict[str, list[str]] = {}
    for uri in places:
        prefixes.setdefault(scope.bucket_arn(uri), []).append(scope.listed_prefix(uri))
    for number, (bucket, below) in enumerate(prefixes.items(), start=1):
        yield Permission(
            f"ListInputs{number}", ("s3:ListBucket",), (bucket,),
            "checkpoints, folders of Parquet files, and SageMaker's own look at what it is to bring",
            condition={"StringLike": {"s3:prefix": below}},
        )  # fmt: skip


def _writing(scope: Scope) -> Iterator[Permission]:
    attempt, task = scope.attempt_arn(ATTEMPT_TAG), scope.task_arn(TASK_TAG)
    checkpoints = f"{task}/{CHECKPOINTS_FOLDER}"
    own = (*(f"{attempt}/{name}" for name in WRITTEN), f"{checkpoints}/*")
    sagemakers = (f"{attempt}/{STAGING}/*", f"{checkpoints}/{STAGING}/*") if "training" in scope.kinds else ()
    if scope.creates_only:
        yield Permission(
            "CreateResults", ("s3:PutObject",), own,
            "results, errors and checkpoints: created, never overwritten", "of training jobs alone",
            {"Null": {"s3:if-none-match": "false"}},
        )  # fmt: skip
        yield Permission(
            "CreateResultsInParts", ("s3:PutObject",), own,
            "the parts of a large object; the request that puts them together is one of the row before",
            "of training jobs alone", {"Bool": {"s3:ObjectCreationOperation": "false"}},
        )  # fmt: skip
        yield Permission(
            "SageMakerUploads", ("s3:PutObject",), sagemakers,
            "what SageMaker uploads for a job without a client of S3, without a condition", "of training jobs",
        )  # fmt: skip
    else:
        yield Permission(
            "WriteResults", ("s3:PutObject",), (*own, *sagemakers),
            "results, errors and checkpoints. Overwriting cannot be refused here: SageMaker uploads the results of "
            "processing jobs to the same place, and old clients know no condition",
            "with processing jobs, or with images whose client is old",
        )  # fmt: skip
    yield Permission(
        "AbortUploads", ("s3:AbortMultipartUpload",), (*own, *sagemakers), "no part stays of an upload that has failed",
    )  # fmt: skip
    yield Permission(
        "RemoveCheckpoints", ("s3:DeleteObject",), (f"{checkpoints}/*",),
        "old snapshots; without it they stay, and the log says so once",
    )  # fmt: skip


def _reporting(scope: Scope) -> Iterator[Permission]:
    groups = [_group_arn(scope, kind) for kind in scope.kinds]
    yield Permission(
        "MakeLogs", ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams"),
        tuple(each for group in groups for each in (group, f"{group}:*")),
        "a stream per instance; the group is made with the account's first job",
    )  # fmt: skip
    yield Permission(
        "WriteLogs", ("logs:PutLogEvents",), tuple(f"{group}:log-stream:{PREFIX}*" for group in groups), "its log",
    )  # fmt: skip
    yield Permission(
        "WriteMetrics", ("cloudwatch:PutMetricData",), ("*",),
        "use of CPU, GPU and memory, and the target's `metrics`, in the console",
        condition={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
    )  # fmt: skip


def _image(scope: Scope) -> Iterator[Permission]:
    yield Permission(
        "EnterRegistry", ("ecr:GetAuthorizationToken",), ("*",), "the image is pulled; IAM knows no narrower"
    )
    yield Permission(
        "PullImage", ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        scope.repository_arns, "the account's images, and the one that was named where it is another account's",
    )  # fmt: skip


def _network(scope: Scope) -> Iterator[Permission]:
    if not scope.vpc:
        return
    yield Permission(
        "JoinNetwork",
        tuple(
            f"ec2:{verb}"
            for verb in (
                "CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface",
                "DeleteNetworkInterfacePermission", "DescribeDhcpOptions", "DescribeNetworkInterfaces",
                "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs",
            )
        ),
        ("*",), "SageMaker connects the job's instances to the subnets, in the name of this role", "with `vpc`",
    )  # fmt: skip


def _secrets(scope: Scope) -> Iterator[Permission]:
    for service, action in (("secretsmanager", "secretsmanager:GetSecretValue"), ("ssm", "ssm:GetParameter")):
        if arns := scope.secret_arns(service):
            yield Permission(
                "FetchSecrets" if service == "secretsmanager" else "FetchParameters", (action,), arns,
                "the job fetches its secrets itself, so that they stand in no request",
                f"with `secrets` of `{service}`",
            )  # fmt: skip


def _jobs_keys(scope: Scope) -> Iterator[Permission]:
    if scope.output_key:
        yield _key_permission(
            scope, "UseOutputKey", ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"), scope.output_key,
            "objects that this key encrypts are read and written", "with `keys.output`",
        )  # fmt: skip
    if scope.volume_key:
        yield _key_permission(
            scope, "UseVolumeKey", ("kms:CreateGrant",), scope.volume_key,
            "SageMaker has the instances' disks encrypted with this key", "with `keys.volume`",
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        )  # fmt: skip


# --- parts -----------------------------------------------------------------------------------------------------------


def _key_permission(
    scope: Scope, sid: str, actions: tuple[str, ...], key: str, why: str, where: str, condition: Condition | None = None
) -> Permission:
    """An alias is no resource of a policy: every key is, on the condition that it bears that alias."""
    name = key.rpartition(":")[2]
    by_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": name}} if name.startswith("alias/") else {}
    return Permission(sid, actions, (scope.key_arn(key),), why, where, {**(condition or {}), **by_alias})


def _trust(principal: Mapping[str, str], actions: Sequence[str], condition: Condition) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": dict(principal), "Action": list(actions), "Condition": condition}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _job_arn(scope: Scope, kind: Kind) -> str:
    return scope.arn("sagemaker", f"{kind}-job/{PREFIX}*")


def _group_arn(scope: Scope, kind: Kind) -> str:
    return scope.arn("logs", f"log-group:{GROUPS[kind]}")


def _of(kind: Kind) -> str:
    return f"of `kind: {kind}`"
