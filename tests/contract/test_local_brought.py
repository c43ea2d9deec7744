"""Checkpoints and wheels of local jobs on an object store: the job has no client, the worker brings and stores."""

from __future__ import annotations

import json
import os
import signal
import time
import zipfile
from dataclasses import replace

import pytest

from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep
from airflow_provider_mlx.testing.steps import ContractStep
from tests.contract.test_local import assert_nothing_runs_under
from tests.unit.runtime.test_environment import make_wheel

TRAINS = """
    import time
    from airflow_provider_mlx.runtime import current_step

    def run(until, seconds=0.0, sync=0):
        folder = current_step.checkpoint_dir()
        state = folder / "epoch"
        started = epoch = int(state.read_text()) if state.exists() else 0
        while epoch < until:
            epoch += 1
            draft = folder / "epoch.tmp"
            draft.write_text(str(epoch))
            draft.rename(state)
            time.sleep(seconds)
        stored = current_step.sync_checkpoints(sync) if sync else None
        print("trained", flush=True)
        return [started, epoch, stored]
"""


class Host:
    """One host's worker: its own disk, the same store."""

    def __init__(self, folder, store, root):
        self.folder, self.root = folder, root
        self.backend = LocalBackend(LocalSettings(work_dir=str(folder)), store=store)

    def start(self, attempt, **arguments):
        step = ContractStep(TRAINS, arguments=arguments)
        return step.submit(self.backend, self.root, attempt)

    def request(self, handle):
        return json.loads((self.folder / "jobs" / handle.name / "request.json").read_text())

    def end(self, handle, attempt):
        """As a worker watches: look, tend, and bring what is there at the end; the result, or the error."""
        end = time.monotonic() + 60
        while not (status := self.backend.find(handle.name).status).state.finished:
            self.backend.tend(handle)
            assert time.monotonic() < end, status
            time.sleep(0.1)
        self.backend.collect(handle, self.request(handle))
        ledger = ContractStep().ledger(self.backend, self.root, attempt)
        self.backend.forget(handle)
        return ledger.read_result() or ledger.read_error()

    def run(self, attempt, **arguments):
        return self.end(self.start(attempt, **arguments), attempt)["outputs"]["return_value"]["value"]

    def kill(self, handle):
        """As the end of the host: the job and everything of it."""
        lease = json.loads((self.folder / "jobs" / handle.name / "process.json").read_text())
        for pid in [*map(int, os.popen(f"pgrep -P {lease['pid']}").read().split()), lease["pid"]]:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def root(tmp_path):
    return f"s3://artifacts/{tmp_path.name}"


@pytest.fixture
def host(tmp_path, s3_store, root):
    made = []

    def make(name):
        made.append(Host(tmp_path / name, s3_store, root))
        return made[-1]

    yield make
    for one in made:
        assert_nothing_runs_under(one.folder)


def epochs(store, root):
    objects = {item.uri: item for item in store.list(root) if "/checkpoints/" in item.uri}
    manifests = [json.loads(store.read(uri)) for uri in objects if uri.endswith(".json")]
    files = [file for body in manifests for file in body["files"] if file["path"] == "epoch"]
    return [int(store.read(next(uri for uri in objects if uri.endswith(file["object"])))) for file in files]


def test_the_next_attempt_on_another_host_goes_on_where_the_lost_one_was(host, s3_store, root):
    first = host("first")
    handle = first.start(1, until=1000, seconds=0.5)
    end = time.monotonic() + 40
    while max(epochs(s3_store, root), default=0) < 3:
        first.backend.tend(handle)
        assert time.monotonic() < end, "no checkpoint was stored while the job ran"
        time.sleep(0.2)
    first.kill(handle)
    first.backend.forget(handle)  # its disk is gone
    seen = max(epochs(s3_store, root))
    assert host("second").run(2, until=seen + 2) == [seen, seen + 2, None]


def test_an_error_leaves_its_last_checkpoint(host):
    one = host("one")
    handle = one.start(1, until="3")
    assert one.end(handle, 1)["type"] == "TypeError"
    handle = one.start(2, until=3, seconds="x")
    assert one.end(handle, 2)["type"] == "TypeError", "after the first epoch was saved"
    assert host("other").run(3, until=4) == [1, 4, None]


def test_a_job_can_have_its_checkpoint_stored_by_the_worker_and_wait(host):
    assert host("one").run(1, until=3, sync=20) == [0, 3, True]


def test_without_a_worker_the_step_is_told_that_nothing_is_stored(host):
    one = host("one")
    handle = one.start(1, until=1, sync=2)
    end = time.monotonic() + 40
    while not one.backend.find(handle.name).status.state.finished:  # nobody tends
        assert time.monotonic() < end
        time.sleep(0.2)
    result = one.end(handle, 1)
    assert result["outputs"]["return_value"]["value"] == [0, 1, False]
    assert host("two").run(2, until=2)[0] == 1, "it was stored when the worker came back"


def test_what_is_collected_twice_is_stored_once(host, s3_store, root):
    one = host("one")
    handle = one.start(1, until=2)
    while not one.backend.find(handle.name).status.state.finished:
        time.sleep(0.1)
    for _ in range(2):
        one.backend.collect(handle, one.request(handle))
    one.backend.forget(handle)
    assert epochs(s3_store, root) == [2]


def test_damaged_checkpoints_are_an_error_before_the_job_starts(host, s3_store, root):
    host("one").run(1, until=2)
    (item,) = [item for item in s3_store.list(root) if "/checkpoints/since-1/objects/" in item.uri]
    s3_store.write(item.uri, b"forged")
    two = host("two")
    with pytest.raises(ArtifactError, match="none of the 1 checkpoints"):
        two.start(2, until=3)
    assert not list(two.folder.glob("jobs/*/lease.json"))


# --- wheels, which come the same way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_wheels_on_the_store_are_brought_to_a_local_job_and_no_index_is_asked(
    host, s3_store, root, tmp_path, monkeypatch, form
):
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    wheel = make_wheel(tmp_path, "tiny", "0.3")
    uri = f"{root}/wheels"
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "wheels.zip", "w") as archive:
            archive.write(wheel, wheel.name)
        uri += ".zip"
        s3_store.upload(tmp_path / "wheels.zip", uri)
    else:
        s3_store.upload(wheel, f"{uri}/{wheel.name}")
    one = host("one")
    step = ContractStep("import tiny\n\ndef run():\n    return tiny.VERSION\n", target={"wheelhouse": uri})
    planner = step.planner(one.backend, root)
    planned = replace(planner, definition=replace(planner.definition, requirements=("tiny",))).plan(1)
    planned.upload()
    step.ledger(one.backend, root).take(planned.context)
    result = one.end(one.backend.submit(planned.request), 1)
    assert result["outputs"]["return_value"]["value"] == "0.3", result


def test_wheels_elsewhere_are_refused_on_a_store_that_is_brought(host, root):
    step = ContractStep(target={"wheelhouse": "s3://elsewhere/wheels/"})
    planner = step.planner(host("one").backend, root)
    artifacts = replace(planner.resolved.artifacts, allowed=("s3://elsewhere/",))
    with pytest.raises(InvalidStep, match="brought to a local job only from under its artifact root"):
        replace(planner, resolved=replace(planner.resolved, artifacts=artifacts)).plan(1)
