"""What a night does to a long training: a node is drained, and all of Airflow is killed. And a crowd of steps at once."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import MERGE_PATCH
from tests.cluster.cluster import Cluster
from tests.distributed.conftest import TORCH
from tests.e2e.harness import Environment, processes_about
from tests.faults.airflow import Airflow
from tests.faults.kubernetes import CONN_ID, KubernetesJobs

AIRFLOW = Environment("cluster")
POOL, SLOTS = "eight", 8
STEPS = int(os.environ.get("MLX_TEST_CROWD", "32"))
"""Two hundred take six minutes (``make night``); with fewer there is always a full pool, too."""


@pytest.fixture
def jobs(cluster: Cluster, tmp_path: Path) -> Iterator[KubernetesJobs]:
    assert TORCH.exists(), "run `make .build/torch/.ready` first"
    made = KubernetesJobs(cluster, tmp_path)
    yield made
    made.close()


@pytest.fixture
def airflow(jobs: KubernetesJobs, tmp_path: Path) -> Iterator[Airflow]:
    """All parts of a real Airflow, whose only target is the cluster."""
    AIRFLOW.check()
    torch = str(next((TORCH.parents[1] / "lib").glob("python3.*/site-packages")))
    target = jobs.targets()["kubernetes"] | {
        "max_runtime": "20m",
        "env": {"PYTHONPATH": "/torch", "OMP_NUM_THREADS": "1"},
    }
    target["volumes"] += [{"host_path": torch, "path": "/torch", "read_only": True}]
    stack = {"artifacts": {"root": (tmp_path / "artifacts").as_uri()}, "targets": {"default": target}}
    (tmp_path / "stacks.yaml").write_text(json.dumps({"default": "lab", "stacks": {"lab": stack}}))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "night.py").symlink_to(Path(__file__).parent / "dags" / "night.py")
    made = Airflow(
        bin_folder=AIRFLOW.bin, home=tmp_path / "airflow", dags=tmp_path / "dags",
        env={
            "AIRFLOW__MLX__STACKS_FILES": str(tmp_path / "stacks.yaml"), "AIRFLOW__MLX__DEPLOYMENT_ID": "tests",
            "MLX_TEST_CROWD": str(STEPS),
            f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(jobs.connections()[CONN_ID]),
        },
    )  # fmt: skip
    made.start()
    yield made
    made.stop()
    assert not list(processes_about(tmp_path))


def wait(what: str, look: Callable[[], Any], seconds: float) -> Any:
    """What is seen as soon as it is true."""
    until, seen = time.monotonic() + seconds, None
    while time.monotonic() < until:
        if seen := look():
            return seen
        time.sleep(0.5)
    raise AssertionError(f"not so after {seconds:.0f} s: {what}")


def states(airflow: Airflow, run_id: str) -> list[str]:
    """Of every task instance of a run, from the database: the REST API gives a hundred at most."""
    with contextlib.closing(sqlite3.connect(f"file:{airflow.home}/airflow.db?mode=ro", uri=True)) as database:
        query = "select coalesce(state, 'none') from task_instance where run_id = ?"
        return [state for (state,) in database.execute(query, (run_id,))]


def drain(cluster: Cluster, jobs: KubernetesJobs) -> str:
    """As ``kubectl drain`` does: no new pods, and those of the job are evicted. The node's name."""
    path = f"/api/v1/namespaces/{jobs.namespace}/pods"
    pods = [pod for pod in cluster.api.get(path)["items"] if pod["status"]["phase"] == "Running"]
    node = str(pods[0]["spec"]["nodeName"])
    cluster.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}}, MERGE_PATCH)
    for pod in pods:
        if pod["spec"]["nodeName"] == node:
            name = pod["metadata"]["name"]
            metadata = {"name": name, "namespace": jobs.namespace}
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
            cluster.request("POST", f"{path}/{name}/eviction", eviction)
    return node


def test_a_training_survives_a_drained_node_and_the_end_of_every_airflow_process(
    cluster: Cluster, jobs: KubernetesJobs, airflow: Airflow, tmp_path: Path
) -> None:
    airflow.trigger_named("night", "bad")
    epoch = wait(
        "it trains, and its task is deferred",
        lambda: next(
            (
                int(path.read_text()) for path in tmp_path.rglob("epoch")
                if int(path.read_text()) >= 10 and airflow.task("night", "bad")["state"] == "deferred"
            ),
            None,
        ),
        180,
    )  # fmt: skip
    node = drain(cluster, jobs)
    airflow.end_parts(*airflow.parts)
    time.sleep(15)
    airflow.start_parts(*airflow.parts)
    try:
        wait("the step has ended", lambda: airflow.task("night", "bad")["state"] in ("success", "failed"), 400)
    finally:
        cluster.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": False}}, MERGE_PATCH)

    log = airflow.logs("night", "bad")
    assert airflow.task("night", "bad")["state"] == "success", log[-5000:]
    value = airflow.value("night", "bad")
    assert value["attempt"] == 2
    assert epoch <= value["began_at"] < value["epochs"], "from its last checkpoint on"
    assert jobs.created("bad") == 2
    assert airflow.task("night", "bad")["try_number"] == 1, "no retry of Airflow's was spent"
    results = sorted(path.parent.name for path in tmp_path.rglob("result.json"))
    assert results == ["attempt-2"]
    assert "attempt 2: queued" in log
    assert "compute" in log.partition("attempt 2: queued")[2].splitlines()[0]
    pods = cluster.api.get(f"/api/v1/namespaces/{jobs.namespace}/pods")["items"]
    assert not [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]


class Crowd:
    """How many jobs of a namespace lived at once, as a watch of the test's own saw them."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.most, self.made = 0, set[str]()
        watch = cluster.api.watch(f"/apis/batch/v1/namespaces/{namespace}/jobs")
        threading.Thread(target=self._count, args=(watch,), daemon=True).start()

    def _count(self, jobs: Iterator[Mapping[str, Any]]) -> None:
        alive: set[str] = set()
        for job in jobs:
            uid, status = job["metadata"]["uid"], job.get("status") or {}
            over = any(
                one["type"] in ("Complete", "Failed") and one["status"] == "True"
                for one in status.get("conditions", ())
            )
            (alive.discard if over else alive.add)(uid)
            self.made.add(uid)
            self.most = max(self.most, len(alive))


def test_many_steps_in_a_pool_of_eight_are_never_more_than_eight_jobs(
    cluster: Cluster, jobs: KubernetesJobs, airflow: Airflow
) -> None:
    command = [str(airflow.bin / "airflow"), "pools", "set", POOL, str(SLOTS), "", "--include-deferred"]
    subprocess.run(command, env=airflow.env, check=True, capture_output=True)
    crowd = Crowd(cluster, jobs.namespace)
    airflow.trigger_named("crowd", "all")
    wait("all have ended", lambda: set(found := states(airflow, "all")) <= {"success", "failed"} and found, 1500)
    assert states(airflow, "all") == ["success"] * STEPS
    assert len(crowd.made) == STEPS
    assert crowd.most <= SLOTS
