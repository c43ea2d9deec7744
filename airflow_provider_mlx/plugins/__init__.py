"""The Airflow plugin (entry point ``airflow.plugins``, since plugins in provider info are not loaded by default)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_mlx.lineage.server.mounting import URL_PREFIX, LineageApp
from airflow_provider_mlx.links.step import FolderLink, JobLink

from . import marks


class MlxPlugin(AirflowPlugin):
    """Registers what Airflow knows only through plugins."""

    name = "airflow_provider_mlx"
    operator_extra_links = [JobLink(), FolderLink()]  # noqa: RUF012  (Airflow's own signature)
    listeners = [marks]  # noqa: RUF012
    fastapi_apps = [{"app": LineageApp(), "url_prefix": URL_PREFIX, "name": "MLX lineage"}]  # noqa: RUF012
