"""
Who asks: everything that is taken from Airflow's authentication, in one place.

The dependencies of Airflow's own routes look for state that an app of a plugin does not have; these two work there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from airflow_provider_mlx.lineage.store.rows import Source

log = logging.getLogger(__name__)


def user_dependency() -> Any:
    """FastAPI's dependency that gives the user who is logged in, or answers 401."""
    from airflow.api_fastapi.core_api.security import get_user

    return get_user


def readable_dags(user: Any) -> set[str]:
    """The DAGs that a user may read, by the deployment's own auth manager."""
    from airflow.api_fastapi.app import get_auth_manager

    return set(get_auth_manager().get_authorized_dag_ids(user=user))


def senders(conn_ids: Iterable[str]) -> dict[str, Source]:
    """
    Tokens of others, by connections; one that is not complete is left out, and said.

    :param conn_ids: whose password is a token, and whose extra has ``namespaces``.
    """
    from airflow.providers.common.compat.sdk import BaseHook

    found: dict[str, Source] = {}
    for conn_id in conn_ids:
        try:
            connection = BaseHook.get_connection(conn_id)
        except Exception as error:  # not there, or the secrets backend gives no answer
            log.error("mlx: the lineage sender `%s` cannot be read: %s", conn_id, type(error).__name__)
            continue
        namespaces = connection.extra_dejson.get("namespaces")
        if not connection.password or not isinstance(namespaces, list) or not namespaces:
            log.error("mlx: the lineage sender `%s` needs a password, and a list `namespaces` in its extra", conn_id)
            continue
        found[connection.password] = Source(conn_id, namespaces=frozenset(map(str, namespaces)))
    return found
