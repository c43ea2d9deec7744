"""Is there a codec for what a step says that it returns? Asked before nine hours of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.annotations import bare, return_annotation
from airflow_provider_mlx.runtime.codecs import codec_for_type_name, type_name, way_out_of_type_name
from airflow_provider_mlx.runtime.outputs import field_annotations

from .slicing import SourceSlice

_LEFT_TO_THE_VALUE: Final = frozenset(
    {
        "object", "Any", "typing.Any", "None", "NoneType", "typing.NoReturn", "typing.Never",
        # what JSON, or the wire's tagged values, say; these types have no codec of their own
        "Mapping", "Sequence", "collections.abc.Mapping", "collections.abc.Sequence", "collections.OrderedDict",
        "typing.Mapping", "typing.Sequence", "typing.Dict", "typing.List", "typing.Tuple", "typing.Literal",
        "datetime.datetime", "numpy.generic", "numpy.float64", "numpy.float32", "numpy.int64", "numpy.int32",
        "numpy.bool_",
        "airflow_provider_mlx.Dataset", "airflow_provider_mlx.Artifact",
        "airflow_provider_mlx.runtime.Dataset", "airflow_provider_mlx.runtime.Artifact",
        "airflow_provider_mlx.Metrics", "airflow_provider_mlx.runtime.Metrics",
        "airflow_provider_mlx.runtime.outputs.Metrics",
    }
)  # fmt: skip
"""Annotations by which nothing can be refused yet."""

_OWN_CLASS: Final = "<slice>."
"""A class of the DAG file: a ``TypedDict`` or ``NamedTuple`` is plain JSON, and only the value tells."""


def outputs_of(function: Callable[..., Any], cut: SourceSlice) -> Mapping[str, str | None]:
    """
    The outputs that a step's return annotation names, each with its type's dotted name.

    A class of the DAG file is read from its text; an imported one is asked itself, if it can be imported here.
    """
    if cut.outputs:
        return cut.outputs
    members = field_annotations(bare(return_annotation(function)))
    kinds = {name: bare(member) for name, member in members.items()}
    return {name: type_name(kind) if isinstance(kind, type) else None for name, kind in kinds.items()}


def splits(function: Callable[..., Any], cut: SourceSlice) -> bool | None:
    """
    Whether a step's result is split into several outputs by what its annotation says; None where Airflow's own rule
    decides, which splits every mapping.

    A dict that a codec takes as a whole stays one, as ``dict[str, torch.Tensor]``.
    """
    if outputs_of(function, cut):
        return True
    if not (cut.return_type or "").startswith("dict["):
        return None  # and no installed package's codec is looked for while a DAG is parsed
    row = codec_for_type_name(cut.return_type or "")
    return False if row is not None and row.members else None


def return_types(function: Callable[..., Any], cut: SourceSlice) -> tuple[str, ...]:
    """The types of a step's results, as far as they are known: of its named outputs, or of its one result."""
    said = outputs_of(function, cut).values() or (cut.return_type,)
    return tuple(dict.fromkeys(dotted for dotted in said if dotted is not None))


def return_type_problems(return_types: Iterable[str]) -> list[Problem]:
    """Refuse what no codec takes; a result of which nothing is known is left to the value."""
    return [problem for dotted in return_types for problem in _problems_of(dotted)]


def _problems_of(return_type: str) -> list[Problem]:
    if return_type in _LEFT_TO_THE_VALUE or return_type.startswith(_OWN_CLASS):
        return []
    if codec_for_type_name(return_type) is not None:
        return []
    return [
        Problem(
            f"no codec takes a `{return_type}`",
            way_out_of_type_name(return_type)
            or "return a data frame, an array, a model of a known framework, plain JSON, or a Path to a file that the "
            "step wrote; or leave the annotation out to decide when the step returns",
            field="return annotation",
        )
    ]
