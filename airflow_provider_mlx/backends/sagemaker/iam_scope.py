"""What policies are written for: one job role, the artifact root, and what its targets ask for, as ARNs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.uris import split_uri

from .settings import Kind, SageMakerSettings

_ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.[a-z]+)?/(?P<repository>[^:@]+)"
)
"""Source: "Amazon ECR private registries": the form of a registry's address."""


@dataclass(frozen=True)
class Scope:
    """
    What policies are for.

    :param role_arn: the role that jobs run as.
    :param root: the artifact root.
    :param region: ``*`` for any.
    :param allowed: prefixes of datasets, as a stack's ``artifacts.allowed``.
    :param images: of the targets; those of other accounts are named in the policy.
    :param secrets: as ``secretsmanager:NAME`` and ``ssm:NAME``.
    :param removes_records: some target keeps not every job's record.
    :param any_client: jobs may overwrite their results, since some image's client of S3 cannot create conditionally.
    """

    role_arn: str
    root: str
    kinds: tuple[Kind, ...] = ("training",)
    region: str = "*"
    submit_role_arn: str = ""
    allowed: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    volume_key: str = ""
    output_key: str = ""
    vpc: bool = False
    removes_records: bool = False
    any_client: bool = False

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``."""
        return self.role_arn.split(":")[1]

    @property
    def account(self) -> str:
        """The role's account, in which the jobs are."""
        return self.role_arn.split(":")[4]

    @property
    def creates_only(self) -> bool:
        """Whether a policy can refuse to overwrite: of processing jobs SageMaker itself uploads without a condition."""
        return self.kinds == ("training",) and not self.any_client

    @property
    def repository_arns(self) -> tuple[str, ...]:
        """The account's own repositories, and those of images that are elsewhere."""
        others = (_ECR.match(image) for image in self.images)
        return (
            self.arn("ecr", "repository/*"),
            *dict.fromkeys(
                f"arn:{self.partition}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
                for found in others
                if found and found["account"] != self.account
            ),
        )

    def arn(self, service: str, resource: str) -> str:
        """Of something of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def bucket_arn(self, uri: str) -> str:
        """Of the bucket of a place."""
        return f"arn:{self.partition}:s3:::{split_uri(uri)[1]}"

    def objects_arn(self, uri: str) -> str:
        """Of the objects below a place, without the slash behind it."""
        key = split_uri(uri)[2].strip("/")
        return f"{self.bucket_arn(uri)}/{_literal(key)}".rstrip("/")

    def listed_prefix(self, uri: str) -> str:
        """What ``s3:prefix`` may be for a place."""
        key = split_uri(uri)[2].strip("/")
        return f"{_literal(key)}/*" if key else "*"

    def attempt_arn(self, tag: str) -> str:
        """The folder of the job's attempt; of any attempt, where nothing binds it."""
        if self.submit_role_arn:
            return f"{self.bucket_arn(self.root)}/${{aws:PrincipalTag/{tag}}}"
        return f"{self.objects_arn(self.root)}/runs/*/attempt-*"

    def task_arn(self, tag: str) -> str:
        """The folder of the job's task instance, likewise."""
        if self.submit_role_arn:
            return f"{self.bucket_arn(self.root)}/${{aws:PrincipalTag/{tag}}}"
        return f"{self.objects_arn(self.root)}/runs/*"

    def secret_arns(self, service: str) -> tuple[str, ...]:
        """The secrets of one service; Secrets Manager adds six characters to a name."""
        names = [name for kind, _, name in (one.partition(":") for one in self.secrets) if kind == service]
        if service == "ssm":
            return tuple(one if _is_arn(one) else self.arn("ssm", f"parameter/{one.lstrip('/')}") for one in names)
        return tuple(one if _is_arn(one) else self.arn("secretsmanager", f"secret:{one}-??????") for one in names)

    def key_arn(self, key: str) -> str:
        """Of a KMS key; of all keys where an alias names one."""
        name = key.rpartition(":")[2]
        if name.startswith("alias/"):
            return self.arn("kms", "key/*")
        return key if _is_arn(key) else self.arn("kms", f"key/{key}")


def scope_of(
    settings: Iterable[SageMakerSettings], *, root: str, allowed: Iterable[str] = (), images: Iterable[str] = (),
    secrets: Iterable[Mapping[str, Any]] = (), region: str = "",
) -> Scope:  # fmt: skip
    """
    What targets of one job role need together.

    :param settings: of those targets; at least one.
    :param region: of targets that name none.
    """
    found = list(settings)
    regions = {one.region or region or "*" for one in found}
    named = {f"{service}:{one[service]}" for one in secrets for service in ("secretsmanager", "ssm") if service in one}
    return Scope(
        role_arn=found[0].role_arn, root=root, kinds=_kinds(one.kind for one in found),
        region=regions.pop() if len(regions) == 1 else "*",
        submit_role_arn=next((one.submit_role_arn for one in found if one.submit_role_arn), ""),
        allowed=tuple(uri for uri in allowed if uri.startswith("s3://")), images=tuple(dict.fromkeys(images)),
        secrets=tuple(sorted(named)), volume_key=next((one.keys.volume for one in found if one.keys.volume), ""),
        output_key=next((one.keys.output for one in found if one.keys.output), ""),
        vpc=any(one.vpc for one in found), removes_records=any(one.keep != "always" for one in found),
    )  # fmt: skip


def check_scope(scope: Scope) -> None:
    """
    Whether policies can be written for this.

    :raises InvalidStep: the root is not on S3, or session tags are wanted of jobs that have none.
    """
    problems = []
    if not scope.root.startswith("s3://"):
        problems.append(
            Problem(f"SageMaker's jobs use S3, and the root is {scope.root}", "name an s3:// root", field="--root")
        )
    if scope.submit_role_arn and "processing" in scope.kinds:
        problems.append(
            Problem(
                "processing jobs have no session tags, and a role that binds jobs to their attempt lets them write "
                "nothing",
                "use `kind: training`, or leave `submit_role_arn` out", field="submit_role_arn",
            )
        )  # fmt: skip
    if problems:
        raise InvalidStep("no policy can be written for this", problems)


def image_region(image: str) -> str | None:
    """The region of an image's registry; ``None`` for an image that is not in ECR."""
    found = _ECR.match(image)
    return found["region"] if found else None


def _kinds(found: Iterable[Kind]) -> tuple[Kind, ...]:
    kinds = set(found)
    every: tuple[Kind, ...] = ("training", "processing")
    return tuple(kind for kind in every if kind in kinds)


def _is_arn(text: str) -> bool:
    return text.startswith("arn:")


def _literal(text: str) -> str:
    """Text in which IAM finds no wild card and no variable. Source: "IAM policy elements: variables and tags"."""
    return re.sub(r"[$*?]", lambda match: f"${{{match[0]}}}", text)
