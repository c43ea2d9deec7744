"""CoreDNS on the host, reached by pods at the address of a Service: ``pod.subdomain.namespace.svc.cluster.local``."""

from __future__ import annotations

from pathlib import Path

from .api import Api
from .layout import Layout
from .network import DNS_SERVICE
from .processes import Processes

DNS_SERVER = "coredns"
NAMESPACE = "kube-system"
SERVICE = "kube-dns"


def corefile(layout: Layout, address: str, port: int) -> str:
    """Names of the cluster from its API, all others from the machine's own resolver."""
    return f""".:{port} {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {layout.kubeconfig("dns")} tests
        fallthrough in-addr.arpa
        ttl 1
    }}
    forward . /etc/resolv.conf
}}
"""


def start_dns(layout: Layout, processes: Processes, api: Api, coredns: Path, address: str, port: int) -> None:
    """Start the server at an address of the host that nodes reach, and give it its Service."""
    file = layout.folder / "Corefile"
    file.write_text(corefile(layout, address, port))
    processes.start(DNS_SERVER, [coredns, "-conf", file])
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE},
            "spec": {
                "clusterIP": DNS_SERVICE,
                "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in ports],
            },
        }
    )
    api.apply(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{SERVICE}-host",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": SERVICE},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": name, "protocol": protocol, "port": port} for name, protocol in ports],
        }
    )
