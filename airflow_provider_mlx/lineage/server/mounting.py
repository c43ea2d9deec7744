"""What Airflow mounts: an app that is made at its first request, so that other processes import nothing for it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Final

URL_PREFIX: Final = "/mlx/lineage"
PAGE_PATH: Final = "/ui"

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
        if scope["type"] == "http" and scope["path"].removeprefix(scope["root_path"]).startswith(f"{PAGE_PATH}/"):
            from .page import page  # whether there is a store or not: it says what is missing

            await page(scope, receive, send)
            return
        if self._made is None:
            from starlette.concurrency import run_in_threadpool

            await run_in_threadpool(self._make)  # tables may have to be made anew, and the API server goes on
        assert self._made is not None
        await self._made(scope, receive, send)

    def _make(self) -> None:
        with self._lock:
            self._made = self._made or _make()


def _make() -> Asgi:
    from airflow_provider_mlx.exceptions import JobMisconfigured
    from airflow_provider_mlx.settings import read_lineage_settings

    try:
        settings = read_lineage_settings()
    except JobMisconfigured as error:
        return _says(500, str(error))
    if not settings.store:
        return _says(404, "there is no lineage store → set `[mlx] lineage_store`")
    if int(version("sqlalchemy").partition(".")[0]) < 2:
        return _says(501, "the lineage store needs SQLAlchemy 2 → use Airflow 3.2 or newer")
    from airflow_provider_mlx.lineage.store.opening import Store
    from airflow_provider_mlx.lineage.store.rows import AIRFLOW, Source

    from .access import readable_dags, senders, user_dependency
    from .app import make_app

    tokens = senders(settings.senders) | ({settings.token: Source(AIRFLOW, airflow=True)} if settings.token else {})
    return make_app(
        Store.open(settings.store), tokens, user=user_dependency(), dags_of=readable_dags,
        retention_days=settings.retention_days,
    )  # fmt: skip


def _says(code: int, text: str) -> Asgi:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(f"{text}\n", code)
