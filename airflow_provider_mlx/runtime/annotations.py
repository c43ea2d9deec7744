"""A function's annotations, evaluated where they can be: what a parameter asks for and what a step says it returns."""

from __future__ import annotations

import inspect
import sys
import typing
from pathlib import PurePath
from typing import Any, Callable, Mapping  # noqa: UP035  (Python 3.9)

NOTHING = object()
"""No annotation, or one that could not be evaluated."""


def parameters(function: Callable[..., Any]) -> Callable[[int | str], Any]:
    """
    A lookup of a function's annotations by position or name.

    Each annotation is evaluated on its own, so that one that cannot be (a name that exists for type checkers only)
    leaves the others alone.
    """
    target: Any = inspect.unwrap(function)
    code = getattr(target, "__code__", None)
    if code is None:
        return lambda key: NOTHING
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    surplus = code.co_varnames[len(names) :]
    starred = surplus[0] if code.co_flags & inspect.CO_VARARGS else ""
    keywords = surplus[1 if starred else 0] if code.co_flags & inspect.CO_VARKEYWORDS else ""
    annotations = _annotations(target)

    def lookup(key: int | str) -> Any:
        if isinstance(key, int):
            name = names[key] if key < code.co_argcount else starred
        else:
            name = key if key in names else keywords
        return evaluated(annotations.get(name, NOTHING), getattr(target, "__globals__", {}))

    return lookup


def return_annotation(function: Callable[..., Any]) -> Any:
    """The function's evaluated return annotation, or ``NOTHING``."""
    target: Any = inspect.unwrap(function)
    return evaluated(_annotations(target).get("return", NOTHING), getattr(target, "__globals__", {}))


def _annotations(target: Any) -> Mapping[str, Any]:
    try:
        return getattr(target, "__annotations__", {})
    except Exception:
        # Python 3.14 evaluates annotations now, all or none; its own module gives those that can be.
        if sys.version_info >= (3, 14):
            import annotationlib

            return annotationlib.get_annotations(target, format=annotationlib.Format.FORWARDREF)
        return {}


def evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """An annotation's value, evaluated in a module's names if it is text; ``NOTHING`` when it cannot be."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))  # noqa: S307  (the user's own source, about to be run anyway)
    except Exception:
        # `Path | None` fails before Python 3.10; each side of it does not.
        if "|" in annotation and "[" not in annotation:
            members = (evaluated(part.strip(), names) for part in annotation.split("|"))
            return next((member for member in members if member not in (None, NOTHING)), NOTHING)
        return NOTHING


def bare(annotation: Any) -> Any:
    """Without ``Annotated[…]`` and ``… | None``."""
    origin = typing.get_origin(annotation)
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    if hasattr(annotation, "__metadata__"):
        return bare(members[0])
    # typing.Union, and types.UnionType of Python 3.10, which 3.9 does not have.
    if (origin is typing.Union or getattr(origin, "__name__", "") == "UnionType") and members:
        return bare(members[0])
    return annotation


def argument(annotation: Any, index: int) -> Any:
    """The annotation of a container's members: ``X`` of ``list[X]`` or ``dict[str, X]``."""
    arguments = typing.get_args(annotation)
    return arguments[index] if len(arguments) > index else NOTHING


def is_path(annotation: Any) -> bool:
    """Whether it asks for a ``Path``."""
    return isinstance(annotation, type) and issubclass(annotation, PurePath)
