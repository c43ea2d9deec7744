"""
Many deferred tasks on Kubernetes: what a triggerer and the API server do while their jobs run, and when tasks go on.

The pods are kwok's: the API server, its controllers, the triggerer and the database are real. Each job runs for the
same time, so that they end as they were made: over half a minute.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.kubernetes.backend import KubernetesBackend
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings
from airflow_provider_mlx.jobs.decision import Limits
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec
from airflow_provider_mlx.triggers.order import WatchOrder
from tests.cluster.cluster import OwnCluster, running_cluster
from tests.cluster.kwok import add_kwok_nodes

from .report import line
from .triggerers import Triggerers, spent

CONN_ID = "bench_kubernetes"
RUN_SECONDS = 300
SETTLE_SECONDS = 30
STEADY_SECONDS = 60
MAKERS = 8
"""Threads that make jobs."""
COUNTED = ("jobs", "pods", "events", "configmaps")
READING = ("GET", "LIST", "WATCH")
RUN_FOR = "tests/run-for"
"""The annotation by which kwok ends a pod."""


@dataclass(frozen=True)
class Subject:
    """
    Whose trigger waits.

    :param make: makes job number so and so in a namespace, and gives its trigger for :mod:`benchmarks.deferred`.
    """

    name: str
    make: Callable[[OwnCluster, str, Path, int], Mapping[str, Any]]


@dataclass(frozen=True)
class Cost:
    """One subject at one number of tasks."""

    requests_per_minute: float
    by_verb: Mapping[str, int]
    cpu_seconds_per_minute: float
    memory_mebibytes: float
    longest_stall_seconds: float
    delays: tuple[float, ...]
    lost: int

    @property
    def latest(self) -> float:
        """The 99th percentile of the delays, in seconds."""
        return sorted(self.delays)[int(len(self.delays) * 0.99)]


def run(work: Path, *, numbers: Sequence[int], triggerers: Sequence[int]) -> None:
    """
    Measure ours beside KubernetesPodOperator's trigger, one after the other on one cluster.

    :param numbers: how many tasks wait at once; ``triggerers``: how many triggerers share them, for each.
    """
    with running_cluster(nodes=0, folder=work / "cluster") as cluster:
        add_kwok_nodes(cluster, max(numbers) // 500 + 1)
        for number, sharing in zip(numbers, triggerers, strict=True):
            what = f"{number:,} deferred steps on {sharing} triggerer{'s' if sharing > 1 else ''}"
            ours, peer = (measure(cluster, work / subject.name, subject, number, sharing) for subject in (OURS, PEER))
            report(what, ours, peer, PEER.name)


def report(what: str, ours: Cost, peer: Cost, peer_name: str) -> None:
    """A line per figure."""
    for name, unit, ask in (
        ("requests", "/min", lambda cost: cost.requests_per_minute),
        ("CPU", "s/min", lambda cost: cost.cpu_seconds_per_minute),
        ("memory", "MiB", lambda cost: cost.memory_mebibytes),
        ("longest stall of the loop", "s", lambda cost: cost.longest_stall_seconds),
        ("delay, median", "s", lambda cost: median(cost.delays)),
        ("delay, 99th percentile", "s", lambda cost: cost.latest),
    ):
        line(f"{what}, {name}", [ask(ours)], peer_name, [ask(peer)], unit=unit)
    for name, cost in (("ours", ours), (peer_name, peer)):
        print(
            f"{what}, {name}: {dict(cost.by_verb)} in {STEADY_SECONDS} s; {cost.lost} tasks never went on", flush=True
        )


def measure(cluster: OwnCluster, home: Path, subject: Subject, number: int, sharing: int) -> Cost:
    """Make the jobs, let triggerers wait for them, and see each end."""
    namespace = cluster.new_namespace("bench")
    folder = home.with_name(f"{home.name}-{number}")
    config = {"kube_config_path": str(cluster.kubeconfig)}
    airflow = Triggerers(
        folder, {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps({"conn_type": "kubernetes", "extra": config})}
    )
    ends, begun = Ends(cluster, namespace), time.monotonic()
    with ThreadPoolExecutor(MAKERS) as pool:
        triggers = list(pool.map(lambda index: subject.make(cluster, namespace, folder, index), range(number)))
    airflow.prepare(triggers)
    with airflow.running(sharing) as processes:
        while len(ends.begun) < number:  # controllers start a few jobs a second
            time.sleep(1)
        time.sleep(SETTLE_SECONDS)
        before, asked = spent(processes), requests(cluster)
        time.sleep(STEADY_SECONDS)
        after, then = spent(processes), requests(cluster)
        if ends.seen:
            raise SystemExit(
                f"jobs ended before all was measured, {time.monotonic() - begun:.0f} s after the first began"
            )
        until = time.monotonic() + 2 * RUN_SECONDS
        while airflow.waiting() and time.monotonic() < until:
            time.sleep(1)
        lost = airflow.waiting()
    fired, minutes = airflow.fired(), (after.at - before.at) / 60
    delays = tuple(at - ends.seen[name_of(index)] for index, at in fired.items() if name_of(index) in ends.seen)
    by_verb = {key: then[key] - asked[key] for key in sorted(then) if then[key] > asked[key]}
    cluster.delete_namespace(namespace)
    return Cost(
        requests_per_minute=sum(by_verb.values()) / minutes, by_verb=by_verb,
        cpu_seconds_per_minute=(after.cpu_seconds - before.cpu_seconds) / minutes,
        memory_mebibytes=after.memory_bytes / 2**20, longest_stall_seconds=airflow.longest_stall(),
        delays=delays, lost=lost,
    )  # fmt: skip


def name_of(index: int) -> str:
    """A job's number, as its pod's label says it."""
    return f"bench-{index}"


# --- whose triggers ---------------------------------------------------------------------------------------------------


def make_ours(cluster: OwnCluster, namespace: str, folder: Path, index: int) -> Mapping[str, Any]:
    """Submit a Job as a step does, and order it to be watched."""
    settings = KubernetesSettings(
        namespace=namespace, labels={"bench": name_of(index)}, annotations={RUN_FOR: f"{RUN_SECONDS}s"}
    )
    identity = TaskInstanceIdentity("bench", "waiting", "run", "step", index)
    root = (folder / "artifacts").as_uri()
    spec = JobSpec(
        identity, 1, identity.job_name(1), f"{root}/{identity.attempt_folder(1)}", command=("true",), image="bench:1"
    )
    extra = {"kube_config_path": str(cluster.kubeconfig)}
    backend = KubernetesBackend(
        settings, CONN_ID, ObjectStore(), read_connection=lambda conn_id: _Connection(extra_dejson=extra)
    )
    handle = backend.submit(backend.plan(spec))
    backend.client.close()
    order = WatchOrder(
        identity, 1, handle, settings.model_dump(mode="json"), CONN_ID, root, None, "bench",
        Limits(None, None, None), 3600.0, datetime.now(UTC),
    )  # fmt: skip
    return {"path": "airflow_provider_mlx.triggers.job:JobTrigger", "arguments": {"order": order.to_wire()}}


def make_peers(cluster: OwnCluster, namespace: str, folder: Path, index: int) -> Mapping[str, Any]:
    """Make a pod as KubernetesPodOperator does, and what its trigger is told."""
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name_of(index), "labels": {"bench": name_of(index)}, "annotations": {RUN_FOR: f"{RUN_SECONDS}s"},
        },
        "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": "bench:1"}]},
    }  # fmt: skip
    cluster.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    arguments = {
        "pod_name": name_of(index), "pod_namespace": namespace, "base_container_name": "base",
        "kubernetes_conn_id": CONN_ID, "poll_interval": 2, "startup_timeout": 600, "schedule_timeout": 600,
        "trigger_start_time": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    return {"path": "benchmarks.deferred:pod_trigger", "arguments": arguments}


@dataclass(frozen=True)
class _Connection:
    extra_dejson: Mapping[str, Any]


OURS = Subject("ours", make_ours)
PEER = Subject("KubernetesPodTrigger", make_peers)


# --- what the cluster has seen ----------------------------------------------------------------------------------------


def requests(cluster: OwnCluster) -> Counter[str]:
    """
    Verb and resource → how many requests that read the API server has answered, by its own metrics.

    Triggers only read, and its controllers read by watches that were open before.
    """
    found: Counter[str] = Counter()
    for text in str(cluster.api.get("/metrics")).splitlines():
        if text.startswith("apiserver_request_total{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
            if labels.get("resource") in COUNTED and labels["verb"] in READING:
                found[f"{labels['verb']} {labels['resource']}"] += int(float(text.rpartition(" ")[2]))
    return found


class Ends:
    """
    When each pod of a namespace ended, as a watch of the benchmark's own saw it.

    :ivar begun: those that run, or have run.
    """

    def __init__(self, cluster: OwnCluster, namespace: str) -> None:
        self.seen: dict[str, float] = {}
        self.begun: set[str] = set()
        pods = cluster.api.watch(f"/api/v1/namespaces/{namespace}/pods")
        threading.Thread(target=self._watch, args=(pods,), daemon=True).start()

    def _watch(self, pods: Iterator[Mapping[str, Any]]) -> None:
        for pod in pods:
            name = pod["metadata"].get("labels", {}).get("bench")
            phase = pod["status"].get("phase")
            if name and phase in ("Running", "Succeeded"):
                self.begun.add(name)
            if name and phase == "Succeeded":
                self.seen.setdefault(name, time.time())
