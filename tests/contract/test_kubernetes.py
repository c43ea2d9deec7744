"""The contract suite on a real Kubernetes API server and real nodes, with the artifact root in an S3 of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import ClassVar

import pytest
from moto.server import ThreadedMotoServer

from airflow_provider_mlx.artifacts.credentials import open_store
from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes.backend import KubernetesBackend
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings, TrainerSettings
from airflow_provider_mlx.backends.kubernetes.trainer import TrainerBackend
from airflow_provider_mlx.testing import BackendContract
from airflow_provider_mlx.testing.steps import ContractStep
from tests.cluster.waiting import wait_until

CONN_ID = "mlx_contract_kubernetes"
S3_CONN_ID = "mlx_contract_cluster_s3"
IMAGE = "MLX_CONTRACT_IMAGE"
BUCKET = "cluster"


def connection_of_the_environment(conn_id):
    extra = json.loads(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"])["extra"]
    return SimpleNamespace(conn_id=conn_id, extra_dejson=extra)


class Connected:
    """Reads its connection itself, also where the suite makes it in another process."""

    def __init__(self, settings, conn_id=None, store=None, **_):
        super().__init__(settings, conn_id, store, read_connection=connection_of_the_environment)
        self.image_for_tests = os.environ[IMAGE]


class ConnectedKubernetes(Connected, KubernetesBackend):
    pass


class ConnectedTrainer(Connected, TrainerBackend):
    pass


@pytest.fixture(scope="module")
def s3(cluster):
    """An S3 that pods and this process reach at one address."""
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    import boto3

    endpoint = f"http://{cluster.host_address}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="id", aws_secret_access_key="key"
    )
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield endpoint
    server.stop()


@pytest.fixture(scope="module")
def namespace(cluster, s3):
    """A namespace of the restricted Pod Security Standard, with the secrets that the jobs need."""
    name = cluster.new_namespace()
    cluster.request(
        "PATCH", f"/api/v1/namespaces/{name}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}, "application/merge-patch+json",
    )  # fmt: skip
    values = {
        "AWS_ENDPOINT_URL": s3, "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
    }  # fmt: skip
    for secret, data in (("s3", values), ("hf", {"token": "s3cr3t-canary"})):
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": data}
        cluster.request("POST", f"/api/v1/namespaces/{name}/secrets", manifest)
    return name


class OnACluster(BackendContract):
    seconds = 120.0
    artifacts_conn_id = S3_CONN_ID

    @pytest.fixture
    def root(self, request):
        return f"s3://{BUCKET}/{abs(hash(request.node.nodeid)):x}/artifact röot"

    @pytest.fixture
    def store(self, s3, monkeypatch):
        connection = {
            "conn_type": "aws", "login": "id", "password": "key",
            "extra": {"region_name": "eu-central-1", "endpoint_url": s3},
        }  # fmt: skip
        monkeypatch.setenv(f"AIRFLOW_CONN_{S3_CONN_ID.upper()}", json.dumps(connection))
        return open_store(f"s3://{BUCKET}", S3_CONN_ID)

    @pytest.fixture
    def connected(self, cluster, monkeypatch):
        config = {"kube_config_path": str(cluster.kubeconfig)}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": "kubernetes", "extra": config}))
        monkeypatch.setenv(IMAGE, cluster.s3_image)

    @pytest.fixture
    def secret(self):
        return {"name": "hf", "key": "token"}, "s3cr3t-canary"

    def owned_by(self, cluster, namespace, handle):
        """What the job owns, as ``kind/name``."""
        found = [
            f"{kind}/{item['metadata']['name']}"
            for kind in ("configmaps", "services")
            for item in cluster.api.get(f"/api/v1/namespaces/{namespace}/{kind}")["items"]
            if any(owner["uid"] == handle.id for owner in item["metadata"].get("ownerReferences") or ())
        ]
        return sorted(found)

    def test_submitting_again_makes_what_is_missing(self, backend, root, started, cluster, namespace):
        step = ContractStep(run_id="half submitted")
        request = step.prepare(backend, root)
        backend._after(request.get("before", ()), request)  # the job is made … and the worker died
        handle = started(step)
        assert self.owned_by(cluster, namespace, handle) == [f"configmaps/{request['code']['config_map']}"]
        assert self.finish(backend, handle).status.state is State.SUCCEEDED

    def test_forgetting_a_job_leaves_nothing_in_the_namespace(self, backend, root, started, cluster, namespace):
        handle = started(ContractStep(run_id="forgotten"))
        self.finish(backend, handle)
        assert self.owned_by(cluster, namespace, handle)
        backend.forget(handle)
        wait_until("the job's objects are gone", lambda: not self.owned_by(cluster, namespace, handle))
        wait_until("its pods are gone", lambda: not backend._looking(None).pods(handle.name))

    def test_the_last_line_may_have_no_end(self, backend, started):
        handle = started(ContractStep("import sys\n\ndef run():\n    sys.stdout.write('no line feed')\n"))
        self.finish(backend, handle)
        assert self.read_log(backend, handle)[-1] == "no line feed"


class TestKubernetes(OnACluster):
    @pytest.fixture
    def backend(self, connected, namespace, store):
        settings = KubernetesSettings(namespace=namespace, env_from=[{"secret": "s3"}])
        backend = ConnectedKubernetes(settings, CONN_ID, store)
        yield backend
        backend.client.close()


@pytest.mark.usefixtures("trainer_cluster")
class TestTrainer(OnACluster):
    cannot: ClassVar[Mapping[str, str]] = {
        "command": "a TrainJob runs training code → use a kubernetes target for a container command",
    }

    @pytest.fixture
    def backend(self, connected, namespace, store):
        settings = TrainerSettings(namespace=namespace, env_from=[{"secret": "s3"}])
        backend = ConnectedTrainer(settings, CONN_ID, store)
        yield backend
        backend.client.close()
