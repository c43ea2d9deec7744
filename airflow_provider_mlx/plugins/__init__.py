"""The Airflow plugin (entry point ``airflow.plugins``, since plugins in provider info are not loaded by default)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_mlx.lineage.server.mounting import URL_PREFIX, LineageApp
from airflow_provider_mlx.links.step import FolderLink, JobLink

from . import marks, page


class MlxPlugin(AirflowPlugin):
    """Registers what Airflow knows only through plugins."""

    name = "airflow_provider_mlx"
    operator_extra_links = [JobLink(), FolderLink()]  # noqa: RUF012  (Airflow's own signature)
    listeners = [marks]  # noqa: RUF012
    fastapi_apps = [{"app": LineageApp(), "url_prefix": URL_PREFIX, "name": "MLX lineage"}]  # noqa: RUF012

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Asked for by the API server alone, so that no other process looks at files and secrets for it."""
        return page.react_apps()
