"""Opens a store: its tables are made, or made anew where they are of another generation of this package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.pool import StaticPool

from .retention import forget
from .rows import AIRFLOW, Source
from .tables import GENERATION, metadata
from .tables import event as events
from .told import time_text
from .writing import Report, read_events, store_events

_about: Final = Table(
    "mlx_lineage_store", MetaData(),
    Column("one", Integer, primary_key=True), Column("generation", String(20), nullable=False),
    Column("swept", String(32), nullable=False),
)  # fmt: skip
BUSY_SECONDS: Final = 10
BETWEEN_SWEEPS: Final = timedelta(hours=1)
_LOCK: Final = 0x6D6C786C
"""Of PostgreSQL's advisory locks: one writer at a time, so that none waits for another crosswise."""
_PART: Final = 500
"""Events that are taken over at once."""


class Store:
    """The events of a deployment, and what they say."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Store:
        """
        :param url: SQLAlchemy's, of SQLite or PostgreSQL; ``sqlite://`` is in memory, for one thread.
        """
        in_memory = url == "sqlite://"
        engine = create_engine(url, poolclass=StaticPool) if in_memory else create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        store = cls(engine)
        store._prepare()
        return store

    @property
    def database(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def ingest(self, documents: Sequence[Any], source: Source) -> Report:
        """Store events, all of them in one transaction."""
        arrived, report = read_events(documents, source)
        if arrived:
            with self.writing() as connection:
                store_events(connection, arrived, source, report)
        return report

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For the questions of :mod:`.graph` and :mod:`.runs`."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of the one who writes."""
        with self.engine.connect().execution_options(mlx_writes=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection

    def begin_sweep(self, now: datetime) -> bool:
        """Whether it is time to remove what is old, and this process is the one to do it."""
        long_ago = time_text(now - BETWEEN_SWEEPS)
        with self.writing() as connection:
            mine = update(_about).where(_about.c.swept < long_ago).values(swept=time_text(now)).returning(_about.c.one)
            return connection.execute(mine).first() is not None

    def forget(self, before: datetime, *, after: tuple[str, str] = ("", "")) -> tuple[str, str] | None:
        """
        Remove a few of the runs that were over before a time; see :mod:`.retention`.

        :param after: where the last call has stopped.
        :returns: where this one has; ``None`` if there is no more.
        """
        with self.writing() as connection:
            return forget(connection, time_text(before), after=after)

    def count(self) -> int:
        """How many events are kept."""
        with self.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(events)).scalar_one())

    def close(self) -> None:
        """Free its connections."""
        self.engine.dispose()

    def _prepare(self) -> None:
        with self.writing() as connection:
            found = _generation(connection)
            if found == str(GENERATION):
                return
            _about.drop(connection, checkfirst=True)
            _about.create(connection)
            old = _set_aside(connection) if found is not None else None
            metadata.create_all(connection)
            if old is not None:
                _take_over(connection, old)
            now = time_text(datetime.now(UTC))
            connection.execute(insert(_about).values(one=1, generation=str(GENERATION), swept=now))


def _generation(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, _about.name):
        return None
    return connection.execute(select(_about.c.generation)).scalar()


def _set_aside(connection: Connection) -> Table:
    """The events that another generation has kept; the tables made of them are dropped."""
    for table in reversed(metadata.sorted_tables):
        if table is not events:
            table.drop(connection, checkfirst=True)
    old = f"{events.name}_old"
    connection.execute(text(f"alter table {events.name} rename to {old}"))
    for index in events.indexes:
        connection.execute(text(f"drop index if exists {index.name}"))
    if connection.dialect.name == "postgresql":  # its name would be taken
        connection.execute(text(f"alter index {events.name}_pkey rename to {old}_pkey"))
    return Table(old, MetaData(), *(Column(column.name, column.type) for column in events.c))


def _take_over(connection: Connection, old: Table) -> None:
    at = ("", "")
    while True:
        place = (old.c.at > at[0]) | ((old.c.at == at[0]) & (old.c.digest > at[1]))
        asked = select(old.c.at, old.c.digest, old.c.source, old.c.document).where(place)
        rows = list(connection.execute(asked.order_by(old.c.at, old.c.digest).limit(_PART)))
        if not rows:
            break
        for source in sorted({row.source for row in rows}):
            told = [json.loads(row.document) for row in rows if row.source == source]
            by = Source(source, airflow=source == AIRFLOW)
            arrived, report = read_events(told, by)
            store_events(connection, arrived, by, report)
        at = (rows[-1].at, rows[-1].digest)
    old.drop(connection)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Readers do not wait for a writer, and writers wait for each other."""
    connection.isolation_level = None  # transactions begin where we say, below
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "journal_mode=wal", "synchronous=normal"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock before it reads, or what it has read may be old when it writes."""
    writes = connection.get_execution_options().get("mlx_writes")
    connection.exec_driver_sql("begin immediate" if writes else "begin")
