"""
Who asks: everything that is taken from Airflow's authentication, in one place.

The dependencies of Airflow's own routes look for state that an app of a plugin does not have; these two work there.
"""

from __future__ import annotations

from typing import Any


def user_dependency() -> Any:
    """FastAPI's dependency that gives the user who is logged in, or answers 401."""
    from airflow.api_fastapi.core_api.security import get_user

    return get_user


def readable_dags(user: Any) -> set[str]:
    """The DAGs that a user may read, by the deployment's own auth manager."""
    from airflow.api_fastapi.app import get_auth_manager

    return set(get_auth_manager().get_authorized_dag_ids(user=user))
