"""
Requests and answers beside botocore's own model of a service, word for word what AWS says of a violation.

boto3 checks required members, types, unknown members and minimal lengths before it sends a request; patterns, enums and
maximal lengths are left to the service (https://docs.aws.amazon.com/botocore/latest/reference/config.html).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import botocore.session

from .errors import AwsError

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel, Shape

_CODES: Final = {"logs": "InvalidParameterException", "sts": "ValidationError"}
"""Of a violated constraint; every other service of ours says ``ValidationException``."""
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str, "integer": int, "long": int, "boolean": bool, "float": (int, float), "double": (int, float),
    "timestamp": (int, float), "list": list, "map": dict, "structure": dict, "blob": str,
}  # fmt: skip


@functools.cache
def service_model(service: str) -> ServiceModel:
    """What botocore knows of a service."""
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def operation_model(service: str, operation: str) -> OperationModel | None:
    """Of one operation; None where the service has no such."""
    model = service_model(service)
    return model.operation_model(operation) if operation in model.operation_names else None


def check_request(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """
    Refuse a request that breaks a constraint of the model; all violations come at once, as AWS tells them.

    :raises AwsError: with AWS's words.
    """
    model = operation_model(service, operation)
    if model is None:
        raise AwsError("UnknownOperationException", f"{service} has no operation {operation}")
    if model.input_shape is None:
        return
    found = list(_violations(model.input_shape, dict(params), ""))
    if found:
        noun = "error" if len(found) == 1 else "errors"
        code = _CODES.get(service, "ValidationException")
        raise AwsError(code, f"{len(found)} validation {noun} detected: {'; '.join(found)}")


def problems_of_answer(service: str, operation: str, answer: Mapping[str, Any]) -> list[str]:
    """Members that the model does not have, and values of wrong types or lengths. (Required members may be missing, as
    AWS itself leaves some out: ``ModelArtifacts`` of a job that runs.)"""
    model = operation_model(service, operation)
    if model is None or model.output_shape is None:
        return [f"{operation}: an answer where the model has none"] if answer else []
    try:
        return [f"{operation}: {text}" for text in _violations(model.output_shape, dict(answer), "", required=False)]
    except AwsError as wrong_type:
        return [f"{operation}: {wrong_type.message}"]


def to_wire(value: Any) -> Any:
    """Of an answer's values, what JSON carries: times are seconds since 1970 with milliseconds."""
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, Mapping):
        return {key: to_wire(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [to_wire(item) for item in value]
    return value


def _violations(shape: Any, value: Any, path: str, *, required: bool = True) -> Iterator[str]:
    if value is None:
        return
    wanted: Any = _TYPES[shape.type_name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise AwsError("SerializationException", f"{type(value).__name__} at '{path}' can not be a {shape.type_name}")
    if shape.type_name == "structure":
        yield from _of_structure(shape, value, path, required=required)
        return
    broken = list(_constraints(shape, value))
    for constraint in broken:
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {constraint}"
    if shape.type_name == "list":
        for number, item in enumerate(value, 1):
            yield from _violations(shape.member, item, f"{path}.{number}.member", required=required)
    elif shape.type_name == "map":
        yield from _of_map(shape, value, path, required=required)


def _of_structure(shape: Shape, value: Mapping[str, Any], path: str, *, required: bool) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    if required:
        for name in shape.metadata.get("required", ()):
            if value.get(name) is None:
                yield (f"Value null at '{prefix}{_lower(name)}' failed to satisfy constraint: Member must not be null")
    for name, item in value.items():
        member = shape.members.get(name)
        if member is None:  # boto3 refuses these too; a service would ignore them, which hides mistakes
            yield f"Value '{_shown(item)}' at '{prefix}{_lower(name)}' failed to satisfy constraint: no such member"
        else:
            yield from _violations(member, item, f"{prefix}{_lower(name)}", required=required)


def _of_map(shape: Shape, value: Mapping[str, Any], path: str, *, required: bool) -> Iterator[str]:
    keys = sorted({text for key in value for text in _constraints(shape.key, key)})
    if keys:
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: Map keys must satisfy constraint: [{', '.join(keys)}]"
    if shape.value.type_name in ("structure", "list", "map"):
        for key, item in value.items():
            yield from _violations(shape.value, item, f"{path}.{key}.member", required=required)
        return
    for item in value.values():
        list(_violations(shape.value, item, path, required=required))  # its type
    values = sorted({text for item in value.values() for text in _constraints(shape.value, item)})
    if values:
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: Map value must satisfy constraint: [{', '.join(values)}]"


def _constraints(shape: Shape, value: Any) -> Iterator[str]:
    facts = shape.metadata
    low, high = facts.get("min"), facts.get("max")
    if shape.type_name in ("integer", "long", "float", "double"):
        size, noun = value, "value"
    elif shape.type_name in ("string", "list", "map", "blob"):
        size, noun = len(value), "length"
    else:
        return
    if high is not None and size > high:
        yield f"Member must have {noun} less than or equal to {high}"
    if low is not None and size < low:
        yield f"Member must have {noun} greater than or equal to {low}"
    if shape.type_name == "string":
        allowed = facts.get("enum")
        if allowed and value not in allowed:
            yield f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        pattern = facts.get("pattern")
        if pattern and not compiled(pattern).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {pattern}"


JAVA_CLASSES: Final = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}
"""Letters, separators and numbers of Unicode, as near as Python's own classes come."""


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """
    Compile a pattern of a service model, as Java reads it.

    AWS matches the whole value, and Java's ``.`` is no line terminator: a container argument with a line break in it
    (pattern ``.*``) is refused. (https://docs.oracle.com/javase/8/docs/api/java/util/regex/Pattern.html#DOTALL)
    """
    for java, python in JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    out, escaped, in_class = [], False, False
    for letter in pattern:
        if letter == "." and not escaped and not in_class:
            out.append("[^\n\r\u0085\u2028\u2029]")
            continue
        if not escaped and letter in "[]":
            in_class = letter == "["
        escaped = letter == "\\" and not escaped
        out.append(letter)
    return re.compile("".join(out))


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return json.dumps(value)
