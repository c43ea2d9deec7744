"""
Names for what a step returns: several outputs by the fields of a class, and words about one output.

::

    class Fitted(NamedTuple):                       # or a TypedDict, or a dataclass
        model: Annotated[Path, Model("churn")]
        table: pd.DataFrame
        scores: Metrics

    @task.mlx
    def train(...) -> Fitted: ...

Each field is an output with a codec, a reference and an XCom of its own: ``train(...)["table"]``.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any, Mapping  # noqa: UP035  (Python 3.9)

from .annotations import evaluated
from .refusals import StepFailed


@dataclass(frozen=True)
class Output:
    """
    A word about an output, in ``Annotated[…]``.

    :param name: what the artifact is called in its reference and in lineage, instead of the field's name.
    """

    name: str


@dataclass(frozen=True)
class Model(Output):
    """
    The output is a model of this name: lineage shows it as one, and Airflow's processes never load it.

    On a ``Path`` it makes a model of any file or folder that a framework wrote.
    """


class Metrics(dict):  # type: ignore[type-arg]
    """
    Numbers by name: what a step returns as this, or says that it returns, are its metrics too.

    ``-> Metrics`` is enough; the function may return any dict of numbers.
    """


def fields_of(value: Any) -> dict[str, Any] | None:
    """The outputs of a value that has several: a dict, a named tuple, a dataclass; None for any other value."""
    if isinstance(value, dict):
        return value if all(isinstance(key, str) for key in value) else None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def field_annotations(annotation: Any) -> Mapping[str, Any]:
    """The annotations of a class that names outputs, evaluated one by one, inherited ones too; none for other types."""
    if not isinstance(annotation, type) or not has_named_fields(annotation):
        return {}
    found: dict[str, Any] = {}
    for kind in reversed(annotation.__mro__):
        names = vars(sys.modules.get(kind.__module__, math))
        # A TypedDict's own are ForwardRefs where the module postpones annotations.
        for name, member in getattr(kind, "__annotations__", {}).items():
            found[name] = evaluated(getattr(member, "__forward_arg__", member), names)
    return found


def has_named_fields(annotation: type) -> bool:
    """Whether a class is a named tuple, a dataclass or a ``TypedDict``."""
    return (
        (issubclass(annotation, tuple) and hasattr(annotation, "_fields"))
        or dataclasses.is_dataclass(annotation)
        or hasattr(annotation, "__total__")
    )


def built(annotation: Any, values: dict[str, Any]) -> Any:
    """
    Named values as the class that an annotation asks for; the dict where it asks for none.

    :raises StepFailed: the class has other fields.
    """
    if not isinstance(annotation, type) or hasattr(annotation, "__total__") or not has_named_fields(annotation):
        return values
    try:
        return annotation(**values)
    except TypeError as error:
        raise StepFailed(
            f"the values {sorted(values)} do not make a `{annotation.__name__}`: {error}",
            "annotate the parameter with the class that the other step returned",
        ) from error


def word_about(annotation: Any) -> Output | None:
    """The :class:`Output` or :class:`Model` in an ``Annotated[…]``."""
    return next((word for word in getattr(annotation, "__metadata__", ()) if isinstance(word, Output)), None)


def is_metrics(annotation: Any, value: Any) -> bool:
    """Whether a value is the step's metrics: by its own type, or by what the annotation says."""
    inner = getattr(annotation, "__origin__", annotation) if hasattr(annotation, "__metadata__") else annotation
    return isinstance(value, Metrics) or inner is Metrics


def metric_problems(value: Any) -> list[str]:
    """What in a value is no metric: metrics are numbers by name."""
    if not isinstance(value, dict):
        return [f"it is a {type(value).__name__}, not a dict"]
    return [
        f"{key!r} is a {type(number).__name__}" for key, number in value.items()
        if not isinstance(key, str) or isinstance(number, (str, bytes)) or not hasattr(type(number), "__float__")
    ]  # fmt: skip
