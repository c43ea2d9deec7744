"""
Backends by name: ours from a table, third parties' by entry point (``airflow_provider_mlx.backends``).

Nothing is imported before a stack names the backend.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep

from .base import Backend

GROUP: Final = "airflow_provider_mlx.backends"

_OURS: Final[Mapping[str, str]] = {
    "local": "airflow_provider_mlx.backends.local.backend:LocalBackend",
    "kubernetes": "airflow_provider_mlx.backends.kubernetes.backend:KubernetesBackend",
    "trainer": "airflow_provider_mlx.backends.kubernetes.trainer:TrainerBackend",
}
_OF_OPERATORS: Final[Mapping[str, str]] = {
    "kubernetes_resource": "airflow_provider_mlx.backends.kubernetes.resource:ResourceBackend",
}
"""Backends that no stack names: an operator makes their targets."""


@cache
def backend_class(name: str) -> type[Backend]:
    """
    The class of a backend.

    :raises InvalidStep: no such backend is installed.
    """
    where = _OF_OPERATORS.get(name) or backend_names().get(name)
    if where is None:
        raise InvalidStep(
            f"there is no backend `{name}`",
            remedy=f"the installed ones are {', '.join(sorted(backend_names()))}",
        )
    module, _, attribute = where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise InvalidStep(f"the backend `{name}` ({where}) is not a subclass of {Backend.__module__}.Backend")
    return found


@cache
def backend_names() -> Mapping[str, str]:
    """Name → ``module:class`` of every installed backend; ours cannot be replaced."""
    theirs = {point.name: point.value for point in entry_points(group=GROUP)}
    return {**theirs, **_OURS}
