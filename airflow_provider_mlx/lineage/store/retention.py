"""
Removes what is old: runs that were over before a time, their events, and all that only these told.

A run is kept as long as something below it is, and as long as a run that is kept has read a version that it wrote: who
made the model that is in use can still be told. Rows are what the remaining events say, as if there had been no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, delete, or_, select

from .facts import Facts, merged, read_facts
from .joining import edges_of, prune, rejoin
from .rows import AIRFLOW, Row, Source, dataset_row, datasets_told, is_there, job_row, jobs_told
from .tables import IN, OUT, alias, dataset, event, job, key_of, parts_of, put_all, rows_with, run, run_io
from .told import Name, Told
from .writing import read_document

_AT_ONCE: Final = 50
"""Runs of one transaction: others wait as long as that takes."""
_LEVELS: Final = 4
"""Below a run: the tasks of a DAG run, their steps, and the tasks of a pipeline."""


def forget(connection: Connection, before: str, *, after: tuple[str, str]) -> tuple[str, str] | None:
    """
    Look at some of the runs that were over before a time, the oldest first, and remove those that nothing holds.

    :param after: time and id of the last that was looked at.
    :returns: the same for the next call, or ``None`` if there is no more.
    """
    place = or_(run.c.at > after[0], and_(run.c.at == after[0], run.c.id > after[1]))
    asked = select(run.c.id, run.c.at).where(run.c.at < before, place).order_by(run.c.at, run.c.id).limit(_AT_ONCE)
    rows = list(connection.execute(asked))
    if not rows:
        return None
    gone = {row.id for row in rows} - _held(connection, [row.id for row in rows], before)
    if gone:
        _remove(connection, sorted(gone), max(row.at for row in rows if row.id in gone))
    return rows[-1].at, rows[-1].id


def _held(connection: Connection, runs: Sequence[str], before: str) -> set[str]:
    """Those that something young holds."""
    tops = {one: {one} for one in runs}
    held, front = set[str](), set(runs)
    for _ in range(_LEVELS):
        held |= {top for one in _in_use(connection, sorted(front), before) for top in tops[one]}
        below = rows_with(connection, run, run.c.parent, front)
        for row in below:
            above = tops[row["parent"]]
            tops.setdefault(row["id"], set()).update(above)
            if row["at"] >= before:
                held |= above
        front = {row["id"] for row in below}
        if not front:
            break
    return held & set(runs)


def _in_use(connection: Connection, runs: Sequence[str], before: str) -> set[str]:
    """Those of which a young run has read a version."""
    made, read, reader = run_io.alias("made"), run_io.alias("read"), run.alias("reader")
    same = and_(read.c.dataset == made.c.dataset, read.c.version == made.c.version, read.c.side == IN)
    found: set[str] = set()
    for part in parts_of(runs):
        asked = (
            select(made.c.run).distinct()
            .join(read, same).join(reader, reader.c.id == read.c.run)
            .where(made.c.run.in_(part), made.c.side == OUT, reader.c.at >= before)
        )  # fmt: skip
        found |= set(connection.execute(asked).scalars())
    return found


def _remove(connection: Connection, runs: Sequence[str], until: str) -> None:
    """
    These runs, and what only they told.

    :param until: when the last of their events was.
    """
    told = rows_with(connection, event, event.c.run, runs, only=[event.c.job, event.c.above])
    data = rows_with(connection, run_io, run_io.c.run, runs)
    objects = {row["key"] for row in rows_with(connection, alias, alias.c.run, runs)}
    jobs_of = {row["id"]: row["job"] for row in rows_with(connection, run, run.c.id, runs)}
    edges = edges_of(data, jobs_of)
    for table, column in ((event, event.c.run), (run_io, run_io.c.run), (alias, alias.c.run), (run, run.c.id)):
        for part in parts_of(runs):
            connection.execute(delete(table).where(column.in_(part)))
    prune(connection, edges)
    if objects:
        rejoin(connection, objects)
    jobs = {row["job"] for row in told} | {row["above"] for row in told if row["above"]}
    _fade(connection, job, jobs, job_row, _job_events, jobs_told, until)
    _fade(connection, dataset, {row["told"] for row in data}, dataset_row, _data_events, datasets_told, until)


def _fade(
    connection: Connection, table: Table, keys: Iterable[str], row_of: Callable[[Name, Facts], Row],
    events_of: Callable[[Connection, str, str], Iterable[tuple[Told, Source]]],
    tell: Callable[[Told, Source], Iterable[tuple[Name, Facts]]], until: str,
) -> None:  # fmt: skip
    """
    What is said of some jobs or datasets, without what is gone.

    A fact that was told after the last of what is gone is none of that; the others are told again by what remains.
    """
    kept, gone = [], []
    for row in rows_with(connection, table, table.c.key, keys):
        before = read_facts(row["facts"])
        facts: Facts = {name: fact for name, fact in before.items() if fact.at > until}
        if len(facts) == len(before):
            continue
        for told, source in events_of(connection, row["key"], until):
            for name, more in tell(told, source):
                if key_of(*name) == row["key"]:
                    facts = merged(facts, more)
        if is_there(facts):
            kept.append(row_of((row["namespace"], row["name"]), facts))
        else:
            gone.append(row["key"])
    put_all(connection, table, kept)
    for part in parts_of(gone):
        connection.execute(delete(table).where(table.c.key.in_(part)))


def _job_events(connection: Connection, key: str, until: str) -> Iterable[tuple[Told, Source]]:
    mine = or_(event.c.job == key, event.c.above == key)
    return _events(connection, select(event.c.source, event.c.document).where(mine), until)


def _data_events(connection: Connection, key: str, until: str) -> Iterable[tuple[Told, Source]]:
    asked = select(event.c.source, event.c.document).join(run_io, run_io.c.run == event.c.run)
    return _events(connection, asked.where(run_io.c.told == key).distinct(), until)


def _events(connection: Connection, asked: Any, until: str) -> Iterable[tuple[Told, Source]]:
    """Those that can tell a fact again: the old ones, and what others than Airflow told, which counts less."""
    wanted = asked.where(or_(event.c.at <= until, event.c.source != AIRFLOW))
    for source, document in connection.execute(wanted):
        yield read_document(json.loads(document)), Source(source, airflow=source == AIRFLOW)
