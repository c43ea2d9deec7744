"""
The examples on a real cluster, under a real Airflow (``airflow dags test``), in the name of the Role.

Their stack file is the one that is beside them, with this cluster's names in the place of the examples'.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api import MERGE_PATCH
from tests.distributed.conftest import TORCH
from tests.e2e.harness import EXAMPLES, Environment, Home, Run
from tests.kubernetes.fixtures import BUCKET, REGION, Tenant, make_tenant, s3_environment

FOLDER = EXAMPLES / "on_kubernetes"
STACKS = "mlx_stacks.yaml"
JOB, POD = {"apiVersion": "batch/v1", "kind": "Job"}, {"apiVersion": "v1", "kind": "Pod"}


@dataclass(frozen=True)
class OwnEnvironment(Environment):
    """The environment of these tests, which has an Airflow too."""

    name: str = "tests"

    @property
    def bin(self) -> Path:
        return Path(sys.executable).parent

    def check(self) -> None:
        assert (self.bin / "airflow").exists()


def adapted(text: str, tenant: Tenant, image: str) -> str:
    """
    The examples' stack file with this cluster's namespace, image and bucket, and with less patience.

    PyTorch comes from this host's disk: an image with it would be gigabytes.
    """
    torch = {"host_path": str(next((TORCH.parents[1] / "lib").glob("python3.*/site-packages"))), "path": "/torch"}
    stacks = yaml.safe_load(text)
    stack = stacks["stacks"]["cluster"]
    stack["artifacts"]["root"] = f"s3://{BUCKET}/examples"
    for target in stack["targets"].values():
        for one in target if isinstance(target, list) else [target]:
            one |= {"namespace": tenant.namespace, "image": image}
            if "give_up_pending_after" in one:
                one["give_up_pending_after"] = "8s" if "node_selector" in one else "2m"
    stack["targets"]["training"] |= {
        "volumes": [torch | {"read_only": True}], "env": {"PYTHONPATH": "/torch", "OMP_NUM_THREADS": "1"},
    }  # fmt: skip
    return str(yaml.safe_dump(stacks))


@pytest.fixture(scope="module")
def examples_tenant(cluster: Any, cluster_s3: str, tmp_path_factory: Any) -> Iterator[Tenant]:
    """A namespace with what the examples' stack file names: the Secret for the artifact root."""
    assert TORCH.exists(), "run `make .build/torch/.ready` first"
    cluster.apply_crds("kueue")
    tenant = make_tenant(cluster, tmp_path_factory.mktemp("examples"), scheduler="kueue", queue="team-a")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "artifact-root"}}
    tenant.apply({**secret, "stringData": s3_environment(cluster_s3)})
    volumes_of_hosts = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    cluster.request("PATCH", f"/api/v1/namespaces/{tenant.namespace}", volumes_of_hosts, MERGE_PATCH)
    with let_go_by_the_test(tenant):
        yield tenant
    tenant.remove()


@contextlib.contextmanager
def let_go_by_the_test(tenant: Tenant) -> Iterator[None]:
    """Admits what waits for Kueue and binds what waits for KAI, whose controllers are not there, until the block ends."""
    over = threading.Event()

    def play() -> None:
        api = tenant.cluster.api
        while not over.wait(0.5):
            for job in tenant.get("jobs", "/apis/batch/v1"):
                if job["spec"].get("suspend") and "kueue.x-k8s.io/queue-name" in job["metadata"]["labels"]:
                    api.request("PATCH", api.path_of(JOB | job), {"spec": {"suspend": False}}, MERGE_PATCH)
            for pod in tenant.get("pods"):
                if pod["spec"]["schedulerName"] == "kai-scheduler" and not pod["spec"].get("nodeName"):
                    target = {"apiVersion": "v1", "kind": "Node", "name": tenant.cluster.nodes[0]}
                    binding = {"metadata": {"name": pod["metadata"]["name"]}, "target": target}
                    api.request("POST", f"{api.path_of(POD | pod)}/binding", binding)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def run_example(
    cluster: Any, examples_tenant: Tenant, cluster_s3: str, tmp_path_factory: Any
) -> Callable[[str], Run]:  # fmt: skip
    """Runs one under ``airflow dags test``, once, and returns what Airflow's database says."""
    base = tmp_path_factory.mktemp("airflow")
    shutil.copytree(FOLDER, base / "dags")
    (base / "dags" / STACKS).write_text(adapted((FOLDER / STACKS).read_text(), examples_tenant, cluster.s3_image))
    s3 = {"region_name": REGION, "endpoint_url": cluster_s3}
    connections = {
        "KUBERNETES_DEFAULT": {
            "conn_type": "kubernetes",
            "extra": {"kube_config_path": str(examples_tenant.kubeconfig)},
        },
        "AWS_ML": {"conn_type": "aws", "login": "id", "password": "key", "extra": s3},
    }
    env = {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}
    env["AIRFLOW__MLX__DEPLOYMENT_ID"] = "tests"
    home = Home(OwnEnvironment(), base / "home", base / "dags", local_root=None, env=env).migrate()

    @functools.cache
    def run(dag_id: str) -> Run:
        done, found = home.dags_test(dag_id)
        assert done.code == 0, done.tail()
        assert found.state == "success", found.tail()
        return found

    return run


def test_gpu_step(run_example: Callable[[str], Run]) -> None:
    run = run_example("gpu_step")
    [device] = run.xcom("devices")
    assert device
    assert run.xcom("report") == 1
    assert f"this container has {device}" in run.log


def test_fallback_list(run_example: Callable[[str], Run]) -> None:
    run = run_example("fallback_list")
    assert {task.tries for task in run.tasks.values()} == {1}, "no retry of Airflow's is spent"
    pod = run.xcom("where")
    assert "-2-" in pod, "the second attempt's pod, since the first target gave up"
    assert "no node has room" in run.log
    assert f"it ran in {pod}" in run.log


def test_half_a_gpu(run_example: Callable[[str], Run]) -> None:
    run = run_example("half_a_gpu")
    assert [run.xcom(f"embed[{index}]") for index in range(2)] == [1, 4]


def test_queued_step(run_example: Callable[[str], Run]) -> None:
    run = run_example("queued_step")
    assert 0 < run.xcom("train") < 1
    assert "waits in Kueue's queue" in run.log


def test_two_nodes(run_example: Callable[[str], Run]) -> None:
    run = run_example("two_nodes")
    trained = run.xcom("train")
    assert trained["ranks"] == 2
    assert run.xcom("report") == trained["loss"] < 0.01


def test_what_ran_left_no_job_behind_but_the_one_that_gave_up(
    run_example: Callable[[str], Run], examples_tenant: Tenant
) -> None:  # fmt: skip
    run_example("gpu_step")
    assert all("gpu-step" not in job["metadata"]["name"] for job in examples_tenant.get("jobs", "/apis/batch/v1"))
