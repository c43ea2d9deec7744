"""
Roles: who may assume them, what they may do, and the sessions of jobs and others under them.

A job's requests are judged by its role's policies, as SageMaker's own downloads and uploads for it are: "SageMaker assumes
this role to perform tasks on your behalf" (https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .errors import AwsError, validation
from .policy import Need, checked_policy, checked_trust, trusted, verdict

SERVICE: Final = "sagemaker.amazonaws.com"


@dataclass(frozen=True)
class Principal:
    """
    Who asks: a role, in a session.

    :param tags: the session's own, which go over the role's: "session tags … take precedence"
        (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
    """

    role_arn: str
    tags: Mapping[str, str] = field(default_factory=dict)
    session: str = "SageMaker"

    @property
    def arn(self) -> str:
        """As refusals name it."""
        account, name = self.role_arn.split(":")[4], self.role_arn.rpartition("/")[2]
        return f"arn:aws:sts::{account}:assumed-role/{name}/{self.session}"


@dataclass(frozen=True)
class Credentials:
    """
    What requests are signed with.

    :param job: whose they are in the record of calls: a job's, or ``administrator``.
    """

    access_key: str
    secret_key: str
    token: str
    principal: Principal
    job: str


@dataclass(frozen=True)
class Refusal:
    """What somebody was not allowed; of an administrator there is none."""

    who: str
    action: str
    resource: str


@dataclass(frozen=True)
class Role:
    """
    One role.

    :param policy: None lets it do everything.
    :param trust: None lets whoever may assume it by their own policies, and SageMaker.
    """

    policy: Mapping[str, Any] | None = None
    trust: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Roles:
    """All roles there are, and the sessions under them."""

    def __init__(self, account: str, first: str) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._roles: dict[str, Role] = {first: Role()}
        self._sessions: dict[str, Credentials] = {}
        self.refusals: list[Refusal] = []
        """Every request, and every transfer of SageMaker's, that was refused for want of a permission, in order."""

    # --- what tests put ----------------------------------------------------------------------------------------------

    def put_policy(self, role_arn: str, policy: Mapping[str, Any]) -> None:
        """Say all that a role may do; before, it may do everything."""
        self._change(role_arn, policy=checked_policy(policy))

    def put_trust(self, role_arn: str, policy: Mapping[str, Any]) -> None:
        """Say who may assume a role; before, everybody may whose own policies allow it."""
        self._change(role_arn, trust=checked_trust(policy))

    def put_tags(self, role_arn: str, tags: Mapping[str, str]) -> None:
        """Tag a role: ``aws:PrincipalTag/<key>`` in policies."""
        self._change(role_arn, tags=dict(tags))

    def _change(self, role_arn: str, **changes: Any) -> None:
        with self._lock:
            self._roles[role_arn] = replace(self._roles.get(role_arn, Role()), **changes)

    # --- assuming ----------------------------------------------------------------------------------------------------

    def check_passable(self, role_arn: str, tags: Mapping[str, str] | None = None) -> None:
        """
        Refuse a role that SageMaker could not assume.

        :param tags: that the session would have.
        :raises AwsError: in the words that its users report.
        """
        with self._lock:
            role = self._roles.get(role_arn)
        context = {"aws:SourceAccount": self._account, **_tagging(tags or {})}
        actions = ("sts:AssumeRole", *(["sts:TagSession"] if tags else []))
        needs = [Need(action, role_arn, context) for action in actions]
        if role is None or (
            role.trust is not None
            and any(trusted(role.trust, need, service=SERVICE).by_name != "allowed" for need in needs)
        ):
            raise validation(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{SERVICE}' to assume the role."
            )

    def assume(self, caller: Credentials | None, role_arn: str, session: str, tags: Mapping[str, str]) -> Credentials:
        """
        Give somebody the credentials of a role, as ``AssumeRole`` does.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html; that tags need ``sts:TagSession``, in the
        caller's policies and in the role's trust policy, is in id_session-tags.html.

        :param caller: None is an administrator.
        :raises AwsError: ``AccessDenied``, also of a role that is not there.
        """
        for action in ("sts:AssumeRole", *(["sts:TagSession"] if tags else [])):
            need = Need(action, role_arn, {"sts:RoleSessionName": session, **_tagging(tags)})
            if not self._may_assume(caller, need):
                who = caller.principal.arn if caller else f"arn:aws:iam::{self._account}:root"
                self.refusals.append(Refusal(who, action, role_arn))
                raise AwsError(
                    "AccessDenied", f"User: {who} is not authorized to perform: {action} on resource: {role_arn}", 403
                )
        return self._begin(Principal(role_arn, dict(tags), session), caller.job if caller else "administrator")

    def _may_assume(self, caller: Credentials | None, need: Need) -> bool:
        with self._lock:
            role = self._roles.get(need.resource)
        if role is None:
            return False
        own = self._verdict(caller.principal, need) if caller else "allowed"
        if role.trust is None or own == "denied":
            return own == "allowed"
        by = caller.principal.role_arn if caller else f"arn:aws:iam::{self._account}:root"
        found = trusted(role.trust, need, role_arn=by)
        if "denied" in (found.by_name, found.by_account):
            return False
        return found.by_name == "allowed" or (found.by_account == "allowed" and own == "allowed")

    def session(self, principal: Principal, job: str) -> Credentials:
        """Give a job credentials of its own."""
        return self._begin(principal, job)

    def _begin(self, principal: Principal, job: str) -> Credentials:
        key = f"ASIA{secrets.token_hex(8).upper()}"
        made = Credentials(key, secrets.token_urlsafe(30), secrets.token_urlsafe(60), principal, job)
        with self._lock:
            self._sessions[key] = made
        return made

    def whose(self, access_key: str | None) -> Credentials | None:
        """Who signed a request; None is an administrator."""
        return self._sessions.get(access_key or "")

    # --- judging -----------------------------------------------------------------------------------------------------

    def allows(self, principal: Principal, need: Need) -> bool:
        """May somebody do this?"""
        return self._verdict(principal, need) == "allowed"

    def check(self, principal: Principal, need: Need) -> None:
        """
        Refuse what a role's policy does not allow.

        :raises AwsError: ``AccessDenied``, in the words of
            https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        """
        found = self._verdict(principal, need)
        if found == "allowed":
            return
        self.refused(principal, need)
        reason = (
            "with an explicit deny in an identity-based policy"
            if found == "denied"
            else f"because no identity-based policy allows the {need.action} action"
        )
        raise AwsError(
            "AccessDenied" if need.action.startswith("s3:") else "AccessDeniedException",
            f"User: {principal.arn} is not authorized to perform: {need.action} on resource: "
            f'"{need.resource}" {reason}',
            403 if need.action.startswith("s3:") else 400,
        )

    def refused(self, principal: Principal, need: Need) -> None:
        """Record it."""
        self.refusals.append(Refusal(principal.arn, need.action, need.resource))

    def _verdict(self, principal: Principal, need: Need) -> str:
        with self._lock:
            role = self._roles.get(principal.role_arn, Role())
        if role.policy is None:
            return "allowed"
        context = {
            "aws:PrincipalArn": principal.role_arn,
            "aws:PrincipalAccount": self._account,
            "aws:SecureTransport": "true",  # the tests' HTTP stands for AWS's HTTPS
            **{f"aws:PrincipalTag/{key}": value for key, value in {**role.tags, **principal.tags}.items()},
            **need.context,
        }
        return verdict([role.policy], Need(need.action, need.resource, context))


def _tagging(tags: Mapping[str, str]) -> dict[str, Any]:
    """What a request with session tags brings to be judged."""
    return {
        **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
        **({"aws:TagKeys": tuple(sorted(tags))} if tags else {}),
    }
