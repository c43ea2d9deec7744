"""
The contract suite on an endpoint of AWS whose jobs really run (``tests/aws``).

Each kind of job is tested twice: with an image that has Python and nothing else, whose files SageMaker brings and
takes, and with one that has a client of S3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

import pytest
from airflow.sdk.bases.hook import BaseHook

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.backends.sagemaker.backend import SageMakerBackend
from airflow_provider_mlx.backends.sagemaker.settings import SageMakerSettings
from airflow_provider_mlx.testing import BackendContract
from tests.aws.endpoint import Endpoint

CONN_ID = "mlx_sagemaker_tests"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/python:3"
IMAGE_WITH_CLIENT = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ml:boto3"


@pytest.fixture(scope="module")
def endpoint():
    with Endpoint() as endpoint:
        yield endpoint
    assert endpoint.problems == []


class Connected(SageMakerBackend):
    """Reads its connection itself, also where the suite makes it in another process."""

    image_for_tests = IMAGE

    def __init__(self, settings, conn_id=None, store=None, **_) -> None:
        super().__init__(settings, conn_id, store, read_connection=BaseHook.get_connection)


class ConnectedWithClient(Connected):
    image_for_tests = IMAGE_WITH_CLIENT


class OnSageMaker(BackendContract):
    seconds = 60.0
    artifacts_conn_id = CONN_ID
    kind = "training"
    connected: ClassVar[type[Connected]] = Connected
    cannot: ClassVar[Mapping[str, str]] = {
        "fractional_gpu": "instances have whole GPUs → ask for gpu=1, or use a kubernetes target with KAI",
        "shm": "the size of /dev/shm cannot be set in SageMaker's containers → leave it out, or use fewer workers that "
        "share memory",
        "priority": "jobs of SageMaker have no priority → leave it out",
    }

    @pytest.fixture
    def root(self, request):
        return f"s3://artifacts/{abs(hash(request.node.nodeid)):x}/artifact röot"

    @pytest.fixture
    def store(self, endpoint, monkeypatch):
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(endpoint.connection()))
        return open_store("s3://artifacts", CONN_ID)

    @pytest.fixture(autouse=True)
    def no_logs_left(self, endpoint):
        """A job gets its name once, but the steps of these tests all have the same; and logs outlive their jobs."""
        yield
        logs = endpoint.client("logs")
        for group in logs.describe_log_groups()["logGroups"]:
            logs.delete_log_group(logGroupName=group["logGroupName"])

    @pytest.fixture
    def backend(self, endpoint, store):
        settings = SageMakerSettings(role_arn=endpoint.role_arn, kind=self.kind, keep="on_failure")
        backend = self.connected(settings, CONN_ID, store)
        yield backend
        backend.client.close()

    @pytest.fixture
    def secret(self, endpoint):
        client = endpoint.client("secretsmanager")
        value = "s3cr3t-canary"
        if "hf" not in {one["Name"] for one in client.list_secrets()["SecretList"]}:
            client.create_secret(Name="hf", SecretString=json.dumps({"token": value}))
        return {"secretsmanager": "hf", "key": "token"}, value


class TestTraining(OnSageMaker):
    pass


class TestProcessing(OnSageMaker):
    kind = "processing"


class TestTrainingWithAClient(OnSageMaker):
    connected = ConnectedWithClient


class TestProcessingWithAClient(OnSageMaker):
    kind = "processing"
    connected = ConnectedWithClient
