"""
Backends by name: ours from a table, third parties' by entry point (``airflow_provider_mlx.backends``).

Nothing is imported before a stack names the backend.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep

from .base import Backend, TargetSettings

GROUP: Final = "airflow_provider_mlx.backends"

_OURS: Final[Mapping[str, str]] = {
    "local": "airflow_provider_mlx.backends.local.backend:LocalBackend",
    "kubernetes": "airflow_provider_mlx.backends.kubernetes.backend:KubernetesBackend",
    "trainer": "airflow_provider_mlx.backends.kubernetes.trainer:TrainerBackend",
    "sagemaker": "airflow_provider_mlx.backends.sagemaker.backend:SageMakerBackend",
    "kubeflow_pipelines": "airflow_provider_mlx.backends.kubeflow_pipelines.backend:KubeflowPipelinesBackend",
}
_OF_OPERATORS: Final[Mapping[str, str]] = {
    "kubernetes_resource": "airflow_provider_mlx.backends.kubernetes.resource:ResourceBackend",
    "kubeflow_pipeline_run": "airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend:PipelineRunBackend",
    "sagemaker_pipeline": "airflow_provider_mlx.backends.sagemaker.pipelines.backend:PipelineBackend",
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


class InstalledSettings(Mapping[str, type[TargetSettings]]):
    """
    Name → settings model of every backend that can be imported here.

    A backend is imported when it is looked up, so that a process which reads a stack pays for those that it names.
    """

    def __getitem__(self, name: str) -> type[TargetSettings]:
        if name not in backend_names():
            raise KeyError(name)
        try:
            return backend_class(name).settings_model
        except ImportError:  # its extra is not installed: the stack's reader names the extra
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (name for name in backend_names() if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
