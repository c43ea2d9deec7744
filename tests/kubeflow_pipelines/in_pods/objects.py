"""
What an installation of Kubeflow Pipelines has in its namespace, for pods to find: values in, manifests out.

Names and keys are those of upstream's own manifests (``manifests/kustomize`` of 2.14). What is a Deployment there runs on
the host here, and has its Service all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.kubeflow_pipelines.stack import NAMESPACE, SERVICE_ACCOUNT, Facts

Manifest = dict[str, Any]

ACCESS_KEY: Final = "minio"
SECRET_KEY: Final = "minio123"
BUCKET: Final = "mlpipeline"
STORE_SECRET: Final = "mlpipeline-minio-artifact"
CONTROLLER_CONFIG: Final = "workflow-controller-configmap"
LOGS: Final = "artifacts/{{workflow.name}}/{{pod.name}}"
"""Where Argo archives logs: upstream puts the day into it, and then its own server does not find them."""
_GRPC_OF_METADATA: Final = 8080


def manifests(facts: Facts, metadata_port: int) -> Iterator[Manifest]:
    """All of it."""
    yield from _services(facts, metadata_port)
    yield from _settings()
    yield from _rights()


def _services(facts: Facts, metadata_port: int) -> Iterator[Manifest]:
    """Driver and launcher know them by these names, or by the variables that the kubelet makes of them."""
    yield from _service("minio-service", facts.host, {"http": (9000, facts.objects)})
    yield from _service("ml-pipeline", facts.host, {"grpc": (8887, facts.rpc)})
    yield from _service("metadata-grpc-service", facts.host, {"grpc-api": (_GRPC_OF_METADATA, metadata_port)})


def _settings() -> Iterator[Manifest]:
    store = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": _named(STORE_SECRET), "stringData": store}
    yield _config("kfp-launcher", {"defaultPipelineRoot": f"minio://{BUCKET}/v2/artifacts"})
    # not optional, whatever the pods say: the launcher has its address from here
    yield _config("metadata-grpc-configmap", {
        "METADATA_GRPC_SERVICE_HOST": f"metadata-grpc-service.{NAMESPACE}",
        "METADATA_GRPC_SERVICE_PORT": str(_GRPC_OF_METADATA),
    })  # fmt: skip
    keys = {f"{word}KeySecret": {"name": STORE_SECRET, "key": f"{word}key"} for word in ("access", "secret")}
    yield _config(CONTROLLER_CONFIG, {
        "executor": json.dumps({"imagePullPolicy": "IfNotPresent"}),
        "metricsConfig": json.dumps({"enabled": False}),
        "artifactRepository": json.dumps({"archiveLogs": True, "s3": {
            "endpoint": f"minio-service.{NAMESPACE}:9000", "bucket": BUCKET, "insecure": True, "keyFormat": LOGS, **keys,
        }}),
    })  # fmt: skip


def _rights() -> Iterator[Manifest]:
    """What pods of pipelines may do: Argo's executor reports what they return, and the driver reads settings."""
    rules = [
        {"apiGroups": [""], "resources": ["secrets", "configmaps", "persistentvolumeclaims"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["*"]},
        {"apiGroups": ["argoproj.io"], "resources": ["workflows", "workflowtaskresults"], "verbs": ["*"]},
    ]
    group = "rbac.authorization.k8s.io"
    yield {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": _named(SERVICE_ACCOUNT), "rules": rules}
    yield {
        "apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": _named(SERVICE_ACCOUNT),
        "roleRef": {"apiGroup": group, "kind": "Role", "name": SERVICE_ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}],
    }  # fmt: skip


def _service(name: str, address: str, ports: Mapping[str, tuple[int, int]]) -> Iterator[Manifest]:
    """
    A Service of what listens on the host.

    :param ports: name → its port, and the host's.
    """
    asked = [{"name": key, "port": port, "protocol": "TCP"} for key, (port, _) in ports.items()]
    there = [{"name": key, "port": port, "protocol": "TCP"} for key, (_, port) in ports.items()]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": _named(name), "spec": {"ports": asked}}
    yield {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": there,
        "metadata": {**_named(f"{name}-host"), "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }  # fmt: skip


def _config(name: str, data: Mapping[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named(name), "data": dict(data)}


def _named(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}
