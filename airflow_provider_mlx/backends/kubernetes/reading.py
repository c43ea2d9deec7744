"""
Reading what an API server answers.

Any field may be missing, and an object may be of another shape than its documentation says (another version, a
webhook, a hand): what is not there is ``None``, empty or zero, and nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any


def at(value: object, path: str) -> Any:
    """What stands at a dotted path, as ``status.reason``; ``None`` if nothing does."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def each(value: object, path: str) -> list[Any]:
    """Everything that stands at a dotted path in which ``*`` is every element of a list, or every value of a map."""
    found: list[Any] = [value]
    for name in path.split("."):
        found = [item for one in found for item in _step(one, name)]
    return found


def text(value: object, path: str) -> str:
    """The string at a path, in one line; empty if there is none."""
    found = at(value, path)
    return " ".join(found.split()) if isinstance(found, str) else ""


def number(value: object, path: str) -> int | None:
    """The whole number at a path."""
    found = at(value, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def maps(value: object, path: str) -> list[Mapping[str, Any]]:
    """The objects of the list at a path."""
    found = at(value, path)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def label(value: object, key: str) -> str:
    """An object's label; its key may hold dots."""
    return _mark(value, "metadata.labels", key)


def annotation(value: object, key: str) -> str:
    """An object's annotation."""
    return _mark(value, "metadata.annotations", key)


def has_annotation(value: object, key: str) -> bool:
    """Whether an object carries an annotation, if only an empty one."""
    marks = at(value, "metadata.annotations")
    return isinstance(marks, Mapping) and key in marks


def condition(value: object, kind: str) -> Mapping[str, Any]:
    """The condition of this type in an object's status; empty if there is none."""
    found = [one for one in maps(value, "status.conditions") if one.get("type") == kind]
    return found[-1] if found else {}


def is_true(one: Mapping[str, Any]) -> bool:
    """Whether a condition holds."""
    return one.get("status") == "True"


def moment(value: object, path: str) -> float | None:
    """The time at a path in seconds since 1970; whole seconds or finer, as Kubernetes writes both."""
    found = at(value, path)
    if not isinstance(found, str):
        return None
    try:
        parsed = datetime.fromisoformat(found)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _mark(value: object, path: str, key: str) -> str:
    marks = at(value, path)
    found = marks.get(key) if isinstance(marks, Mapping) else None
    return found if isinstance(found, str) else ""


def _step(value: object, name: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values() if name == "*" else (value[key] for key in (name,) if key in value)
    elif name == "*" and isinstance(value, list | tuple):
        yield from value
