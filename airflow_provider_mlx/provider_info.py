"""What Airflow discovers about this package (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's description, in the form of Airflow's ``provider_info.schema.json``."""
    from .hooks.kubeflow_pipelines_fields import connection_types
    from .settings import OPTIONS, SECTION

    return {
        "package-name": "airflow-provider-mlx",
        "name": "MLX steps",
        "description": "Machine-learning steps that run as jobs, where a stack says.",
        "integrations": [
            {
                "integration-name": "MLX steps",
                "external-doc-url": "https://github.com/airflow-provider-mlx/airflow-provider-mlx",
                "tags": ["service"],
            },
            {
                "integration-name": "Kubeflow Pipelines",
                "external-doc-url": "https://www.kubeflow.org/docs/components/pipelines/",
                "tags": ["service"],
            },
        ],
        "hooks": [
            {
                "integration-name": "Kubeflow Pipelines",
                "python-modules": ["airflow_provider_mlx.hooks.kubeflow_pipelines"],
            }
        ],
        "connection-types": connection_types(),
        "operators": [
            {
                "integration-name": "MLX steps",
                "python-modules": [
                    "airflow_provider_mlx.operators.step",
                    "airflow_provider_mlx.operators.kubernetes_resource",
                    "airflow_provider_mlx.operators.sagemaker_pipeline",
                ],
            },
            {
                "integration-name": "Kubeflow Pipelines",
                "python-modules": [
                    "airflow_provider_mlx.operators.kubeflow_pipelines",
                    "airflow_provider_mlx.operators.kubeflow_registry",
                ],
            },
        ],
        "sensors": [
            {"integration-name": "MLX steps", "python-modules": ["airflow_provider_mlx.sensors.kubernetes_job"]},
            {
                "integration-name": "Kubeflow Pipelines",
                "python-modules": ["airflow_provider_mlx.sensors.kubeflow_pipelines"],
            },
        ],
        "task-decorators": [{"name": "mlx", "class-name": "airflow_provider_mlx.decorators.mlx.mlx_task"}],
        "extra-links": ["airflow_provider_mlx.links.step.JobLink", "airflow_provider_mlx.links.step.FolderLink"],
        "cli": ["airflow_provider_mlx.cli.airflow_commands.get_commands"],
        "config": {
            SECTION: {
                "description": "Settings of airflow-provider-mlx. Where steps run is said in stack files.",
                "options": {
                    name: {"version_added": "0.1.0", "sensitive": False, **option} for name, option in OPTIONS.items()
                },
            }
        },
    }
