"""Checkpoints of real jobs: on a store that only a client reaches, and on a mounted one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from airflow_provider_mlx.runtime.client_boto3 import Boto3Client
from airflow_provider_mlx.runtime.client_obstore import ObstoreClient
from airflow_provider_mlx.runtime.store import Store
from tests.unit.runtime.conftest import SECOND_NODE

TRAINS = """
    import os, time
    from airflow_provider_mlx.runtime import current_step

    def run(until, seconds=0.0, sync=False, clears=False):
        folder = current_step.checkpoint_dir(across_clears=clears)
        state = folder / "epoch"
        started = epoch = int(state.read_text()) if state.exists() else 0
        while epoch < until:
            epoch += 1
            draft = folder / "epoch.tmp"
            draft.write_text(str(epoch))
            draft.rename(state)
            print("epoch", epoch, flush=True)
            time.sleep(seconds)
        stored = current_step.sync_checkpoints(30) if sync else None
        return [started, epoch, stored]
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        client.create_bucket(Bucket="mlx-checkpoints")
        yield {"endpoint_url": endpoint, "region": "us-east-1"}
    server.stop()


class Remote:
    """Attempts of one task instance, whose checkpoints are reached by a client alone."""

    def __init__(self, job, s3, uri):
        self.job, self.s3, self.uri = job, s3, uri
        job.env.update({"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"})

    def change(self, attempt, since=1, **more):
        def change(context):
            context["checkpoint_uri"], context["checkpoints_since"] = self.uri, since
            context["step"]["attempt"] = attempt
            context["store"]["options"] = {"s3": self.s3}
            context.update(more)

        return change

    def run(self, attempt, since=1, source=TRAINS, **arguments):
        return self.job.run(source, kwargs=arguments, change=self.change(attempt, since))

    def start(self, attempt, source=TRAINS, grace=10.0, **arguments):
        change = self.change(attempt, grace_seconds=grace)
        command, folder = self.job.prepare(source, kwargs=arguments, change=change)
        return self.job.start(command), folder

    def epochs(self):
        """What the store has, snapshot by snapshot."""
        store = Store({"options": {"s3": self.s3}})
        found = []
        for item in sorted(store.list(f"{self.uri}/since-1/snapshots")):
            for file in json.loads(store.read_bytes(item.uri))["files"]:
                if file["path"] == "epoch":
                    found.append(int(store.read_bytes(f"{self.uri}/since-1/objects/{file['object']}")))
        return found

    def wait_for_epoch(self, at_least):
        end = time.monotonic() + 40
        while max(self.epochs(), default=0) < at_least:
            assert time.monotonic() < end, "no checkpoint was stored while the step ran"
            time.sleep(0.2)


@pytest.fixture
def remote(job, s3, tmp_path):
    return Remote(job, s3, f"s3://mlx-checkpoints/{tmp_path.name}/checkpoints")


def until_it_prints(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never printed")


def test_a_job_that_is_killed_with_all_its_processes_goes_on_where_it_was_stored(remote):
    """As by a node that is lost: nothing of it runs afterwards, and its disk is gone."""
    process, _ = remote.start(1, until=1000, seconds=0.5)
    remote.wait_for_epoch(3)
    children = os.popen(f"pgrep -P {process.pid}").read().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    for left in remote.job.scratch.iterdir():
        import shutil

        shutil.rmtree(left)
    seen = max(remote.epochs())
    done = remote.run(2, until=seen + 2)
    assert done.value[:2] == [seen, seen + 2], done.output
    assert f"restored the checkpoint of attempt 1 (1 files, {len(str(seen))} bytes)" in done.output
    assert seen + 2 in remote.epochs(), "the end of the function is stored too"


def test_a_step_whose_process_is_killed_loses_nothing_that_it_had_written(remote):
    """As by the kernel for its memory: the supervisor lives, and stores what is there."""
    source = TRAINS.replace("return [started", "os.kill(os.getpid(), 9); return [started")
    assert remote.run(1, source=source, until=7).error["signal"] == "SIGKILL"
    assert remote.run(2, until=8).value[:2] == [7, 8]


def test_an_error_of_the_step_leaves_its_last_checkpoint(remote):
    source = TRAINS.replace("return [started", "raise ValueError('x'); return [started")
    assert remote.run(1, source=source, until=3).error["type"] == "ValueError"
    assert remote.run(2, until=4).value[:2] == [3, 4]


def test_a_job_that_is_told_to_stop_stores_within_its_grace_what_it_saves_then(remote):
    source = """
        import time
        from airflow_provider_mlx.runtime import current_step

        def run():
            folder = current_step.checkpoint_dir()
            try:
                print("started", flush=True)
                time.sleep(60)
            finally:
                (folder / "epoch").write_text("41")
    """
    process, _ = remote.start(1, source=source)
    until_it_prints(process, "started")
    started = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert remote.run(2, until=42).value[:2] == [41, 42]


def test_a_store_that_does_not_answer_does_not_hold_up_a_job_that_is_told_to_stop(remote, job):
    remote.s3 = {"endpoint_url": "http://127.0.0.1:9", "region": "us-east-1"}
    source = """
        import time
        from pathlib import Path
        from airflow_provider_mlx.runtime import current_step

        def run():
            folder = current_step._work / "checkpoints" / "since-1"
            folder.mkdir(parents=True)
            (folder / "epoch").write_text("1")
            print("started", flush=True)
            time.sleep(60)
    """
    process, folder = remote.start(1, source=source, grace=2.0)
    until_it_prints(process, "started")
    started = time.monotonic()
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - started < 12, output
    assert json.loads((folder / "error.json").read_text())["reason"] == "JobCancelled"
    assert "could not be stored in time" in output


def test_a_step_can_have_its_checkpoint_stored_and_wait(remote):
    done = remote.run(1, until=2, sync=True)
    assert done.value == [0, 2, True], done.output


def test_a_clear_starts_with_an_empty_folder_and_one_may_ask_for_the_other(remote):
    remote.run(1, until=3)
    assert remote.run(2, since=2, until=4).value[0] == 0
    assert remote.run(3, since=2, until=5).value[0] == 4, "a retry after the clear goes on from it"
    remote.run(4, since=4, until=3, clears=True)
    assert remote.run(5, since=5, until=4, clears=True).value[0] == 3


def test_a_step_that_asks_for_no_checkpoints_restores_none(remote):
    remote.run(1, until=3)
    done = remote.run(2, source="def run(until):\n    return until", until=1)
    assert done.value == 1
    assert "restored" not in done.output


def test_other_ranks_restore_what_rank_0_has_stored_and_store_nothing(remote, job):
    remote.run(1, until=3)
    job.env |= SECOND_NODE
    done = job.run(TRAINS, kwargs={"until": 9}, change=remote.change(2, nodes=2))
    assert next(line for line in done.output.splitlines() if "epoch" in line) == "epoch 4", done.output
    assert max(remote.epochs()) == 3


@pytest.mark.parametrize("client", [ObstoreClient, Boto3Client], ids=["obstore", "boto3"])
def test_a_client_lists_and_removes(s3, client, tmp_path):
    made, folder = client("s3", s3), f"s3://mlx-checkpoints/{client.__name__}"
    (tmp_path / "x").write_bytes(b"abc")
    for name in ("a/1", "a/b c/2", "ab/3"):
        made.create(tmp_path / "x", f"{folder}/{name}")
    listed = list(made.listed(f"{folder}/a"))
    assert [(item.uri, item.size) for item in listed] == [(f"{folder}/a/1", 3), (f"{folder}/a/b c/2", 3)]
    assert all(item.version for item in listed)
    for _ in range(2):
        made.delete(f"{folder}/a/1")
    assert [item.uri for item in made.listed(f"{folder}/a/")] == [f"{folder}/a/b c/2"]
    assert list(made.listed(f"{folder}/none")) == []


def test_on_a_mounted_store_the_folder_is_the_stores_own(job, tmp_path):
    def change(context):
        context["checkpoint_uri"] = (tmp_path / "root/checkpoints").as_uri()

    assert job.run(TRAINS, kwargs={"until": 2, "sync": True}, change=change).value == [0, 2, True]
    assert (tmp_path / "root/checkpoints/since-1/epoch").read_text() == "2"
    assert job.run(TRAINS, kwargs={"until": 3}, change=change).value[:2] == [2, 3]
    assert sorted(path.name for path in (tmp_path / "root/checkpoints").iterdir()) == ["since-1"], "no copies"


def test_outside_a_job_the_folder_is_a_temporary_one(tmp_path, monkeypatch, capsys):
    from airflow_provider_mlx.runtime import current_step

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert current_step.checkpoint_dir().is_dir()
    assert current_step.sync_checkpoints() is False
    assert "do not outlive" in capsys.readouterr().out
