"""An Airflow with three backends, after its runs: one DAG for two months, and one whose steps fail with secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.fixtures import cluster
from tests.security.canaries import Canaries

from .backends import LAKE, Backends, TracingAirflow

__all__ = ["cluster"]

MONTHS = ("2026-10", "2026-11")


@dataclass(frozen=True)
class Ran:
    """What there is when all runs have ended."""

    airflow: TracingAirflow
    backends: Backends
    canaries: Canaries
    folder: Path


@pytest.fixture(scope="session")
def ran(cluster, tmp_path_factory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("one-graph")
    canaries = Canaries()
    with Backends.running(cluster, folder) as backends:
        airflow = TracingAirflow(folder, backends)
        airflow.env |= {
            "AIRFLOW_CONN_HUB": f"http://user:{canaries.plant('a connection', odd=False)}@hub.example.com",
        }
        leaky = {
            "api_token": canaries.plant("a parameter"), "db_password": canaries.plant("an exception's text"),
            "table": f"s3://{LAKE}/leaky.csv?X-Amz-Signature={canaries.plant('a presigned address')}",
        }  # fmt: skip
        for index, month in enumerate(MONTHS):
            backends.put_month(month, 200 + 50 * index)
        with airflow:
            airflow.wait_for_dag("leaky")
            runs = [("leaky", airflow.trigger("leaky", leaky), "failed")]
            for month in MONTHS:  # one after the other: the later one is the latest version
                run = airflow.trigger("one_graph", {"month": month})
                assert airflow.wait_for_run("one_graph", run) == "success", airflow.log.read_text()[-8000:]
            for dag_id, run, state in runs:
                assert airflow.wait_for_run(dag_id, run) == state
            yield Ran(airflow, backends, canaries, folder)


@pytest.fixture(scope="session")
def airflow(ran: Ran) -> TracingAirflow:
    return ran.airflow
