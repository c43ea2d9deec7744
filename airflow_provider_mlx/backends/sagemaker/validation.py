"""
Requests checked against the service's own model, as botocore ships it: what SageMaker would refuse, before it is asked.

botocore itself checks types and what is required; lengths, patterns, enumerations and numbers are left to the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_mlx.exceptions import JobMisconfigured, Problem

if TYPE_CHECKING:
    from botocore.model import ServiceModel, Shape

_SHOWN: Final = 60
_CLASSES: Final = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}


def request_problems(operation: str, request: Mapping[str, Any]) -> list[Problem]:
    """
    Everything in a request that the service's model does not allow.

    :param operation: as ``CreateTrainingJob``.
    """
    shape = service_model().operation_model(operation).input_shape
    assert shape is not None
    return [
        Problem(what, "see `request_override` and the keys of the target, or what the step asks for", field=path)
        for path, what in _wrong(shape, request, "")
    ]


@cache
def service_model() -> ServiceModel:
    """
    SageMaker's service model.

    :raises JobMisconfigured: botocore is not installed.
    """
    try:
        from botocore.loaders import Loader
        from botocore.model import ServiceModel
    except ImportError as error:
        raise JobMisconfigured(
            "a step on SageMaker needs botocore, which is not installed",
            remedy="pip install 'airflow-provider-mlx[sagemaker]'",
        ) from error
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def _wrong(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    kind = shape.type_name
    if kind == "structure":
        yield from _wrong_structure(shape, value, path)
    elif kind == "list":
        yield from _wrong_list(shape, value, path)
    elif kind == "map":
        yield from _wrong_map(shape, value, path)
    elif kind == "string":
        yield from _wrong_text(shape, value, path)
    elif kind in ("integer", "long", "float", "double"):
        yield from _wrong_number(shape, value, path)
    elif kind == "boolean" and not isinstance(value, bool):
        yield path, f"{_shown(value)} is neither true nor false"


def _wrong_structure(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield path, f"{_shown(value)} is no mapping"
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name}".strip("."), "it is required, and not set"
    for name, member in value.items():
        if name not in shape.members:
            yield (
                f"{path}.{name}".strip("."),
                f"the API has no such field; there are {', '.join(sorted(shape.members))}",
            )
        else:
            yield from _wrong(shape.members[name], member, f"{path}.{name}".strip("."))


def _wrong_list(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, (list, tuple)):
        yield path, f"{_shown(value)} is no list"
        return
    yield from _wrong_length(shape, len(value), path, "items")
    for number, item in enumerate(value):
        yield from _wrong(shape.member, item, f"{path}[{number}]")


def _wrong_map(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield path, f"{_shown(value)} is no mapping"
        return
    yield from _wrong_length(shape, len(value), path, "keys")
    for key, member in value.items():
        yield from _wrong(shape.key, key, f"{path}[{key!r}]")
        yield from _wrong(shape.value, member, f"{path}[{key!r}]")


def _wrong_text(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, str):
        yield path, f"{_shown(value)} is no text"
        return
    if shape.enum and value not in shape.enum:
        yield path, f"{_shown(value)} is none of {', '.join(shape.enum) if len(shape.enum) < 20 else 'those it may be'}"
        return
    yield from _wrong_length(shape, len(value), path, "characters")
    pattern = shape.metadata.get("pattern")
    if pattern and not _pattern(pattern).fullmatch(value):
        yield path, f"{_shown(value)} does not match {pattern}"


def _wrong_number(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield path, f"{_shown(value)} is no number"
        return
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        yield path, f"{value} is below {least}"
    if most is not None and value > most:
        yield path, f"{value} is above {most}"


def _wrong_length(shape: Any, length: int, path: str, unit: str) -> Iterator[tuple[str, str]]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and length < least:
        yield path, f"it has {length} {unit}, fewer than {least}"
    if most is not None and length > most:
        yield path, f"it has {length} {unit}, more than {most}"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """The model's patterns are Java's, where ``\\p{L}`` names a class of characters that Python has other words for."""
    for theirs, ours in _CLASSES.items():
        text = text.replace(theirs, ours)
    return re.compile(text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
