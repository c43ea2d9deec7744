"""
The rights that this backend needs, and the network that its jobs need not have: manifests, from tables.

``python -m airflow_provider_mlx init kubernetes`` writes them, ``doctor`` asks for each, and the contract suite runs
with exactly this Role; ``tests/kubernetes/test_rights.py`` sees every verb used, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .names import MANAGED_BY, OURS

NAME: Final = OURS
"""Of the Role and of its binding; the NetworkPolicy's begins with it."""


@dataclass(frozen=True)
class Right:
    """
    What may be done with one resource of a namespace.

    :param group: its API group; empty for the core's.
    :param resource: its plural, as ``pods/log``.
    :param why: what it is for, in a few words.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str


PODS: Final = (
    Right("", "pods", ("get", "list", "watch", "patch"), "a pod is stopped by shortening its time, so its log stays"),
    Right("", "pods/log", ("get",), "the log in Airflow"),
    Right("", "configmaps", ("create", "get", "delete"), "a step's code; the cluster deletes it with its job"),
    Right("", "events", ("list",), "why a job waits"),
)
JOBS: Final = (
    Right("batch", "jobs", ("create", "get", "list", "watch", "patch", "delete"), "the steps' jobs"),
    Right("", "services", ("create", "get", "delete"), "host names of the pods of a job of several nodes"),
)
_TRAINJOBS = ("create", "get", "list", "watch", "patch", "delete")
TRAINER: Final = (
    Right("trainer.kubeflow.org", "trainjobs", _TRAINJOBS, "the steps' jobs, on several nodes"),
    Right("trainer.kubeflow.org", "trainingruntimes", ("create", "get", "patch", "delete"), "each brings its runtime"),
)
SCHEDULERS: Final[Mapping[str, tuple[Right, ...]]] = {
    "default": (),
    "kai": (),
    "kueue": (Right("kueue.x-k8s.io", "workloads", ("list",), "why Kueue does not let a job go"),),
    "volcano": (Right("scheduling.volcano.sh", "podgroups", ("create", "get", "delete"), "gangs of several pods"),),
}
DEVICES: Final = (
    Right("resource.k8s.io", "resourceclaimtemplates", ("create", "get", "delete"), "GPUs that are claimed (DRA)"),
)

METADATA_ADDRESSES: Final = (
    "169.254.169.254/32",  # AWS, Google, Azure, OpenStack and others
    "169.254.170.2/32",  # AWS ECS: the credentials of the node's own task
    "168.63.129.16/32",  # Azure's WireServer
    "fd00:ec2::254/128",  # AWS
)
"""Where clouds give credentials of the node, or of its tasks, to whoever asks."""


def rights(*, scheduler: str = "default", trainer: bool = False, devices: bool = False) -> tuple[Right, ...]:
    """What a namespace with such targets needs, beside ``kubernetes`` targets also ``trainer`` ones."""
    return (*JOBS, *PODS, *(TRAINER if trainer else ()), *SCHEDULERS[scheduler], *(DEVICES if devices else ()))


def namespace_manifest(namespace: str) -> dict[str, Any]:
    """The namespace, held to the restricted Pod Security Standard; source: kubernetes.io/docs/concepts/security."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}


def role_manifest(namespace: str, wanted: Sequence[Right]) -> dict[str, Any]:
    """The Role."""
    rules = [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)} for right in wanted
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": NAME, "namespace": namespace},
        "rules": rules,
    }


def binding_manifest(
    namespace: str, service_accounts: Sequence[str], service_account_namespace: str
) -> dict[str, Any]:  # fmt: skip
    """
    Gives the Role to Airflow.

    :param service_accounts: those of Airflow's workers and triggerers, in whose names it talks to the API server.
    """
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": NAME, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": service_account_namespace}
            for name in service_accounts
        ],
    }


def network_policy(*, namespace: str, api_server: Sequence[str] = ()) -> dict[str, Any]:
    """
    Jobs reach the world, but neither the cloud's credentials nor the API server, and only their own kind reaches them.

    :param api_server: CIDRs of the API server's endpoints, as ``kubectl get endpointslices kubernetes`` shows them.
    """
    ours = {"matchLabels": {MANAGED_BY: OURS}}
    barred = [*METADATA_ADDRESSES, *api_server]
    blocks = [
        {"ipBlock": {"cidr": everywhere, "except": [cidr for cidr in barred if (":" in cidr) is (":" in everywhere)]}}
        for everywhere in ("0.0.0.0/0", "::/0")
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{NAME}-jobs", "namespace": namespace},
        "spec": {
            "podSelector": ours,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": ours}]}],
            # a cluster's DNS is a pod, which an ipBlock does not cover on every network plugin
            "egress": [
                {"to": blocks},
                {"to": [{"namespaceSelector": {}}], "ports": _DNS},
                {"to": [{"podSelector": ours}]},
            ],
        },
    }


_DNS: Final = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
