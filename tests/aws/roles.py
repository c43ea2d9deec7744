"""
The roles of jobs, and the credentials that jobs have from them.

A job's requests are judged by its role's policies, as SageMaker's own downloads and uploads for it are: "SageMaker assumes
this role to perform tasks on your behalf" (https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import AwsError, validation
from .policy import Need, checked_policy, verdict


@dataclass(frozen=True)
class Credentials:
    """What a job signs its requests with."""

    access_key: str
    secret_key: str
    token: str
    role_arn: str
    job: str


class Roles:
    """Roles that may be passed, their policies and tags, and the sessions of jobs under them."""

    def __init__(self, account: str, first: str) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._policies: dict[str, Mapping[str, Any]] = {}
        self._tags: dict[str, Mapping[str, str]] = {first: {}}
        self._sessions: dict[str, Credentials] = {}

    def put_policy(self, role_arn: str, policy: Mapping[str, Any]) -> None:
        """Say all that jobs under a role may do; before, they may do everything."""
        checked = checked_policy(policy)
        with self._lock:
            self._tags.setdefault(role_arn, {})
            self._policies[role_arn] = checked

    def put_tags(self, role_arn: str, tags: Mapping[str, str]) -> None:
        """Tag a role: ``aws:PrincipalTag/<key>`` in policies."""
        with self._lock:
            self._tags[role_arn] = dict(tags)

    def check_passable(self, role_arn: str) -> None:
        """
        Refuse a role that SageMaker could not assume.

        :raises AwsError: in the words that its users report.
        """
        with self._lock:
            known = role_arn in self._tags
        if not known:
            raise validation(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                "'sagemaker.amazonaws.com' to assume the role."
            )

    def session(self, role_arn: str, job: str) -> Credentials:
        """Give a job credentials of its own."""
        key = f"ASIA{secrets.token_hex(8).upper()}"
        made = Credentials(key, secrets.token_urlsafe(30), secrets.token_urlsafe(60), role_arn, job)
        with self._lock:
            self._sessions[key] = made
        return made

    def whose(self, access_key: str | None) -> Credentials | None:
        """The job that signed a request; None is an administrator."""
        return self._sessions.get(access_key or "")

    def allows(self, role_arn: str, need: Need) -> bool:
        """May jobs under a role do this?"""
        return self._verdict(role_arn, need) == "allowed"

    def check(self, role_arn: str, need: Need) -> None:
        """
        Refuse what a role's policy does not allow.

        :raises AwsError: ``AccessDenied``, in the words of
            https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        """
        found = self._verdict(role_arn, need)
        if found == "allowed":
            return
        reason = (
            "with an explicit deny in an identity-based policy"
            if found == "denied"
            else f"because no identity-based policy allows the {need.action} action"
        )
        raise AwsError(
            "AccessDenied" if need.action.startswith("s3:") else "AccessDeniedException",
            f"User: arn:aws:sts::{self._account}:assumed-role/{role_arn.rpartition('/')[2]}/SageMaker is not authorized "
            f'to perform: {need.action} on resource: "{need.resource}" {reason}',
            403 if need.action.startswith("s3:") else 400,
        )

    def _verdict(self, role_arn: str, need: Need) -> str:
        with self._lock:
            policy, tags = self._policies.get(role_arn), self._tags.get(role_arn, {})
        if policy is None:
            return "allowed"
        context = {
            "aws:PrincipalArn": role_arn,
            "aws:PrincipalAccount": self._account,
            "aws:SecureTransport": "true",  # the tests' HTTP stands for AWS's HTTPS
            **{f"aws:PrincipalTag/{key}": value for key, value in tags.items()},
            **need.context,
        }
        return verdict([policy], Need(need.action, need.resource, context))
