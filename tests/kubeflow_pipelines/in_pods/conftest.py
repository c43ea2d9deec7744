"""Steps and pipelines on a server whose pods run: how its backends reach it, and where the artifact root is."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlx-tests-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

import pytest
from airflow.sdk.bases.hook import BaseHook

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.kubeflow_pipelines.backend import KubeflowPipelinesBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import KubeflowPipelinesSettings
from airflow_provider_mlx.testing.steps import ContractStep
from tests.cluster.image_recipes import PYTHON_S3
from tests.kubeflow_pipelines.in_pods.fixtures import kubeflow_in_pods, running_kubeflow_in_pods
from tests.kubeflow_pipelines.in_pods.objects import ACCESS_KEY, SECRET_KEY, STORE_SECRET
from tests.kubeflow_pipelines.in_pods.server import REGION, ServerInPods
from tests.kubeflow_pipelines.in_pods.steps import RunningStep

__all__ = ["kubeflow_in_pods", "running_kubeflow_in_pods"]

STORE, CLUSTER = "mlx_kubeflow_store", "mlx_kubeflow_cluster"
BUCKET = "artifacts"


@pytest.fixture
def store(kubeflow_in_pods: ServerInPods, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The artifact root's store, by an Airflow connection."""
    kubeflow_in_pods.objects.create_bucket(Bucket=BUCKET)
    extra = {"region_name": REGION, "endpoint_url": kubeflow_in_pods.store_address}
    connection = {"conn_type": "aws", "login": ACCESS_KEY, "password": SECRET_KEY, "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{STORE.upper()}", json.dumps(connection))
    return open_store(f"s3://{BUCKET}", STORE)


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    """An artifact root for one test; its name needs care."""
    return f"s3://{BUCKET}/{request.node.name}/artifact röot"


@pytest.fixture
def backend(
    kubeflow_in_pods: ServerInPods, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubeflowPipelinesBackend]:
    """The backend of steps, which reads logs from the cluster."""
    extra = {"kube_config_path": str(kubeflow_in_pods.stack.cluster.kubeconfig)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CLUSTER.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    settings = KubeflowPipelinesSettings(address=kubeflow_in_pods.address, kubernetes_conn_id=CLUSTER)
    backend = KubeflowPipelinesBackend(settings, store=store, read_connection=BaseHook.get_connection)
    yield backend
    backend.client.close()


@pytest.fixture
def begin(kubeflow_in_pods, backend, root, request):
    """Starts a step, and stops it when the test is over: ``begin(source, image=…, resources=…)``."""
    begun = []

    def start(source: str = "", *, native_limit: int | None = None, **more) -> RunningStep:
        secrets = {f"AWS_{name}": {"name": STORE_SECRET, "key": key} for name, key in KEYS.items()}
        env = {name: value for name, value in kubeflow_in_pods.identity.items() if name not in secrets}
        given = {"run_id": request.node.name, "image": PYTHON_S3, **({"source": source} if source else {}), **more}
        if "command" not in given:
            given |= {"env": env, "secrets": secrets}
        begun.append(RunningStep(backend, ContractStep(**given), root, native_limit=native_limit))
        return begun[-1]

    yield start
    for step in begun:
        backend.cancel(step.handle)


KEYS = {"ACCESS_KEY_ID": "accesskey", "SECRET_ACCESS_KEY": "secretkey"}
