"""
Values on the wire: plain JSON, in which a dict with the key ``mlx`` stands for something that JSON cannot say.

========================  =====================================================================
``{"mlx": "artifact/1"}``  :class:`~.values.ArtifactReference`
``{"mlx": "dataset/1"}``   :class:`~.values.Dataset`
``{"mlx": "float/1"}``     NaN and the infinities, ``value`` is ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``
``{"mlx": "datetime/1"}``  an aware ``datetime``, ``value`` is ISO 8601
========================  =====================================================================

A user's own dict that has the key ``mlx`` is therefore refused here: as a result it travels as an artifact instead, and
is never taken for a reference. Tuples become lists, as JSON has it.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Callable

from .values import ARTIFACT_TAG, DATASET_TAG, TAG, ArtifactReference, Dataset

FLOAT_TAG = "float/1"
DATETIME_TAG = "datetime/1"


class NotPlain(TypeError):
    """A value that the wire cannot carry; ``path`` says where in the whole it stands."""

    def __init__(self, value: object, path: str) -> None:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
        super().__init__(f"{path or 'the value'} is a {kind}, which is not plain JSON")
        self.path = path
        self.kind = kind


def encode(value: Any, path: str = "") -> Any:
    """
    Turn a Python value into its wire form.

    :raises NotPlain: something in it is neither JSON nor one of the tagged values.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return _builtin(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {TAG: FLOAT_TAG, "value": _NON_FINITE_NAMES[_sign(value)]}
    if isinstance(value, (list, tuple)):
        return [encode(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        if TAG in value or not all(isinstance(key, str) for key in value):
            raise NotPlain(value, path)
        return {str(key): encode(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, (ArtifactReference, Dataset)):
        return value.to_wire()
    if isinstance(value, datetime) and value.tzinfo is not None:
        return {TAG: DATETIME_TAG, "value": value.isoformat()}
    raise NotPlain(value, path)


def decode(value: Any, path: str = "") -> Any:
    """
    Turn a wire form back into a Python value; references become :class:`ArtifactReference` and :class:`Dataset`.

    :raises ValueError: a tagged dict is malformed or its tag is unknown.
    """
    if isinstance(value, list):
        return [decode(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: decode(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
    reader = _READERS.get(value[TAG]) if isinstance(value[TAG], str) else None
    if reader is None:
        raise ValueError(f"{path or 'the value'}: unknown tag {value[TAG]!r} under the key `{TAG}`")
    try:
        return reader(value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path or 'the value'}: {error}") from error


def references(value: Any) -> list[ArtifactReference]:
    """Every artifact reference inside a decoded value, in order."""
    if isinstance(value, ArtifactReference):
        return [value]
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if isinstance(value, dict):
        return [found for item in value.values() for found in references(item)]
    return []


_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NON_FINITE_NAMES = {0: "NaN", 1: "Infinity", -1: "-Infinity"}


def _sign(value: float) -> int:
    return 0 if math.isnan(value) else (1 if value > 0 else -1)


def _builtin(value: Any) -> Any:
    """A subclass of str or int (an enum's member, say) becomes the plain value."""
    if value is None or isinstance(value, bool):
        return value
    return str.__str__(value) if isinstance(value, str) else int(value)


def _dataset(value: dict[str, Any]) -> Dataset:
    version = value.get("version")
    if set(value) - {TAG, "uri", "version"} or not isinstance(value["uri"], str):
        raise ValueError("not a dataset reference")
    if version is not None and not isinstance(version, str):
        raise ValueError("not a dataset reference: the version is not text")
    return Dataset(value["uri"], version)


_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    ARTIFACT_TAG: ArtifactReference.from_wire,
    DATASET_TAG: _dataset,
    FLOAT_TAG: lambda value: _NON_FINITE[value["value"]],
    DATETIME_TAG: lambda value: datetime.fromisoformat(value["value"]),
}
