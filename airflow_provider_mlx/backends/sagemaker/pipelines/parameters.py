"""What a pipeline's definition says of its parameters and steps, and what of a request it does not take: pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.exceptions import Problem

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")

# The types of the definition's schema, and how their values are written. Source: the JSON schema of pipeline
# definitions, aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema.
_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "String": str,
    "Integer": lambda text: int(text) if _INTEGER.fullmatch(text.strip()) else _refuse(text),
    "Float": lambda text: float(text) if "_" not in text else _refuse(text),
    "Boolean": lambda text: {"true": True, "false": False}[text.strip().lower()],
}
_FORMS: Final[Mapping[str, str]] = {
    "Integer": "a whole number, as 5",
    "Float": "a number, as 0.5",
    "Boolean": "true or false",
}


@dataclass(frozen=True)
class Parameter:
    """
    One parameter of a pipeline.

    :param needed: it has no default.
    :param allowed: its values, where the definition lists them.
    """

    name: str
    type: str
    needed: bool
    allowed: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Definition:
    """A pipeline, as far as a request depends on it."""

    parameters: Mapping[str, Parameter]
    steps: tuple[str, ...]


def parse_definition(text: str) -> Definition | None:
    """Read ``PipelineDefinition``; ``None`` for one that we do not understand, which is left to SageMaker."""
    try:
        found = json.loads(text)
        parameters = [_parameter(one) for one in found.get("Parameters") or ()]
        return Definition({one.name: one for one in parameters}, tuple(_names(found["Steps"])))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def definition_problems(definition: Definition, body: Mapping[str, Any]) -> list[Problem]:
    """
    What of a request the pipeline does not take, all at once.

    :param body: of ``StartPipelineExecution``.
    """
    given = {one["Name"]: one["Value"] for one in body.get("PipelineParameters") or ()}
    selected = [one["StepName"] for one in (body.get("SelectiveExecutionConfig") or {}).get("SelectedSteps") or ()]
    return [
        *_unknown("parameters", "parameter", given, definition.parameters),
        *_missing(given, definition.parameters),
        *(problem for name, text in given.items() for problem in _wrong(text, definition.parameters.get(name))),
        *_unknown("selected_steps", "step", selected, definition.steps),
    ]


def _unknown(field: str, noun: str, given: Sequence[str] | Mapping[str, str], known: Any) -> list[Problem]:
    return [
        Problem(f"the pipeline has no {noun} `{name}`", _nearest(name, sorted(known)), field)
        for name in given
        if name not in known
    ]


def _missing(given: Mapping[str, str], parameters: Mapping[str, Parameter]) -> list[Problem]:
    return [
        Problem(f"`{one.name}` ({one.type}) has no default and is not given", "give it a value", "parameters")
        for one in parameters.values()
        if one.needed and one.name not in given
    ]


def _wrong(text: str, parameter: Parameter | None) -> list[Problem]:
    if parameter is None or parameter.type not in _READ:  # unknown names are said already, unknown types are AWS's
        return []
    field = f"parameters[{parameter.name!r}]"
    try:
        value = _READ[parameter.type](text)
    except (ValueError, KeyError):
        what = f"{text!r} is no {parameter.type}"
        return [Problem(what, f"the pipeline takes {_FORMS[parameter.type]}", field)]
    if parameter.allowed and value not in parameter.allowed:
        listed = ", ".join(f"`{one}`" for one in parameter.allowed)
        return [Problem(f"{text!r} is none of the values that the pipeline allows", f"use one of {listed}", field)]
    return []


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"it has {', '.join(f'`{one}`' for one in known)}" if known else "it has none: leave it out"


def _parameter(given: Mapping[str, Any]) -> Parameter:
    needed = given.get("DefaultValue") is None
    return Parameter(str(given["Name"]), str(given["Type"]), needed, tuple(given.get("EnumValues") or ()))


def _names(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The names of all steps, those in the branches of conditions too."""
    for step in steps:
        yield str(step["Name"])
        arguments = step.get("Arguments")
        if isinstance(arguments, Mapping):
            for branch in ("IfSteps", "ElseSteps", "Steps"):
                yield from _names(arguments.get(branch) or ())


def _refuse(text: str) -> Any:
    raise ValueError(text)
