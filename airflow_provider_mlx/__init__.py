"""
Machine-learning steps for Apache Airflow: where a step runs is configuration.

Light and lazy: every Airflow process imports this package, so it imports nothing until a name is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .decorators.mlx import mlx_task as mlx_task
    from .decorators.params import mlx_stack_param as mlx_stack_param
    from .operators.artifact import Artifact as Artifact
    from .operators.assets import AssetArtifact as AssetArtifact
    from .operators.gate import MlxGate as MlxGate
    from .operators.kubernetes_resource import MlxKubernetesResourceOperator as MlxKubernetesResourceOperator
    from .operators.sagemaker_pipeline import MlxSageMakerPipelineOperator as MlxSageMakerPipelineOperator
    from .operators.step import MlxStepOperator as MlxStepOperator
    from .runtime.outputs import Metrics as Metrics
    from .runtime.outputs import Model as Model
    from .runtime.outputs import Output as Output
    from .runtime.shown import Html as Html
    from .runtime.shown import Markdown as Markdown
    from .runtime.shown import Table as Table
    from .runtime.values import Dataset as Dataset
    from .sensors.kubernetes_job import MlxKubernetesSensor as MlxKubernetesSensor
    from .step.resources import Resources as Resources

_WHERE = {
    "Artifact": "operators.artifact",
    "AssetArtifact": "operators.assets",
    "Dataset": "runtime.values",
    "Html": "runtime.shown",
    "Markdown": "runtime.shown",
    "Metrics": "runtime.outputs",
    "MlxGate": "operators.gate",
    "MlxKubernetesResourceOperator": "operators.kubernetes_resource",
    "MlxKubernetesSensor": "sensors.kubernetes_job",
    "MlxSageMakerPipelineOperator": "operators.sagemaker_pipeline",
    "MlxStepOperator": "operators.step",
    "Model": "runtime.outputs",
    "Output": "runtime.outputs",
    "Resources": "step.resources",
    "Table": "runtime.shown",
    "mlx_stack_param": "decorators.params",
    "mlx_task": "decorators.mlx",
}

__all__ = [
    "Artifact", "AssetArtifact", "Dataset", "Html", "Markdown", "Metrics", "MlxGate", "MlxKubernetesResourceOperator",
    "MlxKubernetesSensor", "MlxSageMakerPipelineOperator", "MlxStepOperator", "Model", "Output", "Resources", "Table",
    "__version__", "mlx_stack_param", "mlx_task",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
