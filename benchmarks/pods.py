"""
A no-op step that returns a value, on a real cluster under a real Airflow: ours beside Airflow's own pod operators.

Task start to end, one task at a time, each in turn; the first of each is not counted, so that the image is there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.cluster import running_cluster
from tests.e2e.harness import Environment
from tests.faults.airflow import Airflow
from tests.faults.kubernetes import CONN_ID, KubernetesJobs

from .report import line

PEERS = {"pod": "KubernetesPodOperator", "decorated": "@task.kubernetes"}
DAG = """
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import dag, task

COMMON = {"namespace": "NAMESPACE", "image": "IMAGE", "kubernetes_conn_id": "CONN_ID", "in_cluster": False}
WRITES = "import json; json.dump({'ok': 1}, open('/airflow/xcom/return.json', 'w'))"


@dag(dag_id="pods", schedule=None)
def pods():
    last = None
    for turn in range(TURNS):
        for deferred in (False, True):
            name = f"{'deferred' if deferred else 'sync'}_{turn}"

            @task.mlx(task_id=f"ours_{name}", deferrable=deferred)
            def ours():
                return {"ok": 1}

            @task.kubernetes(task_id=f"decorated_{name}", do_xcom_push=True, deferrable=deferred, **COMMON)
            def decorated():
                return {"ok": 1}

            pod = KubernetesPodOperator(
                task_id=f"pod_{name}", cmds=["python3", "-c", WRITES], do_xcom_push=True, deferrable=deferred, **COMMON
            )
            for one in (ours(), pod, decorated()):
                if last is not None:
                    last >> one
                last = one


pods()
"""


def run(work: Path, *, runs: int) -> None:
    """Measure all of them, in one run of one DAG."""
    home = work / "pods"
    home.mkdir()
    with running_cluster(nodes=1, folder=work / "cluster-of-pods") as cluster:
        jobs = KubernetesJobs(cluster, home)
        (home / "dags").mkdir()
        text = DAG.replace("NAMESPACE", jobs.namespace).replace("IMAGE", cluster.image)
        (home / "dags" / "pods.py").write_text(text.replace("CONN_ID", CONN_ID).replace("TURNS", str(runs + 1)))
        target = jobs.targets()["kubernetes"]
        stack = {"artifacts": {"root": (home / "artifacts").as_uri()}, "targets": {"default": target}}
        (home / "stacks.yaml").write_text(json.dumps({"default": "lab", "stacks": {"lab": stack}}))
        airflow = Airflow(
            bin_folder=Environment("bench").bin, home=home / "airflow", dags=home / "dags",
            env={
                "AIRFLOW__MLX__STACKS_FILES": str(home / "stacks.yaml"), "AIRFLOW__MLX__DEPLOYMENT_ID": "bench",
                f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(jobs.connections()[CONN_ID]),
            },
        )  # fmt: skip
        try:
            airflow.start()
            airflow.trigger_named("pods", "bench")
            airflow.wait_for_run("pods", "bench", seconds=120 * (runs + 1))
            report(airflow.tasks("pods", "bench"))
        finally:
            airflow.stop()
            jobs.close()


def report(tasks: list[dict[str, Any]]) -> None:
    """A line per peer and way of waiting; what did not succeed is said, and not counted."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for task in tasks:
        subject, way, turn = task["task_id"].split("_")
        if task["state"] != "success":
            print(f"{task['task_id']}: {task['state']}", flush=True)
        elif turn != "0":
            begun, ended = (datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
            times[subject, way].append((ended - begun).total_seconds())
    for way in ("sync", "deferred"):
        for subject, peer in PEERS.items():
            if times[subject, way] and times["ours", way]:
                line(f"a no-op step on Kubernetes, {way}", times["ours", way], peer, times[subject, way], unit="s")
