"""
Events that could not be sent, kept as newline-delimited JSON until ``lineage-replay`` sends them.

::

    lineage-spool/
      20260102T030405123456-4711-a1b2.ndjson    one per process, appended to; a new one when it grows too large
      …-c3d4.claimed                            a replay has taken it: nobody appends any more
      …-c3d4.claimed.sent                       byte offsets of the lines that were sent
      lock                                      held while a line is appended or a file is taken
      replay.lock                               held by the one replay

A replay that dies goes on where it was; a line whose note was lost is sent twice, which consumers take for one event.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FILE_BYTES: Final = 8 * 1024 * 1024
"""A file that has grown past this gets no more lines."""

TOTAL_BYTES: Final = 256 * 1024 * 1024
"""All files together; the oldest give way to the newest, whose terminal events say everything again."""

_LINE_BYTES: Final = 2 * 1024 * 1024
_LOCK_SECONDS: Final = 1.0
_FAILURES_IN_A_ROW: Final = 3
"""After so many the endpoint is taken to be down, and what is left stays for the next replay."""

_RANK: Final[Mapping[str, int]] = {"START": 0, "RUNNING": 1, "OTHER": 1, "COMPLETE": 2, "FAIL": 2, "ABORT": 2}
TERMINAL: Final = frozenset({"COMPLETE", "FAIL", "ABORT"})


class Spool:
    """
    The folder, as a process that keeps events sees it.

    :param folder: made when the first event is kept; only this user may read it.
    """

    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES, total_bytes: int = TOTAL_BYTES) -> None:
        self.folder = folder
        self._file_bytes = file_bytes
        self._total_bytes = total_bytes
        self._file: Path | None = None

    def keep(self, event: str) -> None:
        """
        Append one event.

        :param event: JSON on one line.
        :raises OSError: the folder cannot be written, or is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        line = event.replace("\n", " ").encode() + b"\n"
        with _locked(self.folder / "lock", wait=_LOCK_SECONDS):
            self._make_room(len(line))
            with open(self._current(), "ab", opener=_private) as file:
                file.write(line)

    def _current(self) -> Path:
        if self._file is None or (self._file.exists() and self._file.stat().st_size >= self._file_bytes):
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            self._file = self.folder / f"{stamp}-{os.getpid()}-{secrets.token_hex(2)}.ndjson"
        return self._file

    def _make_room(self, size: int) -> None:
        files = sorted(self.folder.glob("*.ndjson"))
        total = sum(map(_size, [*files, *self.folder.glob("*.claimed")]))
        while files and total + size > self._total_bytes:
            oldest = files.pop(0)
            total -= _size(oldest)
            oldest.unlink(missing_ok=True)
        if total + size > self._total_bytes:
            raise OSError(errno.ENOSPC, "the spool is full; `lineage-replay` empties it")


@dataclass
class ReplayReport:
    """
    What a replay did, in events.

    :param sent: were taken by the endpoint.
    :param left: stay in the spool.
    :param damaged: lines that are no event, as after a full disk; they are dropped with their file.
    :param problem: why something was left; empty if nothing was.
    """

    sent: int = 0
    left: int = 0
    damaged: int = 0
    problem: str = ""


@dataclass(frozen=True)
class _Line:
    file: Path
    offset: int
    run_id: str
    time: str
    type: str


@dataclass
class _Progress:
    left: dict[Path, int] = field(default_factory=dict)
    failed_runs: set[str] = field(default_factory=set)
    failures: int = 0


def replay(folder: Path, send: Callable[[Mapping[str, Any]], None]) -> ReplayReport:
    """
    Send what is kept, the events of each run in their order, and remove what was sent.

    A START whose end is not here goes out as ``OTHER``: its run may have been closed by another worker, and a START
    behind the end would open it again.

    :param send: takes one event as plain JSON, and raises when it was not delivered. A run whose event was refused
        waits, other runs go on.
    """
    report = ReplayReport()
    if not folder.is_dir():
        return report
    with _locked(folder / "replay.lock", wait=0.0) as alone:
        if not alone:
            report.problem = "another replay is at work"
            return report
        with _locked(folder / "lock", wait=_LOCK_SECONDS):
            for file in folder.glob("*.ndjson"):
                file.rename(file.with_name(f"{file.stem}-{secrets.token_hex(2)}.claimed"))  # its name may come again
        lines: list[_Line] = []
        progress = _Progress()
        for file in sorted(folder.glob("*.claimed")):
            found, damaged = _index(file)
            report.damaged += damaged
            progress.left[file] = len(found)
            lines += found
        _send_all(lines, send, progress, report)
        for file, left in progress.left.items():
            if left == 0:
                file.unlink(missing_ok=True)
                _notes(file).unlink(missing_ok=True)
        for note in folder.glob("*.claimed.sent"):
            if not note.with_suffix("").exists():  # a replay died between the two removals
                note.unlink(missing_ok=True)
        report.left = sum(progress.left.values())
    return report


def _send_all(
    lines: list[_Line], send: Callable[[Mapping[str, Any]], None], progress: _Progress, report: ReplayReport
) -> None:
    ended = {line.run_id for line in lines if line.type in TERMINAL}
    for line in sorted(lines, key=_order):
        if line.run_id in progress.failed_runs:
            continue
        event = _read(line)
        if line.type == "START" and line.run_id not in ended:
            event["eventType"] = "OTHER"
        try:
            send(event)
        except Exception as error:  # whatever a transport raises
            progress.failed_runs.add(line.run_id)
            progress.failures += 1
            report.problem = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            if progress.failures >= _FAILURES_IN_A_ROW:
                return
            continue
        progress.failures = 0
        with open(_notes(line.file), "a", opener=_private) as notes:
            notes.write(f"{line.offset}\n")
        progress.left[line.file] -= 1
        report.sent += 1


def _order(line: _Line) -> tuple[bool, str, int]:
    """Every START before anything else, then by time; the end last among equals."""
    return line.type != "START", line.time, _RANK.get(line.type, 1)


def _index(file: Path) -> tuple[list[_Line], int]:
    """The lines of a file that were not sent yet, and how many are damaged."""
    notes = _notes(file)
    sent = {int(text) for text in notes.read_text().split() if text.isdigit()} if notes.exists() else set()
    found: list[_Line] = []
    damaged = offset = 0
    with file.open("rb") as content:
        for raw in content:
            start, offset = offset, offset + len(raw)
            if start in sent or not raw.strip():
                continue
            try:
                event = json.loads(raw)
                found.append(_Line(file, start, event["run"]["runId"], event["eventTime"], event["eventType"]))
            except (ValueError, KeyError, TypeError):
                damaged += 1
    return found, damaged


def _read(line: _Line) -> dict[str, Any]:
    with line.file.open("rb") as content:
        content.seek(line.offset)
        event: dict[str, Any] = json.loads(content.readline(_LINE_BYTES))
    return event


def _notes(file: Path) -> Path:
    return file.with_name(file.name + ".sent")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _locked(path: Path, *, wait: float) -> Iterator[bool]:
    """
    Hold a lock file; whether it is held.

    :param wait: seconds. A step does not wait longer for a lock: one line's append is whole without it too.
    """
    until = time.monotonic() + wait
    with open(path, "a", opener=_private) as file:
        held = False
        while not held:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except OSError:
                if time.monotonic() >= until:
                    break
                time.sleep(0.02)
        yield held
