"""
The outputs that a class names, read from its text: a class inside a ``@dag`` function does not exist while the DAG file
is parsed, and its annotations may name what only type checkers import.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Final

from .names import Meaning, type_name

SLICE: Final = "<slice>"
"""Stands for the slice's own module in the dotted names of its classes."""

_NAMES_FIELDS: Final = frozenset({
    "typing.NamedTuple", "typing.TypedDict", "typing_extensions.NamedTuple", "typing_extensions.TypedDict",
    "dataclasses.dataclass",
})  # fmt: skip


def named_outputs(
    dotted: str | None, *, find: Callable[[str], ast.ClassDef | None], meaning: Callable[[str], Meaning]
) -> Mapping[str, str | None]:
    """
    The fields of a named tuple, ``TypedDict`` or dataclass, inherited ones first, each with its type's dotted name.

    :param dotted: what a return annotation says, ``<slice>.Fitted``; other types name no outputs.
    :param find: a class of the module by its name.
    :param meaning: what a name of the module stands for.
    """
    fields: dict[str, str | None] = {}
    return fields if _collect(dotted, find, meaning, fields, depth=10) else {}


def _collect(
    dotted: str | None,
    find: Callable[[str], ast.ClassDef | None],
    meaning: Callable[[str], Meaning],
    fields: dict[str, str | None],
    *,
    depth: int,
) -> bool:
    """Add a class's fields; whether it is one that names some."""
    node = find(dotted.removeprefix(f"{SLICE}.")) if dotted and dotted.startswith(f"{SLICE}.") and depth else None
    if node is None:
        return dotted in _NAMES_FIELDS
    above = [*node.bases, *(item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)]
    names = [_collect(type_name(item, meaning), find, meaning, fields, depth=depth - 1) for item in above]
    if not any(names):
        return False
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and not _is_class_variable(statement.annotation):
            fields[ast.unparse(statement.target)] = type_name(statement.annotation, meaning)
    return True


def _is_class_variable(annotation: ast.expr) -> bool:
    return ast.unparse(annotation).partition("[")[0].endswith("ClassVar")
