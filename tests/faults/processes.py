"""Processes of this host, as Linux shows them: found by title, signalled by pid, told apart by their start time."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process for good: a pid alone is given again."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return find(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is still there."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def find(pid: int) -> Process | None:
    """The process that has this pid now."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else Process(pid, fields[19])


def find_inside(host: str, pid: int) -> Process | None:
    """
    The process of this machine that has a pid in the pod, or the job, of a name: a child's namespaces are seen from
    outside.
    """
    wanted = {f"{variable}={host}".encode() for variable in ("HOSTNAME", "MLX_REQUEST_DIGEST")}
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and _own_pid(entry) == pid
                and wanted & set((entry / "environ").read_bytes().split(bytes(1)))
            ):
                return find(int(entry.name))
        except OSError:
            continue
    return None


def _own_pid(entry: Path) -> int:
    """The pid that a process has in the innermost namespace; source: proc(5), ``NSpid``."""
    found = (line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:"))
    return int(next(found, "0").split()[-1])


def parent(pid: int) -> int:
    """Its parent's pid; 0 if it is gone."""
    fields = _stat(pid)
    return 0 if fields is None else int(fields[1])


def is_stopped(pid: int) -> bool:
    """Whether a SIGSTOP holds it."""
    fields = _stat(pid)
    return fields is not None and fields[0] == "T"


def tree(pid: int, *, without: str) -> list[Process]:
    """
    A process and all its descendants, children after parents.

    :param without: processes whose command line holds this text are left out, with all below them.
    """
    found, todo = [], [pid]
    while todo:
        now = todo.pop(0)
        process = find(now)
        if without in command_line(now):
            continue
        if process is not None:
            found.append(process)
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{now}/task").glob("*/children"):
                todo += [int(child) for child in children.read_text().split()]
    return found


def titled(title: str) -> Process | None:
    """The first process whose command line holds a text."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if title in command_line(int(entry.name)):
            return find(int(entry.name))
    return None


def command_line(pid: int) -> str:
    """Its title and arguments; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(bytes(1), b" ").decode(errors="replace")
    except OSError:
        return ""


def send_all(processes: Iterable[Process], number: signal.Signals) -> None:
    """Signal every one that is still there."""
    for process in processes:
        process.send(number)


def _stat(pid: int) -> list[str] | None:
    """Fields of proc(5) from the third on: the second is a command in parentheses and may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
