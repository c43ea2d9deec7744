"""Opens a store: its tables are made, or made anew where they are of another generation of this package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    insert,
    select,
)

from .tables import GENERATION, metadata
from .tables import event as events
from .writing import Report, Source, ingest

_about: Final = Table(
    "mlx_lineage_store", MetaData(),
    Column("one", Integer, primary_key=True), Column("generation", String(20), nullable=False),
)  # fmt: skip
BUSY_SECONDS: Final = 10


class Store:
    """The events of a deployment, and what they say."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Store:
        """
        :param url: SQLAlchemy's, of SQLite or PostgreSQL.
        """
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
        store = cls(engine)
        store._prepare()
        return store

    def ingest(self, documents: Sequence[Any], source: Source) -> Report:
        """Store events, all of them in one transaction."""
        with self.engine.begin() as connection:
            return ingest(connection, documents, source)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For the questions of :mod:`.graph`."""
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Free its connections."""
        self.engine.dispose()

    def _prepare(self) -> None:
        with self.engine.begin() as connection:
            _about.create(connection, checkfirst=True)
            found = connection.execute(select(_about.c.generation)).scalar()
            told = self._take_events(connection) if found not in (None, str(GENERATION)) else []
            metadata.create_all(connection)
            if found != str(GENERATION):
                connection.execute(_about.delete())
                connection.execute(insert(_about).values(one=1, generation=str(GENERATION)))
            for source, document in told:
                ingest(connection, [document], Source(source, airflow=source == AIRFLOW))

    def _take_events(self, connection: Connection) -> list[tuple[str, Any]]:
        """What another generation has kept, whose tables are dropped."""
        asked = select(events.c.source, events.c.document).order_by(events.c.at)
        kept = [(source, json.loads(document)) for source, document in connection.execute(asked)]
        metadata.drop_all(connection)
        return kept


AIRFLOW: Final = "airflow"
"""The source that is Airflow itself."""


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Readers do not wait for a writer, and writers wait for each other."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=wal", "synchronous=normal", f"busy_timeout={BUSY_SECONDS * 1000}"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()
