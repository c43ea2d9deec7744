"""
The conditions of policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html, and of keys with
several values reference_policies_condition-single-vs-multi-valued-context-keys.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .errors import Unsupported
from .patterns import Context, Filled, check_variables, filled

_POSITIVE: Final = {"StringEquals": False, "StringLike": True, "ArnEquals": True, "ArnLike": True, "Bool": False}
"""Operators, and whether wild cards count: ``ArnEquals`` and ``ArnLike`` "behave identically"."""
_NEGATED: Final = {
    "StringNotEquals": "StringEquals", "StringNotLike": "StringLike", "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}  # fmt: skip
_SETS: Final = ("ForAnyValue", "ForAllValues")


def check_conditions(conditions: Mapping[str, Mapping[str, Any]]) -> None:
    """
    Whether they can be judged.

    :raises Unsupported: an operator or a variable cannot.
    """
    for operator, block in conditions.items():
        quantifier, plain, _ = _read(operator)
        known = plain in _POSITIVE or plain in _NEGATED
        if operator != "Null" and (not known or quantifier not in ("", *_SETS)):
            raise Unsupported(f"a condition operator that the endpoint cannot judge: {operator}")
        for values in block.values():
            check_variables(_texts(values))


def hold(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether all of them hold."""
    return all(
        _holds(operator, key, _texts(values), context)
        for operator, block in conditions.items()
        for key, values in block.items()
    )


def _holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    """
    Does one condition hold?

    A key that the request does not bring makes a condition false, unless the operator is negated or ends in
    ``IfExists``; ``ForAllValues`` is true of no value, ``ForAnyValue`` is not. ``Null`` asks for just that.
    """
    present = {name.lower(): value for name, value in context.items()}.get(key.lower())
    if operator == "Null":
        return (present is None) in [text == "true" for text in wanted]
    quantifier, plain, optional = _read(operator)
    negated, plain = plain in _NEGATED, _NEGATED.get(plain, plain)
    if present is None:
        return optional or negated or quantifier == "ForAllValues"
    if not quantifier and not isinstance(present, str):
        raise Unsupported(f"{operator} of {key}, which has several values: it needs ForAnyValue or ForAllValues")
    patterns = [found for text in wanted if (found := filled(text, context)) is not None]
    matches = [_matches(plain, patterns, one) for one in ([present] if isinstance(present, str) else present)]
    if quantifier == "ForAllValues":
        return all(match != negated for match in matches)
    return any(match != negated for match in matches)


def _matches(operator: str, patterns: Sequence[Filled], value: str) -> bool:
    if operator.startswith("Arn"):
        return any(pattern.is_like_arn(value) for pattern in patterns)
    if _POSITIVE[operator]:
        return any(pattern.is_like(value) for pattern in patterns)
    return value in [pattern.text for pattern in patterns]


def _read(operator: str) -> tuple[str, str, bool]:
    """Quantifier, operator, and whether the key may be missing."""
    quantifier, _, plain = operator.rpartition(":")
    return quantifier, plain.removesuffix("IfExists"), plain.endswith("IfExists")


def _texts(values: Any) -> list[str]:
    listed = values if isinstance(values, list | tuple) else [values]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in listed]
