"""
The wires between the host and the nodes.

The switch is a bridge in a network namespace of its own, so that the firewall of the host has no say in what nodes
send each other. The host has one cable to it, each node another; the kernel removes all of it with the namespaces.
Nodes have no way out to the world.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .problems import ClusterFailed, PartMissing
from .processes import Processes
from .waiting import wait_until

SERVICE_RANGE = "10.96.0.0/16"
"""The same in every cluster: only its own nodes know a way there."""
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
SWITCH = "switch"
"""The name under which the process that holds the switch's namespace is recorded."""


@dataclass(frozen=True)
class Address:
    """
    Where a node and its pods are.

    :param place: the number of the cluster's place on this machine.
    :param number: the node's, from 1.
    """

    place: int
    number: int

    @property
    def node(self) -> str:
        return f"10.89.{self.place}.{10 + self.number}"

    @property
    def pods(self) -> str:
        return f"10.{100 + self.place}.{self.number}.0/24"

    @property
    def gateway(self) -> str:
        return f"10.{100 + self.place}.{self.number}.1"


@dataclass(frozen=True)
class Place:
    """One of the places for nodes that this machine has, from 1: addresses and names that no other cluster has."""

    number: int

    @property
    def host_address(self) -> str:
        """Where nodes and their pods reach the host."""
        return f"10.89.{self.number}.1"

    @property
    def pod_range(self) -> str:
        """What all pods' addresses are in."""
        return f"10.{100 + self.number}.0.0/16"

    @property
    def cable(self) -> str:
        """The host's device to the switch."""
        return f"mlx-cluster-{self.number}"

    @property
    def cgroup(self) -> str:
        """What all pods' control groups are in."""
        return f"mlx-tests-cluster-{self.number}"

    @property
    def lock(self) -> Path:
        """Held by the switch's process as long as it lives; holds the path of the cluster's folder."""
        return Path(f"/run/lock/{self.cgroup}")

    @property
    def user(self) -> Path | None:
        """The folder of the cluster that has this place, or had it last."""
        return Path(self.lock.read_text()) if self.lock.exists() else None

    @property
    def is_taken(self) -> bool:
        """Whether a cluster has nodes up here."""
        if not self.lock.exists():
            return False
        with self.lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def address(self, node: int) -> Address:
        """Where a node of this place is."""
        return Address(self.number, node)


PLACES = tuple(Place(number) for number in range(1, 9))


def run(command: Sequence[str | Path]) -> str:
    """
    Run a command of the system to its end, and return what it printed.

    :raises ClusterFailed: it failed; the message is its own.
    """
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise ClusterFailed(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def free_ports(address: str, count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((address, 0))
        return [one.getsockname()[1] for one in sockets]


def take_place(processes: Processes, folder: Path) -> Place:
    """
    Take the first free place for nodes, and start its switch, with the host's cable to it.

    :param folder: the cluster's.
    :raises PartMissing: there are as many clusters with nodes on this machine as it has places.
    """
    for place in PLACES:
        with _lock(place, folder) as lock:
            if lock is not None:
                _start_switch(processes, place, lock)
                return place
    folders = ", ".join(str(place.user) for place in PLACES)
    raise PartMissing(
        f"this machine has nodes of {len(PLACES)} clusters up, and no place for more: {folders} "
        "→ end one: `python -m tests.cluster down --folder <it>`"
    )


def _start_switch(processes: Processes, place: Place, lock: int) -> None:
    # what sleeps is the namespace: nothing else of it needs to run
    holder = processes.start(SWITCH, ["unshare", "--net", "--", "sleep", "infinity"], keep_open=[lock])
    wait_until("the switch's namespace", lambda: _own_network(holder.pid), seconds=10)
    inside = ["nsenter", "--target", str(holder.pid), "--net", "--"]
    run([*inside, "ip", "link", "add", "switch", "type", "bridge"])
    run([*inside, "ip", "link", "set", "switch", "up"])
    remove_host_cable(place)  # of a cluster whose switch was killed a moment ago
    connect(processes, "host", str(os.getpid()), place.cable)
    run(["ip", "address", "add", f"{place.host_address}/24", "dev", place.cable])
    run(["ip", "link", "set", place.cable, "up"])


def connect(processes: Processes, cable: str, pid: str, device: str) -> None:
    """Lay a cable from the switch to the network of a process, where it becomes ``device``."""
    switch = processes.process(SWITCH)
    if switch is None:
        raise ClusterFailed("the switch is gone, and with it every node's cable → take the cluster down and up again")
    inside = ["nsenter", "--target", str(switch.pid), "--net", "--"]
    run([*inside, "ip", "link", "add", f"to-{cable}", "type", "veth", "peer", "name", device, "netns", pid])
    run([*inside, "ip", "link", "set", f"to-{cable}", "master", "switch", "up"])


def disconnect(processes: Processes, cable: str) -> None:
    """Pull a cable out, if the kernel has not done so already."""
    if switch := processes.process(SWITCH):
        inside = ["nsenter", "--target", str(switch.pid), "--net", "--"]
        with contextlib.suppress(ClusterFailed):
            run([*inside, "ip", "link", "delete", f"to-{cable}"])


def remove_host_cable(place: Place) -> None:
    """Pull the host's cable out, and with it its routes to pods, without waiting for the kernel to do so."""
    with contextlib.suppress(ClusterFailed):
        run(["ip", "link", "delete", place.cable])


def route_to_pods(address: Address) -> None:
    """Let the host reach a node's pods."""
    run(["ip", "route", "replace", address.pods, "via", address.node])


@contextlib.contextmanager
def _lock(place: Place, folder: Path) -> Iterator[int | None]:
    """The lock's file descriptor, or none if another cluster has the place."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    with place.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        file.truncate(0)
        file.write(str(folder))
        file.flush()
        yield file.fileno()


def _own_network(pid: int) -> bool:
    return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
