"""A job that starts again within one attempt: preempted and admitted once more, or its pod replaced. Real processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.jobs.ledger import AttemptLedger
from airflow_provider_mlx.runtime.addresses import file_path
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

ME = TaskInstanceIdentity("test", "churn", "manual__1", "train", -1)


class Attempt:
    """One attempt, whose job is started as often as one likes, as Airflow's side sees it."""

    def __init__(self, job):
        self.job = job
        self.ledger = AttemptLedger(ObjectStore(), job.root.as_uri(), ME, 2)
        self.folder = file_path(self.ledger.uri)
        self.command = []

    def prepare(self, source, *, multiple=False, **options):
        def change(context):
            context["step"] = ME.step(try_number=1, attempt=2)
            context["outputs"] |= {"uri": self.ledger.uri, "multiple": multiple}

        self.command, _ = self.job.prepare(source, change=change, **options)

    def run(self):
        return self.job.finish(self.command, self.folder)

    def start_until(self, condition):
        process = self.job.start(self.command)
        until = time.monotonic() + 60
        while not condition():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.002)
        return process

    def stop_when(self, condition):
        """As by Kueue, or a drained node: SIGTERM."""
        process = self.start_until(condition)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        return process.returncode

    def lose_when(self, condition):
        """As with its node: nothing of it runs any more, and its disk is gone."""
        process = self.start_until(condition)
        children = os.popen(f"pgrep -P {process.pid}").read().split()
        for pid in (process.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        for left in self.job.scratch.iterdir():
            shutil.rmtree(left)

    def content(self, name="return_value"):
        """An output's bytes, checked against its reference as whoever reads it does."""
        artifact = self.ledger.read_result()["outputs"][name]["artifact"]
        data = file_path(artifact["uri"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact["size"], artifact["sha256"])
        return data


@pytest.fixture
def attempt(job):
    return Attempt(job)


WAITS = """
    import pathlib, time
    from airflow_provider_mlx.runtime import current_step
    def run(flag, then):
        flag = pathlib.Path(flag)
        current_step.log_metric("loss", 1.0, step=1)
        if not flag.exists():
            flag.touch()
            time.sleep(60)
        if then == "returns":
            return {"now": time.time_ns()}
        raise ValueError(then)
"""


def test_a_job_that_was_stopped_and_starts_again_succeeds(attempt, tmp_path):
    flag = tmp_path / "flag"
    attempt.prepare(WAITS, args=(str(flag), "returns"))
    assert attempt.stop_when(flag.exists) == 143
    assert attempt.ledger.read_error()["reason"] == "JobCancelled"
    done = attempt.run()
    assert done.status == 0, done.output
    assert attempt.ledger.read_result()["metrics"] == {"loss": 1.0}
    assert json.loads(attempt.content()) == attempt.ledger.read_result()["outputs"]["return_value"]["value"]


def test_a_job_that_starts_again_and_fails_says_why(attempt, tmp_path):
    flag = tmp_path / "flag"
    attempt.prepare(WAITS, args=(str(flag), "the second time"))
    attempt.stop_when(flag.exists)
    done = attempt.run()
    assert done.status == 1
    error = attempt.ledger.read_error()
    assert (error["type"], error["message"]) == ("ValueError", "the second time")
    first = json.loads((attempt.folder / "error.json").read_text())
    assert first["reason"] == "JobCancelled", "what was written stays"
    assert "see errors/" in done.output
    assert len(list((attempt.folder / "rescue").iterdir())) == 2, "the metrics of both"


def test_of_several_stops_the_last_is_told(attempt, tmp_path):
    flag = tmp_path / "flag"
    attempt.prepare(WAITS, args=(str(flag), "x"))
    attempt.stop_when(flag.exists)
    before = attempt.ledger.read_error()["failed_at"]
    flag.unlink()
    attempt.stop_when(flag.exists)
    assert attempt.ledger.read_error()["failed_at"] > before


TWO = """
    import pathlib, time
    def run(folder):
        flag, big = pathlib.Path(folder, "flag"), pathlib.Path(folder, "big")
        first = not flag.exists()
        flag.touch()
        with big.open("wb") as file:
            file.truncate(2**31 if first else 10)
        return {"small": {"now": time.time_ns()}, "big": big}
"""


def test_a_job_that_was_lost_while_it_stored_its_outputs_succeeds_when_it_starts_again(attempt, tmp_path):
    attempt.prepare(TWO, args=(str(tmp_path),), multiple=True)
    small = attempt.folder / "outputs" / "small.json"
    attempt.lose_when(lambda: small.exists() and any(small.parent.glob(".*.tmp")))
    lost = small.read_bytes()
    assert attempt.ledger.read_result() is None
    assert attempt.ledger.read_error() is None
    done = attempt.run()
    assert done.status == 0, done.output
    assert attempt.content("big") == b"\0" * 10
    assert json.loads(attempt.content("small"))["now"] > json.loads(lost)["now"]
    assert small.read_bytes() == lost, "nothing is overwritten"


def test_what_a_lost_job_has_left_in_part_is_not_taken_for_the_whole(attempt):
    """A mounted bucket has no links: there an object is a part of itself while it is written."""
    attempt.prepare("def run():\n    return {'a': [1, 2, 3]}")
    assert attempt.run().status == 0
    whole = attempt.content()
    outputs = attempt.folder / "outputs"
    for file in attempt.folder.glob("*.json"):
        file.unlink()
    (outputs / "return_value.json").write_bytes(whole[:4])
    (outputs / f"return_value-{hashlib.sha256(whole).hexdigest()[:12]}.json").write_bytes(whole[:4])
    done = attempt.run()
    assert done.status == 0, done.output
    assert attempt.content() == whole


def test_a_value_that_no_codec_takes_is_rescued_each_time(attempt):
    attempt.prepare("import time\ndef run():\n    return {'x': object(), 'now': time.time_ns()}")
    for times in (1, 2):
        attempt.run()
        error = attempt.ledger.read_error()
        kept = {entry["format"]: Path(file_path(entry["uri"])) for entry in error["rescued"]}
        assert "now" in kept["text"].read_text()
        assert len(list((attempt.folder / "rescue").glob("*.txt"))) == times
