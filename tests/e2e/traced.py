"""A real Airflow that keeps the lineage of its own runs, and what others might tell it besides."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from demo.standalone import Standalone
from tests.openlineage.collecting import TRANSPORT

TOKEN = "a-token-for-this-test-only"
DAG_ID = "traced"
DAG = """
from airflow.sdk import DAG, task


with DAG("traced", schedule=None):

    @task.mlx(deferrable=False)
    def prepare():
        from airflow_provider_mlx import current_step

        current_step.dataset("s3://lake/raw.csv", "v7")
        return ["row"] * 50_000

    @task.mlx(deferrable=False)
    def train(rows: list):
        return {"weights": rows}

    train(prepare())


with DAG("drawn", schedule=None):

    @task.mlx(deferrable=False)
    def report():
        from airflow_provider_mlx import Markdown

        return Markdown("# All is well <img src=x>")

    @task.mlx(deferrable=False, multiple_outputs=True)
    def draw():
        import base64
        from pathlib import Path

        from airflow_provider_mlx import Html

        pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
        Path("plot.png").write_bytes(base64.b64decode(pixel))
        script = "<script>document.body.textContent = document.title = parent.document.title = 'broken'</script>"
        return {"plot": Path("plot.png"), "page": Html(f"<h1>Untouched</h1>{script}<img src=x onerror=document.body.remove()>")}

    report()
    draw()


with DAG("told", schedule=None):
    @task.mlx
    def nothing():
        pass

    nothing()
"""
TOLD_ID = "told"
"""A DAG that never runs: jobs of events that are made up belong to it."""
NAMESPACE = "made"
"""Of the jobs of made events: none is of Airflow's own."""


@dataclass(frozen=True)
class Traced:
    """Airflow after one run of its DAG."""

    airflow: Standalone
    run_id: str

    def tell(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Send events as Airflow does."""
        request = urllib.request.Request(
            f"{self.airflow.url}/mlx/lineage/api/v1/lineage/batch", data=json.dumps(events).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=120) as answer:
            told = json.load(answer)
        assert not told.get("failed_events"), told


def sent_to_itself(url: str) -> dict[str, Any]:
    """The transport of an Airflow, at an address, that keeps its lineage itself."""
    return {
        "type": "http", "url": url, "endpoint": "mlx/lineage/api/v1/lineage", "timeout": 5,
        "auth": {"type": "api_key", "apiKey": TOKEN},
    }  # fmt: skip


@contextmanager
def traced_airflow(bin_folder: Path, folder: Path) -> Iterator[Traced]:
    """
    Started, and stopped at the end.

    :param folder: its home, with its DAG and its store.
    """
    dags = folder / "traced"
    dags.mkdir()
    (dags / "traced.py").write_text(DAG)
    airflow = Standalone(bin_folder=bin_folder, home=folder, dags=dags)
    airflow.env |= {
        "AIRFLOW__MLX__LINEAGE_STORE": f"sqlite:///{folder}/lineage.db", "AIRFLOW__MLX__LINEAGE_TOKEN": TOKEN,
        TRANSPORT: json.dumps(sent_to_itself(airflow.url)),
    }  # fmt: skip
    with airflow:
        airflow.wait_for_dag(DAG_ID)
        airflow.wait_for_dag(TOLD_ID)
        run_id = airflow.trigger(DAG_ID)
        state = airflow.wait_for_run(DAG_ID, run_id)
        assert state == "success", airflow.log.read_text()[-5000:]
        yield Traced(airflow, run_id)


def ended(
    job: str, run: int, *, inputs: Sequence[Mapping[str, Any]] = (), outputs: Sequence[Mapping[str, Any]] = (),
    parent: tuple[str, int] | None = None, dag: str = TOLD_ID, integration: str = "AIRFLOW", state: str = "COMPLETE",
    **run_facets: Any,
) -> dict[str, Any]:  # fmt: skip
    """
    The event of a run's end.

    :param run: its number, from which its id and time are made.
    :param parent: job and run around it; without one it is a task of Airflow's.
    """
    facets = dict(run_facets)
    if parent is None:
        task = {"task": {"task_id": job.rpartition(".")[2]}, "taskInstance": {"try_number": 1}}
        facets["airflow"] = {"dag": {"dag_id": dag}, "dagRun": {"dag_id": dag, "run_id": "made"}, **task}
    else:
        facets["parent"] = {
            "job": {"namespace": NAMESPACE, "name": parent[0]},
            "run": {"runId": str(UUID(int=parent[1]))},
        }
    at = datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=run % 3000)
    return {
        "eventType": state, "eventTime": at.isoformat(), "producer": "https://example.com",
        "schemaURL": "https://example.com", "run": {"runId": str(UUID(int=run)), "facets": facets},
        "job": {"namespace": NAMESPACE, "name": job, "facets": {"jobType": {"integration": integration}}},
        "inputs": list(inputs), "outputs": list(outputs),
    }  # fmt: skip


def data(name: str, version: str = "1", **facets: Any) -> dict[str, Any]:
    """A dataset of an event."""
    facets["version"] = {"datasetVersion": version}
    return {"namespace": "s3://made", "name": name, "facets": facets}


def wide(nodes: int, *, layers: int = 25) -> list[dict[str, Any]]:
    """
    Jobs in layers, the first of which reads ``wide-<nodes>/raw.csv``, each other two datasets of the layer before it.

    Half of the nodes are jobs, which write one dataset each.
    """
    jobs, rows = nodes // 2, max(2, nodes // 2 // layers)
    told = []
    for number in range(jobs):
        read = [number - rows - shift for shift in (0, 1) if number - rows - shift >= 0]
        told.append(
            ended(
                f"{TOLD_ID}.wide-{nodes}-{number}", nodes * 1000 + number, integration=("AIRFLOW", "SPARK")[number % 2],
                inputs=[data(f"wide-{nodes}/{one}.parquet") for one in read] or [data(f"wide-{nodes}/raw.csv")],
                outputs=[data(f"wide-{nodes}/{number}.parquet")],
            )
        )  # fmt: skip
    return told
