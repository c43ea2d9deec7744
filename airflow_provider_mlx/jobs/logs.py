"""The job's log on its way to the task's log: decoded, made harmless, and kept whole."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

from airflow_provider_mlx.runtime.lines import parse_line

TAIL_LINES: Final = 20
_LINE_LIMIT: Final = 16 * 1024
HEAD_BYTES: Final = 64 * 1024 * 1024
TAIL_BYTES: Final = 16 * 1024 * 1024
SHOWN_BYTES: Final = 64 * 1024 * 1024
_THE_REST: Final = "the rest is not shown; `log.txt` in the attempt's folder has its beginning and its end"

# Terminal escapes (ECMA-48, in both spellings) and other control characters, except tab: the log page and a terminal
# show them as commands.
_CONTROLS: Final = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Airflow's log page folds what stands between these.
_FOLDING: Final = re.compile(r"::(group|endgroup)::")


class JobLog:
    """
    Takes the job's lines in order, shows them, and keeps the last ones for error messages.

    :param nonce: the attempt's; only lines with it are live lines of the runtime, anything else is text.
    :param show: prints one line into the task's log.
    :param shown_lines: how many of the first lines stand in the task's log already; they are kept and not shown again.
    """

    def __init__(self, *, nonce: str, show: Callable[[str], None], shown_lines: int = 0) -> None:
        self._nonce = nonce
        self._show = show
        self._shown_lines = shown_lines
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.lines = 0
        """How many lines of text there were."""
        self._shown = ShownBytes()
        self._kept = _KeptLog()

    def add(self, lines: Iterable[str]) -> None:
        """Show and keep further lines."""
        for line in lines:
            text = readable(line, self._nonce)
            if text is None:
                continue
            self.lines += 1
            self._tail.append(text)
            self._kept.write(text)
            if self.lines > self._shown_lines and (shown := self._shown.cut(text)) is not None:
                self._show(shown)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._tail)

    def save(self, keep: Callable[[Path], None]) -> None:
        """Hand the log over as a file: whole, or its two ends if it is larger than :data:`HEAD_BYTES`."""
        with tempfile.NamedTemporaryFile("wb", suffix=".log") as file:
            self._kept.copy(file)
            file.flush()
            keep(Path(file.name))

    def close(self) -> None:
        """Free the log's temporary files."""
        self._kept.close()


class ShownBytes:
    """Bounds what of a job's log goes into the task's log: Airflow keeps that, and a job may print for ever."""

    def __init__(self) -> None:
        self._left = SHOWN_BYTES

    def cut(self, text: str) -> str | None:
        """The line, or a last word about why no more follow, or ``None``."""
        if self._left < 0:
            return None
        self._left -= len(text) + 1
        return text if self._left >= 0 else f"mlx: more than {SHOWN_BYTES:,} bytes of log: {_THE_REST}"


class _KeptLog:
    """The first :data:`HEAD_BYTES` of a text and the last :data:`TAIL_BYTES` or more, on disk."""

    def __init__(self) -> None:
        self._head: IO[bytes] | None = None  # many logs are opened only to be closed
        self._tails: list[IO[bytes]] = []
        self._left_out = 0

    def write(self, line: str) -> None:
        data = (line + "\n").encode(errors="replace")
        if self._head is None:
            self._head = tempfile.TemporaryFile()  # noqa: SIM115
        if not self._tails and self._head.tell() + len(data) <= HEAD_BYTES:
            self._head.write(data)
            return
        if not self._tails or self._tails[-1].tell() >= TAIL_BYTES:
            self._tails.append(tempfile.TemporaryFile())  # noqa: SIM115
        if len(self._tails) > 2:
            oldest = self._tails.pop(0)
            self._left_out += oldest.tell()
            oldest.close()
        self._tails[-1].write(data)

    def copy(self, file: IO[bytes]) -> None:
        if self._head is not None:
            _copy(self._head, file)
        if self._left_out:
            file.write(f"… {self._left_out:,} bytes are left out here …\n".encode())
        for tail in self._tails:
            _copy(tail, file)

    def close(self) -> None:
        for file in (self._head, *self._tails):
            if file is not None:
                file.close()


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    end = source.tell()
    source.seek(0)
    shutil.copyfileobj(source, target)
    source.seek(end)


def readable(line: str, nonce: str) -> str | None:
    """
    A line of the job's output as a line of the task's log; ``None`` for what is not for people.

    :param nonce: the attempt's.
    """
    live = parse_line(line, nonce)
    if live is None:
        return harmless(line)
    return _LIVE.get(str(live.get("type")), _live_other)(live)


def harmless(line: str) -> str:
    """A line of hostile text as a line of text."""
    clean = _FOLDING.sub(r": :\1: :", _CONTROLS.sub("", line.rstrip("\r\n")))
    return clean if len(clean) <= _LINE_LIMIT else f"{clean[:_LINE_LIMIT]} … ({len(clean)} characters)"


def _live_log(live: dict[str, object]) -> str:
    return harmless(str(live.get("message", "")))


def _live_metric(live: dict[str, object]) -> str:
    step = f" (step {live['step']})" if live.get("step") is not None else ""
    return harmless(f"metric {live.get('name')} = {live.get('value')}{step}")


def _live_progress(live: dict[str, object]) -> str:
    return harmless(f"progress {live.get('fraction', '')} {live.get('message', '')}".rstrip())


def _live_other(live: dict[str, object]) -> str | None:
    return None  # heartbeats, and types of later releases


_LIVE: Final[dict[str, Callable[[dict[str, object]], str | None]]] = {
    "log": _live_log,
    "metric": _live_metric,
    "progress": _live_progress,
}
