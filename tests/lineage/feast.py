"""Feast as a consumer of OpenLineage that has nothing to do with us: its own server, in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx

from demo.standalone import free_port
from tests.e2e.harness import Environment

FEAST: Final = Environment("feast")
STORE: Final = """
project: lineage
provider: local
registry: {{registry_type: sql, path: "sqlite:///{folder}/registry.db"}}
online_store: {{type: sqlite, path: "{folder}/online.db"}}
openlineage: {{enabled: true, transport_type: console, namespace: lineage, consumer: {{enabled: true, store_type: sql}}}}
"""
START_SECONDS: Final = 120


@dataclass(frozen=True)
class Feast:
    """A running server of lineage."""

    url: str
    folder: Path

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """For a block."""
        FEAST.check()
        (folder / "feature_store.yaml").write_text(STORE.format(folder=folder))
        port = free_port()
        command = [str(FEAST.bin / "feast"), "serve_lineage", "--host", "127.0.0.1", "--port", str(port)]
        found = cls(f"http://127.0.0.1:{port}/api/v1/lineage", folder)
        with (folder / "feast.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            until = time.monotonic() + START_SECONDS
            while not found._answers():
                assert process.poll() is None and time.monotonic() < until, (folder / "feast.log").read_text()[-3000:]
                time.sleep(0.5)
            yield found
        finally:
            process.terminate()
            process.wait(30)

    def take(self, events: Iterable[Any]) -> None:
        """Send it events in the order of their times."""
        for event in sorted(events, key=lambda event: event["eventTime"]):
            httpx.post(self.url, json=event, timeout=60).raise_for_status()

    def flows(self) -> set[tuple[str, str]]:
        """From, to: the names of jobs and datasets that data flows between."""
        graph = httpx.get(f"{self.url}/openlineage/graph", timeout=60).raise_for_status().json()
        data = [edge for edge in graph["edges"] if edge["edge_type"] in ("input", "output")]
        return {(edge["source_name"], edge["target_name"]) for edge in data}

    def versions(self, namespace: str, name: str) -> set[str]:
        """The versions of a dataset that it keeps; its own route takes no name with a slash, so its database is asked."""
        asked = "select facets_json from openlineage_dataset_versions where dataset_namespace = ? and dataset_name = ?"
        with sqlite3.connect(f"file:{self.folder}/registry.db?mode=ro", uri=True) as database:
            found = [json.loads(facets) for (facets,) in database.execute(asked, (namespace, name))]
        return {str(facets["version"]["datasetVersion"]) for facets in found}

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/openlineage/namespaces", timeout=5).is_success
        return False
