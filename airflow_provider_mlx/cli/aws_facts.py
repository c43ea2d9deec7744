"""What ``doctor`` asks AWS, in Airflow's own name. ``None`` is "may not be asked"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.backends.sagemaker.client import AwsClient, Missing
from airflow_provider_mlx.backends.sagemaker.credentials import Session, session_of
from airflow_provider_mlx.backends.sagemaker.iam import SERVICE, Permission
from airflow_provider_mlx.backends.sagemaker.logs import GROUPS
from airflow_provider_mlx.backends.sagemaker.settings import Kind
from airflow_provider_mlx.exceptions import JobMisconfigured, MlxError, first_line

from .places import read_connection

_QUOTA_PAGES: Final = 60
"""A hundred quotas each; SageMaker has some thousands."""
_SAMPLE: Final = "mlx-doctor"
"""A job's name as any of ours."""


@dataclass(frozen=True)
class Identity:
    """
    Who the connection is.

    :param arn: as STS says it, with a session's name where it is a role.
    :param principal: the role or the user itself, for questions to IAM.
    """

    account: str
    arn: str
    principal: str


@dataclass(frozen=True)
class Role:
    """
    A role that is there.

    :param trust: its trust policy.
    """

    arn: str
    trust: Mapping[str, Any]


class AwsFacts:
    """
    One connection in one region.

    :param conn_id: the connection; ``None`` for what the environment says.

    Every question raises ``MlxError`` where the connection has no credentials, or AWS does not answer.
    """

    def __init__(self, conn_id: str | None, region: str = "") -> None:
        self._client = AwsClient(lambda: _session(conn_id), region)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @property
    def region(self) -> str:
        """Where jobs are made."""
        return self._client.region

    def identity(self) -> Identity:
        """Who asks; AWS tells it to everybody who has credentials."""
        found = self._client.call("get_caller_identity", service="sts")
        arn = str(found["Arn"])
        return Identity(str(found["Account"]), arn, self._principal(arn))

    def refusal_of_lists(self, kind: Kind) -> MlxError | None:
        """Why jobs may not be listed; ``None`` if they may."""
        try:
            self._client.call(f"list_{kind}_jobs", MaxResults=1)
        except JobMisconfigured as refused:
            return refused
        return None

    def refusal_of_logs(self, kind: Kind) -> MlxError | None:
        """Why logs may not be read; a group that is not there yet is made with the first job."""
        try:
            self._client.call("describe_log_streams", service="logs", logGroupName=GROUPS[kind], limit=1)
        except JobMisconfigured as refused:
            return refused
        except Missing:
            return None
        return None

    def role(self, arn: str) -> Role | bool | None:
        """A role; ``False`` where there is none."""
        try:
            found = self._client.call("get_role", service="iam", RoleName=arn.rpartition("/")[2])["Role"]
        except Missing:
            return False
        except MlxError as refused:
            return False if "NoSuchEntity" in refused.what else None
        return Role(str(found["Arn"]), found["AssumeRolePolicyDocument"])

    def refused(self, identity: Identity, permissions: Sequence[Permission]) -> list[str] | None:
        """Which of these rights IAM would refuse to this identity, as ``action on resource``."""
        found = []
        for one in permissions:
            context = [
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in one.condition.get("StringEquals", {}).items()
            ]
            resources = {each.replace("mlx-*", _SAMPLE) for each in one.on if not each.endswith(":*")}
            try:
                answer = self._client.call(
                    "simulate_principal_policy", service="iam", PolicySourceArn=identity.principal,
                    ActionNames=sorted(one.actions), ResourceArns=sorted(resources), ContextEntries=context,
                )  # fmt: skip
            except Exception:  # nice to know, and no more: neither a right nor an answer is needed
                return None
            found += [
                f"{result['EvalActionName']} on {result.get('EvalResourceName', '*')}"
                for result in answer["EvaluationResults"]
                if result["EvalDecision"] != "allowed"
            ]
        return found

    def bucket_region(self, bucket: str) -> str | None:
        """Where a bucket is."""
        try:
            return self._client.call("head_bucket", service="s3", Bucket=bucket).get("BucketRegion") or None
        except (JobMisconfigured, Missing):
            return None

    def quotas(self, names: Collection[str]) -> dict[str, float] | None:
        """Name → value of the account's quotas of SageMaker, as far as they are among them."""
        found: dict[str, float] = {}
        request: dict[str, Any] = {"ServiceCode": "sagemaker", "MaxResults": 100}
        try:
            for _ in range(_QUOTA_PAGES):
                answer = self._client.call("list_service_quotas", service="service-quotas", **request)
                found |= {one["QuotaName"]: one["Value"] for one in answer["Quotas"] if one["QuotaName"] in names}
                if not answer.get("NextToken") or len(found) == len(names):
                    break
                request["NextToken"] = answer["NextToken"]
        except Exception:  # likewise
            return None
        return found

    def _principal(self, arn: str) -> str:
        """``arn:aws:sts::1:assumed-role/NAME/SESSION`` is of a role, whose path only IAM knows."""
        *_, resource = arn.split(":")
        kind, _, name = resource.partition("/")
        if kind != "assumed-role":
            return arn
        partition, account = arn.split(":")[1], arn.split(":")[4]
        guessed = f"arn:{partition}:iam::{account}:role/{name.partition('/')[0]}"
        role = self.role(guessed)
        return role.arn if isinstance(role, Role) else guessed


def trusts(role: Role, action: str) -> bool:
    """Whether SageMaker may do this with the role, as far as its trust policy says so plainly."""
    statements = role.trust.get("Statement", ())
    return any(
        one.get("Effect") == "Allow"
        and SERVICE in _listed((one.get("Principal") or {}).get("Service", ()) if one.get("Principal") != "*" else ())
        and bool({action, "sts:*", "*"} & set(_listed(one.get("Action", ()))))
        for one in _listed(statements)
    )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _session(conn_id: str | None) -> Session:
    try:
        connection = read_connection(conn_id) if conn_id else None
    except Exception as error:  # Airflow's own, or a secrets backend's
        raise JobMisconfigured(f"the connection `{conn_id}` cannot be read: {first_line(error)}") from error
    return session_of(connection)
