"""The processes of one cluster: recorded by pid and start time, and stopped by that, never by name."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.processes import Process, find

from .problems import ClusterFailed

GRACE_SECONDS = 2.0
"""The state is thrown away with the cluster, so nobody needs a long goodbye."""


@dataclass(frozen=True)
class Recorded:
    """A process that was started, and how."""

    process: Process
    command: tuple[str, ...]
    environment: dict[str, str]


class Processes:
    """
    What runs for one cluster.

    Every use reads the record anew, since several test processes may share a cluster.

    :param folder: ``processes.json`` and ``logs/`` are kept in it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "processes.json"
        self.logs = folder / "logs"

    def start(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None,
        *, keep_open: Sequence[int] = (),
    ) -> Process:  # fmt: skip
        """
        Start one and record it.

        :param environment: what is added to this process's own.
        :param keep_open: file descriptors that it inherits, for instance a lock that lives as long as it does.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        arguments = tuple(map(str, command))
        added = dict(environment or {})
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd=self._file.parent, env={**os.environ, **added}, pass_fds=keep_open,
            )  # fmt: skip
        process = find(child.pid)
        if process is None:
            raise ClusterFailed(f"{name} ended at once\n{self.end_of_log(name)}")
        with self._record() as record:
            record[name] = Recorded(process, arguments, added)
        return process

    def restart(self, name: str) -> Process:
        """Stop one and start it again as it was."""
        known = self.known()[name]
        self.stop([name])
        return self.start(name, known.command, known.environment)

    def known(self) -> dict[str, Recorded]:
        """Everything that was started and not stopped, alive or not."""
        with self._record() as record:
            return dict(record)

    def process(self, name: str) -> Process | None:
        """One of them, if it is alive."""
        known = self.known().get(name)
        return known.process if known and known.process.alive() else None

    def must_live(self, name: str) -> None:
        """
        :raises ClusterFailed: it has ended; the message holds the end of its log.
        """
        if self.process(name) is None:
            raise ClusterFailed(f"{name} has ended\n{self.end_of_log(name)}")

    def stop(self, names: Sequence[str], *, number: signal.Signals = signal.SIGTERM) -> None:
        """End some, by force after a moment, and forget them."""
        known = self.known()
        left = [known[name].process for name in names if name in known]
        for process in left:
            process.send(number)
        until = time.monotonic() + GRACE_SECONDS
        while left := [process for process in left if _still_there(process)]:
            if time.monotonic() > until:
                for process in left:
                    process.send(signal.SIGKILL)
            time.sleep(0.02)
        with self._record() as record:
            for name in names:
                record.pop(name, None)

    def end_of_log(self, name: str, lines: int = 15) -> str:
        """The last lines that one wrote, with the file's name."""
        file = self.logs / f"{name}.log"
        text = file.read_text(errors="replace").splitlines()[-lines:] if file.exists() else []
        return "\n".join([f"--- end of {file}", *text])

    @contextlib.contextmanager
    def _record(self) -> Iterator[dict[str, Recorded]]:
        """The record, written back if it was changed; one process at a time."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            record = _parse_record(file.read())
            before = dict(record)
            yield record
            if record != before:
                file.truncate(0)
                file.write(_render_record(record))


def _still_there(process: Process) -> bool:
    """Whether it runs; our own child is reaped on the way."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return process.alive()


def _parse_record(text: str) -> dict[str, Recorded]:
    return {
        name: Recorded(Process(row["pid"], row["started"]), tuple(row["command"]), row["environment"])
        for name, row in json.loads(text or "{}").items()
    }


def _render_record(record: Mapping[str, Recorded]) -> str:
    rows = {
        name: {
            "pid": entry.process.pid, "started": entry.process.started,
            "command": entry.command, "environment": entry.environment,
        }
        for name, entry in record.items()
    }  # fmt: skip
    return json.dumps(rows, indent=1)
