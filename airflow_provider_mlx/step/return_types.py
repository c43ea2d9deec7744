"""Is there a codec for what a step says that it returns? Asked before nine hours of training."""

from __future__ import annotations

from typing import Final

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.codecs import codec_for_type_name

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
    }
)  # fmt: skip
"""Annotations by which nothing can be refused yet."""

_OWN_CLASS: Final = "<slice>."
"""A class of the DAG file: a ``TypedDict`` or ``NamedTuple`` is plain JSON, and only the value tells."""


def return_type_problems(return_type: str | None) -> list[Problem]:
    """
    Refuse a return annotation that no codec takes.

    :param return_type: the annotation's dotted name; ``None`` when nothing is said or can be known.
    """
    if return_type is None or return_type in _LEFT_TO_THE_VALUE or return_type.startswith(_OWN_CLASS):
        return []
    if codec_for_type_name(return_type) is not None:
        return []
    return [
        Problem(
            f"no codec takes a `{return_type}`",
            "return a data frame, an array, a scikit-learn estimator, plain JSON, or a Path to a file that the step "
            "wrote; or leave the annotation out to decide when the step returns",
            field="return annotation",
        )
    ]
