"""
The contract suite on a real API server of Kubeflow Pipelines whose steps really run (``tests/kubeflow_pipelines``).

The artifact root is an S3 of our own; the log comes by the server's route.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import ClassVar

import pytest
from airflow.sdk.bases.hook import BaseHook

from airflow_provider_mlx.backends.kubeflow_pipelines import logs
from airflow_provider_mlx.backends.kubeflow_pipelines.backend import KubeflowPipelinesBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.cannot import CANNOT
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import KubeflowPipelinesSettings
from airflow_provider_mlx.testing import BackendContract
from tests.contract.conftest import CONN_ID
from tests.kubeflow_pipelines.fixtures import kubeflow_server, running_kubeflow
from tests.kubeflow_pipelines.pods import running_pods
from tests.kubeflow_pipelines.stack import NAMESPACE

__all__ = ["kubeflow_server", "running_kubeflow"]


class Connected(KubeflowPipelinesBackend):
    """Reads its connection itself, also where the suite makes it in another process."""

    image_for_tests = "registry.example.com/python:boto3"

    def __init__(self, settings, conn_id=None, store=None, **_) -> None:
        super().__init__(settings, conn_id, store, read_connection=BaseHook.get_connection)


@pytest.fixture(scope="module")
def pods(running_kubeflow, s3_endpoint, tmp_path_factory):
    identity = {
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": s3_endpoint, "AWS_ALLOW_HTTP": "true",
    }  # fmt: skip
    with running_pods(running_kubeflow, tmp_path_factory.mktemp("pods"), identity=identity) as pods:
        yield pods
    assert pods.problems == []


class TestKubeflowPipelines(BackendContract):
    seconds = 60.0
    artifacts_conn_id = CONN_ID
    leaves_time_to_stop = False
    longest_line = 60_000
    cannot: ClassVar[Mapping[str, str]] = CANNOT

    @pytest.fixture
    def root(self, request):
        return f"s3://artifacts/{abs(hash(request.node.nodeid)):x}/artifact röot"

    @pytest.fixture
    def store(self, s3_store):
        return s3_store

    @pytest.fixture
    def backend(self, kubeflow_server, pods, store, monkeypatch):
        monkeypatch.setattr(logs, "SERVER_SECONDS", 0.3)
        settings = KubeflowPipelinesSettings(address=kubeflow_server.address, keep="on_failure")
        backend = Connected(settings, None, store)
        yield backend
        for run in list(
            backend.client.list_runs()
        ):  # a run gets its id once, but the steps of these tests have the same
            backend.client.delete_run(run["run_id"])
        backend.client.close()

    @pytest.fixture
    def secret(self, kubeflow_server):
        value = "s3cr3t-canary"
        kubeflow_server.api.apply({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf", "namespace": NAMESPACE},
            "data": {"token": base64.b64encode(value.encode()).decode()},
        })  # fmt: skip
        return {"name": "hf", "key": "token"}, value
