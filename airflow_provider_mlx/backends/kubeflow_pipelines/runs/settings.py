"""What a target of a pipeline's runs says: an operator makes it, no stack names it."""

from __future__ import annotations

from airflow_provider_mlx.backends.kubeflow_pipelines.settings import ServerSettings


class RunSettings(ServerSettings):
    """Where a pipeline runs."""
