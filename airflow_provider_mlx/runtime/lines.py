"""
Live lines: what a job says while it runs, one JSON object per line of its standard output.

``::mlx::<nonce> {"seq": 1, "ts": "…", "by": "step", "type": "progress", …}``. The nonce is the attempt's own, so that
text in the data cannot pass for a line by accident. Lines advise, files decide: a lost or forged line costs nothing.
:class:`LineWriter` and :func:`parse_line` are the two ends.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from typing import Any, TextIO

MARK = "::mlx::"
MAX_LINE_BYTES = 8 * 1024
"""Container runtimes split lines near 16 KiB."""
TYPES = ("log", "progress", "heartbeat", "metric")


class LineWriter:
    """
    Write live lines to a stream; safe to use from several threads.

    :param nonce: the attempt's nonce.
    :param stream: a text stream, in a job standard output.
    :param by: who speaks, ``step`` or ``supervisor``; ``seq`` counts per speaker.
    """

    def __init__(self, nonce: str, stream: TextIO, by: str = "step") -> None:
        self._nonce = nonce
        self._stream = stream
        self._by = by
        self._sequence = 0
        self._lock = threading.Lock()

    def write(self, type: str, **fields: Any) -> None:
        """Write one line. A line that would be too long loses its text, then its fields, and says ``truncated``."""
        with self._lock:
            self._sequence += 1
            head = {
                "seq": self._sequence,
                "ts": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                "by": self._by,
                "type": type,
            }
            text = self._format({**head, **fields})
            if len(text) > MAX_LINE_BYTES:
                message = fields.get("message")
                kept = {"message": message[:1000]} if isinstance(message, str) else {}
                text = self._format({**head, **kept, "truncated": True})
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                # A closed or broken standard output must not end a step: lines only advise.
                pass

    def _format(self, body: dict[str, Any]) -> str:
        # ASCII only: one character is one byte, and no encoding of the stream can fail.
        return f"{MARK}{self._nonce} {json.dumps(body, allow_nan=False, separators=(',', ':'))}\n"


def parse_line(line: str, nonce: str) -> dict[str, Any] | None:
    """
    Read a live line; None when it is an ordinary line, has another nonce, or is damaged.

    The mark may stand behind other text: log systems prepend time stamps, and user code may have left a line open.
    """
    mark = f"{MARK}{nonce} "
    start = line.find(mark)
    if start < 0 or not nonce:
        return None
    try:
        body = json.loads(line[start + len(mark) :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("type") not in TYPES:
        return None
    sequence = body.get("seq")
    return body if isinstance(sequence, int) and not isinstance(sequence, bool) else None
