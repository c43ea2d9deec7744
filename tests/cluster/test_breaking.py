"""What is stopped ends as it would in the world outside, what is started again goes on, and in the end nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.cgroups import ROOT
from tests.cluster.cluster import Cluster, OwnCluster, end_abandoned, require_nodes, running_cluster
from tests.cluster.control_plane import API_SERVER, EVICTION_SECONDS, NODE_GRACE_SECONDS
from tests.cluster.fixtures import needed
from tests.cluster.layout import Layout
from tests.cluster.network import PLACES, SWITCH
from tests.cluster.pods import Pod, create_pod
from tests.cluster.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]


def condition(cluster: Cluster, path: str, name: str) -> str:
    """A condition's status: "True", "False" or "Unknown"; empty if the object has none of that name."""
    conditions = cluster.api.get(path)["status"].get("conditions", [])
    return str(next((one["status"] for one in conditions if one["type"] == name), ""))


def test_a_lost_node_is_not_ready_its_pod_is_marked_and_it_can_come_back(
    own_cluster: OwnCluster, namespace: str, tmp_path: Path
) -> None:
    cluster, lost = own_cluster, "node-b"
    beats = tmp_path / "beats"
    beat = f"while :; do date >> {beats}; sleep 0.1; done"
    mount = {"volumeMounts": [{"name": "shared", "mountPath": str(tmp_path)}]}
    volume = {"name": "shared", "hostPath": {"path": str(tmp_path)}}
    pod = create_pod(cluster, namespace, "beats", ["sh", "-c", beat], container=mount, volumes=[volume], nodeName=lost)
    wait_until("the pod works", beats.exists)
    wait_until("its node has said so", lambda: pod.read()["status"]["phase"] == "Running")

    cluster.stop_node(lost)
    try:
        size = beats.stat().st_size
        time.sleep(0.5)
        assert beats.stat().st_size == size
        node = f"/api/v1/nodes/{lost}"
        wait_until("NotReady", lambda: condition(cluster, node, "Ready") == "Unknown", seconds=NODE_GRACE_SECONDS + 10)
        wait_until("the mark", lambda: "deletionTimestamp" in pod.read()["metadata"], seconds=EVICTION_SECONDS + 10)
        assert condition(cluster, pod.path, "DisruptionTarget") == "True"
        assert pod.read()["status"]["phase"] == "Running"  # nobody is there to say otherwise
    finally:
        cluster.start_node(lost)
    assert condition(cluster, f"/api/v1/nodes/{lost}", "Ready") == "True"
    wait_until("the pod is gone", lambda: not exists(pod))
    again = create_pod(cluster, namespace, "again", ["python", "-c", "print('again')"], nodeName=lost)
    again.wait_for_end()
    assert again.log() == "again\n"


def exists(pod: Pod) -> bool:
    names = [item["metadata"]["name"] for item in pod.cluster.api.get(pod.path.rpartition("/")[0])["items"]]
    return pod.name in names


def test_an_api_server_that_was_restarted_has_its_state_and_goes_on(own_cluster: OwnCluster, namespace: str) -> None:
    cluster = own_cluster
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": namespace}}
    uid = cluster.api.apply(kept | {"data": {"key": "value"}})["metadata"]["uid"]
    before = cluster.processes.process(API_SERVER)
    cluster.restart_apiserver()
    assert cluster.processes.process(API_SERVER) != before
    assert cluster.api.get(f"/api/v1/namespaces/{namespace}/configmaps/kept")["metadata"]["uid"] == uid
    pod = create_pod(cluster, namespace, "after", ["python", "-c", "print('after')"])
    pod.wait_for_end()
    assert pod.log() == "after\n"


class Traces:
    """What a cluster with nodes leaves on the machine while it is up."""

    def __init__(self, cluster: OwnCluster) -> None:
        known = cluster.processes.known()
        self.processes = [entry.process for entry in known.values()]
        self.networks = {network_of(known[name].process.pid) for name in (SWITCH, *cluster.nodes)}
        [self.place] = [place for place in PLACES if place.user == cluster.layout.folder]
        self.folder = cluster.layout.folder

    def found(self) -> Iterator[str]:
        """Those that are there, in words."""
        yield from (f"process {process.pid}" for process in self.processes if process.alive())
        networks = {network_of(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
        yield from (f"network {network}" for network in self.networks & networks)
        yield from (f"cgroup {path}" for path in [ROOT, *ROOT.iterdir()] if (path / self.place.cgroup).exists())
        yield from (line for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line)
        yield from (line for line in Path("/proc/net/dev").read_text().splitlines() if self.place.cable in line)
        if self.place.is_taken:
            yield f"the lock {self.place.lock}"


def network_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def test_a_cluster_that_is_taken_down_leaves_nothing(tmp_path: Path) -> None:
    with needed(), running_cluster(nodes=1, folder=tmp_path / "state") as cluster:
        traces = Traces(cluster)
        namespace = cluster.new_namespace()
        create_pod(cluster, namespace, "sleeps", ["sleep", "1000"]).wait_for("Running")
        assert {kind.split()[0] for kind in traces.found()} >= {"process", "network", "cgroup", "the"}
    assert list(traces.found()) == []


def test_a_cluster_whose_test_process_was_killed_is_ended_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    code = f"""
import pathlib, time
from tests.cluster.fixtures import shared_cluster
with shared_cluster(pathlib.Path({str(folder)!r}), nodes=1):
    print("up", flush=True)
    time.sleep(1000)
"""
    with needed():
        require_nodes()
    child = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    traces = Traces(OwnCluster(folder))
    end_abandoned()
    assert Layout(folder).facts.exists()  # its process lives
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert list(traces.found())
    end_abandoned()
    assert list(traces.found()) == []
