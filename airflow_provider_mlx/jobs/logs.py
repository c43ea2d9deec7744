"""The job's log on its way to the task's log: decoded, made harmless, and kept whole."""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from airflow_provider_mlx.runtime.lines import parse_line

TAIL_LINES: Final = 20
_LINE_LIMIT: Final = 16 * 1024

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
        self._whole = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115

    def add(self, lines: Iterable[str]) -> None:
        """Show and keep further lines."""
        for line in lines:
            text = readable(line, self._nonce)
            if text is None:
                continue
            self.lines += 1
            self._tail.append(text)
            self._whole.write(text + "\n")
            if self.lines > self._shown_lines:
                self._show(text)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._tail)

    def save(self, keep: Callable[[Path], None]) -> None:
        """Hand the whole log over as a file."""
        with tempfile.NamedTemporaryFile("w", suffix=".log", encoding="utf-8") as file:
            self._whole.seek(0)
            while chunk := self._whole.read(1024 * 1024):
                file.write(chunk)
            file.flush()
            keep(Path(file.name))

    def close(self) -> None:
        """Free the log's temporary file."""
        self._whole.close()


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
