"""What doctor thinks of a cluster: every line that is not well says how to mend it."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.kubernetes.needs import PRODUCTS, VERSIONS, Named, groups_of, objects_of, rights_of
from airflow_provider_mlx.backends.kubernetes.settings import GpuModel, KubernetesSettings, TrainerSettings
from airflow_provider_mlx.cli import cluster_checks as checks
from airflow_provider_mlx.cli.doctor_checks import Status

SECRET = Named("Secret", "", "secrets", "hf", "secrets.hf")
QUEUE = Named("LocalQueue", "kueue.x-k8s.io", "localqueues", "team", "queue")


@pytest.mark.parametrize(
    ("check", "status", "said"),
    [
        pytest.param(checks.version("c", "v1.36.3", ["a.b"]), Status.OK, "used by a.b", id="a version that is new enough"),
        pytest.param(checks.version("c", "v1.28.9+k3s1", []), Status.WARN, "1.29 or newer", id="one that is not"),
        pytest.param(checks.version("c", "?", []), Status.OK, "Kubernetes ?", id="one that nobody knows"),
        pytest.param(checks.namespace("ml", None), Status.UNKNOWN, "kubectl get namespace ml", id="a namespace that may not be asked"),
        pytest.param(checks.namespace("ml", False), Status.FAIL, "init kubernetes", id="none"),
        pytest.param(checks.namespace("ml", True), Status.OK, "it is there", id="one"),
        pytest.param(checks.rights("ml", {("get", "pods"): True}), Status.OK, "all 1", id="all rights"),
        pytest.param(checks.rights("ml", {("get", "pods"): True, ("create", "jobs.batch"): False}), Status.FAIL, "may not: create jobs.batch →", id="what is missing is named"),
        pytest.param(checks.api("kueue.x-k8s.io", ("v2", "v1"), ("v1",), ["a.b"]), Status.OK, "v1 is served", id="an older version that we speak"),
        pytest.param(checks.api("kueue.x-k8s.io", ("v2",), ("v3",), ["a.b"]), Status.FAIL, "served as v3", id="versions that we do not"),
        pytest.param(checks.api("kueue.x-k8s.io", ("v2",), (), ["a.b"]), Status.FAIL, "install Kueue", id="an API that nothing serves"),
        pytest.param(checks.named(SECRET, "ml", None, ["a.b"]), Status.UNKNOWN, "kubectl get secrets hf -n ml", id="a Secret that may not be asked"),
        pytest.param(checks.named(QUEUE, "ml", False, ["a.b"]), Status.FAIL, "kubectl get localqueues.kueue.x-k8s.io team -n ml", id="a queue that is not there"),
        pytest.param(checks.named(QUEUE, "", True, ["a.b"]), Status.OK, "`queue` of a.b", id="one that is"),
        pytest.param(checks.unreachable("c", "no answer"), Status.FAIL, "no answer →", id="no answer"),
    ],
)  # fmt: skip
def test_a_judgement(check, status, said):
    assert check.status is status
    assert said in f"{check.about}: {check.what} → {check.mend}"
    assert check.mend or status is Status.OK


def test_what_a_target_names_is_found_once_and_with_its_key():
    settings = TrainerSettings(
        namespace="ml", service_account="jobs", image_pull_secrets=("pull", "pull"),
        env_from=({"secret": "s3"}, {"config_map": "settings"}), volumes=({"claim": "data", "path": "/d"},),
        priority_class="high", runtime_class="nvidia", scheduler="kueue", queue="team", runtime="torch",
        gpus={"H100": GpuModel(device_class="gpu.example.com")},
    )  # fmt: skip
    found = {
        (one.kind, one.name): one for one in objects_of(settings, {"hf": {"name": "hugging-face", "key": "token"}})
    }
    assert set(found) == {
        ("ServiceAccount", "jobs"), ("Secret", "hugging-face"), ("Secret", "pull"), ("Secret", "s3"),
        ("ConfigMap", "settings"), ("PersistentVolumeClaim", "data"), ("RuntimeClass", "nvidia"),
        ("PriorityClass", "high"), ("LocalQueue", "team"), ("DeviceClass", "gpu.example.com"),
        ("ClusterTrainingRuntime", "torch"),
    }  # fmt: skip
    assert (
        found["LocalQueue", "team"].path("v1beta2", "ml")
        == "/apis/kueue.x-k8s.io/v1beta2/namespaces/ml/localqueues/team"
    )
    assert found["RuntimeClass", "nvidia"].path("v1", "ml") == "/apis/node.k8s.io/v1/runtimeclasses/nvidia"
    assert found["Secret", "hugging-face"].key == "secrets.hf"
    assert groups_of(settings) == ("trainer.kubeflow.org", "kueue.x-k8s.io", "resource.k8s.io")
    assert objects_of(KubernetesSettings(), {}) == ()


def test_a_target_asks_for_no_right_that_its_kind_of_job_does_not_use():
    def resources(settings):
        return {right.resource for right in rights_of(settings)}

    assert "jobs" not in resources(TrainerSettings())
    assert "trainingruntimes" in resources(TrainerSettings())
    assert "trainingruntimes" not in resources(TrainerSettings(runtime="torch-distributed"))
    assert "podgroups" in resources(KubernetesSettings(scheduler="volcano"))
    assert "podgroups" not in resources(TrainerSettings(scheduler="volcano"))
    assert "workloads" in resources(TrainerSettings(scheduler="kueue", queue="team"))


def test_every_api_that_is_asked_for_has_versions_and_a_name():
    assert set(VERSIONS) == set(PRODUCTS)
    for scheduler in ("default", "kai", "kueue", "volcano"):
        assert set(groups_of(TrainerSettings(scheduler=scheduler))) <= set(VERSIONS)
