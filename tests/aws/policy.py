"""
Identity-based policies of IAM: may this principal do this to that?

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: an explicit Deny wins, else an
Allow is needed. What a policy says and this module cannot judge is refused when the policy is put, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from .conditions import check_conditions, hold
from .errors import Unsupported
from .patterns import Context, Filled, check_variables, filled

Verdict = Literal["allowed", "denied", "not allowed"]

_STATEMENT: Final = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})
_TRUST: Final = frozenset({"Sid", "Effect", "Principal", "Action", "Condition"})
_ACCOUNT: Final = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?")


@dataclass(frozen=True)
class Need:
    """
    One permission that a request needs.

    :param context: condition keys that the request brings, for instance ``s3:prefix``; a key with several values, as
        ``aws:TagKeys``, has a tuple.
    """

    action: str
    resource: str
    context: Context


def checked_policy(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return an identity-based policy that this module can judge.

    :raises Unsupported: it has an element, an operator or a variable that is not known here.
    """
    for statement in _listed(policy["Statement"]):
        _check_elements(statement, _STATEMENT)
        check_variables(_listed(statement["Resource"]))
    return policy


def checked_trust(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return a role's trust policy that this module can judge.

    :raises Unsupported: as for other policies; or a principal is neither a service, an account, nor a role.
    """
    for statement in _listed(policy["Statement"]):
        _check_elements(statement, _TRUST)
        for kind, values in _principals(statement["Principal"]):
            for value in values:
                known = kind == "Service" or _ACCOUNT.fullmatch(value) or re.match(r"arn:aws:iam::\d{12}:role/", value)
                if kind not in ("Service", "AWS") or not known:
                    raise Unsupported(f"a principal that the endpoint cannot judge: {kind} {value}")
    return policy


def verdict(policies: Iterable[Mapping[str, Any]], need: Need) -> Verdict:
    """Judge one need by all policies of a principal."""
    return _summed(
        statement["Effect"]
        for policy in policies
        for statement in _listed(policy["Statement"])
        if _applies(statement, need) and _is_of_resource(statement, need)
    )


@dataclass(frozen=True)
class Trusted:
    """
    What a role's trust policy says of who wants to assume it.

    :param by_name: the verdict on the very principal.
    :param by_account: the verdict on its account, which then leaves it to the principal's own policies.
    """

    by_name: Verdict
    by_account: Verdict


def trusted(policy: Mapping[str, Any], need: Need, *, service: str = "", role_arn: str = "") -> Trusted:
    """
    Judge who wants to assume a role, by the role's trust policy.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html: an account as principal
    "delegates authority to the account".
    """
    account = role_arn.split(":")[4] if role_arn else ""
    effects: dict[bool, list[str]] = {True: [], False: []}
    for statement in _listed(policy["Statement"]):
        if not _applies(statement, need):
            continue
        for kind, values in _principals(statement["Principal"]):
            by_name = (kind == "Service" and service in values) or (kind == "AWS" and role_arn in values)
            accounts = [found[1] for value in values if kind == "AWS" and (found := _ACCOUNT.fullmatch(value))]
            if by_name or (account and account in accounts):
                effects[by_name].append(statement["Effect"])
    return Trusted(_summed(effects[True]), _summed(effects[False]))


def _check_elements(statement: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = set(statement) - set(known)
    missing = set(known) - {"Sid", "Condition"} - set(statement)
    if unknown or missing:
        raise Unsupported(f"policy elements that the endpoint cannot judge: {', '.join(sorted(unknown or missing))}")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise Unsupported(f"an effect that is none: {statement['Effect']}")
    check_conditions(statement.get("Condition", {}))


def _principals(given: Any) -> list[tuple[str, list[str]]]:
    if not isinstance(given, Mapping):
        return [("*", _listed(given))]
    return [(kind, _listed(values)) for kind, values in given.items()]


def _summed(effects: Iterable[str]) -> Verdict:
    found = set(effects)
    if "Deny" in found:
        return "denied"
    return "allowed" if "Allow" in found else "not allowed"


def _applies(statement: Mapping[str, Any], need: Need) -> bool:
    action = need.action.lower()
    actions = (Filled.plain(pattern.lower()) for pattern in _listed(statement["Action"]))
    return any(pattern.is_like(action) for pattern in actions) and hold(statement.get("Condition", {}), need.context)


def _is_of_resource(statement: Mapping[str, Any], need: Need) -> bool:
    patterns = (filled(pattern, need.context) for pattern in _listed(statement["Resource"]))
    return any(pattern is not None and pattern.is_like(need.resource) for pattern in patterns)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
