"""Standard output holds the answer and nothing else: Airflow logs there while it reads DAG files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a command prints, and its exit status: 0 is good, 1 is not."""

    text: str
    status: int = 0


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Whatever is printed inside goes to standard error, by any means, also by handlers that were made before."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of a table; every column but the last is as wide as its widest cell."""
    if not rows:
        return []
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def readable_size(size: int) -> str:
    """Bytes for people: ``1.5 GB``, in powers of 1000."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
