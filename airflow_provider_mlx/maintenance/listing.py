"""A listing of an artifact root as runs, tasks and attempts: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from airflow_provider_mlx.artifacts.store import ObjectFacts
from airflow_provider_mlx.runtime.protocol import CONTEXT_FILE, ERROR_FILE, RESULT_FILE
from airflow_provider_mlx.runtime.uris import join

_OBJECT: Final = re.compile(
    r"(?P<deployment>[^/]+)/(?P<dag>[^/]+)/(?P<run>[^/]+)/(?P<task>[^/]+)/(?P<index>[^/]+)/"
    r"(?:attempt-(?P<number>\d+)/)?(?P<name>.+)"
)
"""An object's name below ``runs/``. Source: ``TaskInstanceIdentity.folder``."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class AttemptFolder:
    """One attempt's objects, by their names in its folder."""

    number: int
    uri: str
    objects: dict[str, ObjectFacts] = field(default_factory=dict)

    @property
    def modified(self) -> datetime:
        """When anything in it was written last; a store that does not say so calls everything new."""
        return latest(self.objects.values())

    @property
    def is_recorded(self) -> bool:
        """Whether something was about to be submitted."""
        return "job.json" in self.objects

    @property
    def has_result(self) -> bool:
        """Whether others may use its outputs."""
        return RESULT_FILE in self.objects

    @property
    def has_outcome(self) -> bool:
        """Whether the job said how it ended."""
        return self.has_result or ERROR_FILE in self.objects


@dataclass
class TaskFolder:
    """
    One task instance's folder.

    :param further: what lies beside the attempts: checkpoints.
    """

    uri: str
    attempts: dict[int, AttemptFolder] = field(default_factory=dict)
    further: list[ObjectFacts] = field(default_factory=list)


@dataclass
class RunFolder:
    """One DAG run's folder: its tasks by ``task/index``, in the spelling of folders."""

    deployment: str
    uri: str
    tasks: dict[str, TaskFolder] = field(default_factory=dict)

    @property
    def attempts(self) -> list[AttemptFolder]:
        """The attempts of all tasks."""
        return [attempt for task in self.tasks.values() for attempt in task.attempts.values()]

    @property
    def modified(self) -> datetime:
        """When anything in it was written last."""
        further = [facts for task in self.tasks.values() for facts in task.further]
        return max([attempt.modified for attempt in self.attempts] + ([latest(further)] if further else []))

    @property
    def a_context(self) -> str | None:
        """The URI of any of its contexts, which say whose folder this is."""
        return next((item.objects[CONTEXT_FILE].uri for item in self.attempts if CONTEXT_FILE in item.objects), None)


def group(objects: Iterable[ObjectFacts], root: str) -> list[RunFolder]:
    """The runs under an artifact root, in the order of the listing; objects of other forms are left alone."""
    runs: dict[str, RunFolder] = {}
    top = join(root, "runs")
    for facts in objects:
        match = _OBJECT.fullmatch(below(facts.uri, top) or "")
        if match is None:
            continue
        uri = join(top, match["deployment"], match["dag"], match["run"])
        run = runs.setdefault(uri, RunFolder(match["deployment"], uri))
        key = f"{match['task']}/{match['index']}"
        task = run.tasks.setdefault(key, TaskFolder(join(uri, key)))
        if match["number"] is None:
            task.further.append(facts)
            continue
        number = int(match["number"])
        attempt = task.attempts.setdefault(number, AttemptFolder(number, join(task.uri, f"attempt-{number}")))
        attempt.objects[match["name"]] = facts
    return list(runs.values())


def below(uri: str, top: str) -> str | None:
    """What of a URI lies below another one; ``None`` if it does not. File URIs may differ in what is %-encoded."""
    depth = len(top.split("/"))
    parts = uri.split("/")
    there, wanted = "/".join(parts[:depth]), top
    if uri.startswith("file:"):
        there, wanted = unquote(there), unquote(wanted)
    return "/".join(parts[depth:]) if there == wanted and len(parts) > depth else None


def latest(objects: Iterable[ObjectFacts]) -> datetime:
    """The youngest object's time; a store that tells no time makes everything young for ever."""
    times = [facts.modified for facts in objects]
    return (
        datetime.max.replace(tzinfo=UTC) if None in times else max((t for t in times if t is not None), default=EPOCH)
    )
