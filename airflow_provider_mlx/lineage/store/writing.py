"""
Events into the store: each once, in whatever order they come, all that come together at once.

Whoever writes holds the store's lock (``opening.py``), so what is read here does not change before it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, insert

from .facts import Facts, merged, read_facts
from .joining import edges_of, join, prune, rejoin
from .rows import (
    Row,
    Source,
    alias_rows,
    dataset_row,
    datasets_told,
    io_rows,
    job_row,
    jobs_told,
    run_row,
)
from .tables import alias, dataset, event, job, key_of, put_all, rows_with, run, run_io
from .told import Name, NotAnEvent, Told, fitted, parse_event


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


@dataclass(frozen=True)
class Arrived:
    """One event that may be stored."""

    number: int
    digest: str
    text: str
    told: Told


def read_events(documents: Sequence[Any], source: Source) -> tuple[list[Arrived], Report]:
    """What may be stored of what was sent; one event that may not be keeps no other from it. Pure."""
    report, found = Report(), []
    for number, document in enumerate(documents):
        try:
            told = parse_event(document)
            if told is None:
                report.ignored += 1
                continue
            if source.namespaces is not None and told.job[0] not in source.namespaces:
                raise NotAnEvent(
                    f"its job's namespace is none of those of the token `{source.name}` → add it to `namespaces` in "
                    "the connection's extra"
                )
            kept, text = fitted(document)
            told = told if kept is document else read_document(kept)
            found.append(Arrived(number, hashlib.sha256(text.encode()).hexdigest(), text, told))
        except NotAnEvent as error:
            report.refused.append((number, str(error)))
    return found, report


def store_events(connection: Connection, arrived: list[Arrived], source: Source, report: Report) -> None:
    """Store what is new of these events, and tell so in the report."""
    arrived = _allowed(connection, arrived, source, report)
    digests = (one.digest for one in arrived)
    known = {row["digest"] for row in rows_with(connection, event, event.c.digest, digests, only=[event.c.digest])}
    new = {one.digest: one for one in arrived if one.digest not in known}
    report.stored, report.known = len(new), len(arrived) - len(new)
    report.refused.sort()
    if new:
        _store(connection, list(new.values()), source)


def _allowed(connection: Connection, arrived: list[Arrived], source: Source, report: Report) -> list[Arrived]:
    """Nobody but Airflow tells of a run that somebody else told of."""
    if source.airflow:
        return arrived
    owners = {row["id"]: row["source"] for row in rows_with(connection, run, run.c.id, (it.told.run for it in arrived))}
    allowed = []
    for it in arrived:
        if owners.get(it.told.run, source.name) == source.name:
            allowed.append(it)
        else:
            report.refused.append((it.number, "its run was told of by somebody else → give it a run id of its own"))
    return allowed


def _store(connection: Connection, arrived: Sequence[Arrived], source: Source) -> None:
    rows = [
        {
            "digest": it.digest, "at": it.told.at, "run": it.told.run, "job": key_of(*it.told.job),
            "above": key_of(*it.told.parent) if it.told.parent else None, "source": source.name, "document": it.text,
        }
        for it in arrived
    ]  # fmt: skip
    connection.execute(insert(event), rows)
    events = [it.told for it in arrived]
    tell(connection, job, job_row, (one for told in events for one in jobs_told(told, source)))
    tell(connection, dataset, dataset_row, (one for told in events for one in datasets_told(told, source)))
    _store_runs(connection, events, source)
    _store_data(connection, events, source)


def tell(
    connection: Connection, table: Table, row_of: Callable[[Name, Facts], Row], told: Iterable[tuple[Name, Facts]]
) -> None:
    """Add facts to jobs or datasets."""
    new: dict[Name, Facts] = {}
    for name, facts in told:
        new[name] = merged(new[name], facts) if name in new else facts
    before = {
        (row["namespace"], row["name"]): row["facts"]
        for row in rows_with(connection, table, table.c.key, (key_of(*name) for name in new))
    }
    rows = []
    for name, facts in sorted(new.items()):
        row = row_of(name, merged(read_facts(before[name]), facts) if name in before else facts)
        if row["facts"] != before.get(name):
            rows.append(row)
    put_all(connection, table, rows)


def _store_runs(connection: Connection, events: Sequence[Told], source: Source) -> None:
    ids = {told.run for told in events}
    before = {row["id"]: row for row in rows_with(connection, run, run.c.id, ids)}
    after: dict[str, Row] = {}
    for told in events:
        after[told.run] = run_row(after.get(told.run) or before.get(told.run), told, source)
    moved = {key: before[key]["job"] for key, row in after.items() if before.get(key, row)["job"] != row["job"]}
    put_all(connection, run, [after[key] for key in sorted(after)])
    if moved and (rows := rows_with(connection, run_io, run_io.c.run, moved)):
        edges = edges_of(rows, moved)  # what it read and wrote is another job's now
        join(connection, rows)
        prune(connection, edges)


def _store_data(connection: Connection, events: Sequence[Told], source: Source) -> None:
    if not any(told.inputs or told.outputs for told in events):
        return
    changed = _store_aliases(connection, [row for told in events for row in alias_rows(told, source)])
    found: dict[str, dict[tuple[str, str], Row]] = {}
    for row in rows_with(connection, run_io, run_io.c.run, (told.run for told in events)):
        found.setdefault(row["run"], {})[row["side"], row["told"]] = row
    new: dict[tuple[str, str, str], Row] = {}
    for told in events:
        known = found.setdefault(told.run, {})
        for place, row in io_rows(told, known).items():
            known[place] = new[(told.run, *place)] = row
    join(connection, [new[place] for place in sorted(new)])
    if changed:
        rejoin(connection, changed)


def _store_aliases(connection: Connection, rows: Sequence[Row]) -> set[str]:
    """Names of objects; those of which something new is known."""
    if not rows:
        return set()
    asked = rows_with(connection, alias, alias.c.key, (row["key"] for row in rows))
    known: dict[tuple[str, str], Mapping[str, Any]] = {(row["key"], row["run"]): row for row in asked}
    new: dict[tuple[str, str], Row] = {}
    for row in rows:
        place = (row["key"], row["run"])
        before = known.get(place)
        if before is None or _rank(before) < _rank(row):
            known[place] = new[place] = row
    put_all(connection, alias, [new[place] for place in sorted(new)])
    return {key for key, _ in new}


def _rank(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["at"], row["dataset"], row["version"] or ""


def read_document(document: Any) -> Told:
    """An event as it is kept."""
    told = parse_event(document)
    assert told is not None, "only events of runs are stored"
    return told
