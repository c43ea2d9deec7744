"""Nodes and pods that exist in the API alone, by the thousand: for benchmarks, never for what a pod does."""

from __future__ import annotations

from pathlib import Path

from .binaries import KWOK, built
from .certificates import SERVER, Authority
from .cluster import LOOPBACK, OwnCluster
from .network import free_ports
from .waiting import wait_until

STAGES = Path(__file__).with_name("kwok.yaml")
GPU_PRODUCT = "NVIDIA-H100-80GB-HBM3"
LOG_LINE = "2026-01-01T00:00:00.000000000Z stdout F a line from every pod\n"
"""In the format of the container runtime interface, as kwok reads it."""


def add_kwok_nodes(cluster: OwnCluster, count: int = 1, *, pods_each: int = 1000, gpus_each: int = 8) -> list[str]:
    """
    Add nodes that kwok keeps alive, and whose pods it lets end as their annotations say, and return their names.

    :param cluster: without real nodes: kwok would take them for its own.
    """
    folder = cluster.layout.folder
    log, config = folder / "kwok-pod.log", folder / "kwok.yaml"
    log.write_text(LOG_LINE)
    config.write_text(STAGES.read_text().replace("@LOG@", str(log)))
    certificate, key = Authority(cluster.layout.pki).sign("kwok", "kwok", usage=SERVER, addresses=[LOOPBACK])
    [port] = free_ports(LOOPBACK, 1)
    cluster.processes.start(
        "kwok",
        [
            built(KWOK) / "kwok",
            f"--kubeconfig={cluster.layout.kubeconfig('kwok')}",
            f"--config={config}",
            "--manage-all-nodes=true",
            f"--server-address={LOOPBACK}:{port}",
            f"--node-ip={LOOPBACK}",
            f"--node-port={port}",
            "--cidr=10.240.0.0/12",
            "--node-lease-duration-seconds=40",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
        ],
    )
    names = [f"kwok-{number}" for number in range(1, count + 1)]
    for name in names:
        _add_node(cluster, name, port, pods=pods_each, gpus=gpus_each)
    wait_until("kwok's nodes", lambda: all(_takes_pods(cluster, name) for name in names))
    return names


def _add_node(cluster: OwnCluster, name: str, port: int, *, pods: int, gpus: int) -> None:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "nvidia.com/gpu.product": GPU_PRODUCT,
    }
    cluster.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    amount = {
        "cpu": "1000",
        "memory": "10Ti",
        "ephemeral-storage": "100Ti",
        "pods": str(pods),
        "nvidia.com/gpu": str(gpus),
    }
    status = {
        "capacity": amount,
        "allocatable": amount,
        "addresses": [{"type": "InternalIP", "address": LOOPBACK}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    cluster.request(
        "PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, "application/strategic-merge-patch+json"
    )


def _takes_pods(cluster: OwnCluster, name: str) -> bool:
    node = cluster.api.get(f"/api/v1/nodes/{name}")
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")
