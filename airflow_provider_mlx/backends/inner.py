"""
What a job consists of, where it is several: the tasks of a pipeline's run, written down when the run is over.

``tasks.json`` in the attempt's folder, for lineage and for whoever reads the ledger::

    {"protocol": 1, "tasks": [{"name": "train", "state": "succeeded", "started": …}, …], "left_out": 12}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.runtime.protocol import ERROR_FILE, PROTOCOL, RESULT_FILE
from airflow_provider_mlx.runtime.records import bounded
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.runtime.values import Dataset
from airflow_provider_mlx.scrub import MASK, is_sensitive, scrub

from .base import State

TASKS_FILE: Final = "tasks.json"
OUTCOMES: Final = {State.SUCCEEDED: RESULT_FILE, State.FAILED: ERROR_FILE, State.STOPPED: TASKS_FILE}
"""The file that is written last, by how the job has ended: with it, all is there."""
MAX_TASKS: Final = 200
"""So many are kept, here and in a result: a loop may have thousands of iterations, and XCom is for small things."""
_REASON_BYTES: Final = 2000
_TEXT_LENGTH: Final = 1000
_PARAMETERS: Final = 100


@dataclass(frozen=True)
class InnerTask:
    """
    One task of a job that has several, after its end.

    :param name: with the names of the groups around it, and the numbers of a loop's rounds: ``loop-1[3]/register``.
    :param state: ``SUCCEEDED``, ``FAILED`` or ``STOPPED``.
    :param ended: ``None`` for one that the end of the whole has stopped.
    :param kind: the backend's word for what it is, as ``Training``.
    :param id: of its job or pod.
    :param url: of its job's page.
    :param cached: it was not run, since the same was run before.
    :param cached_from: the run whose result counts instead, where that is known.
    :param parameters: what it was given; only text, numbers and booleans are kept.
    :param read: by URI.
    :param written: by URI.
    """

    name: str
    state: State
    started: datetime
    ended: datetime | None = None
    kind: str = ""
    id: str = ""
    url: str = ""
    reason: str = ""
    cached: bool = False
    cached_from: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    read: tuple[Dataset, ...] = ()
    written: tuple[Dataset, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON, without what is empty, and without what may be a secret."""
        told = {
            "name": self.name, "state": self.state.value, "started": self.started.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None, "kind": self.kind, "id": self.id, "url": self.url,
            "reason": bounded(scrub(self.reason), _REASON_BYTES), "cached": self.cached,
            "cached_from": self.cached_from, "parameters": _plain(self.parameters), "metrics": dict(self.metrics),
            "read": [one.to_wire() for one in self.read], "written": [one.to_wire() for one in self.written],
        }  # fmt: skip
        return {name: value for name, value in told.items() if value not in (None, "", False, {}, [])}

    @classmethod
    def from_wire(cls, told: Mapping[str, Any]) -> InnerTask:
        """
        What :meth:`to_wire` wrote.

        :raises ValueError: it is something else; also ``KeyError``, ``TypeError``.
        """
        ended = told.get("ended")
        found: dict[str, Any] = {key: told[key] for key in _AS_THEY_ARE if key in told}
        for side in ("read", "written"):
            found[side] = tuple(Dataset(one["uri"], one.get("version")) for one in told.get(side, ()))
        found["ended"] = datetime.fromisoformat(ended) if ended else None
        return cls(state=State(told["state"]), started=datetime.fromisoformat(told["started"]), **found)


_AS_THEY_ARE: Final = ("name", "kind", "id", "url", "reason", "cached", "cached_from", "parameters", "metrics")


def record_tasks(store: ObjectStore, folder: str, tasks: Sequence[InnerTask]) -> None:
    """
    Write down what an attempt's job consisted of; what is there stays.

    :param folder: the attempt's.
    """
    body: dict[str, Any] = {"protocol": PROTOCOL, "tasks": [task.to_wire() for task in tasks[:MAX_TASKS]]}
    if len(tasks) > MAX_TASKS:
        body["left_out"] = len(tasks) - MAX_TASKS
    store.create(join(folder, TASKS_FILE), json.dumps(body, indent=1).encode())


def parse_tasks(body: Mapping[str, Any]) -> tuple[InnerTask, ...]:
    """
    From what :func:`record_tasks` wrote.

    :raises ValueError: it is something else; also ``KeyError``, ``TypeError``.
    """
    return tuple(map(InnerTask.from_wire, body["tasks"]))


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Scalars alone, since what a list or a dict holds has no name by which a secret could be told."""
    scalars = {key: value for key, value in parameters.items() if isinstance(value, (str, bool, int, float))}
    return {
        key: MASK if is_sensitive(key) else scrub(value, limit=_TEXT_LENGTH) if isinstance(value, str) else value
        for key, value in list(scalars.items())[:_PARAMETERS]
    }
