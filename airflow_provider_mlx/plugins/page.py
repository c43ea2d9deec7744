"""
Where the page "ML lineage" is shown in Airflow's UI.

From Airflow 3.2, which gives a plugin its React, its Chakra UI and its theme, and whose SQLAlchemy the store needs.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from packaging.version import Version

from airflow_provider_mlx.lineage.server import mounting

log = logging.getLogger(__name__)

NAME: Final = "ML lineage"
"""Also the global under which Airflow looks for the component that the bundle brings (`ui/vite.config.ts`)."""
FIRST: Final = Version("3.2.0")

_BUNDLE: Final = Path(mounting.__file__).parent / "page" / "page.js"
_PLACES: Final = {"nav": "mlx-lineage", "dag_run": "mlx-lineage-run", "task_instance": "mlx-lineage-task"}
"""Airflow's word, and the page's own in its address, which no two may share."""


def react_apps() -> list[dict[str, Any]]:
    """
    The entry in the menu, which says what to configure where there is no store; tabs only where there is one.

    Read by the API server alone, when it first lists its plugins.
    """
    if Version(version("apache-airflow")).release < FIRST.release:
        return []
    if not _BUNDLE.exists():
        log.warning("mlx: the page `%s` is not built → run `make ui`, or install a wheel", NAME)
        return []
    return [app_at(place, prefix=_prefix()) for place in _PLACES if place == "nav" or _has_store()]


def app_at(place: str, *, prefix: str) -> dict[str, Any]:
    """
    One entry.

    :param prefix: of all of Airflow's paths, as ``/airflow``. The address is absolute: Airflow 3.2 imports it as it is,
        and 3.3 joins it with its base.
    """
    files = f"{prefix}{mounting.URL_PREFIX}{mounting.PAGE_PATH}"
    return {
        "name": NAME, "bundle_url": f"{files}/page.js", "destination": place, "url_route": _PLACES[place],
        "icon": f"{files}/icon.svg", "icon_dark_mode": f"{files}/icon-dark.svg",
        **({"category": "browse"} if place == "nav" else {}),
    }  # fmt: skip


def _prefix() -> str:
    from airflow.providers.common.compat.sdk import conf

    return urlsplit(str(conf.get("api", "base_url", fallback=""))).path.rstrip("/")


def _has_store() -> bool:
    from airflow_provider_mlx.exceptions import JobMisconfigured
    from airflow_provider_mlx.settings import read_lineage_settings

    try:
        return bool(read_lineage_settings().store)
    except JobMisconfigured:
        return True  # there is one, and the page says what is wrong with it
