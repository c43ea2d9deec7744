"""What happened, from records that no operator writes: the step's own lines, and the ledger's files as files."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness import attempts

from .processes import Process, find, find_inside


@dataclass
class Job:
    """
    One process of a step's code.

    :param pid: as it sees it itself: a pod has its own numbers.
    :param host: its host's name, or its pod's.
    :param begun: seconds since the epoch.
    :param over: when it was seen to be over, or said so; ``None`` while it lives.
    :param ended: it came to the end of its code.
    """

    run_id: str
    pid: int
    host: str
    marker: str
    begun: float
    process: Process | None
    over: float | None = None
    ended: bool = False

    @property
    def id(self) -> tuple[str, int]:
        """What tells it from all other jobs of its run."""
        return self.host, self.pid

    def alive(self) -> bool:
        """Whether its process still runs."""
        return self.process is not None and self.process.alive()


class Record:
    """
    Reads the lines that steps append to ``record.jsonl``, and notices which of their processes are over.

    A thread of its own, since a job that is killed writes no last line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def of(self, run_id: str) -> list[Job]:
        """The jobs of a run, in the order of their beginning."""
        self._read()
        with self._lock:
            return [job for job in self._jobs if job.run_id == run_id]

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            self._read()

    def _read(self) -> None:
        with self._lock:
            data = self._file.read_bytes()[self._offset :] if self._file.exists() else b""
            whole = data.rfind(b"\n") + 1
            self._offset += whole
            for line in data[:whole].splitlines():
                self._note(json.loads(line))
            for job in self._jobs:
                if job.over is None and not job.alive():
                    job.over = time.time()

    def _note(self, line: dict[str, Any]) -> None:
        host = line.get("host", socket.gethostname())
        if line["event"] == "started":
            inside = host != socket.gethostname()
            process = find_inside(host, line["pid"]) if inside else find(line["pid"])
            self._jobs.append(Job(line["run"], line["pid"], host, line["marker"], line["at"], process))
            return
        for job in self._jobs:
            if job.run_id == line["run"] and job.id == (host, line["pid"]):
                job.over, job.ended = line["at"], line["event"] == "ended"


def most_at_once(jobs: Iterable[Job]) -> int:
    """How many lived at the same time, at most."""
    known = list(jobs)
    return max((sum(_lived(other, job.begun) for other in known) for job in known), default=0)


def _lived(job: Job, at: float) -> bool:
    return job.begun <= at and (job.over is None or at < job.over)


@dataclass(frozen=True)
class LedgerSeen:
    """
    A run's ledger, read as files.

    :param claimed: attempts whose ``result.json``, as it is now, a try has claimed.
    """

    attempts: int
    claimed: int
    files: tuple[str, ...]


def read_ledger(root: Path, dag_id: str, run_id: str) -> LedgerSeen:
    """The ledger of a run with one step."""
    folders = attempts(root, dag_id, run_id)
    return LedgerSeen(
        attempts=len(folders),
        claimed=sum(_is_claimed(folder) for folder in folders),
        files=_listing(folders),
    )


def _is_claimed(folder: Path) -> bool:
    result = folder / "result.json"
    if not result.exists():
        return False
    digest = hashlib.sha256(result.read_bytes()).hexdigest()
    return any(json.loads(claim.read_bytes()).get("result_sha256") == digest for claim in folder.glob("claim-*"))


def _listing(folders: Sequence[Path]) -> tuple[str, ...]:
    return tuple(f"{folder.name}/{path.name}" for folder in folders for path in sorted(folder.iterdir()))


def stops_of_local_jobs(jobs: Path, run_id: str) -> int:
    """How many of a run's jobs got a stop request, by the ``local`` backend's own folders."""
    return sum(
        (folder / "stopped").exists() and f"/{run_id}/" in (folder / "request.json").read_text()
        for folder in jobs.glob("*") if (folder / "request.json").exists()
    )  # fmt: skip
