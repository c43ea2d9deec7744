"""What the store is asked: what came from what, in which version, and who made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, func, select

from .facts import facets_in
from .joining import is_alias
from .tables import IN, OUT, dataset, edge, job, parts_of, rows_with, run, run_io

_HIGHEST: Final = 8
"""Levels of jobs above one: DAG, task, step and the tasks of a pipeline are four."""
MAX_NODES: Final = 2_000
MAX_EDGES: Final = 20_000
"""Of one step of the way: a dataset that everybody reads has more."""
FOLLOWED: Final = 50
"""Steps from a version to what it came from."""


@dataclass(frozen=True)
class Node:
    """
    A job or a dataset.

    :param dag: of a job, whose right to be read decides who sees it.
    :param parent: of a job: the key of the job around it.
    :param state: of a job's latest run.
    """

    key: str
    kind: str
    namespace: str
    name: str
    dag: str | None = None
    parent: str | None = None
    state: str | None = None
    latest_run: str | None = None
    integration: str | None = None
    facets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """
    A part of the graph.

    :param edges: from, to: data flows along them.
    :param cut: there is more, which is left out.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    cut: bool = False


@dataclass(frozen=True)
class Origin:
    """One version of a dataset, and the run that wrote it from which versions."""

    dataset: str
    version: str | None
    run: str
    job: str
    read: tuple[tuple[str, str | None], ...]


def neighbourhood(connection: Connection, start: str, *, up: int, down: int, limit: int = MAX_NODES) -> Graph:
    """
    What a job or a dataset came from, and what came from it.

    :param start: its key.
    :param up: steps against the flow of data; a job and a dataset are one step each.
    :param limit: of nodes.
    """
    found, edges, cut = {start}, set[tuple[str, str]](), False
    for steps, backwards in ((up, True), (down, False)):
        front = {start}
        for _ in range(steps):
            flows = set(flows_of(connection, front, backwards=backwards))
            cut = cut or len(flows) >= MAX_EDGES
            front = {source if backwards else target for source, target in flows} - found
            if len(found) + len(front) > limit:
                front, cut = set(sorted(front)[: limit - len(found)]), True
            found |= front
            edges |= flows
            if not front:
                break
    kept = tuple(sorted((source, target) for source, target in edges if source in found and target in found))
    return Graph(tuple(nodes_of(connection, found)), kept, cut)


def everything(connection: Connection, *, limit: int = MAX_NODES) -> Graph:
    """The whole graph, as far as it is not too large to be shown."""
    keys = set(connection.execute(select(job.c.key).order_by(job.c.key).limit(limit)).scalars())
    keys |= set(connection.execute(select(dataset.c.key).order_by(dataset.c.key).limit(limit)).scalars())
    kept = set(sorted(keys)[:limit])
    flows = {flow for flow in flows_of(connection, kept, backwards=False) if kept.issuperset(flow)}
    return Graph(tuple(nodes_of(connection, kept)), tuple(sorted(flows)), len(kept) < len(keys))


def nodes_of(connection: Connection, keys: Iterable[str]) -> Iterator[Node]:
    """The jobs and datasets with these keys, as far as there are some."""
    wanted = set(keys)
    jobs = rows_with(connection, job, job.c.key, wanted)
    latest = (row["latest_run"] for row in jobs if row["latest_run"])
    states = {row["id"]: row["state"] for row in rows_with(connection, run, run.c.id, latest)}
    dags = dags_of(connection, jobs)
    for row in jobs:
        yield Node(
            row["key"], "job", row["namespace"], row["name"], dag=dags.get(row["key"]), parent=row["parent"],
            state=states.get(row["latest_run"]), latest_run=row["latest_run"], integration=row["integration"],
            facets=facets_in(row["facts"]),
        )  # fmt: skip
    for part in parts_of(sorted(wanted)):
        asked = select(dataset).where(dataset.c.key.in_(part), ~is_alias())
        for one in connection.execute(asked).mappings():
            kind = "model" if one["kind"] == "MODEL" else "dataset"
            yield Node(one["key"], kind, one["namespace"], one["name"], facets=facets_in(one["facts"]))


def dags_of(connection: Connection, jobs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The DAG of each of some jobs: its own, or that of the nearest job around it that has one."""
    given = list(jobs)
    known = {row["key"]: row for row in given}
    for _ in range(_HIGHEST):
        above = {row["parent"] for row in known.values() if row["dag"] is None and row["parent"]} - known.keys()
        if not above:
            break
        known |= dict.fromkeys(above, _NOTHING) | {
            row["key"]: row for row in rows_with(connection, job, job.c.key, above)
        }
    found: dict[str, str] = {}
    for row in given:
        one: Mapping[str, Any] = row
        for _ in range(_HIGHEST + 1):
            if one["dag"] is not None or one["parent"] is None:
                break
            one = known.get(one["parent"], _NOTHING)
        if one["dag"] is not None:
            found[row["key"]] = str(one["dag"])
    return found


def origin(connection: Connection, key: str, number: str) -> tuple[Origin, ...]:
    """
    How one version of a dataset came to be: the run that wrote it, what that read, and so on; the version itself first.

    Versions join, not names: what another run has written under the same name is no part of it.
    """
    found: dict[tuple[str, str], Origin] = {}
    front = [(key, number)]
    for _ in range(FOLLOWED):
        further: list[tuple[str, str]] = []
        for one in dict.fromkeys(front):
            if one in found or (made := _made(connection, *one)) is None:
                continue
            found[one] = made
            further += [(name, told) for name, told in made.read if told]
        front = further
        if not front:
            break
    return tuple(found.values())


def search(connection: Connection, text: str, *, limit: int = 500) -> list[Node]:
    """Jobs and datasets whose name holds a text, whatever its case; the shortest names first."""
    keys: list[tuple[int, str, str]] = []
    for table, also in ((job, None), (dataset, ~is_alias())):
        asked = select(func.length(table.c.name), table.c.name, table.c.key).where(holds(table.c.name, text))
        asked = asked if also is None else asked.where(also)
        ordered = asked.order_by(func.length(table.c.name), table.c.name, table.c.key).limit(limit)
        keys += [(length, name, key) for length, name, key in connection.execute(ordered)]
    wanted = [key for _, _, key in sorted(keys)[:limit]]
    by_key = {node.key: node for node in nodes_of(connection, wanted)}
    return [by_key[key] for key in wanted if key in by_key]


def named(connection: Connection, name: str) -> list[Node]:
    """Jobs and datasets with this very name or key."""
    keys: set[str] = set()
    for table in (job, dataset):
        asked = select(table.c.key).where((table.c.name == name) | (table.c.key == name)).limit(_NAMESAKES)
        keys |= set(connection.execute(asked).scalars())
    return sorted(nodes_of(connection, keys), key=lambda node: (node.kind, node.namespace))


def holds(column: Any, text: str) -> Any:
    """For questions: a column holds a text as it is, whatever its case."""
    return column.ilike("%" + text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%", escape="\\")


def dags_of_datasets(connection: Connection, keys: Iterable[str]) -> dict[str, set[str]]:
    """
    The DAGs whose jobs read or write some datasets.

    Others than Airflow may say whose child their job is, but not show by that what Airflow's jobs of another DAG use.
    """
    rows = rows_with(connection, edge, edge.c.dataset, keys)
    jobs = {row["key"]: row for row in rows_with(connection, job, job.c.key, (row["job"] for row in rows))}
    dags = dags_of(connection, jobs.values())
    found: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for row in rows:
        if row["job"] in dags:
            found[jobs[row["job"]]["trusted"]].setdefault(row["dataset"], set()).add(dags[row["job"]])
    return {**found[False], **found[True]}


def flows_of(connection: Connection, keys: Iterable[str], *, backwards: bool) -> Iterator[tuple[str, str]]:
    """The edges that lead to some nodes, or away from them."""
    into, out_of = (OUT, IN) if backwards else (IN, OUT)
    for part in parts_of(sorted(keys)):
        by_data = select(edge).where(edge.c.dataset.in_(part), edge.c.side == into).limit(MAX_EDGES)
        by_job = select(edge).where(edge.c.job.in_(part), edge.c.side == out_of).limit(MAX_EDGES)
        for asked in (by_data, by_job):
            for row in connection.execute(asked).mappings():
                yield (row["dataset"], row["job"]) if row["side"] == IN else (row["job"], row["dataset"])


_NAMESAKES: Final = 20
_NOTHING: Final[Mapping[str, Any]] = {"dag": None, "parent": None}


def _made(connection: Connection, key: str, number: str) -> Origin | None:
    """By the step rather than by Airflow's task around it, and by the first of those that wrote the same."""
    asked = (
        select(run.c.id, run.c.job)
        .join(run_io, run_io.c.run == run.c.id)
        .where(run_io.c.dataset == key, run_io.c.side == OUT, run_io.c.version == number)
        .order_by(run.c.backend.is_(None), run.c.started, run.c.id)
        .limit(1)
    )
    by = connection.execute(asked).first()
    if by is None:
        return None
    read = select(run_io.c.dataset, run_io.c.version).where(run_io.c.run == by.id, run_io.c.side == IN)
    sources = {(name, told) for name, told in connection.execute(read)}
    return Origin(key, number, by.id, by.job, tuple(sorted(sources, key=lambda one: (one[0], one[1] or ""))))
