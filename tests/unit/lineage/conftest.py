"""An attempt with its ledger in memory, and OpenLineage with a transport of the test's own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle
from airflow_provider_mlx.jobs.attempt import ActiveAttempt
from airflow_provider_mlx.jobs.collection import Collected, CollectedOutput
from airflow_provider_mlx.jobs.ledger import AttemptRecord, Ledger
from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.openlineage.validation import EVENT_LIMIT, event_problems

ROOT = "memory://ledger/mlx"


@pytest.fixture(autouse=True)
def _every_event_is_valid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test turns into an event's text must be one."""
    problems: list[str] = []
    to_json = Serde.to_json

    def judged(event: Any) -> str:
        text = to_json(event)
        if isinstance(event, RunEvent) and len(text) <= EVENT_LIMIT:  # what is larger is made smaller, elsewhere
            problems.extend(event_problems(json.loads(text)))
        return text

    monkeypatch.setattr(Serde, "to_json", judged)
    yield
    assert not problems, problems


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IDENTITY = TaskInstanceIdentity("prod", "churn", "run-7", "train")
SHA = "ab" * 32
CANARY = "hunter2canary"


def artifact(
    name: str = "return_value", *, task: str = "train", codec: str = "sklearn", **facts: Any
) -> ArtifactReference:
    suffix = {"sklearn": ".skops", "parquet": ".parquet"}.get(codec, ".json")
    given = {
        "uri": f"s3://ml/mlx/runs/prod/churn/run-7/{task}/-1/attempt-1/outputs/{name}{suffix}", "sha256": SHA,
        "size": 12, "codec": codec, "name": name, "version": SHA[:12],
        "type": "sklearn.linear_model.Ridge" if codec == "sklearn" else "pandas.DataFrame",
        "producer": {"dag_id": "churn", "task_id": task},
    }  # fmt: skip
    return ArtifactReference(**{**given, **facts})


ARGUMENTS = {
    "args": [artifact(task="prepare", codec="parquet").to_wire()],
    "kwargs": {
        "raw": Dataset(f"s3a://user:{CANARY}@lake/raw/?X-Amz-Signature={CANARY}", "v7").to_wire(),
        "rate": 0.1, "deep": True, "depth": 3, "start": {"mlx": "datetime/1", "value": "2026-01-01T00:00:00+00:00"},
        "api_token": CANARY, "url": f"https://u:{CANARY}@h/x?sig={CANARY}", "grid": {"a": [1]}, "max_tokens": 512,
    },
}  # fmt: skip


def make_active(
    store: ObjectStore, attempt: int = 1, *, try_number: int = 1, arguments: Any = None, has_tasks: bool = False
) -> ActiveAttempt:
    ledger = Ledger(store, ROOT, IDENTITY).attempt(attempt)
    told = {"arguments": arguments or ARGUMENTS, "payload": {"kind": "function", "function": "fit"}}
    ledger.take(json.dumps(told).encode())
    given: dict[str, Any] = dict.fromkeys(AttemptRecord.__dataclass_fields__)
    given |= {
        "attempt": attempt, "job": IDENTITY.job_name(attempt), "backend": "kubernetes", "stack": "prod", "target": "gpu",
        "settings": {}, "request": {"env": {"SECRET": CANARY}}, "try_number": try_number, "started_at": NOW,
    }  # fmt: skip
    record = AttemptRecord(**given)
    backend: Any = SimpleNamespace(
        link=lambda handle: f"https://u:{CANARY}@console/jobs/1?token={CANARY}#/runs",
        has_tasks=has_tasks,
        what_runs=lambda request: "",
    )
    handle = JobHandle("kubernetes", record.job, "uid-1", {"namespace": "ml", "token": CANARY})
    return ActiveAttempt(ledger, record, backend, handle, log=SimpleNamespace(close=lambda: None))  # type: ignore[arg-type]


def make_collected(active: ActiveAttempt, **facts: Any) -> Collected:
    result = {
        "datasets": {"read": [Dataset("gs://lake/ref").to_wire()], "written": [Dataset("s3://out/scores/").to_wire()]},
        "timings": {"finished_at": "2026-01-02T03:10:00+00:00", "install": 1.5, "compute": 60.0, "odd": "x"},
        "peak_memory_bytes": 1024, "environment": {"SECRET": CANARY},
    }  # fmt: skip
    made = Collected(
        outputs={
            "return_value": CollectedOutput(artifact(), inline=False),
            "handed_on": CollectedOutput(artifact(task="prepare", codec="parquet"), inline=False),
        },
        metrics={"auc": 0.9, "loss": {"mlx": "float/1", "value": "NaN"}}, skipped=None, result=result,
        result_sha256="0" * 64, record=active.record, uri=active.ledger.uri,
    )  # fmt: skip
    return replace(made, **facts)


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore()


@pytest.fixture
def context() -> dict[str, Any]:
    dag_run = SimpleNamespace(logical_date=NOW, run_after=NOW, clear_number=0, conf={}, run_id="run-7")
    task = SimpleNamespace(
        task_id="train", log=logging.getLogger("test.lineage"), step_resources={"cpu": 2, "gpu": "L4:1"}, image="img:1",
        inlets=[], outlets=[], params={}, dag=None,
    )  # fmt: skip
    ti = SimpleNamespace(dag_id="churn", task_id="train", run_id="run-7", map_index=-1, try_number=1, task=task)
    return {"ti": ti, "dag_run": dag_run, "task": task}


@pytest.fixture
def use_transport(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Configure OpenLineage's transport, as ``[openlineage] transport`` does."""

    def use(**transport: Any) -> None:
        from airflow.providers.openlineage.plugins import listener
        from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

        monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
        made = SimpleNamespace(adapter=OpenLineageAdapter())
        monkeypatch.setattr(listener, "get_openlineage_listener", lambda: made)

    return use


@pytest.fixture
def events_file(tmp_path: Path, use_transport: Callable[..., None]) -> Path:
    """The file that events go to."""
    file = tmp_path / "events.ndjson"
    use_transport(type="file", log_file_path=str(file), append=True)
    return file


def events_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
