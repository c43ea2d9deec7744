"""Whole lines of a file that grows, from a byte offset."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 256 * 1024


def read_lines(path: Path, offset: int, limit: int, *, ended: bool) -> tuple[list[str], int]:
    """
    The lines from ``offset`` on, and the offset behind them.

    A line that is longer than ``limit`` bytes comes in pieces of whole characters; a last line without an end comes
    when the job has ended.
    """
    if not path.exists():
        return [], offset
    with path.open("rb") as log:
        log.seek(offset)
        data = log.read(max(4, limit))  # a character in UTF-8 has up to four bytes
    complete = data.rfind(b"\n") + 1
    if not complete and len(data) >= max(4, limit):
        complete = _whole_characters(data)
    elif not complete and ended:
        complete = len(data)
    if not complete:
        return [], offset
    # Only a line feed ends a line: `splitlines` would also cut at form feeds and Unicode's own separators.
    text = data[:complete].decode(errors="replace").removesuffix("\n")
    return text.split("\n"), offset + complete


def _whole_characters(data: bytes) -> int:
    """How many bytes stand before a last character that is cut."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return len(data) - len(decoder.getstate()[0])
