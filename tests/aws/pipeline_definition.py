"""
The JSON of a pipeline: https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/.

``{"Get": "Parameters.X"}``, ``{"Get": "Steps.NAME.Property…"}``, ``{"Get": "Execution.PipelineExecutionId"}`` and
``{"Std:Join": {"On": …, "Values": […]}}`` stand for values. The properties of a step are what Describe tells of its job:
https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import Unsupported, validation

_TYPES: Final[Mapping[str, Any]] = {"String": str, "Integer": int, "Float": (int, float), "Boolean": bool}
_PART: Final = re.compile(r"([^.\[\]]+)|\[(?:'([^']+)'|\"([^\"]+)\"|(\d+))\]")


@dataclass(frozen=True)
class Step:
    """
    One step.

    :param type: ``Training`` or ``Processing``.
    :param after: names of steps that end before, said or by what its arguments refer to.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    after: frozenset[str]
    display_name: str
    description: str


@dataclass(frozen=True)
class Definition:
    """A pipeline."""

    parameters: Mapping[str, Mapping[str, Any]]
    steps: Mapping[str, Step]

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """
        The parameters of one execution.

        :raises AwsError: one is unknown, of a wrong type, or has no value.
        """
        unknown = set(given) - set(self.parameters)
        if unknown:
            raise validation(f"Parameters [{', '.join(sorted(unknown))}] are not defined in the pipeline")
        values = {}
        for name, parameter in self.parameters.items():
            value = _typed(given[name], parameter) if name in given else parameter.get("DefaultValue")
            if value is None:
                raise validation(f"Parameter [{name}] has no value")
            values[name] = value
        return values


def parse_definition(text: str) -> Definition:
    """
    Read a definition.

    :raises AwsError: it is none, or its steps wait for each other.
    :raises Unsupported: it has steps that the endpoint cannot run.
    """
    try:
        found = json.loads(text)
        steps = {step["Name"]: _step(step) for step in found["Steps"]}
    except (ValueError, KeyError, TypeError) as wrong:
        raise validation(f"Unable to parse pipeline definition: {wrong!r}") from None
    for step in steps.values():
        missing = step.after - set(steps)
        if missing:
            raise validation(f"Step {step.name} depends on {', '.join(sorted(missing))}, which is not in the pipeline")
    ready: set[str] = set()
    while more := {step.name for step in steps.values() if step.after <= ready} - ready:
        ready |= more
    if len(ready) < len(steps):
        raise validation("The pipeline has a cycle")
    return Definition({one["Name"]: one for one in found.get("Parameters", [])}, steps)


def resolve(value: Any, known: Mapping[str, Any]) -> Any:
    """
    Put values in the place of references.

    :param known: ``Parameters``, ``Execution`` and ``Steps``.
    """
    if isinstance(value, list):
        return [resolve(item, known) for item in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"Get"}:
        return _get(value["Get"], known)
    if set(value) == {"Std:Join"}:
        join = value["Std:Join"]
        return str(join.get("On", "")).join(str(resolve(item, known)) for item in join["Values"])
    return {key: resolve(item, known) for key, item in value.items()}


def _step(given: Mapping[str, Any]) -> Step:
    if given["Type"] not in ("Training", "Processing"):
        raise Unsupported(f"pipeline steps of type {given['Type']}")
    for member in ("CacheConfig", "RetryPolicies", "PropertyFiles"):
        if given.get(member):
            raise Unsupported(f"{member} of a pipeline step")
    referred = {ref.split(".")[1] for ref in _references(given["Arguments"]) if ref.startswith("Steps.")}
    after = frozenset({*given.get("DependsOn", []), *referred})
    display = given.get("DisplayName", "")
    return Step(given["Name"], given["Type"], given["Arguments"], after, display, given.get("Description", ""))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, Mapping):
        if set(value) == {"Get"}:
            yield value["Get"]
            return
        for item in value.values():
            yield from _references(item)


def _get(path: str, known: Mapping[str, Any]) -> Any:
    found: Any = known
    for plain, single, double, number in _PART.findall(path):
        try:
            if isinstance(found, list):
                found = found[int(number)] if number else _named(found, single or double)
            else:
                found = found[plain or single or double]
        except (KeyError, IndexError, TypeError, StopIteration):
            raise validation(f"Unable to resolve {path}") from None
    return found


def _named(items: list[Any], name: str) -> Any:
    """``Outputs['train']`` is the output of that name."""
    return next(item for item in items if name in (item.get("OutputName"), item.get("InputName")))


def _typed(text: str, parameter: Mapping[str, Any]) -> Any:
    """A parameter's value, which comes as a string: API_Parameter."""
    kind = parameter["Type"]
    try:
        value = text if kind == "String" else json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, _TYPES[kind]):
        raise validation(f"Parameter [{parameter['Name']}] has value {text} with wrong type: {kind} is expected")
    if parameter.get("EnumValues") and value not in parameter["EnumValues"]:
        raise validation(
            f"Parameter [{parameter['Name']}] has value {text}, which is none of {parameter['EnumValues']}"
        )
    return value
