"""
The store's tables; every row can be made anew from the events, so nothing here is ever migrated.

::

    event      each event once, by the digest of its text
    job        by namespace and name; its parent by the facet, its DAG by Airflow's own; whether Airflow told of it
    run        what became of it
    dataset    by namespace and name
    alias      another name of a dataset: the object of one run, under the name that stays
    version    which run wrote it
    run_io     what a run read and wrote, in which version
    edge       what a job reads and writes, over all of its runs
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Boolean, Column, Connection, Index, MetaData, String, Table, Text, select

GENERATION: Final = 1
"""Of the tables: a store of another one is dropped and filled again from its events."""

IN: Final = "in"
OUT: Final = "out"
_AT_ONCE: Final = 500
"""Values of one question."""
_KEY: Final = String(40)
_TIME: Final = String(32)
"""UTC as text, ``2026-01-02T03:04:05.000000Z``: it sorts as it is, in every database."""

metadata = MetaData()

event = Table(
    "mlx_lineage_event", metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", _TIME, nullable=False),
    Column("run", String(64), nullable=False),
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
    Column("latest_run", String(64)),
    Column("at", _TIME, nullable=False),
    Column("facets", Text, nullable=False),
)  # fmt: skip
run = Table(
    "mlx_lineage_run", metadata,
    Column("id", String(64), primary_key=True),
    Column("job", _KEY, nullable=False),
    Column("parent", String(64)),
    Column("source", String(100), nullable=False),
    Column("state", String(10), nullable=False),
    Column("started", _TIME),
    Column("ended", _TIME),
    Column("at", _TIME, nullable=False),
    Column("facets", Text, nullable=False),
)  # fmt: skip
dataset = Table(
    "mlx_lineage_dataset", metadata,
    Column("key", _KEY, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", String(20)),
    Column("at", _TIME, nullable=False),
    Column("facets", Text, nullable=False),
)  # fmt: skip
alias = Table(
    "mlx_lineage_alias", metadata,
    Column("key", _KEY, primary_key=True),
    Column("dataset", _KEY, nullable=False),
    Column("version", Text),
)  # fmt: skip
version = Table(
    "mlx_lineage_version", metadata,
    Column("dataset", _KEY, primary_key=True),
    Column("version", String(200), primary_key=True),
    Column("run", String(64), nullable=False),
    Column("at", _TIME, nullable=False),
)  # fmt: skip
run_io = Table(
    "mlx_lineage_run_io", metadata,
    Column("run", String(64), primary_key=True),
    Column("side", String(3), primary_key=True),
    Column("dataset", _KEY, primary_key=True),
    Column("version", Text),
)  # fmt: skip
edge = Table(
    "mlx_lineage_edge", metadata,
    Column("job", _KEY, primary_key=True),
    Column("side", String(3), primary_key=True),
    Column("dataset", _KEY, primary_key=True),
    Column("at", _TIME, nullable=False),
)  # fmt: skip

Index("mlx_lineage_event_at", event.c.at)
Index("mlx_lineage_run_job", run.c.job)
Index("mlx_lineage_run_parent", run.c.parent)
Index("mlx_lineage_job_parent", job.c.parent)
Index("mlx_lineage_edge_dataset", edge.c.dataset, edge.c.side)
Index("mlx_lineage_run_io_dataset", run_io.c.dataset)


def rows_with(connection: Connection, table: Table, column: Any, values: Sequence[str]) -> list[Mapping[str, Any]]:
    """The rows whose column has one of these values."""
    found: list[Mapping[str, Any]] = []
    for part in parts_of(values):
        found += [dict(row) for row in connection.execute(select(table).where(column.in_(part))).mappings()]
    return found


def parts_of(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as one question may hold."""
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def key_of(namespace: str, name: str) -> str:
    """The key of a job or a dataset: the same wherever it is met."""
    return hashlib.sha1(f"{namespace}\x00{name}".encode(), usedforsecurity=False).hexdigest()
