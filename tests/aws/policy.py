"""
Identity-based policies of IAM: may this principal do this to that?

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: an explicit Deny wins, else an
Allow is needed. What a policy says and this module cannot judge is refused when the policy is put, never skipped.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from .errors import Unsupported

Verdict = Literal["allowed", "denied", "not allowed"]

_STATEMENT: Final = {"Sid", "Effect", "Action", "Resource", "Condition"}
_OPERATORS: Final = {"StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "Bool", "ArnLike", "ArnEquals"}
_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Need:
    """
    One permission that a request needs.

    :param context: condition keys that the request brings, for instance ``s3:prefix``.
    """

    action: str
    resource: str
    context: Mapping[str, str]


def checked_policy(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return a policy that this module can judge.

    :raises Unsupported: it has an element or an operator that is not known here.
    """
    for statement in _listed(policy["Statement"]):
        unknown = set(statement) - _STATEMENT
        if unknown:
            raise Unsupported(f"policy elements that the endpoint cannot judge: {', '.join(sorted(unknown))}")
        for operator in statement.get("Condition", {}):
            if operator.removesuffix("IfExists") not in _OPERATORS:
                raise Unsupported(f"a condition operator that the endpoint cannot judge: {operator}")
    return policy


def verdict(policies: Iterable[Mapping[str, Any]], need: Need) -> Verdict:
    """Judge one need by all policies of a principal."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in _listed(policy["Statement"])
        if _applies(statement, need)
    }
    if "Deny" in effects:
        return "denied"
    return "allowed" if "Allow" in effects else "not allowed"


def _applies(statement: Mapping[str, Any], need: Need) -> bool:
    actions = any(_like(pattern.lower(), need.action.lower()) for pattern in _listed(statement["Action"]))
    return (
        actions
        and any(_resource_like(pattern, need) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, key, _listed(values), need)
            for operator, block in statement.get("Condition", {}).items()
            for key, values in block.items()
        )
    )


def _resource_like(pattern: str, need: Need) -> bool:
    filled = _filled(pattern, need.context)
    return filled is not None and _like(filled, need.resource)


def _holds(operator: str, key: str, wanted: Sequence[Any], need: Need) -> bool:
    """
    Does one condition hold?

    A key that the request does not bring makes a condition false, unless the operator is negated or ends in
    ``IfExists``: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    optional, plain = operator.endswith("IfExists"), operator.removesuffix("IfExists")
    negated = "Not" in plain
    present = {name.lower(): value for name, value in need.context.items()}.get(key.lower())
    if present is None:
        return optional or negated
    values = [filled for value in wanted if (filled := _filled(_text(value), need.context)) is not None]
    if plain in ("StringLike", "StringNotLike", "ArnLike", "ArnEquals"):
        found = any(_like(value, present) for value in values)
    else:
        found = present in values
    return found != negated


def _filled(text: str, context: Mapping[str, str]) -> str | None:
    """
    Put a request's values in the place of policy variables; None where it has no such value, since then the statement
    matches nothing (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html).
    """
    known = {name.lower(): value for name, value in context.items()}
    out = text
    for name in _VARIABLE.findall(text):
        if name in ("*", "?", "$"):
            value: str | None = {"*": "\x00", "?": "\x01", "$": "$"}[name]
        else:
            value = known.get(name.lower())
        if value is None:
            return None
        out = out.replace(f"${{{name}}}", value)
    return out


def _like(pattern: str, value: str) -> bool:
    return _as_expression(pattern).fullmatch(value) is not None


@functools.lru_cache(4096)
def _as_expression(pattern: str) -> re.Pattern[str]:
    words = {"*": ".*", "?": ".", "\x00": re.escape("*"), "\x01": re.escape("?")}
    return re.compile("".join(words.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
