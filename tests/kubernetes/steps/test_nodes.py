"""A step on several real nodes: an Indexed Job with a headless service, and a TrainJob, by one contract."""

from __future__ import annotations

import time

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings, TrainerSettings
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import ContractStep
from tests.contract.test_kubernetes import ConnectedKubernetes, ConnectedTrainer
from tests.distributed.conftest import TORCH
from tests.kubernetes.fixtures import CONN_ID

MEETS = """
    import os, socket, time

    def run():
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        if rank == 0:
            with socket.create_server(("", address[1])) as server:
                connection, _ = server.accept()
                return {"world": world, "said": connection.recv(100).decode(), "local": os.environ["LOCAL_RANK"]}
        for _ in range(300):
            try:
                with socket.create_connection(address, timeout=5) as connection:
                    connection.sendall(f"rank {rank} of node {os.environ['NODE_RANK']}".encode())
                return "dropped"
            except OSError:
                time.sleep(0.2)
        raise ConnectionError("rank 0 was never there")
"""

SECOND_FAILS = """
    import os, time

    def run():
        if os.environ["RANK"] == "1":
            raise ValueError("rank 1 has bad data")
        time.sleep(300)
"""

TRAINS = """
    import torch
    import torch.distributed as dist

    def run(steps):
        torch.manual_seed(0)
        dist.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        rows = torch.randn(256, 4)[dist.get_rank() :: dist.get_world_size()]
        wanted = rows @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(rows), wanted)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        world = dist.get_world_size()
        dist.destroy_process_group()
        return {"world": world, "first": losses[0], "last": losses[-1]}
"""


def finish(backend, handle, seconds=180):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = backend.find(handle.name)
        if found is not None and found.status.state.finished:
            backend.collect(found.handle, {})
            return found
        time.sleep(0.2)
    raise AssertionError(f"after {seconds} s the job is still {backend.find(handle.name)}")


@pytest.fixture(params=["kubernetes", "trainer"])
def make(request, connected, namespace, store, trainer_cluster):
    """Makes a backend of either kind; every job is gone at the end."""
    kinds = {"kubernetes": (ConnectedKubernetes, KubernetesSettings), "trainer": (ConnectedTrainer, TrainerSettings)}
    kind, settings = kinds[request.param]
    made = []

    def backend(**keys):
        made.append(kind(settings(namespace=namespace, env_from=[{"secret": "s3"}], **keys), CONN_ID, store))
        return made[-1]

    yield backend
    for one in made:
        one.client.close()


def test_the_nodes_find_each_other_and_rank_0_returns(make, root):
    backend = make()
    step = ContractStep(MEETS, run_id="meets", resources=Resources(nodes=2, cpu="100m"))
    handle = step.submit(backend, root)
    found = finish(backend, handle)
    result = step.ledger(backend, root).read_result()
    assert found.status.state is State.SUCCEEDED, step.ledger(backend, root).read_error()
    assert result["outputs"]["return_value"]["value"] == {"world": 2, "said": "rank 1 of node 1", "local": "0"}
    backend.forget(handle)


def test_the_first_rank_that_fails_is_the_error_and_ends_the_others(make, root, cluster, namespace):
    backend = make()
    step = ContractStep(SECOND_FAILS, run_id="second fails", resources=Resources(nodes=2, cpu="100m"))
    handle = step.submit(backend, root)
    found = finish(backend, handle)
    assert found.status.state in (State.FAILED, State.STOPPED), found
    error = step.ledger(backend, root).read_error()
    assert (error["type"], error["message"]) == ("ValueError", "rank 1 has bad data")
    until = time.monotonic() + 60
    while any(
        pod["status"]["phase"] in ("Pending", "Running")
        for pod in cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    ):
        assert time.monotonic() < until, "rank 0 must not go on alone"
        time.sleep(0.5)
    backend.forget(handle)


def test_torchrun_on_two_nodes_really_trains(make, root, cluster, namespace):
    assert TORCH.exists(), "run `make .build/torch/.ready` first"
    # PyTorch comes from this host's disk: an image with it would be gigabytes
    relaxed = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    cluster.request("PATCH", f"/api/v1/namespaces/{namespace}", relaxed, "application/merge-patch+json")
    packages = next((TORCH.parents[1] / "lib").glob("python3.*/site-packages"))
    torch = {"host_path": str(packages), "path": "/torch", "read_only": True}
    backend = make(volumes=[torch])
    step = ContractStep(
        TRAINS, run_id="trains", arguments={"steps": 60}, env={"PYTHONPATH": "/torch", "OMP_NUM_THREADS": "1"},
        resources=Resources(nodes=2, cpu="100m", launcher="torchrun"),
    )  # fmt: skip
    handle = step.submit(backend, root)
    found = finish(backend, handle, 300)
    assert found.status.state is State.SUCCEEDED, step.ledger(backend, root).read_error()
    value = step.ledger(backend, root).read_result()["outputs"]["return_value"]["value"]
    assert value["world"] == 2
    assert value["last"] < value["first"] / 100, value
    backend.forget(handle)
