"""A step on two nodes of two ranks each, with torch's own launcher and gloo: results, failures, stops, checkpoints."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path

import pytest

from tests.unit.runtime.test_checkpoints import s3

__all__ = ["s3"]

TRAINS = """
    import os, sys
    import torch
    import torch.distributed as dist
    from airflow_provider_mlx.runtime import current_step

    def run(factor):
        dist.init_process_group("gloo")
        rank = dist.get_rank()
        print("here is", rank, os.environ["NODE_RANK"], os.environ["LOCAL_RANK"], os.environ["MASTER_ADDR"])
        print("error of", rank, file=sys.stderr)
        current_step.log_metric("rank", rank, step=1)
        total = torch.ones(4) * factor * (rank + 1)
        dist.all_reduce(total)
        dist.destroy_process_group()
        return {"total": total.tolist(), "rank": rank, "world": int(os.environ["WORLD_SIZE"])}
"""


def test_every_process_runs_the_function_and_rank_0_returns(gang):
    nodes = gang.run(TRAINS, args=(2.0,))
    assert [node.status for node in nodes] == [0, 0], gang.output()
    assert nodes[0].value == {"total": [20.0] * 4, "rank": 0, "world": 4}
    assert nodes[0].result["metrics"] == {"rank": 0.0}
    said = sorted(line for node in nodes for line in node.output.splitlines() if "here is" in line)
    assert said == [f"[rank {rank}] here is {rank} {rank // 2} {rank % 2} 127.0.0.1" for rank in range(4)]
    assert "[rank 3] error of 3" in nodes[1].output.splitlines()
    assert [line["value"] for node in nodes for line in node.lines if line["type"] == "metric"] == [0.0]
    assert sorted(path.name for path in (gang.attempt / "outputs").iterdir()) == ["return_value.json", "series.jsonl"]


def test_one_node_needs_nothing_from_its_backend_but_how_many_processes(gang):
    gang.nodes = 1
    gang.variables = lambda node: {"MLX_PROCESSES_PER_NODE": "2"}
    (node,) = gang.run(TRAINS, args=(1.0,))
    assert node.value == {"total": [3.0] * 4, "rank": 0, "world": 2}, gang.output()


def test_a_trainers_own_variables_are_read_and_do_not_reach_the_launcher(gang):
    """PET_… are defaults of the launcher's options: a job that may not restart must not be made to."""
    gang.variables = lambda node: {
        "PET_NNODES": "2", "PET_NODE_RANK": str(node), "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(gang.port),
        "PET_NPROC_PER_NODE": "2", "PET_MAX_RESTARTS": "7", "PET_RDZV_ENDPOINT": "no-such-host.invalid:1", "JOB_COMPLETION_INDEX": "5",
    }  # fmt: skip
    nodes = gang.run(TRAINS, args=(1.0,))
    assert nodes[0].value == {"total": [10.0] * 4, "rank": 0, "world": 4}, gang.output()


FAILS = """
    import os, signal, time
    import torch
    import torch.distributed as dist

    def run(how):
        dist.init_process_group("gloo")
        rank = dist.get_rank()
        total = torch.ones(1)
        dist.all_reduce(total)
        try:
            if rank == 3 and how == "raises":
                raise ValueError("rank 3 has had enough")
            if rank == 3 and how == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if rank == 3 and how == "leaves":
                os._exit(7)
            while True:
                dist.all_reduce(total)
                time.sleep(0.01)
        finally:
            dist.destroy_process_group()  # the others lose this rank before its error is written
"""


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        pytest.param("raises", "ValueError", "rank 3 has had enough", id="it raises"),
        pytest.param(
            "is killed", "StepFailed", "killed by SIGKILL", id="it is killed, as by the kernel for its memory"
        ),
        pytest.param("leaves", "StepFailed", "exit code 7", id="it leaves by the back door"),
    ],
)
def test_the_error_of_the_rank_that_failed_is_the_jobs(gang, how, kind, says):
    nodes = gang.run(FAILS, args=(how,))
    # Either node's launcher may see its ranks' end first: it ends by itself, and the backend then stops the other one.
    assert sorted(node.status for node in nodes) in ([1, 1], [1, 143]), gang.output()
    error = gang.error
    assert (error["node"], error["rank"], error["type"]) == (1, 3, kind)
    assert says in error["message"]
    assert gang.errors[3] == "rank3-own"
    assert all(name.endswith(("-peer", "-stop")) for name in gang.errors[:3]), "the others follow from it"
    assert (gang.attempt / "error.json").exists()
    assert not (gang.attempt / "result.json").exists()
    assert "ChildFailedError" not in gang.output(), "the launcher need not repeat it"


SAVES = """
    import signal, time, torch
    import torch.distributed as dist
    from airflow_provider_mlx.runtime import current_step

    def run(until):
        dist.init_process_group("gloo")
        rank = dist.get_rank()
        state = current_step.checkpoint_dir() / "epoch"
        first = epoch = int(state.read_text()) if state.exists() else 0
        firsts = [torch.zeros(1) for _ in range(4)]
        dist.all_gather(firsts, torch.tensor([float(first)]))
        stopping = []
        signal.signal(signal.SIGTERM, lambda *_: (stopping.append(1), print("stopping", flush=True)))
        while epoch < until and not stopping:
            epoch += 1
            print("epoch", epoch, flush=True)
            time.sleep(0.1)
        if rank == 0:
            draft = state.with_name("draft")
            draft.write_text(str(epoch))
            draft.rename(state)
        if stopping:
            raise SystemExit(9)
        return [[int(x) for x in firsts], epoch]
"""


def on_s3(s3, folder, attempt):
    def change(context):
        context["checkpoint_uri"] = f"s3://mlx-checkpoints/{folder}/checkpoints"
        context["store"]["options"] = {"s3": s3}
        context["step"]["attempt"] = attempt

    return change


def test_a_stop_reaches_every_rank_once_and_the_next_attempt_goes_on_from_the_checkpoint(gang, s3, tmp_path):
    gang.job.env |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    gang.prepare(SAVES, args=(10_000,), change=on_s3(s3, tmp_path.name, 1))
    gang.start()
    gang.until_printed("epoch 3", times=4)
    gang.tell(signal.SIGTERM)
    nodes = gang.finish()
    assert [node.status for node in nodes] == [143, 143], gang.output()
    assert sorted(line for node in nodes for line in node.output.splitlines() if "stopping" in line) == [
        f"[rank {rank}] stopping" for rank in range(4)
    ]
    assert gang.errors == [f"rank{rank}-stop" for rank in range(4)], "also with a handler of its own"
    gang.prepare(SAVES, args=(0,), change=on_s3(s3, tmp_path.name, 2))
    gang.start()
    firsts, epoch = gang.finish()[0].value
    assert epoch >= 3, gang.output()
    assert firsts == [epoch] * 4, "every rank of every node has it"


def test_a_step_that_ignores_the_stop_is_killed_with_all_its_ranks_when_its_grace_is_over(gang):
    def change(context):
        context["grace_seconds"] = 1.0

    source = """
        import os, signal, time
        def run():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready", os.getpid(), flush=True)
            time.sleep(600)
    """
    gang.prepare(source, change=change)
    gang.start()
    gang.until_printed("ready", times=4)
    gang.tell(signal.SIGTERM)
    nodes = gang.finish(30)
    assert [node.status for node in nodes] == [143, 143], gang.output()
    assert "was killed when its 1 s were over" in gang.error["message"]
    assert gang.errors == [f"rank{rank}-stop" for rank in range(4)]


def test_a_launcher_that_is_killed_leaves_no_rank_behind(gang):
    gang.nodes = 1
    gang.prepare("import os, time\ndef run():\n    print('ready', os.getpid(), flush=True); time.sleep(600)")
    gang.start()
    gang.until_printed("ready", times=2)
    pids = [int(line.split()[-1]) for line in gang.output().splitlines() if "ready" in line]
    (launcher,) = os.popen(f"pgrep -P {gang.running[0].pid}").read().split()
    os.kill(int(launcher), signal.SIGKILL)
    (node,) = gang.finish(30)
    assert node.status == 1, node.output
    assert "before a rank had said why" in node.error["message"]
    assert [pid for pid in pids if is_alive(pid)] == []


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_gang_that_starts_again_within_one_attempt_succeeds(gang, tmp_path):
    """As Kueue does it: the pods are taken away, and later the same Job makes new ones."""
    go = tmp_path / "go"
    source = "import pathlib, time\n" + textwrap.dedent(TRAINS).replace(
        "    dist.init_process_group",
        f"    print('ready', flush=True)\n    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
        "    dist.init_process_group",
    )
    gang.prepare(source, args=(1.0,))
    gang.start()
    gang.until_printed("ready", times=4)
    gang.tell(signal.SIGTERM)
    gang.finish()
    assert gang.error["reason"] == "JobCancelled"
    go.touch()
    gang.start()
    nodes = gang.finish()
    assert [node.status for node in nodes] == [0, 0], gang.output()
    assert nodes[0].value["total"] == [10.0] * 4


def test_nodes_that_do_not_find_each_other_say_where_they_looked(gang):
    gang.variables = lambda node: gang.of_indexed_job(node) | {
        "MLX_MASTER_ADDR": "no-such-host.invalid", "MLX_RENDEZVOUS_SECONDS": "2",
    }  # fmt: skip
    nodes = gang.run(TRAINS, args=(1.0,))
    assert 1 in [node.status for node in nodes], gang.output()
    assert gang.error["rank"] is None
    assert "before a rank had said why" in gang.error["message"]
    assert f"no-such-host.invalid:{gang.port}" in gang.error["remedy"]
