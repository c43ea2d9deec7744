"""A node's place, from what each backend says; and steps that run once per node, in real processes."""

from __future__ import annotations

import json
import signal

import pytest

from airflow_provider_mlx.runtime import ranks
from airflow_provider_mlx.runtime.ranks import Place, find_place
from airflow_provider_mlx.runtime.refusals import JobMisconfigured
from tests.unit.runtime.nodes import Gang
from tests.unit.runtime.test_protocol import validate

INDEXED_JOB = {
    "MLX_NODES": "4",
    "JOB_COMPLETION_INDEX": "2",
    "MLX_MASTER_ADDR": "train-0.train",
    "MLX_MASTER_PORT": "29400",
}
TRAINER = {
    "PET_NNODES": "4",
    "PET_NODE_RANK": "2",
    "PET_MASTER_ADDR": "train-node-0-0.train",
    "PET_MASTER_PORT": "29400",
}
PYTORCHJOB = {"WORLD_SIZE": "4", "RANK": "2", "MASTER_ADDR": "train-master-0", "MASTER_PORT": "23456"}
SAGEMAKER = {"SM_HOSTS": '["algo-2", "algo-1", "algo-10", "algo-3"]', "SM_CURRENT_HOST": "algo-2"}


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        pytest.param(INDEXED_JOB, Place(4, 2, "train-0.train", 29400), id="a Kubernetes Indexed Job"),
        pytest.param(
            {"MLX_NODES": "4", "MLX_NODE_RANK": "3", "MLX_MASTER_ADDR": "10.0.0.1"}, Place(4, 3, "10.0.0.1", 29500),
            id="another backend; torchrun's port if it names none",
        ),
        pytest.param(
            {**INDEXED_JOB, "MLX_PROCESSES_PER_NODE": "8"}, Place(4, 2, "train-0.train", 29400, "8"),
            id="processes per node",
        ),
        pytest.param(
            {**TRAINER, "PET_NPROC_PER_NODE": "gpu", "JOB_COMPLETION_INDEX": "0"},
            Place(4, 2, "train-node-0-0.train", 29400, "gpu"),
            id="Kubeflow Trainer v2, whose pods are those of an Indexed Job too",
        ),
        pytest.param(
            {**TRAINER, **PYTORCHJOB, "WORLD_SIZE": "32", "PET_NPROC_PER_NODE": "8"},
            Place(4, 2, "train-node-0-0.train", 29400, "8"),
            id="a PyTorchJob of training operator 1.7 and later: its WORLD_SIZE counts processes",
        ),
        pytest.param(PYTORCHJOB, Place(4, 2, "train-master-0", 23456), id="a PyTorchJob of an older operator"),
        pytest.param(SAGEMAKER, Place(4, 2, "algo-1", 29500), id="SageMaker: hosts in the order of their names"),
        pytest.param(
            {**SAGEMAKER, "SM_NUM_GPUS": "0"}, Place(4, 2, "algo-1", 29500), id="SageMaker without a GPU: one process"
        ),
        pytest.param({**TRAINER, "MLX_PROCESSES_PER_NODE": "2", "PET_NPROC_PER_NODE": "auto"},
                     Place(4, 2, "train-node-0-0.train", 29400, "2"), id="our own word about processes comes first"),
    ],
)  # fmt: skip
def test_a_nodes_place(variables, place):
    assert find_place(4, variables) == place


def test_sagemakers_file_is_read_where_its_toolkit_has_set_nothing(tmp_path, monkeypatch):
    file = tmp_path / "resourceconfig.json"
    file.write_text(
        json.dumps({"current_host": "algo-2", "hosts": ["algo-1", "algo-2"], "network_interface_name": "eth0"})
    )
    monkeypatch.setattr(ranks, "RESOURCE_CONFIGS", (file,))
    assert find_place(2, {}) == Place(2, 1, "algo-1", 29500)


def test_one_node_is_this_machine_whatever_its_backend_says():
    place = find_place(1, {**TRAINER, "PET_NNODES": "1", "PET_NODE_RANK": "0", "PET_NPROC_PER_NODE": "8"})
    assert place[:3] == (1, 0, "127.0.0.1")
    assert place.processes == "8"
    assert place.master_port > 1023


@pytest.mark.parametrize(
    ("variables", "says", "way"),
    [
        pytest.param({}, "nothing in the job's environment says which of them", "MLX_NODES", id="nothing is said"),
        pytest.param({**TRAINER, "PET_NNODES": "2"}, "runs on 4 nodes, and this is node 2 of 2", "as many nodes",
                     id="another number of nodes than the step asks for"),
        pytest.param({**TRAINER, "PET_NODE_RANK": "4"}, "this is node 4 of 4", "as many", id="a rank beyond the last"),
        pytest.param({**TRAINER, "PET_NNODES": "1:4"}, "cannot be read from PET_NNODES", "not supported",
                     id="an elastic job"),
        pytest.param({"MLX_NODES": "4", "JOB_COMPLETION_INDEX": "0"}, "KeyError: 'MLX_MASTER_ADDR'", "sets them",
                     id="a variable is missing"),
        pytest.param({**SAGEMAKER, "SM_CURRENT_HOST": "algo-7"}, "cannot be read from SM_HOSTS", "sets them",
                     id="a host that is not among them"),
        pytest.param({**INDEXED_JOB, "MLX_PROCESSES_PER_NODE": "many"}, "MLX_PROCESSES_PER_NODE is 'many'", "number",
                     id="no number of processes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_way_out(variables, says, way):
    with pytest.raises(JobMisconfigured) as refused:
        find_place(4, variables)
    assert says in refused.value.what
    assert way in refused.value.remedy


# --- once per node --------------------------------------------------------------------------------------------------------


@pytest.fixture
def gang(job):
    made = Gang(job, nodes=3)
    yield made
    made.end()


TELLS = """
    import os
    from airflow_provider_mlx.runtime import current_step
    NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    def run(given):
        current_step.log_progress(0.5)
        told = {name: os.environ.get(name) for name in NAMES}
        print("told", *told.values(), given)
        return told
"""


def test_the_function_runs_once_per_node_and_rank_0_returns(gang, interpreter):
    gang.job.python = interpreter
    nodes = gang.run(TELLS, args=("x",))
    assert [node.status for node in nodes] == [0, 0, 0], gang.output()
    assert nodes[0].value == {
        "RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "NODE_RANK": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(gang.port),
    }  # fmt: skip
    for rank, node in enumerate(nodes):
        told = f"told {rank} 3 0 1 {rank} 127.0.0.1 {gang.port} x"
        assert told in node.output.splitlines(), "one process per node needs no word of which it is"
    assert [bool(node.lines) for node in nodes] == [True, False, False], "live lines are rank 0's"
    assert len(list((gang.attempt / "outputs").iterdir())) == 1


def test_a_step_with_requirements_is_told_the_same(gang, tmp_path):
    """It runs in another interpreter, and not in a fork of its supervisor."""
    from tests.unit.runtime.test_environment import make_wheel

    wheel = make_wheel(tmp_path, "tiny", "0.3")

    def change(context):
        context["environment"]["requirements"] = [str(wheel)]

    gang.nodes = 2
    nodes = gang.run(TELLS.replace("import os\n", "import os, tiny\n"), args=("x",), change=change)
    assert nodes[0].value["WORLD_SIZE"] == "2", gang.output()


def test_one_node_without_a_launcher_is_told_nothing(job):
    """Frameworks take these variables for the wish to train on several processes."""
    assert set(job.run(TELLS, args=("x",)).value.values()) == {None}


def test_the_error_of_another_rank_is_the_jobs(gang, tmp_path):
    source = """
        import os, pathlib, time
        def run(folder):
            (pathlib.Path(folder) / os.environ["RANK"]).touch()
            if os.environ["RANK"] == "1":
                while len(list(pathlib.Path(folder).iterdir())) < 3:  # a node that has not begun yet cannot say so
                    time.sleep(0.05)
                raise ValueError("no")
            time.sleep(60)
    """
    (tmp_path / "begun").mkdir()
    nodes = gang.run(source, args=(str(tmp_path / "begun"),))
    assert [node.status for node in nodes] == [143, 1, 143], gang.output()
    assert (gang.error["rank"], gang.error["node"], gang.error["type"]) == (1, 1, "ValueError")
    assert gang.errors == ["rank0-stop", "rank1-own", "rank2-stop"]
    assert json.loads((gang.attempt / "error.json").read_text()) == gang.error, "it came first, too"
    validate("error", gang.error)
    validate("context", nodes[0].read("context.json"))


def test_a_rank_that_is_killed_is_spoken_for_by_its_supervisor(gang):
    source = """
        import os, signal, time
        def run():
            if os.environ["RANK"] == "2":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
    """
    gang.run(source)
    assert (gang.error["rank"], gang.error["signal"]) == (2, "SIGKILL"), gang.output()


def test_a_stop_of_all_says_that_they_were_told_to(gang):
    gang.prepare("import time\ndef run():\n    print('ready'); time.sleep(60)")
    gang.start()
    gang.until_printed("ready", times=3)
    gang.tell(signal.SIGTERM)
    assert [node.status for node in gang.finish()] == [143] * 3
    assert gang.error["reason"] == "JobCancelled"


def test_a_node_that_does_not_know_its_place_says_what_its_backend_must_set(gang):
    gang.variables = lambda node: {}
    gang.prepare(TELLS, args=("x",))
    gang.start()
    nodes = gang.finish(together=False)
    assert {node.status for node in nodes} == {78}, gang.output()
    error = nodes[0].error
    assert error["reason"] == "JobMisconfigured"
    assert "JOB_COMPLETION_INDEX" in error["remedy"]


def test_torchrun_without_torch_is_refused_with_the_way_out(gang):
    gang.nodes, gang.launcher = 1, "torchrun"
    (node,) = gang.run(TELLS, args=("x",))
    assert node.status == 78, node.output
    assert node.error["reason"] == "JobMisconfigured"
    assert "there is no torch" in node.error["message"]
    assert "requirements=" in node.error["remedy"]


def test_a_launcher_of_the_future_is_refused(gang):
    gang.nodes, gang.launcher = 1, "mpi"
    (node,) = gang.run(TELLS, args=("x",))
    assert "knows no launcher 'mpi'" in node.error["message"]
