"""What a run's tasks do, as lines for the task's log: pure, and each line once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from .tasks import Task

_SAYS: Final[Mapping[str, str]] = {
    "RUNNING": "runs",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "SKIPPED": "was skipped",
    "CANCELING": "is being stopped",
    "CANCELED": "was stopped",
    "PAUSED": "is paused",
}
"""A task that is PENDING is told of when it is something else."""


def task_line(task: Task) -> str:
    """What a task does; empty for one that does nothing yet."""
    says = _SAYS.get(task.state, "" if task.state == "PENDING" else f"is `{task.state}`")
    if not says:
        return ""
    if task.cached:
        return f"{task.name} {says}: taken from the cache"
    took = task.took if task.over and task.state != "SKIPPED" else None
    parts = [f"{task.name} {says}", f"after {_spoken(took)}" if took is not None else ""]
    line = " ".join(part for part in parts if part)
    if task.retries:
        line += f", {'with' if task.over else 'after'} {task.retries} retr{'y' if task.retries == 1 else 'ies'}"
    return f"{line}: {task.message}" if task.message else line


def new_lines(tasks: Sequence[Task], cursor: str = "") -> tuple[list[str], str]:
    """
    Lines that were not told yet, and the cursor from which to go on.

    A run that is retried tells of its tasks again: they do something else than was told last.

    :param cursor: what this gave before; empty for the start.
    """
    told = _told(cursor)
    lines = []
    for key, task in _numbered(tasks):
        line, now = task_line(task), f"{task.state}/{task.retries}"
        if line and told.get(key) != now:
            lines.append(line)
            told[key] = now
    return lines, json.dumps(told, separators=(",", ":"), sort_keys=True)


def _told(cursor: str) -> dict[str, str]:
    """What was told, from a cursor; a damaged one tells everything again."""
    try:
        found = json.loads(cursor) if cursor else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _numbered(tasks: Sequence[Task]) -> list[tuple[str, Task]]:
    """Tasks under one name (a loop's, where the server does not say more) are told apart by their order."""
    seen: dict[str, int] = {}
    found = []
    for task in tasks:
        number = seen[task.name] = seen.get(task.name, 0) + 1
        found.append((task.name if number == 1 else f"{task.name}#{number}", task))
    return found


def _spoken(took: timedelta) -> str:
    seconds = int(took.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
