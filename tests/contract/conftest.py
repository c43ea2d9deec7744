"""An S3 of our own: moto's server in this process, reached through an Airflow connection."""

from __future__ import annotations

import logging
import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlx-tests-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

import boto3
import pytest
from moto.server import ThreadedMotoServer

from airflow_provider_mlx.artifacts.credentials import open_store
from tests.cluster.fixtures import cluster, trainer_cluster

__all__ = ["cluster", "trainer_cluster"]

CONN_ID = "mlx_contract_s3"


@pytest.fixture(scope="session")
def s3_endpoint():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="id", aws_secret_access_key="key"
    )
    if "artifacts" not in {
        bucket["Name"] for bucket in client.list_buckets()["Buckets"]
    }:  # moto's state is the process's, whoever else has started a server
        client.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield endpoint
    server.stop()


@pytest.fixture
def s3_store(s3_endpoint, monkeypatch):
    """The store as the operator opens it: with the credentials of an Airflow connection."""
    import json

    connection = {
        "conn_type": "aws", "login": "id", "password": "key",
        "extra": {"region_name": "eu-central-1", "endpoint_url": s3_endpoint},
    }  # fmt: skip
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    return open_store("s3://artifacts", CONN_ID)
