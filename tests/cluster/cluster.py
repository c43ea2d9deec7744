"""A Kubernetes cluster for tests: one that this machine runs, or any other that a kubeconfig names."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import string
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .api import JSON, Api
from .binaries import DNS, KUBERNETES, built
from .cgroups import remove_cgroups
from .control_plane import API_SERVER, ControlPlane, wait_for_api
from .crds import apply_crds, crds_of
from .dns import start_dns
from .image_recipes import PYTHON, PYTHON_S3, built_images
from .layout import Facts, Layout
from .locks import alone
from .network import SWITCH, Address, Place, free_ports, remove_host_cable, take_place
from .node import Node, remove_disk
from .packages import require_packages
from .problems import ClusterFailed, PartMissing
from .processes import Processes
from .sysctls import keep_sysctls, restore_sysctls
from .trainer import start_trainer
from .users import abandoned, mark_use, users
from .waiting import wait_until

LOOPBACK = "127.0.0.1"


class Cluster:
    """
    A cluster that tests may use and not break.

    :param kubeconfig: names an admin of it.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.api = Api(kubeconfig)
        self.image = os.environ.get("MLX_TEST_IMAGE", PYTHON)
        self.s3_image = os.environ.get("MLX_TEST_S3_IMAGE", PYTHON_S3)

    @property
    def host_address(self) -> str:
        """
        Where pods reach a server that listens on this host.

        :raises PartMissing: only whoever has made the cluster knows, and did not say.
        """
        if address := os.environ.get("MLX_TEST_HOST_ADDRESS"):
            return address
        raise PartMissing("MLX_TEST_HOST_ADDRESS is not set → set it to the address at which pods reach this host")

    @property
    def nodes(self) -> list[str]:
        """Names of all nodes."""
        return [node["metadata"]["name"] for node in self.api.get("/api/v1/nodes")["items"]]

    def request(self, method: str, path: str, body: object = None, content_type: str = JSON) -> Any:
        """Ask the API server, as an admin; see :meth:`.Api.request`."""
        return self.api.request(method, path, body, content_type)

    def new_namespace(self, prefix: str = "test", labels: Mapping[str, str] | None = None) -> str:
        """Make a namespace of a new name in which pods can be created, and return the name."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.api.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
        )
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_until(f"the service account of {name}", lambda: self.api.get(account))
        return name

    def apply_crds(self, project: str) -> list[str]:
        """Have the API server know a project's kinds, and return the names of their CRDs; see :mod:`.crds`."""
        return apply_crds(self.api, crds_of(project))

    def serves(self, group: str) -> bool:
        """Whether the API server knows a group of kinds, such as "jobset.x-k8s.io"."""
        return any(known["name"] == group for known in self.api.get("/apis")["groups"])

    def delete_namespace(self, name: str) -> None:
        """Have a namespace deleted with all that is in it, without waiting for it."""
        self.api.delete(f"/api/v1/namespaces/{name}")

    def token_for(self, service_account: str, namespace: str, seconds: int = 3600) -> str:
        """
        A token of a service account.

        :param seconds: how long it shall be good; the API server grants no less than 600.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        return str(self.request("POST", path, body)["status"]["token"])


class OwnCluster(Cluster):
    """
    A cluster that runs on this machine, in a folder, and that tests may break.

    Whoever knows the folder has all of it: it need not be the process that started it.
    """

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)
        self.processes = Processes(folder)
        self._facts = Facts.read(self.layout)
        super().__init__(self.layout.kubeconfig("admin"))

    @classmethod
    def up(cls, folder: Path, *, nodes: int = 2, used_by_me: bool = False) -> OwnCluster:
        """
        Start one, which begins empty; one with nodes ends those that were abandoned on this machine first.

        :param nodes: real nodes; with none it is an API alone, of which a machine carries many.
        :param used_by_me: it may be ended by others when this process is no more; else it stays until it is taken down.
        :raises PartMissing: something is not installed or not built, or it has no place for more nodes.
        :raises ClusterFailed: a part did not come up; what had is ended again.
        """
        layout, processes = Layout(folder.absolute()), Processes(folder.absolute())
        names = [f"node-{letter}" for letter in string.ascii_lowercase[:nodes]]
        hyperkube = built(KUBERNETES) / "hyperkube"
        if nodes:
            require_nodes()
            end_abandoned()
        _empty(layout)
        if used_by_me:
            mark_use(layout.folder)
        facts = Facts(place=0, nodes=names)
        facts.write(layout)
        try:
            address = _prepare_for_nodes(layout, processes, facts) if nodes else LOOPBACK
            ControlPlane(layout, processes, hyperkube, address=address, node_names=names).start()
            cluster = cls(layout.folder)
            if nodes:
                cluster._start_company()
                with ThreadPoolExecutor() as pool:
                    list(pool.map(cluster.start_node, names))
        except BaseException:
            _take_down(layout, processes)
            raise
        return cluster

    def down(self) -> None:
        """End all of it; its logs stay."""
        _take_down(self.layout, self.processes)

    @property
    def host_address(self) -> str:
        return Place(self._facts.place).host_address if self._facts.place else LOOPBACK

    def start_node(self, name: str) -> None:
        """Start a node that was stopped, with the disk that it had."""
        number = self._facts.nodes.index(name) + 1
        others = [
            Address(self._facts.place, other) for other in range(1, len(self._facts.nodes) + 1) if other != number
        ]
        Node(self.layout, self.processes, self._facts, name, number).start(self.api, others)

    def stop_node(self, name: str) -> None:
        """Lose a node: its kubelet, its containers and its network end at once."""
        _node(self.layout, self.processes, self._facts, name).kill()

    def restart_apiserver(self) -> None:
        """Stop the API server, and start it again on the same port with the same state."""
        self.processes.restart(API_SERVER)
        wait_for_api(self.api, self.processes)

    def start_trainer(self) -> None:
        """Start JobSet's and Kubeflow Trainer's controllers, with their CRDs and webhooks, if they do not run."""
        start_trainer(self.layout, self.processes, self.api)

    def _start_company(self) -> None:
        """What nodes need beside the control plane: images and names."""
        registry = Path(__file__).with_name("registry.py")
        port = str(self._facts.registry_port)
        self.processes.start("registry", [sys.executable, registry, built_images(), self.host_address, port])
        start_dns(
            self.layout, self.processes, self.api, built(DNS) / "coredns", self.host_address, self._facts.dns_port
        )  # fmt: skip


@contextlib.contextmanager
def running_cluster(*, nodes: int = 2, trainer: bool = False, folder: Path | None = None) -> Iterator[OwnCluster]:
    """
    A cluster as long as the block lasts; see :meth:`OwnCluster.up`.

    :param trainer: with JobSet's and Kubeflow Trainer's controllers.
    :param folder: for its state; a temporary one if none is given.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlx-cluster-"))) / "state"
        cluster = OwnCluster.up(folder, nodes=nodes, used_by_me=True)
        stack.callback(cluster.down)
        if trainer:
            cluster.start_trainer()
        yield cluster


def take_down(folder: Path) -> None:
    """End whatever of a cluster is there, even half of one whose API is gone."""
    layout = Layout(folder.absolute())
    if layout.facts.exists():
        _take_down(layout, Processes(layout.folder))


def require_nodes() -> None:
    """
    :raises PartMissing: this machine lacks something that nodes need.
    """
    require_packages()
    built(KUBERNETES)
    built(DNS)
    built_images()


def end_abandoned() -> None:
    """Take down what test processes that were killed have left on this machine."""
    for folder in abandoned():
        with alone(folder):
            if not users(folder):
                take_down(folder)


def _empty(layout: Layout) -> None:
    """
    Make the folder of a new cluster.

    :raises ClusterFailed: a cluster is in it, or something that is none of ours.
    """
    folder = layout.folder
    if layout.facts.exists():
        raise ClusterFailed(f"a cluster was started in {folder} → `python -m tests.cluster down --folder {folder}`")
    if folder.exists() and any(folder.iterdir()) and not (folder / "processes.json").exists():
        raise ClusterFailed(f"{folder} has something in it that is no cluster's → name an empty folder, or a new one")
    shutil.rmtree(folder, ignore_errors=True)  # the logs of one that was taken down
    folder.mkdir(parents=True)


def _prepare_for_nodes(layout: Layout, processes: Processes, facts: Facts) -> str:
    """Find a place for nodes, and return the address of the host in it."""
    place = take_place(processes, layout.folder)
    facts.place = place.number
    facts.registry_port, facts.dns_port = free_ports(place.host_address, 2)
    facts.write(layout)
    keep_sysctls()
    return place.host_address


def _node(layout: Layout, processes: Processes, facts: Facts, name: str) -> Node:
    return Node(layout, processes, facts, name, facts.nodes.index(name) + 1)


def _take_down(layout: Layout, processes: Processes) -> None:
    facts = Facts.read(layout)
    for name in facts.nodes:
        _node(layout, processes, facts, name).kill()
    # their state is thrown away; the switch goes last, since it holds the lock of this machine's nodes
    processes.stop([name for name in processes.known() if name != SWITCH], number=signal.SIGKILL)
    place = Place(facts.place)
    if facts.place and place.user == layout.folder:  # else its switch was killed, and another cluster has the place
        remove_cgroups(place.cgroup)
        remove_host_cable(place)
    for name in facts.nodes:
        remove_disk(layout, name)
    shutil.rmtree(layout.folder / "etcd", ignore_errors=True)
    layout.facts.unlink(missing_ok=True)
    processes.stop([SWITCH], number=signal.SIGKILL)
    if facts.place:
        restore_sysctls()
