"""The contract suite on a backend behind a network: a server in a process of its own."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.testing import BackendContract
from airflow_provider_mlx.testing.remote.backend import RemoteBackend, RemoteSettings
from airflow_provider_mlx.testing.remote.control import RemoteServer
from airflow_provider_mlx.testing.steps import ContractStep

CONN_ID = "mlx_contract_remote"
VARIABLE = f"AIRFLOW_CONN_{CONN_ID.upper()}"


def connection_of_the_environment(conn_id):
    return SimpleNamespace(**json.loads(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"]))


class ConnectedBackend(RemoteBackend):
    """Reads its connection itself, also where the suite makes it in another process."""

    def __init__(self, settings, conn_id=None, store=None, **_):
        super().__init__(settings, conn_id, store, read_connection=connection_of_the_environment)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RemoteServer(tmp_path_factory.mktemp("remote"), env={"CONTRACT_SECRET": "s3cr3t-canary"}) as server:
        yield server
        assert server.record().active_at(float("inf")) == []


class TestRemote(BackendContract):
    cannot = dict.fromkeys(
        ("cpu", "memory", "gpu", "shm", "disk", "nodes", "launcher", "priority", "command", "image"),
        "the server only starts a process → use a real backend",
    )

    @pytest.fixture
    def backend(self, server, store, monkeypatch):
        monkeypatch.setenv(VARIABLE, json.dumps(server.connection()))
        backend = ConnectedBackend(RemoteSettings(), CONN_ID, store)
        yield backend
        backend.disconnect()

    @pytest.fixture
    def secret(self):
        return {"variable": "CONTRACT_SECRET"}, "s3cr3t-canary"

    def test_the_record_tells_of_one_job_when_two_submitted(self, backend, root, started, server):
        step = ContractStep(run_id="recorded")
        handle = started(step)
        backend.submit(step.plan(backend, root).request)
        self.finish(backend, handle)
        (job,) = server.record().created(run_id="recorded")
        assert (job.name, job.id, job.duplicates, job.status) == (handle.name, handle.id, 1, "succeeded")
        assert job.labels["deployment_id"] == "contract"
