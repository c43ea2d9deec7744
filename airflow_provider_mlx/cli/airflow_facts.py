"""What ``doctor`` asks Airflow: its connections, its database, its API. ``None`` is "cannot be asked"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from .places import read_connection

_ALIVE_SECONDS: Final = 60
_API_SECONDS: Final = 3.0


def connection_exists(conn_id: str) -> bool | None:
    """Whether a connection can be resolved, from the environment, a secrets backend or the database."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    try:
        read_connection(conn_id)
    except AirflowNotFoundException:
        return False
    except Exception:
        return None
    return True


def pools() -> Mapping[str, bool] | None:
    """Pool → whether it counts deferred tasks."""
    try:
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session
        from sqlalchemy import select

        model: Any = Pool
        with create_session() as session:
            return {
                name: bool(deferred) for name, deferred in session.execute(select(model.pool, model.include_deferred))
            }
    except Exception:  # no database from here
        return None


def triggerer_is_alive() -> bool | None:
    """Whether a triggerer's heart beats: by the database, else by the API's word on its health."""
    found = _by_database()
    return _by_api() if found is None else found


def lineage_transport() -> tuple[Mapping[str, Any] | None, bool, bool]:
    """``[openlineage] transport``, whether it is set elsewhere, and ``execute_in_thread``."""
    from airflow.providers.common.compat.sdk import conf

    given = conf.getjson("openlineage", "transport", fallback=None)
    places = (conf.get("openlineage", name, fallback="") for name in ("config_path", "config_conn_id"))
    elsewhere = any(places) or any(name.startswith("OPENLINEAGE_") and os.environ[name] for name in os.environ)
    in_thread = conf.getboolean("openlineage", "execute_in_thread", fallback=False)
    return (given if isinstance(given, dict) and given else None), elsewhere, bool(in_thread)


def _by_database() -> bool | None:
    try:
        from datetime import UTC, datetime, timedelta

        from airflow.jobs.job import Job
        from airflow.utils.session import create_session
        from sqlalchemy import select

        model: Any = Job
        wanted = select(model.latest_heartbeat).where(model.job_type == "TriggererJob", model.state == "running")
        with create_session() as session:
            beats = [beat for (beat,) in session.execute(wanted) if beat is not None]
        return any(datetime.now(UTC) - beat < timedelta(seconds=_ALIVE_SECONDS) for beat in beats)
    except Exception:  # no database from here
        return None


def _by_api() -> bool | None:
    from airflow.providers.common.compat.sdk import conf

    base = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    if not base.startswith(("http://", "https://")):
        return None
    import httpx

    try:
        answer = httpx.get(f"{base}/api/v2/monitor/health", timeout=_API_SECONDS)
        word = answer.json()["triggerer"]["status"]
    except Exception:  # not there, or another kind of page
        return None
    return None if word is None else bool(word == "healthy")
