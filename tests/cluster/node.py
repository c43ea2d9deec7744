"""
A real node: containerd, runc, a network plugin and the kubelet, in namespaces of its own.

All its processes are children of one, in a namespace of pids: that one's end is the loss of the node, containers,
mounts and network included. The files of the host are the node's too, except for a few folders that it has for itself.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from pathlib import Path
from typing import Any

from .api import STRATEGIC_MERGE_PATCH, Api
from .binaries import KUBERNETES, built
from .certificates import SERVER, Authority
from .cgroups import make_cgroup
from .layout import Facts, Layout
from .network import SERVICE_RANGE, Address, Place, connect, disconnect, route_to_pods, run
from .node_files import (
    CONTAINERD_SOCKET,
    POD_BRIDGE,
    containerd_config,
    kubelet_config,
    pod_network,
    proxy_config,
    registry_mirror,
)
from .problems import ApiRefused, ClusterFailed
from .processes import Processes
from .waiting import wait_until

GPUS = 8
GPU_PRODUCT = "NVIDIA-H100-80GB-HBM3"
KUBELET_FOLDER = Path("/var/lib/kubelet")
"""The device plugin's socket is in it, by a path that is fixed in the kubelet's code."""
OWN_FOLDERS = (KUBELET_FOLDER, Path("/var/log"))
"""Of these a node sees its own, which last as long as its disk."""
VOLATILE_FOLDERS = (Path("/run"), Path("/var/lib/cni"))
"""These are in a node's memory."""

PARTS = ("containerd", "proxy", "kubelet", "gpus")

# Reaps what the node's processes leave behind, and does nothing else.
INIT = "trap '' TERM; while :; do sleep 1000000 & wait; done"


class Node:
    """
    One node of a cluster.

    :param number: from 1; its addresses follow.
    """

    def __init__(self, layout: Layout, processes: Processes, facts: Facts, name: str, number: int) -> None:
        self.name = name
        self.place = Place(facts.place)
        self.address = self.place.address(number)
        self._layout = layout
        self._processes = processes
        self._facts = facts
        self._disk = layout.node(name)

    def start(self, api: Api, others: list[Address]) -> None:
        """
        Start it, on the disk that it had before if it had one, and return when it is ready and has its GPUs.

        :param others: the nodes to whose pods it gets routes.
        """
        if self._processes.process(self.name):
            raise ClusterFailed(f"{self.name} runs already")
        self._write_files()
        self._power_on()
        self._mount()
        self._wire(others)
        self._start_containerd()
        self._start("proxy", built(KUBERNETES) / "hyperkube", "kube-proxy", f"--config={self._disk}/proxy.json")
        self._start_kubelet(api)

    def kill(self) -> None:
        """End everything on it at once, as a power cut does."""
        names = [self.name, *(self._process_name(part) for part in PARTS)]
        self._processes.stop(names, number=signal.SIGKILL)
        disconnect(self._processes, self.name)

    def _write_files(self) -> None:
        disk = self._disk
        for folder in ("cni", "registries/_default", "containerd"):
            (disk / folder).mkdir(parents=True, exist_ok=True)
        (disk / "containerd.toml").write_text(containerd_config(disk))
        (disk / "cni" / "10-pods.conflist").write_text(pod_network(self.address))
        registry = f"http://{self.place.host_address}:{self._facts.registry_port}"
        (disk / "registries" / "_default" / "hosts.toml").write_text(registry_mirror(registry))
        (disk / "resolv.conf").touch()
        (disk / "proxy.json").write_text(proxy_config(self._layout, self.name, self.place.pod_range))
        cgroup = make_cgroup(self.place.cgroup, self.name)
        (disk / "kubelet.json").write_text(kubelet_config(self._layout, self.name, self.address, cgroup=cgroup))
        Authority(self._layout.pki).sign(
            self.name, f"system:node:{self.name}", organisation="system:nodes", usage=SERVER,
            dns_names=[self.name], addresses=[self.address.node],
        )  # fmt: skip

    def _power_on(self) -> None:
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        outer = self._processes.start(self.name, [*namespaces, "sh", "-c", INIT])
        wait_until(f"{self.name}'s first process", lambda: _only_child(outer.pid), seconds=10)

    def _mount(self) -> None:
        for folder in OWN_FOLDERS:
            own = self._disk / folder.name
            own.mkdir(exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            self._run("mount", "--bind", own, folder)
        for folder in VOLATILE_FOLDERS:
            folder.mkdir(parents=True, exist_ok=True)
            self._run("mount", "-t", "tmpfs", "tmpfs", folder)
        self._run("mkdir", "/run/netns", "/run/lock")

    def _wire(self, others: list[Address]) -> None:
        address = self.address
        connect(self._processes, self.name, str(self._first_process()), "uplink")
        self._run("ip", "link", "set", "lo", "up")
        self._run("ip", "address", "add", f"{address.node}/24", "dev", "uplink")
        self._run("ip", "link", "set", "uplink", "up")
        # made here, not by the first pod, so that the gateway's address is there from the start
        self._run("ip", "link", "add", POD_BRIDGE, "type", "bridge")
        self._run("ip", "address", "add", f"{address.gateway}/24", "dev", POD_BRIDGE)
        self._run("ip", "link", "set", POD_BRIDGE, "up")
        self._run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for other in others:
            self._run("ip", "route", "add", other.pods, "via", other.node)
        # kube-proxy turns a service's address into a pod's, but only once there is a way to it
        self._run("ip", "route", "add", SERVICE_RANGE, "via", self.place.host_address)
        route_to_pods(address)

    def _start_containerd(self) -> None:
        self._start("containerd", "containerd", "--config", self._disk / "containerd.toml")
        socket = Path(f"/proc/{self._first_process()}/root{CONTAINERD_SOCKET}")
        self._wait("containerd", socket.exists)

    def _start_kubelet(self, api: Api) -> None:
        binaries, path = built(KUBERNETES), f"/api/v1/nodes/{self.name}"
        self._forget_what_it_said(api, path)
        plugins = self._disk / KUBELET_FOLDER.name / "device-plugins" / "kubelet.sock"
        plugins.unlink(missing_ok=True)  # the kubelet throws out plugins that are there before it
        self._start(
            "kubelet", binaries / "hyperkube", "kubelet", f"--config={self._disk}/kubelet.json",
            f"--kubeconfig={self._layout.kubeconfig(self.name)}", f"--root-dir={KUBELET_FOLDER}",
            f"--hostname-override={self.name}", f"--node-ip={self.address.node}",
            f"--node-labels=nvidia.com/gpu.product={GPU_PRODUCT}",
        )  # fmt: skip
        self._wait("kubelet", plugins.exists)
        self._start("gpus", binaries / "fake-gpu", KUBELET_FOLDER / "device-plugins", str(GPUS))
        self._wait("kubelet", lambda: _usable(api.get(path)))

    def _forget_what_it_said(self, api: Api, path: str) -> None:
        """A node that comes back within its grace period is in the API as it was, ready and with GPUs."""
        unknown = {"conditions": [{"type": "Ready", "status": "Unknown"}], "allocatable": {"nvidia.com/gpu": "0"}}
        with contextlib.suppress(ApiRefused):  # it is new
            api.request("PATCH", f"{path}/status", {"status": unknown}, STRATEGIC_MERGE_PATCH)

    def _start(self, part: str, *command: str | Path) -> None:
        self._processes.start(self._process_name(part), [*self._enter(), *command])

    def _wait(self, part: str, look: Any) -> None:
        name = self._process_name(part)

        def look_if_alive() -> Any:
            self._processes.must_live(name)
            return look()

        wait_until(name, look_if_alive)

    def _process_name(self, part: str) -> str:
        return f"{self.name}-{part}"

    def _run(self, *command: str | Path) -> None:
        run([*self._enter(), *command])

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._first_process()), "--net", "--mount", "--pid", "--"]

    def _first_process(self) -> int:
        """The pid by which the host knows the process that is pid 1 on the node."""
        outer = self._processes.process(self.name)
        inner = _only_child(outer.pid) if outer else None
        if inner is None:
            raise ClusterFailed(f"{self.name} is down\n{self._processes.end_of_log(self.name)}")
        return inner


def _only_child(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def _usable(node: dict[str, Any]) -> bool:
    """Whether pods can be sent there: ready, with its GPUs, and without the taint that it was born with."""
    conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
    gpus = node["status"].get("allocatable", {}).get("nvidia.com/gpu")
    return conditions.get("Ready") == "True" and gpus == str(GPUS) and not node["spec"].get("taints")


def remove_disk(layout: Layout, name: str) -> None:
    """Throw away what a node, which must be down, wrote."""
    shutil.rmtree(layout.node(name), ignore_errors=True)
