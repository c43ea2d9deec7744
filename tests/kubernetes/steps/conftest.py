"""Backends on the tests' cluster, as the operator makes them, with the artifact root in an S3 of our own."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.artifacts.credentials import open_store
from tests.cluster.fixtures import cluster, own_cluster, trainer_cluster
from tests.contract.test_kubernetes import CONN_ID, IMAGE, S3_CONN_ID, namespace, s3

__all__ = ["cluster", "namespace", "own_cluster", "s3", "trainer_cluster"]


@pytest.fixture
def root(request):
    return f"s3://cluster/steps/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def store(s3, monkeypatch):
    extra = {"region_name": "eu-central-1", "endpoint_url": s3}
    connection = {"conn_type": "aws", "login": "id", "password": "key", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{S3_CONN_ID.upper()}", json.dumps(connection))
    return open_store("s3://cluster", S3_CONN_ID)


@pytest.fixture
def connected(cluster, monkeypatch):
    extra = {"kube_config_path": str(cluster.kubeconfig)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    monkeypatch.setenv(IMAGE, cluster.s3_image)
