"""
The page's files, below ``/mlx/lineage/ui``: code that anybody may have, and no data.

What the page shows, it asks of the API as its reader, by the cookie of Airflow's session.

They are built from ``ui/`` and lie in ``page/``: in every wheel, and in a checkout after ``make ui``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from .mounting import PAGE_PATH

if TYPE_CHECKING:
    from starlette.responses import Response

FOLDER: Final = Path(__file__).parent / "page"

_HEADERS: Final = {
    # the names stay, so a browser asks by the file's ETag whether it has changed
    "Cache-Control": "no-cache",
    # none of them is a document; this counts where one is opened as such, and in the layout's worker
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_TYPES: Final = {".js": "text/javascript", ".svg": "image/svg+xml"}
"""Of these alone: what a system's own table says of them is not always what a browser runs."""


class PageFiles(StaticFiles):
    """The folder of the page, with its headers."""

    def file_response(self, full_path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Response:
        """One file, or that it has not changed."""
        answer = super().file_response(full_path, *args, **kwargs)
        answer.headers.update(_HEADERS)
        if kind := _TYPES.get(Path(full_path).suffix):
            answer.headers["Content-Type"] = f"{kind}; charset=utf-8"
        return answer

    async def check_config(self) -> None:
        """A checkout whose page is not built has no folder, and answers 404."""


page: Final = Starlette(routes=[Mount(PAGE_PATH, PageFiles(directory=FOLDER, check_dir=False))])
"""The app that serves them."""
