"""What Airflow mounts: an app that is made at its first request, so that other processes import nothing for it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Final

URL_PREFIX: Final = "/mlx/lineage"

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class LineageApp:
    """ASGI; see :mod:`.app`."""

    def __init__(self) -> None:
        self._made: Asgi | None = None
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return "MLX lineage"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if self._made is None:
            with self._lock:
                self._made = self._made or _make()
        await self._made(scope, receive, send)


def _make() -> Asgi:
    from airflow_provider_mlx.settings import read_lineage_settings

    settings = read_lineage_settings()
    if not settings.store:
        return _says(404, "there is no lineage store → set `[mlx] lineage_store`")
    if int(version("sqlalchemy").partition(".")[0]) < 2:
        return _says(501, "the lineage store needs SQLAlchemy 2 → use Airflow 3.2 or newer")
    from airflow_provider_mlx.lineage.store.opening import AIRFLOW, Store
    from airflow_provider_mlx.lineage.store.writing import Source

    from .access import readable_dags, senders, user_dependency
    from .app import make_app

    tokens = senders(settings.senders) | ({settings.token: Source(AIRFLOW, airflow=True)} if settings.token else {})
    return make_app(Store.open(settings.store), tokens, user=user_dependency(), dags_of=readable_dags)


def _says(code: int, text: str) -> Asgi:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(f"{text}\n", code)
