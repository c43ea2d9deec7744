"""
The store's tables; every row can be made anew from the events, so nothing here is ever migrated.

::

    event      each event once, by the digest of its text
    job        by namespace and name: what was last told of it
    run        what became of it, and which DAG run and task instance it is of
    dataset    by namespace and name: what was last told of it
    alias      another name of a dataset: the object of one run, under the name that stays
    run_io     what a run read and wrote, in which version; under the name that was told and the one that counts
    edge       what a job reads and writes, over all of its runs

``facts`` hold what was told with the time, so that the same events in any order make the same row; the columns beside
them are what questions need (``facts.py``, ``rows.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Boolean, Column, Connection, Index, Integer, MetaData, String, Table, Text, select
from sqlalchemy.dialects import postgresql, sqlite

GENERATION: Final = 2
"""Of the tables: a store of another one is dropped and filled again from its events."""

IN: Final = "in"
OUT: Final = "out"
_AT_ONCE: Final = 500
"""Values of one question."""
_KEY: Final = String(40)
_RUN: Final = String(64)
_TIME: Final = String(32)
"""UTC as text, ``2026-01-02T03:04:05.000000Z``: it sorts as it is, in every database."""

metadata = MetaData()

event = Table(
    "mlx_lineage_event", metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", _TIME, nullable=False),
    Column("run", _RUN, nullable=False),
    Column("job", _KEY, nullable=False),
    Column("above", _KEY),
    Column("source", String(100), nullable=False),
    Column("document", Text, nullable=False),
)  # fmt: skip
job = Table(
    "mlx_lineage_job", metadata,
    Column("key", _KEY, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("parent", _KEY),
    Column("dag", Text),
    Column("trusted", Boolean, nullable=False),
    Column("integration", String(40)),
    Column("latest_run", _RUN),
    Column("facts", Text, nullable=False),
)  # fmt: skip
run = Table(
    "mlx_lineage_run", metadata,
    Column("id", _RUN, primary_key=True),
    Column("job", _KEY, nullable=False),
    Column("parent", _RUN),
    Column("source", String(100), nullable=False),
    Column("state", String(10), nullable=False),
    Column("started", _TIME, nullable=False),
    Column("ended", _TIME),
    Column("at", _TIME, nullable=False),
    Column("dag", Text),
    Column("dag_run", Text),
    Column("task", Text),
    Column("map_index", Integer),
    Column("try", Integer),
    Column("backend", String(40)),
    Column("facts", Text, nullable=False),
)  # fmt: skip
dataset = Table(
    "mlx_lineage_dataset", metadata,
    Column("key", _KEY, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", String(20)),
    Column("facts", Text, nullable=False),
)  # fmt: skip
alias = Table(
    "mlx_lineage_alias", metadata,
    Column("key", _KEY, primary_key=True),
    Column("run", _RUN, primary_key=True),
    Column("dataset", _KEY, nullable=False),
    Column("version", Text),
    Column("at", _TIME, nullable=False),
)  # fmt: skip
run_io = Table(
    "mlx_lineage_run_io", metadata,
    Column("run", _RUN, primary_key=True),
    Column("side", String(3), primary_key=True),
    Column("told", _KEY, primary_key=True),
    Column("told_version", Text),
    Column("at", _TIME, nullable=False),
    Column("dataset", _KEY, nullable=False),
    Column("version", Text),
)  # fmt: skip
edge = Table(
    "mlx_lineage_edge", metadata,
    Column("job", _KEY, primary_key=True),
    Column("side", String(3), primary_key=True),
    Column("dataset", _KEY, primary_key=True),
)  # fmt: skip

Index("mlx_lineage_event_run", event.c.run)
Index("mlx_lineage_event_job", event.c.job, event.c.at)
Index("mlx_lineage_event_above", event.c.above, event.c.at)
Index("mlx_lineage_run_job", run.c.job, run.c.at)
Index("mlx_lineage_run_parent", run.c.parent)
Index("mlx_lineage_run_at", run.c.at)
Index("mlx_lineage_run_dag", run.c.dag, run.c.dag_run)
Index(
    "mlx_lineage_run_step", run.c.started, run.c.id,
    sqlite_where=run.c.backend.isnot(None), postgresql_where=run.c.backend.isnot(None),
)  # fmt: skip
Index("mlx_lineage_job_parent", job.c.parent)
Index("mlx_lineage_job_dag", job.c.dag)
Index("mlx_lineage_edge_dataset", edge.c.dataset, edge.c.side)
Index("mlx_lineage_run_io_dataset", run_io.c.dataset, run_io.c.side, run_io.c.version)
Index("mlx_lineage_run_io_told", run_io.c.told)
Index("mlx_lineage_alias_run", alias.c.run)
Index("mlx_lineage_alias_dataset", alias.c.dataset)


def rows_with(
    connection: Connection, table: Table, column: Any, values: Iterable[str], *, only: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """
    The rows whose column has one of these values.

    :param only: the columns that are wanted; by default all.
    """
    found: list[dict[str, Any]] = []
    for part in parts_of(sorted(set(values))):
        asked = select(*(only or (table,))).where(column.in_(part))
        found += [dict(row) for row in connection.execute(asked).mappings()]
    return found


def put_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, in the place of those with the same keys."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table), list(rows))


def parts_of(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as one question may hold."""
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def key_of(namespace: str, name: str) -> str:
    """The key of a job or a dataset: the same wherever it is met."""
    return hashlib.sha1(f"{namespace}\x00{name}".encode(), usedforsecurity=False).hexdigest()


@cache
def _upsert(dialect: str, table: Table) -> Any:
    insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement, keys = insert(table), [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    if not changed:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)
