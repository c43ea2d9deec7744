"""What the store is asked: what came from what, in which version, and who made it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from .tables import IN, OUT, dataset, edge, job, parts_of, rows_with, run, run_io, version

_HIGHEST: Final = 8
"""Levels of jobs above one: DAG, task, step and the tasks of a pipeline are four."""
MAX_NODES: Final = 2_000
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
            flows = set(_flows(connection, front, backwards=backwards))
            front = {source if backwards else target for source, target in flows} - found
            if len(found) + len(front) > limit:
                front, cut = set(sorted(front)[: limit - len(found)]), True
            found |= front
            edges |= flows
            if not front:
                break
    kept = tuple(sorted((source, target) for source, target in edges if source in found and target in found))
    return Graph(tuple(nodes_of(connection, found)), kept, cut)


def nodes_of(connection: Connection, keys: Iterable[str]) -> Iterator[Node]:
    """The jobs and datasets with these keys, as far as there are some."""
    wanted = sorted(keys)
    states = {row["id"]: row["state"] for row in rows_with(connection, run, run.c.id, _latest_runs(connection, wanted))}
    dags = _Dags(connection)
    for row in rows_with(connection, job, job.c.key, wanted):
        yield Node(
            row["key"], "job", row["namespace"], row["name"], dag=dags.of(row), parent=row["parent"],
            state=states.get(row["latest_run"]), latest_run=row["latest_run"], integration=row["integration"],
            facets=json.loads(row["facets"]),
        )  # fmt: skip
    for row in rows_with(connection, dataset, dataset.c.key, wanted):
        kind = "model" if row["kind"] == "MODEL" else "dataset"
        yield Node(row["key"], kind, row["namespace"], row["name"], facets=json.loads(row["facets"]))


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


def search(connection: Connection, text: str, *, limit: int = 50) -> list[Node]:
    """Jobs and datasets whose name holds a text, whatever its case; the shortest names first."""
    pattern = "%" + text.lower().replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
    keys: list[tuple[int, str]] = []
    for table in (job, dataset):
        asked = select(table.c.key, table.c.name).where(table.c.name.ilike(pattern, escape="\\")).limit(limit * 4)
        keys += [(len(name), key) for key, name in connection.execute(asked)]
    wanted = [key for _, key in sorted(keys)[:limit]]
    by_key = {node.key: node for node in nodes_of(connection, wanted)}
    return [by_key[key] for key in wanted if key in by_key]


def dags_of_datasets(connection: Connection, keys: Iterable[str]) -> dict[str, set[str]]:
    """
    The DAGs whose jobs read or write some datasets.

    Others than Airflow may say whose child their job is, but not show by that what Airflow's jobs of another DAG use.
    """
    rows = rows_with(connection, edge, edge.c.dataset, sorted(keys))
    jobs = {row["key"]: row for row in rows_with(connection, job, job.c.key, sorted({row["job"] for row in rows}))}
    dags = _Dags(connection)
    found: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for row in rows:
        by = jobs.get(row["job"])
        if by is not None and (dag := dags.of(by)) is not None:
            found[bool(by["trusted"])].setdefault(row["dataset"], set()).add(dag)
    return {**found[False], **found[True]}


def runs_of(connection: Connection, key: str, *, limit: int = 20) -> list[Mapping[str, Any]]:
    """A job's runs, the latest first, with what each read and wrote."""
    asked = select(run).where(run.c.job == key).order_by(run.c.at.desc()).limit(limit)
    rows = [dict(row) for row in connection.execute(asked).mappings()]
    data = rows_with(connection, run_io, run_io.c.run, [row["id"] for row in rows])
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for one in data:
        by_run.setdefault(one["run"], []).append({name: one[name] for name in ("side", "dataset", "version")})
    return [{**row, "facets": json.loads(row["facets"]), "data": by_run.get(row["id"], [])} for row in rows]


# --- parts -----------------------------------------------------------------------------------------------------------


class _Dags:
    """The DAG of a job: its own, or that of the nearest job around it that has one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Mapping[str, Any] | None] = {}

    def of(self, row: Mapping[str, Any]) -> str | None:
        above: Mapping[str, Any] | None = row
        for _ in range(_HIGHEST):
            if above is None:
                return None
            if above["dag"] is not None:
                return str(above["dag"])
            above = self._row(above["parent"])
        return None

    def _row(self, key: str | None) -> Mapping[str, Any] | None:
        if key is None:
            return None
        if key not in self._known:
            self._known[key] = next(iter(rows_with(self._connection, job, job.c.key, [key])), None)
        return self._known[key]


def _flows(connection: Connection, keys: Iterable[str], *, backwards: bool) -> Iterator[tuple[str, str]]:
    """The edges that lead to some nodes, or away from them."""
    into, out_of = (OUT, IN) if backwards else (IN, OUT)
    for part in parts_of(sorted(keys)):
        by_data = select(edge).where(edge.c.dataset.in_(part), edge.c.side == into)
        by_job = select(edge).where(edge.c.job.in_(part), edge.c.side == out_of)
        for asked in (by_data, by_job):
            for row in connection.execute(asked).mappings():
                yield (row["dataset"], row["job"]) if row["side"] == IN else (row["job"], row["dataset"])


def _made(connection: Connection, key: str, number: str) -> Origin | None:
    asked = select(version.c.run).where(version.c.dataset == key, version.c.version == number)
    by = connection.execute(asked).scalar()
    if by is None:
        return None
    where = connection.execute(select(run.c.job).where(run.c.id == by)).scalar()
    read = select(run_io.c.dataset, run_io.c.version).where(run_io.c.run == by, run_io.c.side == IN)
    return Origin(
        key, number, str(by), str(where), tuple(sorted((name, told) for name, told in connection.execute(read)))
    )


def _latest_runs(connection: Connection, keys: Sequence[str]) -> list[str]:
    return [row["latest_run"] for row in rows_with(connection, job, job.c.key, keys) if row["latest_run"]]
