"""A pydantic model applied to nodes: each of its errors becomes a problem at a place, with a way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.parsing import MappingNode, Node, SequenceNode, plain
from airflow_provider_mlx.stacks.places import Place, did_you_mean, nearest, problem_at

Model = TypeVar("Model", bound=BaseModel)

# pydantic's error types → what to write instead; https://docs.pydantic.dev/latest/errors/validation_errors/
_REMEDIES: Final[Mapping[str, str]] = {
    "string_type": "write text, numbers and dates in quotes",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "list_type": "write a list: [first, second]",
    "tuple_type": "write a list: [first, second]",
    "dict_type": "write a mapping: {key: value}",
    "mapping_type": "write a mapping: {key: value}",
    "model_type": "write a mapping: {key: value}",
    "too_short": "add at least one",
    "literal_error": "use one of these words",
    "enum": "use one of these words",
    "greater_than_equal": "write a larger number",
    "greater_than": "write a larger number",
    "less_than_equal": "write a smaller number",
    "less_than": "write a smaller number",
}
# … and where pydantic speaks of Python
_WHAT: Final[Mapping[str, str]] = {
    "bool_type": "should be true or false",
    "dict_type": "should be a mapping",
    "mapping_type": "should be a mapping",
    "model_type": "should be a mapping",
    "string_type": "should be text",
    "too_short": "should not be empty",
}
_NO_REMEDY: Final = "change the value"
_KEY: Final = "[key]"  # pydantic's last word of a path when the key itself is wrong


def apply_model(
    model: type[Model], node: Node, owner: Place, subject: str, extra_keys: tuple[str, ...] = ()
) -> tuple[Model | None, list[Problem], list[Problem]]:
    """
    Validate a node.

    :param owner: the place of the key that holds the node: where something that is missing belongs.
    :param subject: what the node is, as ``a kubernetes target`` or ``stack `prod```.
    :param extra_keys: further keys that are valid beside the model's, for the sake of suggestions.
    :return: the validated model, or ``None``; what is wrong; what is only missing.
    """
    try:
        return model.model_validate(plain(node)), [], []
    except ValidationError as error:
        wrong: list[Problem] = []
        missing: list[Problem] = []
        for detail in error.errors(include_url=False, include_input=False):
            problem = _explain(detail, model, node, owner, subject, extra_keys)
            (missing if detail["type"] == "missing" else wrong).append(problem)
        # pydantic names every branch of a union: the first is enough
        wrong = list({problem.field: problem for problem in reversed(wrong)}.values())[::-1]
        misspelt = {problem.remedy for problem in wrong}
        return None, wrong, [problem for problem, key in _with_keys(missing) if did_you_mean(key) not in misspelt]


def field_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a model knows, as a file writes them."""
    return tuple(info.alias or name for name, info in model.model_fields.items())


def sentence(detail: Mapping[str, Any]) -> tuple[str, str]:
    """One of pydantic's errors as what is wrong, and what to do."""
    context = detail.get("ctx") or {}
    what = _WHAT.get(detail["type"]) or detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return what, context.get("remedy") or _REMEDIES.get(detail["type"], _NO_REMEDY)


def _with_keys(missing: list[Problem]) -> list[tuple[Problem, str]]:
    return [(problem, problem.remedy.removeprefix("add `").removesuffix(":`")) for problem in missing]


def _explain(
    detail: Any, model: type[BaseModel], node: Node, owner: Place, subject: str, extra_keys: tuple[str, ...]
) -> Problem:
    path = detail["loc"]
    if detail["type"] == "missing":
        place, _, known = _follow(path[:-1], node, owner)
        key = ".".join([*known, str(path[-1])])
        return problem_at(place, f"{subject} lacks `{key}`", f"add `{path[-1]}:`")
    place, value_place, known = _follow(path, node, owner)
    if detail["type"] == "extra_forbidden":
        inner = _model_at(model, path[:-1])
        valid = (*field_names(inner), *(extra_keys if len(path) == 1 else ()))
        inside = f"`{'.'.join(known[:-1])}` of {subject}" if len(known) > 1 else subject
        return problem_at(place, f"unknown key `{path[-1]}` of {inside}", nearest(str(path[-1]), valid))
    what, remedy = sentence(detail)
    if path and path[-1] == _KEY:
        return problem_at(place, what, remedy)
    return problem_at(
        value_place, f"`{'.'.join(known)}` of {subject}: {what}" if known else f"{subject} {what}", remedy
    )


def _follow(path: tuple[int | str, ...], node: Node, owner: Place) -> tuple[Place, Place, list[str]]:
    """The place of the last key of a path, the place of its value, and the keys on the way that are in the file."""
    key_place, value_place, known = owner, owner, []
    for part in path:
        if isinstance(node, MappingNode) and part in node.entries:
            entry = node.entries[str(part)]
            key_place, node = entry.place, entry.node
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            key_place = node.place
        else:
            continue  # pydantic names the branch of a union, too
        value_place = key_place if isinstance(node, MappingNode | SequenceNode) else node.place
        known.append(str(part))
    return key_place, value_place, known


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that stands at a path of fields, however it is wrapped in lists, unions and annotations."""
    for part in path:
        for name, info in model.model_fields.items():
            if part in (name, info.alias):
                model = next(_models(info.annotation), model)
    return model


def _models(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
