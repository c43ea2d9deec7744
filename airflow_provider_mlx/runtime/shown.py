"""Types of ours for what a person should see: a step returns them, and they come back as what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .wire import decode, encode


class Markdown(str):
    """Text that is Markdown: ``return Markdown("# Report")``."""

    __slots__ = ()


class Html(str):
    """Text that is HTML, a whole page or a part of one."""

    __slots__ = ()


class Table(list):  # type: ignore[type-arg]
    """Rows that a person should see as a table: dicts of plain JSON by column."""


class Series:
    """
    What a step logged over time: points in a file that only grows, one JSON object a line.

    :param path: the file; it need not be there yet.

    A point is ``{"name", "step", "value", "at"}``; a value that JSON cannot say (NaN) stands there in its wire form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, point: Mapping[str, Any]) -> None:
        """Write one point behind the others."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self.line(point))

    @staticmethod
    def line(point: Mapping[str, Any]) -> str:
        """A point as it stands in the file, for writers that keep the file open."""
        return json.dumps(encode(dict(point)), allow_nan=False, separators=(",", ":")) + "\n"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """
        The points in order, read one by one.

        :raises ValueError: a line is not whole.
        """
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    point = decode(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"line {number} is no point: {error}") from error
                if not isinstance(point, dict):
                    raise ValueError(f"line {number} is no point but a {type(point).__name__}")
                yield point
