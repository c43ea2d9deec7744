"""Operators on a real cluster: executed as a task process does, without Airflow's database."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlx-tests-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

import pytest

from tests.cluster.fixtures import cluster, own_cluster, trainer_cluster
from tests.cluster.image_recipes import NO_PYTHON
from tests.kubernetes.fixtures import cluster_s3, cluster_store, connect, tenant
from tests.operator_fixtures import heard, in_a_dag
from tests.unit.operators.conftest import airflow_home, execute

__all__ = [
    "airflow_home", "cluster", "cluster_s3", "cluster_store", "connect", "execute", "heard", "in_a_dag",
    "own_cluster", "tenant", "trainer_cluster",
]  # fmt: skip

CONN_ID = "mlx_kubernetes_tests"
IMAGE = os.environ.get("MLX_TEST_NO_PYTHON_IMAGE", NO_PYTHON)
"""A shell and no Python."""


@pytest.fixture(scope="module")
def namespace(cluster):
    """A namespace for all tests of a module."""
    name = cluster.new_namespace()
    yield name
    cluster.delete_namespace(name)


@pytest.fixture
def connected(cluster, airflow_home, monkeypatch):
    """An Airflow home that knows the cluster."""
    extra = {"kube_config_path": str(cluster.kubeconfig)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "tests")
    return airflow_home


def pod(script: str, image: str = IMAGE, **fields: Any) -> dict[str, Any]:
    """A pod's spec that runs a shell script."""
    container = {"name": "main", "image": image, "command": ["sh", "-c", script], **fields}
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}


def job(script: str, image: str = IMAGE, *, metadata: Any = None, spec: Any = None, **fields: Any) -> dict[str, Any]:
    """A Job of one container."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata or {},
        "spec": {"template": {"spec": pod(script, image, **fields)}, **(spec or {})},
    }


async def first_event(trigger: Any) -> Any:
    """The payload of what a trigger fires, within a minute."""
    async with asyncio.timeout(60):
        return (await anext(trigger.run())).payload
