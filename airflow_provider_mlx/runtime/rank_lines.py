"""The lines of one rank among those of others on the same node."""

from __future__ import annotations

import atexit
import io
import os
import threading
from typing import Any

MAX_LINE_BYTES = 64 * 1024
"""What has no end by then is shown as it is: a progress bar may write for hours without a line's end."""


class RankLines(io.RawIOBase):
    """
    Writes whole lines, each in one piece, so that those of several processes do not mix within a line.

    The lock is one that a signal handler which prints may take again.
    """

    def __init__(self, descriptor: int, rank: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._prefix = f"[rank {rank}] ".encode()
        self._begun = b""
        self._lock = threading.RLock()
        atexit.register(self.end)

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Of the stream below, for whoever hands it to a subprocess."""
        return self._descriptor

    def write(self, data: Any) -> int:
        """Take bytes; lines that are whole go out."""
        given = bytes(data)
        with self._lock:
            *lines, begun = (self._begun + given).split(b"\n")
            if len(begun) >= MAX_LINE_BYTES:
                lines, begun = [*lines, begun], b""
            self._begun = begun
            self._put(lines)
        return len(given)

    def end(self) -> None:
        """Let out what has no line's end yet."""
        with self._lock:
            lines, self._begun = [self._begun] if self._begun else [], b""
            self._put(lines)

    def _put(self, lines: list[bytes]) -> None:
        left = memoryview(b"".join(self._prefix + line + b"\n" for line in lines))
        while left:
            left = left[os.write(self._descriptor, left) :]
