"""What a trigger is told and what it answers: plain JSON that outlives a release, no secret and no class of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from airflow_provider_mlx.backends.base import JobHandle
from airflow_provider_mlx.jobs.decision import Limits
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

VERSION: Final = 1
"""A trigger that finds another version in its row lets a worker look instead of guessing."""


class Word(Enum):
    """Why the trigger fires."""

    FINISHED = "finished"
    """The job is over, or the backend definitely does not know it."""
    TIMED_OUT = "timed out"
    """The step's deadline passed, or what its target allows for queueing."""
    LOOK = "look"
    """The trigger cannot go on (another version of it wrote the row, or a bug): a worker looks, and may defer again."""
    CANNOT_WATCH = "cannot watch"
    """The triggerer cannot read a connection that the worker could: a worker watches to the end."""


@dataclass(frozen=True)
class Place:
    """Where the attempt's ledger lies: a stack may have changed while the task waited."""

    root: str
    conn_id: str | None
    attempt: int


@dataclass(frozen=True)
class WatchEvent:
    """
    What a trigger fires: at most 4 KiB.

    :param place: ``None`` if the trigger could not read its own order.
    """

    word: Word
    job: str = ""
    place: Place | None = None
    shown_lines: int = 0

    def to_wire(self) -> dict[str, Any]:
        """The event's payload."""
        place = dict(vars(self.place)) if self.place else None
        return {
            "version": VERSION, "word": self.word.value, "job": self.job, "place": place,
            "shown_lines": self.shown_lines,
        }  # fmt: skip

    @classmethod
    def from_wire(cls, value: Any) -> WatchEvent:
        """The event of :meth:`to_wire`; what cannot be read means that the worker looks for itself."""
        try:
            place = Place(**value["place"]) if value["place"] else None
            return cls(Word(value["word"]), str(value["job"]), place, int(value["shown_lines"]))
        except (KeyError, TypeError, ValueError):
            return cls(Word.LOOK)


@dataclass(frozen=True)
class WatchOrder:
    """
    One job to be watched.

    :param settings: the backend's settings as the ledger recorded them.
    :param conn_id: the backend's connection.
    :param root: the artifact root; ``artifacts_conn_id`` opens it.
    :param nonce: the attempt's, to tell the runtime's lines from text.
    :param limits: when waiting ends.
    :param limit_seconds: how long the step may run, where its deadline is not known before it does.
    :param not_before: no event fires earlier. Airflow 3.3 fails a task whose next slice starts before the process of
        the deferring slice is gone, which can take five seconds.
    :param cursor: where in the job's log to go on.
    :param shown_lines: how many lines of the log stand in the task's log.
    """

    identity: TaskInstanceIdentity
    attempt: int
    handle: JobHandle
    settings: Mapping[str, Any]
    conn_id: str | None
    root: str
    artifacts_conn_id: str | None
    nonce: str
    limits: Limits
    limit_seconds: float | None
    not_before: datetime
    cursor: str = ""
    shown_lines: int = 0

    def to_wire(self) -> dict[str, Any]:
        """The trigger's arguments."""
        return {
            **vars(self),
            "version": VERSION,
            "identity": dict(vars(self.identity)),
            "handle": self.handle.to_wire(),
            "settings": dict(self.settings),
            "limits": {name: time.isoformat() if time else None for name, time in vars(self.limits).items()},
            "not_before": self.not_before.isoformat(),
        }

    def event(self, word: Word, *, shown_lines: int = 0) -> WatchEvent:
        """The event about this job."""
        place = Place(self.root, self.artifacts_conn_id, self.attempt)
        return WatchEvent(word, self.handle.name, place, shown_lines)

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> WatchOrder | None:
        """The order of :meth:`to_wire`; ``None`` if another version wrote it, or it is damaged."""
        try:
            if value["version"] != VERSION:
                return None
            known = {name: value[name] for name in cls.__dataclass_fields__}
            return cls(
                **{
                    **known,
                    "identity": TaskInstanceIdentity(**value["identity"]),
                    "handle": JobHandle.from_wire(value["handle"]),
                    "limits": Limits(
                        **{
                            name: datetime.fromisoformat(time) if time else None
                            for name, time in value["limits"].items()
                        }
                    ),
                    "not_before": datetime.fromisoformat(value["not_before"]),
                }
            )
        except (KeyError, TypeError, ValueError):
            return None
