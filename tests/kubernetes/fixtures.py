"""
What a backend finds on a cluster that an administrator has prepared: a namespace with exactly what
``init kubernetes`` writes, a kubeconfig of Airflow's own service account, an S3, and the secrets of jobs.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from moto.server import ThreadedMotoServer

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.cli.init_kubernetes import Wish, manifests
from tests.cluster.cluster import Cluster
from tests.cluster.waiting import wait_until

BUCKET = "cluster"
REGION = "eu-central-1"
SERVICE_ACCOUNT = "airflow-worker"
CONN_ID = "mlx_tests_kubernetes"
S3_CONN_ID = "mlx_tests_cluster_s3"
IMAGE = "MLX_TESTS_CLUSTER_IMAGE"


@dataclass(frozen=True)
class Tenant:
    """
    A namespace for jobs, and Airflow's way to it.

    :param kubeconfig: with a token of Airflow's service account, which has the Role and nothing else.
    """

    cluster: Cluster
    namespace: str
    kubeconfig: Path
    airflow: str = field(repr=False, default="")

    def get(self, plural: str, api: str = "/api/v1") -> list[dict[str, Any]]:
        """All objects of a kind in the namespace, as an administrator sees them."""
        found: list[dict[str, Any]] = self.cluster.api.get(f"{api}/namespaces/{self.namespace}/{plural}")["items"]
        return found

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object in the namespace, as an administrator."""
        metadata = {**manifest["metadata"], "namespace": self.namespace}
        made: dict[str, Any] = self.cluster.api.apply({**manifest, "metadata": metadata})
        return made

    def remove(self) -> None:
        """Have both namespaces deleted."""
        for name in (self.namespace, self.airflow):
            self.cluster.delete_namespace(name)


def make_tenant(cluster: Cluster, folder: Path, **wished: Any) -> Tenant:
    """
    Apply what ``init kubernetes`` writes for a new namespace.

    :param wished: of :class:`Wish`.
    """
    airflow, namespace = cluster.new_namespace("airflow"), f"jobs-{uuid.uuid4().hex[:8]}"
    account = {"name": SERVICE_ACCOUNT, "namespace": airflow}
    cluster.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    wish = Wish(
        namespace=namespace, service_accounts=[SERVICE_ACCOUNT], service_account_namespace=airflow,
        api_server=["10.0.0.1/32"], **wished,
    )  # fmt: skip
    for manifest in yaml.safe_load_all(manifests(wish)):
        cluster.api.apply(manifest)
    default = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    wait_until(f"the service account of {namespace}", lambda: cluster.api.get(default))
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": cluster.token_for(SERVICE_ACCOUNT, airflow)}
    path = folder / f"{namespace}.kubeconfig"
    path.write_text(json.dumps(config))
    return Tenant(cluster, namespace, path, airflow)


def add_secrets(tenant: Tenant, endpoint: str) -> None:
    """``s3``: with what jobs open the artifact root; ``hf``: what a step asks for."""
    for name, values in (("s3", s3_environment(endpoint)), ("hf", {"token": "s3cr3t-canary"})):
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        tenant.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})


def s3_environment(endpoint: str) -> dict[str, str]:
    """What a client of S3 reads from the environment."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
    }  # fmt: skip


def connection_of_the_environment(conn_id: str) -> SimpleNamespace:
    """A connection as Airflow reads it from the environment."""
    extra = json.loads(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"])["extra"]
    return SimpleNamespace(conn_id=conn_id, extra_dejson=extra)


class Connected:
    """Before a backend: reads its connection itself, also where the suite makes it in another process."""

    def __init__(self, settings: Any, conn_id: str | None = None, store: Any = None, **_: Any) -> None:
        super().__init__(settings, conn_id, store, read_connection=connection_of_the_environment)  # type: ignore[call-arg]
        self.image_for_tests = os.environ[IMAGE]


@pytest.fixture(scope="module")
def cluster_s3(cluster: Cluster) -> Iterator[str]:
    """An S3 that pods and this process reach at one address."""
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    import boto3

    endpoint = f"http://{cluster.host_address}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="id", aws_secret_access_key="key"
    )
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield endpoint
    server.stop()


@pytest.fixture
def cluster_store(cluster_s3: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The store of that S3, as the operator opens it: with the credentials of an Airflow connection."""
    connection = {
        "conn_type": "aws", "login": "id", "password": "key",
        "extra": {"region_name": REGION, "endpoint_url": cluster_s3},
    }  # fmt: skip
    monkeypatch.setenv(f"AIRFLOW_CONN_{S3_CONN_ID.upper()}", json.dumps(connection))
    return open_store(f"s3://{BUCKET}", S3_CONN_ID)


@pytest.fixture(scope="module")
def tenant(cluster: Cluster, cluster_s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A namespace as ``init kubernetes --trainer`` makes it, with what the contract needs beside."""
    made = make_tenant(cluster, tmp_path_factory.mktemp("tenant"), trainer=True)
    add_secrets(made, cluster_s3)
    yield made
    made.remove()


@pytest.fixture
def connect(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[Tenant], None]:
    """Makes the connection ``CONN_ID`` lead to a tenant."""

    def connected(tenant: Tenant) -> None:
        config = {"kube_config_path": str(tenant.kubeconfig)}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": "kubernetes", "extra": config}))
        monkeypatch.setenv(IMAGE, cluster.s3_image)

    return connected
