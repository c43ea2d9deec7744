"""
The contract suite on a real Kubernetes API server and real nodes, with the artifact root in an S3 of our own.

The backend has a kubeconfig of a service account with exactly the Role that ``init kubernetes`` writes, in a namespace
of the restricted Pod Security Standard with the NetworkPolicy from there; the administrator is the tests' own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes.backend import KubernetesBackend
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings, TrainerSettings
from airflow_provider_mlx.backends.kubernetes.trainer import TrainerBackend
from airflow_provider_mlx.testing import BackendContract
from airflow_provider_mlx.testing.steps import ContractStep
from tests.cluster.waiting import wait_until
from tests.kubernetes.fixtures import (
    BUCKET,
    CONN_ID,
    S3_CONN_ID,
    Connected,
    cluster_s3,
    cluster_store,
    connect,
    tenant,
)

__all__ = ["cluster_s3", "cluster_store", "connect", "tenant"]


class ConnectedKubernetes(Connected, KubernetesBackend):
    pass


class ConnectedTrainer(Connected, TrainerBackend):
    pass


class OnACluster(BackendContract):
    seconds = 120.0
    artifacts_conn_id = S3_CONN_ID
    made: ClassVar[Mapping[str, str]] = {"jobs": "/apis/batch/v1", "pods": "/api/v1"}
    """What controllers make of a job; a job gets its name once, but the steps of these tests all have the same."""

    @pytest.fixture
    def root(self, request):
        return f"s3://{BUCKET}/{abs(hash(request.node.nodeid)):x}/artifact röot"

    @pytest.fixture
    def store(self, cluster_store):
        return cluster_store

    @pytest.fixture(autouse=True)
    def nothing_left(self, tenant):
        yield
        for plural, api in self.made.items():
            wait_until(f"the last test's {plural} are gone", lambda: not tenant.get(plural, api))  # noqa: B023

    @pytest.fixture
    def connected(self, tenant, connect):
        connect(tenant)

    @pytest.fixture
    def secret(self):
        return {"name": "hf", "key": "token"}, "s3cr3t-canary"

    def owned_by(self, tenant, handle):
        """What the job owns, as ``kind/name``."""
        found = [
            f"{kind}/{item['metadata']['name']}"
            for kind in ("configmaps", "services")
            for item in tenant.get(kind)
            if any(owner["uid"] == handle.id for owner in item["metadata"].get("ownerReferences") or ())
        ]
        return sorted(found)

    def test_submitting_again_makes_what_is_missing(self, backend, root, started, tenant):
        step = ContractStep(run_id="half submitted")
        request = step.prepare(backend, root)
        backend._after(request.get("before", ()), request)  # the job is made … and the worker died
        handle = started(step)
        assert self.owned_by(tenant, handle) == [f"configmaps/{request['code']['config_map']}"]
        assert self.finish(backend, handle).status.state is State.SUCCEEDED

    def test_forgetting_a_job_leaves_nothing_in_the_namespace(self, backend, root, started, tenant):
        handle = started(ContractStep(run_id="forgotten"))
        self.finish(backend, handle)
        assert self.owned_by(tenant, handle)
        backend.forget(handle)
        wait_until("the job's objects are gone", lambda: not self.owned_by(tenant, handle))
        wait_until("its pods are gone", lambda: not backend._looking(None).pods(handle.name))

    def test_the_last_line_may_have_no_end(self, backend, started):
        handle = started(ContractStep("import sys\n\ndef run():\n    sys.stdout.write('no line feed')\n"))
        self.finish(backend, handle)
        assert self.read_log(backend, handle)[-1] == "no line feed"


class TestKubernetes(OnACluster):
    @pytest.fixture
    def backend(self, connected, tenant, store):
        settings = KubernetesSettings(namespace=tenant.namespace, env_from=[{"secret": "s3"}])
        backend = ConnectedKubernetes(settings, CONN_ID, store)
        yield backend
        backend.client.close()


@pytest.mark.usefixtures("trainer_cluster")
class TestTrainer(OnACluster):
    made: ClassVar[Mapping[str, str]] = {**OnACluster.made, "jobsets": "/apis/jobset.x-k8s.io/v1alpha2"}
    cannot: ClassVar[Mapping[str, str]] = {
        "command": "a TrainJob runs training code → use a kubernetes target for a container command",
    }

    @pytest.fixture
    def backend(self, connected, tenant, store):
        settings = TrainerSettings(namespace=tenant.namespace, env_from=[{"secret": "s3"}])
        backend = ConnectedTrainer(settings, CONN_ID, store)
        yield backend
        backend.client.close()
