"""
Where a node stands among those of its job, and what the user's code is told of it: the same on every backend.

Each backend has its own words for it; ``SOURCES`` is the table. The user's code sees ``RANK``, ``WORLD_SIZE``,
``LOCAL_RANK``, ``LOCAL_WORLD_SIZE``, ``NODE_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT``, as torchrun has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, NamedTuple  # noqa: UP035  (Python 3.9)

from .refusals import JobMisconfigured

MASTER_PORT = 29500
"""torchrun's own default."""
RESOURCE_CONFIGS = (Path("/opt/ml/input/config/resourceconfig.json"), Path("/opt/ml/config/resourceconfig.json"))
"""
Of SageMaker's training and processing jobs. Sources: docs.aws.amazon.com/sagemaker/latest/dg/
your-algorithms-training-algo-running-container.html and build-your-own-processing-container.html.
"""
PROCESS_WORDS = ("auto", "gpu", "cpu")
"""What torchrun takes besides a number for the processes of a node."""

Variables = Mapping[str, str]
"""Of a process: its environment."""


class Place(NamedTuple):
    """
    A node's place in its job.

    :param processes: how many processes torchrun starts here: a number, or one of :data:`PROCESS_WORDS`.
    """

    nodes: int
    node_rank: int
    master_addr: str
    master_port: int
    processes: str = "1"


class Source(NamedTuple):
    """
    How a backend says it.

    :param backend: for messages.
    :param variables: the one that tells it from others first.
    :param read: nodes, node rank, address and port of node 0; raises KeyError or ValueError.
    """

    backend: str
    variables: str
    is_there: Callable[[Variables], bool]
    read: Callable[[Variables], Place]


def _of_variables(nodes: str, rank: str, address: str, port: str) -> Callable[[Variables], Place]:
    return lambda env: Place(int(env[nodes]), int(env[rank]), env[address], int(env[port]))


def _of_indexed_job(env: Variables) -> Place:
    rank = env.get("MLX_NODE_RANK") or env["JOB_COMPLETION_INDEX"]
    return Place(int(env["MLX_NODES"]), int(rank), env["MLX_MASTER_ADDR"], int(env.get("MLX_MASTER_PORT", MASTER_PORT)))


def _of_sagemaker(env: Variables) -> Place:
    import json

    if "SM_HOSTS" in env:
        hosts, host = json.loads(env["SM_HOSTS"]), env["SM_CURRENT_HOST"]
    else:
        told = json.loads(next(path for path in RESOURCE_CONFIGS if path.is_file()).read_bytes())
        hosts, host = told["hosts"], told["current_host"]
    hosts = sorted(hosts)  # as SageMaker's own toolkit counts them: algo-1, algo-10, algo-2
    return Place(len(hosts), hosts.index(host), hosts[0], MASTER_PORT)


# The order is the order of trial: a TrainJob's pods are those of an Indexed Job too, and a PyTorchJob of training
# operator 1.7 and later has the variables of both operators, where its WORLD_SIZE counts processes.
SOURCES = (
    Source(
        # Ours. A Kubernetes Indexed Job says the index; the rest is set by our backends. Other backends set
        # MLX_NODE_RANK.
        "a backend of this package",
        "MLX_NODES, JOB_COMPLETION_INDEX or MLX_NODE_RANK, MLX_MASTER_ADDR, MLX_MASTER_PORT",
        lambda env: "MLX_NODES" in env, _of_indexed_job,
    ),
    Source(
        # Kubeflow Trainer v2, runtime/framework/plugins/torch; training operator 1.7+, controller pytorch/envvar.go.
        "Kubeflow Trainer", "PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR, PET_MASTER_PORT",
        lambda env: "PET_NNODES" in env,
        _of_variables("PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"),
    ),
    Source(
        "SageMaker", f"SM_HOSTS and SM_CURRENT_HOST, or {RESOURCE_CONFIGS[0]}",
        lambda env: "SM_HOSTS" in env or any(path.is_file() for path in RESOURCE_CONFIGS), _of_sagemaker,
    ),
    Source(
        # Training operator up to 1.6: WORLD_SIZE and RANK count pods.
        "a PyTorchJob", "WORLD_SIZE, RANK, MASTER_ADDR, MASTER_PORT",
        lambda env: "WORLD_SIZE" in env and "RANK" in env,
        _of_variables("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"),
    ),
)  # fmt: skip

# How many processes a node has, the first that is set; SageMaker's toolkit says 0 where there is no GPU.
_PROCESSES = ("MLX_PROCESSES_PER_NODE", "PET_NPROC_PER_NODE", "SM_NUM_GPUS")


def find_place(nodes: int, env: Variables) -> Place:
    """
    This node's place, from what the backend tells it; on one node, this machine.

    :param nodes: how many there should be.
    :raises JobMisconfigured: nothing tells it, or tells something else than the context.
    """
    processes = _processes(env)
    if nodes == 1:
        return Place(1, 0, "127.0.0.1", _free_port(), processes)
    source = next((source for source in SOURCES if source.is_there(env)), None)
    if source is None:
        known = "; ".join(f"{source.variables} ({source.backend})" for source in SOURCES)
        raise JobMisconfigured(
            f"the step runs on {nodes} nodes, and nothing in the job's environment says which of them this one is",
            f"its backend must set one of: {known}",
        )
    try:
        place = source.read(env)
    except (KeyError, ValueError, OSError) as error:
        raise JobMisconfigured(
            f"this node's place cannot be read from {source.variables}: {type(error).__name__}: {error}",
            f"look at how {source.backend} sets them; jobs whose number of nodes may change are not supported",
        ) from error
    if place.nodes != nodes or not 0 <= place.node_rank < nodes:
        raise JobMisconfigured(
            f"the step runs on {nodes} nodes, and this is node {place.node_rank} of {place.nodes}, as {source.backend} "
            f"has it ({source.variables})",
            "make as many nodes in the backend as the step asks for",
        )
    return place._replace(processes=processes)


def environment_of(place: Place) -> dict[str, str]:
    """What the user's code is told where it runs once per node."""
    return {
        "RANK": str(place.node_rank),
        "WORLD_SIZE": str(place.nodes),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "NODE_RANK": str(place.node_rank),
        "MASTER_ADDR": place.master_addr,
        "MASTER_PORT": str(place.master_port),
    }


def _processes(env: Variables) -> str:
    name = next((name for name in _PROCESSES if env.get(name)), None)
    if name is None:
        return "1"
    said = env[name].strip()
    if said in PROCESS_WORDS or (said.isdigit() and int(said) > 0):
        return said
    if name == "SM_NUM_GPUS" and said == "0":
        return "1"
    raise JobMisconfigured(
        f"{name} is {said!r}, which is no number of processes", f"set it to a number from 1, or to {PROCESS_WORDS}"
    )


def _free_port() -> int:
    """Two jobs may run on one machine; what takes the port in the moment after this is bad luck that says so."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
