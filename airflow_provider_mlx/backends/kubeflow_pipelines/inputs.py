"""What of a run a compiled pipeline does not take, before anything is submitted: pure, and all of it at once."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .compiled import KINDS, CompiledPipeline, Parameter, TaskOutputs

LARGEST_PARAMETERS: Final = 1_000_000
"""Bytes of all parameters together: 1 MB was taken by a real server, and 2 MB was too large for its cluster's etcd."""
_LARGEST_EXACT: Final = 2**53
"""The server keeps numbers as doubles: 2⁵³ + 1 loses its last digit."""
_LAST_OF_UTF8MB3: Final = "\uffff"

_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "STRING": lambda value: isinstance(value, str),
    "BOOLEAN": lambda value: isinstance(value, bool),
    "NUMBER_INTEGER": lambda value: _is_number(value) and value == int(value),
    "NUMBER_DOUBLE": lambda value: _is_number(value),
    "LIST": lambda value: isinstance(value, (list, tuple)),
    "STRUCT": lambda value: isinstance(value, Mapping),
}
"""Stricter than the server where it would change a value: it takes 3.5 for a whole number."""


@dataclass(frozen=True)
class OutputReference:
    """
    One output of a task that somebody wants.

    :param kind: ``parameter`` or ``artifact``.
    :param type: of the parameter or of the artifact, as ``system.Model``.
    """

    task: str
    key: str
    kind: str
    type: str


def parameter_problems(pipeline: CompiledPipeline, given: Mapping[str, Any]) -> list[Problem]:
    """Unknown names with the nearest one, missing ones, and values of the wrong type."""
    known = pipeline.parameters
    problems = [
        Problem(f"the pipeline has no parameter `{name}`", _nearest(name, known), "parameters")
        for name in given
        if name not in known
    ]
    problems += [
        Problem(f"`{one.name}` ({one.type}) has no default and is not given", "give it a value", "parameters")
        for one in known.values()
        if not one.optional and one.name not in given
    ]
    for name, value in given.items():
        if name in known:
            problems += _wrong(value, known[name])
    problems += [
        Problem(
            f"the pipeline wants the artifact `{name}`, and a run takes parameters alone",
            "have the pipeline fetch it by an importer, from a URI that is a parameter", "parameters",
        )
        for name in pipeline.artifacts
    ]  # fmt: skip
    return problems or _too_large(given)


def resolve_outputs(pipeline: CompiledPipeline, wanted: Mapping[str, str]) -> dict[str, OutputReference]:
    """
    The outputs that are meant, by the names that they get.

    :param wanted: name → ``task.key``, as ``{"model": "train.model", "auc": "evaluate.Output"}``; the task's name
        alone, if no other one has it, or with those around it, as ``condition-1/register.Output``.
    :raises InvalidStep: there are no such outputs; all problems at once.
    """
    found: dict[str, OutputReference] = {}
    problems: list[Problem] = []
    for name, text in wanted.items():
        answer = _resolved(pipeline, str(text), f"outputs[{name!r}]")
        if isinstance(answer, Problem):
            problems.append(answer)
        else:
            found[name] = answer
    if problems:
        raise InvalidStep(f"the pipeline `{pipeline.name}` does not have these outputs", problems)
    return found


def _resolved(pipeline: CompiledPipeline, text: str, field: str) -> OutputReference | Problem:
    name, dot, key = text.rpartition(".")
    if not (name and dot and key):
        return Problem(f"{text!r} is no output of a task", "write it as `task.output`, like `train.model`", field)
    tasks = _named(pipeline, name)
    if not tasks:
        return Problem(f"the pipeline has no task `{name}`", _nearest(name, pipeline.tasks), field)
    if len(tasks) > 1:
        full = ", ".join(f"`{one.name}`" for one in tasks)
        return Problem(f"several tasks are called `{name}`", f"name one of {full}", field)
    task = tasks[0]
    if task.repeated:
        what = f"`{name}` runs once per item of a loop, and has no one output"
        return Problem(what, "collect the items in a task behind the loop, and name that one", field)
    if key in task.parameters:
        return OutputReference(task.name, key, "parameter", task.parameters[key])
    if key in task.artifacts:
        return OutputReference(task.name, key, "artifact", task.artifacts[key])
    return Problem(
        f"the task `{name}` has no output `{key}`", _nearest(key, {*task.parameters, *task.artifacts}), field
    )


def _named(pipeline: CompiledPipeline, name: str) -> list[TaskOutputs]:
    if name in pipeline.tasks:
        return [pipeline.tasks[name]]
    return [task for full, task in pipeline.tasks.items() if full.rpartition("/")[2] == name]


def _wrong(value: Any, parameter: Parameter) -> Iterator[Problem]:
    field = f"parameters[{parameter.name!r}]"
    if value is None:
        yield Problem("a run takes no `null`", "leave it out, or give it a value", field)
        return
    fits = _FITS.get(parameter.type)
    if fits is not None and not fits(value):
        what = f"{_shown(value)} is no {parameter.type}"
        yield Problem(what, f"the pipeline takes {KINDS[parameter.type]}", field)
        return
    if parameter.literals and value not in parameter.literals:
        listed = ", ".join(_shown(one) for one in parameter.literals)
        yield Problem(f"{_shown(value)} is none of the values that the pipeline allows", f"use one of {listed}", field)
    if _is_number(value) and isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        yield Problem(f"{value} loses digits: the server keeps numbers as doubles", "pass it as text", field)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield Problem(f"it is no JSON: {error}", "pass plain values, or a reference", field)
        return
    if any(letter > _LAST_OF_UTF8MB3 for letter in text):
        yield Problem("the server's database stores no emoji or other rare character", "leave it out", field)


def _too_large(given: Mapping[str, Any]) -> list[Problem]:
    size = len(json.dumps(given).encode())
    if size <= LARGEST_PARAMETERS:
        return []
    what = f"the parameters have {size} bytes together, more than a run takes ({LARGEST_PARAMETERS})"
    return [Problem(what, "pass a reference to the data, as a URI", "parameters")]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"it has {', '.join(f'`{one}`' for one in sorted(known))}" if known else "it has none: leave it out"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
