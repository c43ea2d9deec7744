"""
Events that could not be sent, kept on this machine as newline-delimited JSON until ``lineage-replay`` sends them.

::

    lineage-spool/
      20260102T030405123456-4711-a1b2.ndjson    one per process, appended to; a new one when it grows too large
      …-c3d4.claimed                            a replay has taken it: nobody appends any more
      …-c3d4.claimed.sent                       byte offsets of the lines that were sent
      lock                                      held while a line is appended or a file is taken
      replay.lock                               held by the one replay
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from .replaying import Kept, Taken, stamp

FILE_BYTES: Final = 8 * 1024 * 1024
"""A file that has grown past this gets no more lines."""

TOTAL_BYTES: Final = 256 * 1024 * 1024
"""All files together; the oldest give way to the newest, whose terminal events say everything again."""

_LINE_BYTES: Final = 2 * 1024 * 1024
_LOCK_SECONDS: Final = 1.0


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
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            self._file = self.folder / f"{now}-{os.getpid()}-{secrets.token_hex(2)}.ndjson"
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

    @contextlib.contextmanager
    def taken(self) -> Iterator[Taken]:
        """What is there, for the one replay at a time that may be at work."""
        if not self.folder.is_dir():
            yield Taken([])
            return
        with _locked(self.folder / "replay.lock", wait=0.0) as alone:
            if not alone:
                yield Taken([], problem="another replay is at work")
                return
            with _locked(self.folder / "lock", wait=_LOCK_SECONDS):
                for file in self.folder.glob("*.ndjson"):
                    # its name may come again
                    file.rename(file.with_name(f"{file.stem}-{secrets.token_hex(2)}.claimed"))
            claimed = [_Claimed(file) for file in sorted(self.folder.glob("*.claimed"))]
            events = [event for one in claimed for event in one.events()]
            yield Taken(events, damaged=sum(one.damaged for one in claimed))
            for one in claimed:
                one.remove_if_done()
            for note in self.folder.glob("*.claimed.sent"):
                if not note.with_suffix("").exists():  # a replay died between the two removals
                    note.unlink(missing_ok=True)


class _Claimed:
    """A file that nobody appends to any more, and the notes of what was sent of it."""

    def __init__(self, file: Path) -> None:
        self.damaged = 0
        self._file = file
        self._notes = file.with_name(file.name + ".sent")
        self._left = 0

    def events(self) -> list[Kept]:
        """The lines that were not sent yet."""
        sent = {int(text) for text in self._notes.read_text().split() if text.isdigit()} if self._notes.exists() else ()
        found: list[Kept] = []
        offset = 0
        with self._file.open("rb") as content:
            for raw in content:
                start, offset = offset, offset + len(raw)
                if start in sent or not raw.strip():
                    continue
                try:
                    event = json.loads(raw)
                    run_id, at, kind = event["run"]["runId"], stamp(event["eventTime"]), event["eventType"]
                    found.append(Kept(run_id, at, kind, partial(self._read, start), partial(self._note, start)))
                except (ValueError, KeyError, TypeError):
                    self.damaged += 1
        self._left = len(found)
        return found

    def _read(self, offset: int) -> dict[str, Any]:
        with self._file.open("rb") as content:
            content.seek(offset)
            event: dict[str, Any] = json.loads(content.readline(_LINE_BYTES))
        return event

    def _note(self, offset: int) -> None:
        with open(self._notes, "a", opener=_private) as notes:
            notes.write(f"{offset}\n")
        self._left -= 1

    def remove_if_done(self) -> None:
        """Everything of it was sent."""
        if self._left == 0:
            self._file.unlink(missing_ok=True)
            self._notes.unlink(missing_ok=True)


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
