"""etcd, API server, controller manager and scheduler, as the plain processes that they are."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from .api import Api
from .certificates import CLIENT, SERVER, Authority, make_token_key
from .layout import Layout, write_kubeconfig
from .network import API_SERVICE, SERVICE_RANGE, free_ports
from .node_files import PROXY_USER
from .processes import Processes
from .waiting import wait_until

API_SERVER = "kube-apiserver"
NODE_GRACE_SECONDS = 10
"""A node that was not heard of for so long is NotReady; it renews its lease every two seconds."""
EVICTION_SECONDS = 5
"""Pods of a node that is NotReady are marked for deletion after so long, if they do not say otherwise."""
CONTROLLERS_PER_SECOND = 200
"""Requests that a controller may make; twenty, as it is by default, would be what a benchmark of a thousand Jobs sees."""

# Controllers that need what is not there: a cloud, and a range of pod addresses for nodes that have theirs by number.
CONTROLLERS = "*,-node-ipam-controller,-cloud-node-lifecycle-controller,-node-route-controller,-service-lb-controller"


@dataclass(frozen=True)
class User:
    """Somebody with a kubeconfig: the user's name and group, as the API server is told."""

    name: str
    group: str = ""


USERS = {
    "admin": User("admin", "system:masters"),
    "controller-manager": User("system:kube-controller-manager"),
    "scheduler": User("system:kube-scheduler"),
    PROXY_USER: User("system:kube-proxy"),
    "dns": User("dns", "system:masters"),
    "kwok": User("kwok", "system:masters"),
}


class ControlPlane:
    """
    Starts a control plane that begins empty.

    :param hyperkube: our binary of all four.
    :param address: what the API server listens on.
    :param node_names: nodes that may join; each gets a kubeconfig of its name.
    """

    def __init__(
        self, layout: Layout, processes: Processes, hyperkube: Path, *, address: str, node_names: list[str]
    ) -> None:
        self._layout = layout
        self._processes = processes
        self._hyperkube = hyperkube
        self._address = address
        self._users = USERS | {name: User(f"system:node:{name}", "system:nodes") for name in node_names}
        self._etcd_port, self._etcd_peer_port = free_ports("127.0.0.1", 2)
        [self._port] = free_ports(address, 1)

    def start(self) -> Api:
        """Start all of it, and return when pods could be created."""
        authority = self._write_credentials()
        self._start("etcd", self._etcd())
        self._start(API_SERVER, self._api_server(authority))
        api = Api(self._layout.kubeconfig("admin"))
        wait_for_api(api, self._processes)
        self._start("kube-controller-manager", self._controller_manager(authority))
        self._start("kube-scheduler", self._scheduler())
        wait_until("the default service account", lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default"))
        return api

    def _start(self, name: str, arguments: list[str]) -> None:
        self._processes.start(name, [self._hyperkube, name, *arguments])

    def _write_credentials(self) -> Authority:
        authority = Authority(self._layout.pki)
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        authority.sign(
            "apiserver", "kube-apiserver", usage=SERVER, dns_names=["localhost", *names],
            addresses=["127.0.0.1", self._address, API_SERVICE],
        )  # fmt: skip
        authority.sign("kubelet-client", "kube-apiserver-kubelet-client", usage=CLIENT, organisation="system:masters")
        make_token_key(self._layout.pki)
        tokens = {name: secrets.token_hex(16) for name in self._users}
        (self._layout.folder / "tokens.csv").write_text(
            "".join(
                ",".join(filter(None, [tokens[name], user.name, name, user.group])) + "\n"
                for name, user in self._users.items()
            )
        )
        for name in self._users:
            write_kubeconfig(
                self._layout.kubeconfig(name), server=f"https://{self._address}:{self._port}",
                authority=authority.certificate, token=tokens[name],
            )  # fmt: skip
        return authority

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._etcd_peer_port))
        return [
            f"--data-dir={self._layout.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # the machine's fall is the cluster's end
            "--log-level=warn",
        ]

    def _api_server(self, authority: Authority) -> list[str]:
        pki = self._layout.pki
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self._address}",
            f"--advertise-address={self._address}",
            f"--secure-port={self._port}",
            # the Service `kubernetes` gets its endpoint from here; a loopback address may not be one
            f"--endpoint-reconciler-type={'none' if self._address.startswith('127.') else 'lease'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            f"--token-auth-file={self._layout.folder}/tokens.csv",
            f"--client-ca-file={authority.certificate}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--kubelet-certificate-authority={authority.certificate}",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--default-not-ready-toleration-seconds={EVICTION_SECONDS}",
            f"--default-unreachable-toleration-seconds={EVICTION_SECONDS}",
        ]

    def _controller_manager(self, authority: Authority) -> list[str]:
        return [
            *self._as_user("controller-manager"),
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._layout.pki}/sa.key",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            f"--controllers={CONTROLLERS}",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
            "--node-eviction-rate=10",
            f"--kube-api-qps={CONTROLLERS_PER_SECOND}",
            f"--kube-api-burst={2 * CONTROLLERS_PER_SECOND}",
        ]

    def _scheduler(self) -> list[str]:
        return self._as_user("scheduler")

    def _as_user(self, name: str) -> list[str]:
        kubeconfig = self._layout.kubeconfig(name)
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
        ]


def wait_for_api(api: Api, processes: Processes) -> None:
    """
    Until the API server says that it is ready.

    :raises ClusterFailed: it ended, or took over a minute.
    """

    def ready() -> bool:
        processes.must_live(API_SERVER)
        return bool(api.get("/readyz") == "ok")

    wait_until("the API server", ready)
