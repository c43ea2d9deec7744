"""
Reading a container's log piece by piece, by cursors that stay good for ever.

The log API can begin at a time, and no finer than at a whole second: the API server writes ``sinceTime`` to the kubelet
as RFC 3339 without fractions. So each answer is asked for from a little before, with ``timestamps=true``, and what was
taken already is found in it and dropped.

What the kubelet does (1.36, ``k8s.io/cri-client/pkg/logs``):

- A runtime cuts lines at 16 KiB and tags the parts ``P`` and ``F``; the kubelet joins them, with the time of the first.
  Where a line began before ``sinceTime``, only its rest comes, without a time: it was taken when it was whole.
- The times of stdout and stderr may be out of order, by what their two readers differ.
- Only the file since the last rotation is read (``containerLogMaxSize``, 10 MiB): what was rotated away is gone.
- It adds words of its own without a time ("unable to retrieve container logs"): they are no lines of the job.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_mlx.backends.base import LogChunk

_MARGIN: Final = timedelta(seconds=1)
"""Lines out of order across a second's end would else be missed."""
_SECOND: Final = 10**9
_COUNTED_TIMES: Final = 10_000

_STAMP: Final = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})(?: |$)"
)
"""RFC 3339 with nanoseconds, in the node's own time zone, and a space."""


@dataclass(frozen=True)
class Line:
    """
    One line of a log.

    :param time: nanoseconds since 1970.
    """

    time: int
    text: str


def parse_lines(answer: bytes, *, over: bool = False) -> list[Line]:
    """
    The whole lines of an answer that was asked for with timestamps.

    :param over: the container has ended, so that a last line without a newline is whole too.

    Only ``\\n`` ends a line. What is no UTF-8 is replaced.
    """
    *whole, rest = answer.split(b"\n")
    found = (_line(line) for line in (*whole, *([rest] if over else ())))
    return [line for line in found if line is not None]


def since_time(cursor: str) -> str | None:
    """The ``sinceTime`` with which to ask for what follows a cursor; ``None`` for the whole log."""
    if not cursor:
        return None
    time, _ = _position(cursor)
    begin = datetime.fromtimestamp(time // 10**9, UTC) - _MARGIN
    return begin.strftime("%Y-%m-%dT%H:%M:%SZ")


def after_cursor(answer: bytes, cursor: str, *, over: bool = False) -> LogChunk:
    """
    The lines of an answer that were not taken yet, and the cursor after them.

    :param answer: asked for from :func:`since_time` of ``cursor`` on. Where it was limited to a number of bytes and
        nothing new comes of it, the limit is too small for what was logged within two seconds.
    :param cursor: ``<time of the last line>,<how many lines of that time were taken>``; empty at first.

    Where the last line is not found any more, its file was rotated away: what is not older than it is new, so that a
    line of the very same nanosecond may come twice, and none is missing that is still there.
    """
    lines = parse_lines(answer, over=over)
    new = _after(lines, cursor) if cursor else lines
    if not new:
        return LogChunk((), cursor)
    last = new[-1].time
    same = sum(1 for line in lines if line.time == last)
    return LogChunk(tuple(line.text for line in new), _cursor(last, same))


def _cursor(time: int, taken: int) -> str:
    second = datetime.fromtimestamp(time // 10**9, UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{time % 10**9:09}Z,{taken}"


def _after(lines: list[Line], cursor: str) -> list[Line]:
    time, taken = _position(cursor)
    same = [index for index, line in enumerate(lines) if line.time == time]
    if len(same) >= taken:
        return lines[same[taken - 1] + 1 :]
    return [line for line in lines if line.time >= time]


def _line(raw: bytes) -> Line | None:
    match = _STAMP.match(raw)
    time = _time(match) if match else None
    if match is None or time is None:
        return None
    return Line(time, raw[match.end() :].decode("utf-8", errors="replace"))


def _time(match: re.Match[bytes]) -> int | None:
    second, fraction, zone = match.groups(b"")
    try:
        whole = datetime.fromisoformat((second + zone).decode())
    except ValueError:
        return None
    return int(whole.timestamp()) * 10**9 + int(fraction.ljust(9, b"0"))


def _position(cursor: str) -> tuple[int, int]:
    """
    A cursor's time and count.

    :raises ValueError: it is no cursor of this backend.
    """
    stamp, _, taken = cursor.partition(",")
    match = _STAMP.fullmatch(stamp.encode())
    time = _time(match) if match else None
    if time is None or not taken.isdecimal():
        raise ValueError(f"{cursor!r} is no place in a log")
    return time, max(1, int(taken))


class LineByLine:
    """
    The same for lines that come one after another, as of a log that is followed.

    :param cursor: after which lines are new.
    """

    def __init__(self, cursor: str) -> None:
        self._looking_for = _position(cursor) if cursor else None
        self._held: list[tuple[Line, int]] = []
        self._counts: Counter[int] = Counter()
        self.cursor = cursor
        """After the last line that was given."""

    def take(self, raw: bytes) -> list[str]:
        """The lines that are known to be new now that this one has come."""
        line = _line(raw)
        if line is None:
            return []
        if len(self._counts) > _COUNTED_TIMES:
            self._counts = Counter({time: count for time, count in self._counts.items() if time >= line.time - _SECOND})
        self._counts[line.time] += 1
        self._held.append((line, self._counts[line.time]))
        if self._looking_for is None or line.time > self._looking_for[0] + _SECOND:
            # What was taken last is found, or is not there any more: what is not older than it is new.
            oldest = self._looking_for[0] if self._looking_for else 0
            held, self._held, self._looking_for = self._held, [], None
            return [self._give(one, number) for one, number in held if one.time >= oldest]
        if (line.time, self._counts[line.time]) == self._looking_for:
            self._looking_for, self._held = None, []
        return []

    def _give(self, line: Line, number: int) -> str:
        self.cursor = _cursor(line.time, number)
        return line.text
