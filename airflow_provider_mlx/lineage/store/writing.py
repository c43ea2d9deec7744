"""
Events into the store: each once, in whatever order they come.

A START after the end changes nothing but what was missing; of two ends the later one counts. Facets of a later event
take the place of an earlier one's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from .tables import IN, OUT, alias, dataset, edge, event, job, key_of, rows_with, run, run_io, version
from .told import TERMINAL, Data, Name, NotAnEvent, Told, canonical_text, parse_event

_STATES: Final = {"START": "running", "RUNNING": "running", "OTHER": "running",
                  "COMPLETE": "complete", "FAIL": "failed", "ABORT": "aborted"}  # fmt: skip
_ENDED: Final = frozenset(_STATES[word] for word in TERMINAL)


@dataclass(frozen=True)
class Source:
    """
    Who sends, by its token.

    :param airflow: Airflow itself, which alone says which DAG a job is of, and which object is which dataset.
    :param namespaces: of the jobs that it may tell of; ``None`` for all.
    """

    name: str
    airflow: bool = False
    namespaces: frozenset[str] | None = None


@dataclass
class Report:
    """
    What became of the events that were sent together.

    :param known: were stored before.
    :param ignored: are about no run.
    :param refused: place in the list, and why.
    """

    stored: int = 0
    known: int = 0
    ignored: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def ingest(connection: Connection, documents: Sequence[Any], source: Source) -> Report:
    """Store what is new of these events; one that cannot be stored keeps no other from it."""
    report = Report()
    for number, document in enumerate(documents):
        try:
            told = parse_event(document)
            if told is None:
                report.ignored += 1
                continue
            _check(connection, told, source)
        except NotAnEvent as error:
            report.refused.append((number, str(error)))
            continue
        if _Writer(connection, told, source).store(canonical_text(document)):
            report.stored += 1
        else:
            report.known += 1
    return report


def _check(connection: Connection, told: Told, source: Source) -> None:
    if source.namespaces is not None and told.job[0] not in source.namespaces:
        raise NotAnEvent(f"its job's namespace is none of those of the token `{source.name}`")
    owner = connection.execute(select(run.c.source).where(run.c.id == told.run)).scalar()
    if owner is not None and owner != source.name and not source.airflow:
        raise NotAnEvent("its run was told of by somebody else")


class _Writer:
    """One event on its way into the tables."""

    def __init__(self, connection: Connection, told: Told, source: Source) -> None:
        self._connection, self._told, self._source = connection, told, source
        self._insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert

    def store(self, text: str) -> bool:
        """Whether it was new."""
        told = self._told
        digest = hashlib.sha256(text.encode()).hexdigest()
        row = {"digest": digest, "at": told.at, "run": told.run, "source": self._source.name, "document": text}
        if not self._add(event, row):
            return False
        self._store_job()
        self._store_run()
        self._store_data()
        return True

    # --- jobs and runs -------------------------------------------------------------------------------------------

    def _store_job(self) -> None:
        told = self._told
        if told.parent is not None:  # it is there before it has said anything itself
            namespace, name = told.parent
            stub = {
                "key": key_of(*told.parent), "namespace": namespace, "name": name, "trusted": False, "at": "",
                "facets": "{}",
            }  # fmt: skip
            self._add(job, stub)
        key = key_of(*told.job)
        before = self._row(job, job.c.key == key)
        new = before is None or told.at >= before["at"]
        self._put(job, {
            "key": key, "namespace": told.job[0], "name": told.job[1],
            "parent": key_of(*told.parent) if told.parent else before and before["parent"],
            "dag": (told.dag if self._source.airflow else None) or (before and before["dag"]),
            "trusted": self._source.airflow or bool(before and before["trusted"]),
            "integration": told.integration or (before and before["integration"]),
            "latest_run": told.run if before is None or new else before["latest_run"],
            "at": max(told.at, before["at"] if before else ""),
            "facets": _merged(before, told.job_facets, new=new),
        }, job.c.key)  # fmt: skip

    def _store_run(self) -> None:
        told = self._told
        before = self._row(run, run.c.id == told.run)
        new = before is None or told.at >= before["at"]
        self._put(run, {
            "id": told.run, "job": key_of(*told.job), "parent": told.parent_run or (before and before["parent"]),
            "source": before["source"] if before else self._source.name,
            "state": self._state(before, new=new),
            "started": min(filter(None, (told.at, before and before["started"]))),
            "ended": told.at if told.is_end and new else before and before["ended"],
            "at": max(told.at, before["at"] if before else ""),
            "facets": _merged(before, told.run_facets, new=new),
        }, run.c.id)  # fmt: skip

    def _state(self, before: Mapping[str, Any] | None, *, new: bool) -> str:
        now = _STATES[self._told.type]
        if before is None:
            return now
        over = before["state"] in _ENDED
        if self._told.is_end:
            return now if new or not over else str(before["state"])
        return str(before["state"]) if over else now

    # --- datasets ------------------------------------------------------------------------------------------------

    def _store_data(self) -> None:
        sides = [(IN, one) for one in self._told.inputs] + [(OUT, one) for one in self._told.outputs]
        if self._source.airflow:
            for _, one in sides:
                self._store_aliases(one)
        known = self._aliases_of([one.name for _, one in sides])
        for side, one in sides:
            self._store_one(side, one, known.get(key_of(*one.name)))

    def _aliases_of(self, names: Iterable[Name]) -> dict[str, Mapping[str, Any]]:
        rows = rows_with(self._connection, alias, alias.c.key, [key_of(*name) for name in names])
        return {row["key"]: row for row in rows}

    def _store_one(self, side: str, one: Data, other: Mapping[str, Any] | None) -> None:
        told, number = self._told, one.version or (other and other["version"])
        if other is None:
            key = key_of(*one.name)
            before = self._row(dataset, dataset.c.key == key)
            new = before is None or told.at >= before["at"]
            self._put(dataset, {
                "key": key, "namespace": one.name[0], "name": one.name[1],
                "kind": one.kind or (before and before["kind"]),
                "at": max(told.at, before["at"] if before else ""),
                "facets": _merged(before, one.facets, new=new),
            }, dataset.c.key)  # fmt: skip
        else:
            key = str(other["dataset"])
        io = {"run": told.run, "side": side, "dataset": key, "version": number}
        self._put(run_io, io, run_io.c.run, run_io.c.side, run_io.c.dataset, only=None if number else ())
        self._put(edge, {"job": key_of(*told.job), "side": side, "dataset": key, "at": told.at},
                  edge.c.job, edge.c.side, edge.c.dataset)  # fmt: skip
        if side == OUT and number:
            self._add(version, {"dataset": key, "version": number, "run": told.run, "at": told.at})

    def _store_aliases(self, one: Data) -> None:
        key = key_of(*one.name)
        for name in one.aliases:
            other = key_of(*name)
            if other == key or self._row(alias, alias.c.key == key) is not None:
                continue
            self._put(alias, {"key": other, "dataset": key, "version": one.version}, alias.c.key)
            self._join(other, key, one.version)

    def _join(self, other: str, key: str, number: str | None) -> None:
        """Who read or wrote the object before it was known which dataset it is, read or wrote that."""
        if self._row(dataset, dataset.c.key == other) is None:
            return
        for row in self._rows(run_io, run_io.c.dataset == other):
            moved = {**row, "dataset": key, "version": row["version"] or number}
            self._put(run_io, moved, run_io.c.run, run_io.c.side, run_io.c.dataset)
        for row in self._rows(edge, edge.c.dataset == other):
            self._put(edge, {**row, "dataset": key}, edge.c.job, edge.c.side, edge.c.dataset)
        for table, column in ((run_io, run_io.c.dataset), (edge, edge.c.dataset), (dataset, dataset.c.key)):
            self._connection.execute(delete(table).where(column == other))

    # --- the database --------------------------------------------------------------------------------------------

    def _row(self, table: Table, where: Any) -> Mapping[str, Any] | None:
        found = self._connection.execute(select(table).where(where)).mappings().first()
        return dict(found) if found is not None else None

    def _rows(self, table: Table, where: Any) -> list[Mapping[str, Any]]:
        return [dict(row) for row in self._connection.execute(select(table).where(where)).mappings()]

    def _add(self, table: Table, row: Mapping[str, Any]) -> bool:
        """Insert it unless it is there; whether it was new."""
        statement = self._insert(table).values(**row).on_conflict_do_nothing().returning(*table.primary_key)
        return self._connection.execute(statement).first() is not None  # drivers count such rows each in its own way

    def _put(self, table: Table, row: Mapping[str, Any], *keys: Any, only: Sequence[str] | None = None) -> None:
        """
        Insert it, or update what is there.

        :param only: the columns that are updated; by default all but the keys.
        """
        statement = self._insert(table).values(**row)
        names = {key.name for key in keys}
        changed = [name for name in row if name not in names] if only is None else list(only)
        if changed:
            update = {name: statement.excluded[name] for name in changed}
            statement = statement.on_conflict_do_update(index_elements=list(names), set_=update)
        else:
            statement = statement.on_conflict_do_nothing()
        self._connection.execute(statement)


def _merged(before: Mapping[str, Any] | None, facets: Mapping[str, Any], *, new: bool) -> str:
    """The facets of both, as JSON; of one that both have, the later event's."""
    there = json.loads(before["facets"]) if before is not None else {}
    both = {**there, **facets} if new else {**facets, **there}
    return json.dumps({key: value for key, value in both.items() if value is not None}, sort_keys=True)
