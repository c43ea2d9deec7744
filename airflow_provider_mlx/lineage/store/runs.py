"""What the store is asked about runs: those of a job, of a DAG run, of a version, and the steps among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from .facts import facets_in
from .graph import MAX_NODES, Graph, flows_of, holds, nodes_of
from .tables import IN, OUT, job, parts_of, rows_with, run, run_io

_LEVELS: Final = 5
"""Of runs below a DAG run: tasks, steps, the tasks of a pipeline, and what runs OpenLineage inside these."""
MAX_RUNS: Final = 5_000
"""Of one DAG run."""


@dataclass(frozen=True)
class Part:
    """
    What a DAG run, or one of its task instances, has read, run and written.

    :param focus: keys of the jobs that belong to it.
    :param runs: of each of these jobs: its run's id.
    """

    graph: Graph
    focus: tuple[str, ...]
    runs: Mapping[str, str]


@dataclass(frozen=True)
class Wanted:
    """Which steps; ``None`` for all."""

    state: str | None = None
    backend: str | None = None
    dag: str | None = None
    dag_run: str | None = None
    text: str | None = None


def runs_of(connection: Connection, key: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """A job's runs, the latest first, with what each read and wrote."""
    asked = select(run).where(run.c.job == key).order_by(run.c.at.desc(), run.c.id).limit(limit)
    rows = [dict(row) for row in connection.execute(asked).mappings()]
    by_run: dict[str, list[dict[str, Any]]] = {}
    for one in rows_with(connection, run_io, run_io.c.run, (row["id"] for row in rows)):
        by_run.setdefault(one["run"], []).append({name: one[name] for name in ("side", "dataset", "version")})
    names = [column.name for column in run.c if column.name != "facts"]
    return [
        {**{name: row[name] for name in names}, "facets": facets_in(row["facts"]), "data": by_run.get(row["id"], [])}
        for row in rows
    ]


def versions_of(connection: Connection, key: str, *, limit: int = 200) -> list[dict[str, Any]]:
    """
    The versions of a dataset, the latest first, each with the run and the job that wrote it: the step's rather than
    Airflow's task around it, and the first of those that wrote the same.
    """
    at = func.coalesce(run.c.ended, run.c.at).label("at")
    asked = (
        select(run_io.c.version, run.c.id.label("run"), run.c.job, run.c.backend, run.c.started, at)
        .join(run, run.c.id == run_io.c.run)
        .where(run_io.c.dataset == key, run_io.c.side == OUT, run_io.c.version.isnot(None))
        .order_by(at.desc(), run.c.id)
        .limit(limit * 4)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in map(dict, connection.execute(asked).mappings()):
        known = found.get(row["version"])
        if known is None or _precedence(row) < _precedence(known):
            found[row["version"]] = row
    ordered = sorted(found.values(), key=lambda row: (row["at"], row["version"]), reverse=True)
    return [{name: row[name] for name in ("version", "run", "job", "at")} for row in ordered[:limit]]


def part_of(
    connection: Connection, dag: str, dag_run: str, *, task: str | None = None, map_index: int | None = None
) -> Part | None:
    """
    What a DAG run has read, run and written; or one of its task instances, with who wrote that and who reads it.

    :returns: ``None`` where nothing is known of it.
    """
    runs = descendants(connection, dag, dag_run, task=task, map_index=map_index)
    if not runs:
        return None
    of_run = {row["id"]: row["job"] for row in runs}
    latest = {row["job"]: row["id"] for row in sorted(runs, key=lambda row: (row["at"], row["id"]))}
    data = rows_with(connection, run_io, run_io.c.run, of_run)
    edges = {_flow(of_run[row["run"]], row["side"], row["dataset"]) for row in data}
    if task is not None:
        edges |= set(flows_of(connection, {row["dataset"] for row in data if row["side"] == IN}, backwards=True))
        edges |= set(flows_of(connection, {row["dataset"] for row in data if row["side"] == OUT}, backwards=False))
    others = sorted({key for edge in edges for key in edge} - latest.keys())
    keys = [*sorted(latest), *others][:MAX_NODES]
    there = set(keys)
    kept = tuple(sorted(edge for edge in edges if there.issuperset(edge)))
    cut = len(runs) >= MAX_RUNS or len(keys) < len(latest) + len(others)
    return Part(Graph(tuple(nodes_of(connection, keys)), kept, cut), tuple(sorted(latest)), latest)


def descendants(
    connection: Connection, dag: str, dag_run: str, *, task: str | None = None, map_index: int | None = None
) -> list[dict[str, Any]]:
    """The runs that a DAG run, or a task instance of it, consists of; itself included."""
    asked = select(run).where(run.c.dag == dag, run.c.dag_run == dag_run).limit(MAX_RUNS)
    if task is not None:
        asked = asked.where(run.c.task == task)
    if map_index is not None:
        asked = asked.where(run.c.map_index.is_(None) if map_index < 0 else run.c.map_index == map_index)
    found = {row["id"]: dict(row) for row in connection.execute(asked).mappings()}
    front = set(found)
    for _ in range(_LEVELS):
        below = {row["id"]: row for row in rows_with(connection, run, run.c.parent, front) if row["id"] not in found}
        if not below or len(found) >= MAX_RUNS:
            break
        found |= below
        front = set(below)
    return list(found.values())[:MAX_RUNS]


def step_rows(
    connection: Connection, wanted: Wanted, *, before: tuple[str, str] | None, limit: int
) -> list[dict[str, Any]]:
    """
    Runs of steps, the latest begun first, each with its job's row as ``job_row``.

    :param before: time and id of the last that was seen.
    """
    asked = select(run).where(run.c.backend.isnot(None)).order_by(run.c.started.desc(), run.c.id.desc()).limit(limit)
    if wanted.state is not None:
        asked = asked.where(run.c.state == wanted.state)
    if wanted.backend is not None:
        asked = asked.where(run.c.backend == wanted.backend)
    if before is not None:
        asked = asked.where(or_(run.c.started < before[0], and_(run.c.started == before[0], run.c.id < before[1])))
    if wanted.text is not None:
        asked = asked.join(job, job.c.key == run.c.job).where(holds(job.c.name, wanted.text))
    rows = sorted(_narrowed(connection, asked, wanted), key=lambda row: (row["started"], row["id"]), reverse=True)[
        :limit
    ]
    jobs = {row["key"]: row for row in rows_with(connection, job, job.c.key, (row["job"] for row in rows))}
    return [{**row, "job_row": jobs[row["job"]]} for row in rows]


def airflow_runs(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The task run, or the DAG run, that each of some runs is a part of: the nearest above it that Airflow told of."""
    given = list(rows)
    known: dict[str, Mapping[str, Any]] = {row["id"]: row for row in given}
    for _ in range(_LEVELS):
        above = {row["parent"] for row in known.values() if row["dag"] is None and row["parent"]} - known.keys()
        rows_above = rows_with(connection, run, run.c.id, above)
        if not rows_above:
            break
        known |= {row["id"]: row for row in rows_above}
    found = {}
    for row in given:
        one: Mapping[str, Any] | None = row
        for _ in range(_LEVELS + 1):
            if one is None or one["dag"] is not None:
                break
            one = known.get(one["parent"] or "")
        if one is not None and one["dag"] is not None:
            found[row["id"]] = one
    return found


# --- parts -----------------------------------------------------------------------------------------------------------


def _narrowed(connection: Connection, asked: Any, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The answers to a question, of one DAG run or of one DAG."""
    if wanted.dag is not None and wanted.dag_run is not None:
        column, keys = run.c.id, [row["id"] for row in descendants(connection, wanted.dag, wanted.dag_run)]
    elif wanted.dag is not None:
        column, keys = run.c.job, sorted(_jobs_of(connection, wanted.dag))
    else:
        yield from map(dict, connection.execute(asked).mappings())
        return
    for part in parts_of(keys):
        yield from map(dict, connection.execute(asked.where(column.in_(part))).mappings())


def _jobs_of(connection: Connection, dag: str) -> set[str]:
    """The jobs of a DAG, and those below them."""
    found = set(connection.execute(select(job.c.key).where(job.c.dag == dag)).scalars())
    front = found
    for _ in range(_LEVELS):
        front = {row["key"] for row in rows_with(connection, job, job.c.parent, front) if row["dag"] is None} - found
        if not front:
            break
        found = found | front
    return found


def _flow(by: str, side: str, key: str) -> tuple[str, str]:
    return (key, by) if side == IN else (by, key)


def _precedence(row: Mapping[str, Any]) -> tuple[bool, str, str]:
    return row["backend"] is None, row["started"], row["run"]
