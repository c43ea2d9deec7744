"""
The rights that this backend needs, and the network that its jobs need not have: manifests, from tables.

``python -m airflow_provider_mlx init kubernetes`` writes them; the contract suite runs with exactly this Role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .names import MANAGED_BY

Rules = Sequence[tuple[str, Sequence[str], Sequence[str]]]

JOBS: Final[Rules] = (
    ("batch", ("jobs",), ("create", "get", "list", "watch", "patch", "delete")),
    # patch: a pod is stopped by shortening its time, so that its log stays
    ("", ("pods",), ("get", "list", "watch", "patch")),
    ("", ("pods/log",), ("get",)),
    # get and delete: what a job of the same name has left is replaced; the cluster deletes the rest with its job
    ("", ("configmaps",), ("create", "get", "delete")),  # the code
    ("", ("services",), ("create", "get", "delete")),  # host names of a multi-node job's pods
    ("", ("events",), ("list",)),  # why a job waits
)
TRAINER: Final[Rules] = (
    ("trainer.kubeflow.org", ("trainjobs",), ("create", "get", "list", "watch", "patch", "delete")),
    ("trainer.kubeflow.org", ("trainingruntimes",), ("create", "get", "patch", "delete")),
)
SCHEDULERS: Final[Mapping[str, Rules]] = {
    "default": (),
    "kai": (),
    "kueue": (("kueue.x-k8s.io", ("workloads",), ("list",)),),
    "volcano": (("scheduling.volcano.sh", ("podgroups",), ("create", "get", "delete")),),
}
DEVICES: Final[Rules] = (("resource.k8s.io", ("resourceclaimtemplates",), ("create", "get", "delete")),)

METADATA_ADDRESSES: Final = ("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128")
"""Where clouds give credentials of the node, or of its tasks, to whoever asks."""


def rules(*, scheduler: str = "default", trainer: bool = False, devices: bool = False) -> list[dict[str, Any]]:
    """The rules of the Role, as RBAC writes them."""
    wanted = [*JOBS, *(TRAINER if trainer else ()), *SCHEDULERS[scheduler], *(DEVICES if devices else ())]
    return [
        {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)} for group, resources, verbs in wanted
    ]


def role_manifests(
    *, namespace: str, service_account: str, service_account_namespace: str, scheduler: str = "default",
    trainer: bool = False, devices: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """
    A Role and its binding.

    :param service_account: Airflow's own, in whose name it talks to the API server.
    """
    name = "airflow-provider-mlx"
    metadata = {"name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": service_account, "namespace": service_account_namespace}
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": rules(scheduler=scheduler, trainer=trainer, devices=devices),
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [subject],
        },
    ]


def network_policy(*, namespace: str, api_server: Sequence[str] = ()) -> dict[str, Any]:
    """
    Jobs reach the world, but neither the cloud's credentials nor the API server, and only their own kind reaches them.

    :param api_server: CIDRs of the API server's endpoints, as ``kubectl get endpointslices kubernetes`` shows them.
    """
    ours = {"matchLabels": {MANAGED_BY: "airflow-provider-mlx"}}
    barred = [*METADATA_ADDRESSES, *api_server]
    blocks = [
        {"ipBlock": {"cidr": everywhere, "except": [cidr for cidr in barred if (":" in cidr) is (":" in everywhere)]}}
        for everywhere in ("0.0.0.0/0", "::/0")
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "airflow-provider-mlx-jobs", "namespace": namespace},
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
