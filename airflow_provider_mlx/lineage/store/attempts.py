"""Which attempt of which task instance a run is, by what Airflow alone has told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .facts import Fact, read_facts
from .tables import rows_with, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

_JOB: Final = "facet:mlx_remoteJob"


@dataclass(frozen=True)
class Attempt:
    """
    One attempt of a step.

    :param map_index: -1 for a task that is not mapped.
    :param stack: the name of the stack that it ran on.
    :param number: among the attempts of its task instance.
    """

    dag: str
    dag_run: str
    task: str
    map_index: int
    stack: str
    number: int


def attempt_of(connection: Connection, row: Mapping[str, Any]) -> Attempt | None:
    """
    The attempt that a run is; ``None`` where it is none, or where anybody but Airflow says so.

    :param row: of ``run``.
    """
    facts = read_facts(row["facts"])
    job, parent = _trusted(facts.get(_JOB)), _trusted(facts.get("parent"))
    stack, number = (job.get("stack"), job.get("attempt")) if isinstance(job, Mapping) else (None, None)
    if not isinstance(stack, str) or type(number) is not int or number < 1 or not isinstance(parent, str):
        return None
    # which task instance a run is, the store takes from Airflow's own events only
    for above in rows_with(connection, run, run.c.id, [parent]):
        if above["dag"] is not None and above["dag_run"] is not None and above["task"] is not None:
            index = -1 if above["map_index"] is None else above["map_index"]
            return Attempt(above["dag"], above["dag_run"], above["task"], index, stack, number)
    return None


def _trusted(fact: Fact | None) -> Any:
    return fact.value if fact is not None and fact.trusted else None
