"""
Where a crash can happen, by what the ledger has then. The driver's side: ``site/mlx_fault_points.py`` is the worker's.

A process that comes to an armed point stops itself (SIGSTOP); the driver then kills it, or lets it go on.
"""

from __future__ import annotations

import enum
import json
from pathlib import Path


class Point(enum.Enum):
    """A moment in the life of a step; ``value`` is how a row names it."""

    BEFORE_NUMBER = "before the number is taken"
    BEFORE_RECORD = "between number and record"
    BEFORE_SUBMIT = "between record and submission"
    BEFORE_HANDLE = "between submission and handle"
    AFTER_HANDLE = "between handle and the first look"
    RUNNING = "while the job runs"
    FINISHED = "after the job finished, unseen"
    BEFORE_CLAIM = "before the claim"
    AFTER_CLAIM = "after the claim"


HELD_AT: dict[Point, tuple[str, str]] = {
    Point.BEFORE_NUMBER: ("context.json", "before"),
    Point.BEFORE_RECORD: ("context.json", "after"),
    Point.BEFORE_SUBMIT: ("job.json", "after"),
    Point.BEFORE_HANDLE: ("handle.json", "before"),
    Point.AFTER_HANDLE: ("handle.json", "after"),
    Point.BEFORE_CLAIM: ("claim-", "before"),
    Point.AFTER_CLAIM: ("claim-", "after"),
}
"""The write of the ledger at which the worker stops itself; the other points need no help."""


class Points:
    """Arms points in a folder that the workers' processes look at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def arm(self, run_id: str, point: Point) -> None:
        """Hold the first process of this run that comes there; once."""
        name, when = HELD_AT[point]
        draft = self.folder / f"{run_id}.new"
        draft.write_text(json.dumps({"object": name, "when": when}))
        draft.rename(self.folder / f"{run_id}.json")

    def held(self, run_id: str) -> int | None:
        """The pid of the process that is held."""
        file = self.folder / f"{run_id}.held"
        return int(file.read_text()) if file.exists() else None

    def disarm(self, run_id: str) -> None:
        """Hold nobody any more."""
        for suffix in ("json", "held", "taken", "unreachable"):
            (self.folder / f"{run_id}.{suffix}").unlink(missing_ok=True)

    def cut_off(self, run_id: str) -> None:
        """From now on every call of the artifact store about this run fails as one without an answer."""
        (self.folder / f"{run_id}.unreachable").touch()

    def reconnect(self, run_id: str) -> None:
        """The artifact store answers again."""
        (self.folder / f"{run_id}.unreachable").unlink(missing_ok=True)
