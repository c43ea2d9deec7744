"""A step's arguments: context names filled in, XCom values taken as they are, everything turned into wire form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.protocol import Arguments
from airflow_provider_mlx.runtime.values import TAG, Dataset
from airflow_provider_mlx.runtime.wire import NotPlain, decode, encode

from .assets import AssetArtifact

CONTEXT_NAMES: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "ds": lambda context: context["ds"],
    "ds_nodash": lambda context: context["ds_nodash"],
    "ts": lambda context: context["ts"],
    "ts_nodash": lambda context: context["ts_nodash"],
    "run_id": lambda context: context["run_id"],
    "logical_date": lambda context: context.get("logical_date"),
    "data_interval_start": lambda context: context.get("data_interval_start"),
    "data_interval_end": lambda context: context.get("data_interval_end"),
    "params": lambda context: plain_params(context["params"]),
    "conf": lambda context: dict(context["dag_run"].conf or {}),
    "map_index": lambda context: context["ti"].map_index,
    "try_number": lambda context: context["ti"].try_number,
}
"""Names in a step's signature that are filled from the run: values that JSON can say. (Design section 4.)"""

WAYS_OUT: Final[Mapping[str, str]] = {
    "ti": "ask for `run_id`, `map_index` or `try_number`, or pull in a plain task and pass the value",
    "task_instance": "ask for `run_id`, `map_index` or `try_number`, or pull in a plain task and pass the value",
    "dag": 'pass what you need of it, as `"{{ dag.dag_id }}"`',
    "task": 'pass what you need of it, as `"{{ task.task_id }}"`',
    "dag_run": 'ask for `run_id` or `conf`, or pass `"{{ dag_run.run_type }}"`',
    "macros": 'pass a rendered template, as `"{{ macros.ds_add(ds, 1) }}"`',
    "conn": "name the secret under `secrets=`, or pass a rendered field that is no secret",
    "outlet_events": "name the asset in `outlets=`: its event tells uri, digest and metrics of what the step made",
    "inlet_events": "pass `AssetArtifact(asset)`, with the asset in `inlets=`: the last event's artifact",
    "triggering_asset_events": "pass `AssetArtifact(asset)`: what the triggering event carries",
}
"""Context names that hold live Airflow objects; a job runs apart from Airflow."""


def signature_problems(function: Callable[..., Any], *, airflow_names: Iterable[str]) -> list[Problem]:
    """The parameters that a job cannot have."""
    problems = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            if name in ("context", "kwargs"):
                problems.append(
                    Problem(
                        f"`**{name}` would receive Airflow's whole context, which cannot leave Airflow",
                        f"name what the step needs as parameters; filled in are {', '.join(CONTEXT_NAMES)}",
                        field=f"**{name}",
                    )
                )
        elif name in airflow_names and name not in CONTEXT_NAMES:
            way = WAYS_OUT.get(name, "read it in a plain task and pass what you need as an argument")
            problems.append(Problem("it is a live object of Airflow, and the step runs apart from Airflow", way, name))
    return problems


def plain_params(params: Any) -> dict[str, Any]:
    """A run's params as a plain dict."""
    return dict(params.dump() if hasattr(params, "dump") else params)


def by_name(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """
    A call's arguments, those given by position under their parameters' names where they have one.

    A name says whether a value is sensitive, and what it is: in `plan`, in lineage, in a message.
    """
    parameters = list(inspect.signature(function).parameters.values())
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = [
        (parameter.name, value) for parameter, value in zip(parameters, args, strict=False) if parameter.kind is keyword
    ]
    nameless = sum(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in parameters[: len(args)])
    if nameless + len(named) < len(args) or any(name in kwargs for name, _ in named):
        return list(args), dict(kwargs)  # the call says what is wrong with it, or takes any number
    return list(args[:nameless]), {**dict(named), **kwargs}


def fill_context(
    function: Callable[..., Any], given: Mapping[str, Any], context: Mapping[str, Any], *, positional: int = 0
) -> dict[str, Any]:
    """
    The keyword arguments, with the context names of the signature that the caller left out.

    :param positional: how many parameters the caller has given by position.
    :raises InvalidStep: the run does not have one of them, and the parameter has no default.
    """
    filled, problems = dict(given), []
    for name, parameter in list(inspect.signature(function).parameters.items())[positional:]:
        if name not in CONTEXT_NAMES or filled.get(name) is not None:
            continue
        try:
            filled[name] = CONTEXT_NAMES[name](context)
        except KeyError:  # Airflow 3 leaves `ds` and `ts` out of a run that was triggered without a logical date
            if parameter.default is inspect.Parameter.empty:
                problems.append(
                    Problem(
                        "this run was triggered without a logical date, so it has none",
                        "trigger it with a logical date, give the parameter the default `None`, or ask for `run_id`",
                        field=name,
                    )
                )
            else:
                filled[name] = parameter.default
    if problems:
        raise InvalidStep("the run does not have what the step's parameters ask for", problems)
    return filled


def static_argument(value: Any) -> Any:
    """
    An argument as it is kept in the operator: our own classes become the plain JSON that stands for them.

    Operator fields are stored with the DAG, and Airflow's allow-lists refuse foreign classes.
    """
    if isinstance(value, (Dataset, AssetArtifact)):
        return value.to_wire()
    if isinstance(value, dict):
        return {key: static_argument(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(static_argument(item) for item in value)
    return value


def to_wire(args: Iterable[Any], kwargs: Mapping[str, Any], *, masked: Callable[[Any], bool]) -> Arguments:
    """
    The rendered arguments in wire form.

    :param masked: whether Airflow would mask this value in logs, so that it is a secret.
    :raises InvalidStep: an argument is no plain value, a malformed reference, or a secret; all problems at once.
    """
    problems: list[Problem] = []

    def one(value: Any, name: str) -> Any:
        if masked(value):
            problems.append(
                Problem(
                    "its value is a secret that Airflow masks; arguments are written to the artifact root",
                    'name it under `secrets={"ENV_NAME": "logical-name"}` and map the name in the stack',
                    field=name,
                )
            )
            return None
        try:
            wire = _wire(value, name)
            decode(wire)
        except NotPlain as error:
            problems.append(
                Problem(
                    str(error),
                    "pass plain JSON, a Dataset, or the result of another step; build objects inside the step",
                    field=name,
                )
            )
            return None
        except ValueError as error:
            problems.append(
                Problem(
                    f"{error}",
                    "a dict with the key `mlx` stands for a reference; rename the key, or pass what a step returned",
                    field=name,
                )
            )
            return None
        return wire

    arguments = Arguments(
        args=[one(value, f"argument {index + 1}") for index, value in enumerate(args)],
        kwargs={name: one(value, name) for name, value in kwargs.items()},
    )
    if problems:
        raise InvalidStep("the step's arguments cannot be sent to a job", problems)
    return arguments


def _wire(value: Any, path: str) -> Any:
    """``encode``, for what Airflow itself may hand over: tagged dicts, lazy sequences, assets, dates, artifacts."""
    if isinstance(value, dict):
        if isinstance(value.get(TAG), str):
            return value  # checked by decode
        if not all(isinstance(key, str) for key in value):
            raise NotPlain(value, path)
        if TAG in value:
            raise ValueError(f"{path} has a key `{TAG}` that is no tag")
        return {key: _wire(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (str, bytes)) or value is None:
        return encode(value, path)
    if isinstance(value, datetime):
        return encode(value if value.tzinfo else value.replace(tzinfo=UTC), path)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (int, float, Dataset)):
        return encode(value, path)
    if hasattr(value, "reference") and getattr(value.reference, "to_wire", None):
        return value.reference.to_wire()
    if hasattr(value, "uri") and type(value).__module__.startswith("airflow"):
        return Dataset(str(value.uri)).to_wire()  # an Airflow Asset (or 2.x Dataset) is a dataset by reference
    if isinstance(value, (list, tuple, set, frozenset)) or (
        hasattr(value, "__iter__") and hasattr(value, "__len__") and type(value).__module__.startswith("airflow")
    ):
        return [_wire(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return encode(value, path)
