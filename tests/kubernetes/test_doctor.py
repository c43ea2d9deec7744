"""``doctor`` asks a real API server, in the name of the Role, of one with less, and of an administrator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings, TrainerSettings
from airflow_provider_mlx.cli.doctor_checks import Check, Status
from airflow_provider_mlx.cli.doctor_clusters import look_at_clusters
from airflow_provider_mlx.stacks import Artifacts, Stack, Target
from tests.kubernetes.fixtures import CONN_ID, make_tenant


def look(*targets: Any, secrets: Any = None, conn_id: str = CONN_ID) -> dict[str, Check]:
    """The lines on stacks with these targets, by what they are about."""
    found = {
        f"t{index}": (Target(f"t{index}", "kubernetes", "f:1:1", settings=one, conn_id=conn_id, secrets=secrets or {}),)
        for index, one in enumerate(targets)
    }
    checks = list(look_at_clusters([Stack("prod", "f:1:1", Artifacts("s3://b/r"), found)]))
    assert len({check.about for check in checks}) == len(checks), "each thing is said once"
    return {check.about: check for check in checks}


@pytest.mark.usefixtures("trainer_cluster")
def test_with_the_role_all_rights_are_there_and_secrets_cannot_be_asked(cluster, tenant, connect):
    connect(tenant)
    settings = {"namespace": tenant.namespace, "env_from": [{"secret": "s3"}]}
    found = look(KubernetesSettings(**settings), TrainerSettings(**settings))
    assert found[f"cluster {CONN_ID}"].what.startswith("Kubernetes v1.")
    assert found[f"rights in {tenant.namespace}"].status is Status.OK
    assert found["API trainer.kubeflow.org"].status is Status.OK
    assert found[f"namespace {tenant.namespace}"].status is Status.UNKNOWN
    assert found["Secret s3"].status is Status.UNKNOWN
    assert f"kubectl get secrets s3 -n {tenant.namespace}" in found["Secret s3"].mend
    assert not any(check.status is Status.FAIL for check in found.values())


def test_each_verb_that_is_missing_is_named(cluster, tmp_path, connect):
    tenant = make_tenant(cluster, tmp_path)
    connect(tenant)
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{tenant.namespace}/roles/airflow-provider-mlx"
    rules = [rule for rule in cluster.api.get(role)["rules"] if rule["resources"] != ["pods/log"]]
    for rule in rules:
        if rule["resources"] == ["pods"]:
            rule["verbs"].remove("patch")
    cluster.request("PATCH", role, {"rules": rules}, "application/merge-patch+json")
    check = look(KubernetesSettings(namespace=tenant.namespace))[f"rights in {tenant.namespace}"]
    assert check.status is Status.FAIL
    assert check.what == "this identity may not: patch pods, get pods/log"
    tenant.remove()


def test_what_is_not_there_is_said_by_whoever_may_look(cluster, tenant, monkeypatch):
    extra = {"kube_config_path": str(cluster.kubeconfig)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    cluster.apply_crds("kueue")
    settings = KubernetesSettings(
        namespace=tenant.namespace, env_from=[{"secret": "s3"}, {"config_map": "settings"}], priority_class="no-such",
        service_account="default", scheduler="kueue", queue="team", volumes=[{"claim": "data", "path": "/data"}],
    )  # fmt: skip
    found = look(settings, secrets={"hf": {"name": "hf", "key": "token"}})
    status = {about: check.status for about, check in found.items()}
    assert status == {
        f"cluster {CONN_ID}": Status.OK,
        "API kueue.x-k8s.io": Status.OK,
        f"namespace {tenant.namespace}": Status.OK,
        f"rights in {tenant.namespace}": Status.OK,
        "ServiceAccount default": Status.OK,
        "Secret hf": Status.OK,
        "Secret s3": Status.OK,
        "ConfigMap settings": Status.FAIL,
        "PersistentVolumeClaim data": Status.FAIL,
        "PriorityClass no-such": Status.FAIL,
        "LocalQueue team": Status.FAIL,
    }


def test_an_api_that_nobody_serves_and_a_namespace_that_is_not_there(cluster, monkeypatch):
    extra = {"kube_config_path": str(cluster.kubeconfig)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    found = look(KubernetesSettings(namespace="no-such", scheduler="kai", queue="team"))
    assert found["API scheduling.run.ai"].status is Status.FAIL
    assert "install KAI scheduler" in found["API scheduling.run.ai"].mend
    assert found["namespace no-such"].status is Status.FAIL
    assert "Queue team" not in found, "the API's own line has said it"


@pytest.mark.parametrize("kubeconfig", ["", "token: expired"], ids=["no such file", "a token that is not taken"])
def test_a_connection_that_leads_nowhere_is_one_line(cluster, tmp_path: Path, monkeypatch, kubeconfig):
    path = tmp_path / "kubeconfig"
    if kubeconfig:
        import yaml

        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": "expired"}
        path.write_text(yaml.safe_dump(config))
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(path)}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    [check] = look(KubernetesSettings(namespace="ml")).values()
    assert (check.status, check.about) == (Status.FAIL, f"cluster {CONN_ID}")
    assert "401" in check.what if kubeconfig else "leads to no cluster" in check.what
