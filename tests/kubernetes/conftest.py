"""Operators on a real cluster: executed as a task process does, without Airflow's database."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlx-tests-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

import pytest

from tests.cluster.fixtures import cluster, own_cluster, trainer_cluster
from tests.cluster.image_recipes import NO_PYTHON
from tests.kubernetes.fixtures import cluster_s3, cluster_store, connect, tenant
from tests.unit.operators.conftest import airflow_home, execute

__all__ = [
    "airflow_home", "cluster", "cluster_s3", "cluster_store", "connect", "execute", "own_cluster", "tenant",
    "trainer_cluster",
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


class Heard(list[str]):
    """What an operator logs."""

    def info(self, message: str, *values: object) -> None:
        self.append(message % values if values else message)

    warning = debug = error = info


@pytest.fixture
def heard() -> Heard:
    """What the tasks of ``in_a_dag`` log."""
    return Heard()


@pytest.fixture
def in_a_dag(connected, heard, monkeypatch, request) -> Callable[..., Any]:
    """Makes a task of an operator in a DAG of the test's own."""
    from airflow.sdk import DAG

    def make(kind: type, /, *, task_id: str = "task", **fields: Any) -> Any:
        monkeypatch.setattr(kind, "log", heard)
        with DAG(f"dag{abs(hash(request.node.nodeid)):x}", schedule=None) as dag:
            task = kind(task_id=task_id, **fields)
        file = connected / "dags.py"
        file.touch()
        dag.fileloc = str(file)
        return task

    return make


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
