"""
Which dataset a name is: the object of one run is its dataset under the name that stays, with the version.

A name may be told before it is known whose object it is, so rows hold the name that was told and the dataset that
counts, and :func:`rejoin` makes the latter anew whenever what is known of names has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, exists, select

from .tables import alias, dataset, edge, put_all, rows_with, run, run_io

_STEPS: Final = 4
"""From an object to a dataset that is itself another's."""

Edge = tuple[str, str, str]
"""Job, side, dataset."""


class Names:
    """What some names are."""

    def __init__(self, connection: Connection, keys: Iterable[str]) -> None:
        self._known: dict[str, Mapping[str, Any]] = {}
        front = set(keys)
        for _ in range(_STEPS):
            rows = rows_with(connection, alias, alias.c.key, front)
            if not rows:
                break
            for row in rows:
                before = self._known.get(row["key"])
                if before is None or _rank(before) < _rank(row):
                    self._known[row["key"]] = row
            front = {row["dataset"] for row in self._known.values()} - self._known.keys()

    def dataset(self, key: str) -> tuple[str, str | None]:
        """The dataset that a name is, and in which version, as far as that is said; a circle is its first name."""
        path = [key]
        while len(path) <= _STEPS and (row := self._known.get(path[-1])) is not None:
            if row["dataset"] in path:
                return min(path[path.index(row["dataset"]) :]), None
            path.append(row["dataset"])
        return path[-1], self._known[key]["version"] if len(path) > 1 else None


def join(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """
    Fill in which dataset each of these rows of ``run_io`` counts for, and write them with their edges.

    :param rows: with the dataset that they counted for before, or ``None``.
    """
    jobs = {row["id"]: row["job"] for row in rows_with(connection, run, run.c.id, (row["run"] for row in rows))}
    before = edges_of(rows, jobs)
    names = Names(connection, (row["told"] for row in rows))
    for row in rows:
        row["dataset"], number = names.dataset(row["told"])
        row["version"] = row["told_version"] or number
    after = edges_of(rows, jobs)
    put_all(connection, run_io, rows)
    put_all(connection, edge, [{"job": job, "side": side, "dataset": key} for job, side, key in sorted(after)])
    prune(connection, before - after)


def rejoin(connection: Connection, keys: Iterable[str]) -> None:
    """What is known of these names has changed: whoever told them, or what leads to them, counts anew."""
    reached = front = set(keys)
    for _ in range(_STEPS):
        front = {row["key"] for row in rows_with(connection, alias, alias.c.dataset, front)} - reached
        if not front:
            break
        reached = reached | front
    if rows := rows_with(connection, run_io, run_io.c.told, reached):
        join(connection, rows)


def edges_of(rows: Iterable[Mapping[str, Any]], jobs: Mapping[str, str]) -> set[Edge]:
    """
    The edges that rows of ``run_io`` make.

    :param jobs: of their runs.
    """
    return {(jobs[row["run"]], row["side"], row["dataset"]) for row in rows if row["dataset"] is not None}


def prune(connection: Connection, edges: Iterable[Edge]) -> None:
    """Remove those of these edges that no run makes any more."""
    made = exists().where(
        run_io.c.dataset == edge.c.dataset, run_io.c.side == edge.c.side, run.c.id == run_io.c.run,
        run.c.job == edge.c.job,
    )  # fmt: skip
    for job, side, key in sorted(edges):
        this = and_(edge.c.job == job, edge.c.side == side, edge.c.dataset == key)
        connection.execute(delete(edge).where(this, ~made))


def is_alias() -> Any:
    """For questions about datasets: whether it is an object of another, so that nothing counts for it itself."""
    other = select(alias.c.key).where(alias.c.key == dataset.c.key).exists()
    return and_(other, ~select(run_io.c.run).where(run_io.c.dataset == dataset.c.key).exists())


def _rank(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["at"], row["dataset"], row["run"]
