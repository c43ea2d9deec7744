"""
Metrics over time: every ``log_metric`` with a step number, as JSON lines.

::

    {"name":"loss","step":3,"value":0.31,"at":"2026-11-23T08:00:00.000+00:00"}

Written as they come, so that memory does not grow with them and a step that is killed leaves them; at the end the file
becomes the step's output ``series``, or, of a step that failed, is kept under the attempt's ``rescue/``.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .protocol import RESCUE_FOLDER
from .shown import Series
from .uris import join

if TYPE_CHECKING:
    from .store import Store


class SeriesWriter:
    """Appends points to a file, each by one write to the operating system: no buffer is lost with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()

    def add(self, name: str, step: int, value: float) -> None:
        """Append one point."""
        line = Series.line({"name": name, "step": step, "value": value, "at": _now()}).encode()
        with self._lock:
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            self._file.write(line)


def rescue(path: Path, store: Store, outputs_uri: str) -> None:
    """Keep the points of a step that has no result; what goes wrong here hides no error of the step."""
    uri = join(outputs_uri, RESCUE_FOLDER, path.name)
    try:
        if store.exists(uri):  # this attempt has run before
            uri = join(outputs_uri, RESCUE_FOLDER, f"{path.stem}-{os.urandom(4).hex()}{path.suffix}")
        store.upload(path, uri)
        print(f"mlx: the series of the step's metrics is kept at {uri}", flush=True)
    except Exception as error:  # a store's client raises what it likes
        print(f"mlx: the series of the step's metrics is lost: {error}", flush=True)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
