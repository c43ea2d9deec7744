"""What a watcher needs of the Airflow around it: connections, backends, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Stats

from airflow_provider_mlx.backends.base import Backend
from airflow_provider_mlx.backends.registry import backend_class

from .watcher import ReadOnLoop, Surroundings


def surroundings_for(name: str, conn_id: str | None) -> Surroundings:
    """
    The surroundings of a watcher.

    :param name: the backend's.
    """

    def backend(settings: Mapping[str, Any], connection: Callable[[str], Any]) -> Backend:
        return backend_class(name).from_recorded(settings, conn_id, read_connection=connection)

    return Surroundings(
        connection=read_connection,
        backend=backend,
        lag=lambda seconds: Stats.gauge("mlx.watcher.lag", seconds, tags={"backend": name}),
    )


async def read_connection(conn_id: str) -> Any:
    """
    A connection, without blocking the loop.

    :raises LookupError: there is none that this triggerer may see.
    """
    try:
        return await get_async_connection(conn_id)
    except AirflowNotFoundException as error:
        raise LookupError(
            f"the triggerer finds no connection `{conn_id}` (a team's own connections cannot be seen there)"
        ) from error


async def reader_of(conn_id: str | None) -> ReadOnLoop:
    """
    Reads connections for a thread beside this loop; the one that is needed for certain is read now.

    :raises CannotWatch: there is none that this triggerer may see.
    :raises BackendUnavailable: it cannot be read now.
    """
    connections = ReadOnLoop(read_connection, asyncio.get_running_loop())
    if conn_id is not None:
        await connections.prepare(conn_id)
    return connections
