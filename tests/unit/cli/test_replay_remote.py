"""A replay from a store that is no folder here: inputs are brought, code runs through the real runtime, and nothing goes back."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.cli.recorded import Recorded
from airflow_provider_mlx.cli.replay_context import Folders, inputs_to_bring, replayed_context
from airflow_provider_mlx.cli.replay_report import report
from airflow_provider_mlx.cli.replay_run import Staged, debuggable, environment, run_staged
from airflow_provider_mlx.step.bundle import step_bundle
from tests.unit.cli.test_recorded import ME, context_of, record_of

_CODE = b"""
def train(table: dict, factor: int) -> dict:
    print("factor", factor)
    return {"sum": sum(table["values"]) * factor, "share": 1 / factor}
"""


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore()


@pytest.fixture
def recorded(store: ObjectStore, tmp_path: Path) -> Recorded:
    root = f"memory://lake/{tmp_path.name}"
    data = json.dumps({"values": [1, 2]}).encode()
    uri = f"{root}/runs/prod/churn/nightly/prepare/-1/attempt-1/outputs/return_value.json"
    store.create(uri, data)
    reference = {
        "mlx": "artifact/1", "uri": uri, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "codec": "json",
        "type": "dict", "name": "return_value", "version": "1", "producer": {},
    }  # fmt: skip
    context = json.loads(context_of(root)) | {
        "payload": {"kind": "function", "module": "steps", "function": "train"},
        "arguments": {"args": [reference], "kwargs": {"factor": 2}},
    }
    return Recorded(ME, record_of(b"{}"), context, None)


def staged(recorded: Recorded, store: ObjectStore, folder: Path, *, debug: bool = False, python: str = "") -> Staged:
    folders = Folders(folder / "work", folder / "environments")
    folders.work.mkdir(parents=True)
    for item in inputs_to_bring(recorded, folders, root=recorded.root):
        item.path.parent.mkdir(parents=True)
        store.download(item.uri, item.path)
    context = replayed_context(recorded, folders, root=recorded.root, allowed=[])
    bundle = step_bundle(None, {"steps.py": _CODE}).data
    return Staged(folders, bundle, context, python or sys.executable, environment({}), debug, None)


def test_a_step_runs_again_here(recorded, store, tmp_path):
    before = {facts.uri for facts in store.list(recorded.root)}
    job, lines = staged(recorded, store, tmp_path), []
    code = run_staged(job, show=lines.append)
    answer = report(recorded, job.folders, exit_code=code, dag_file=None)
    assert (code, answer.status) == (0, 0), answer.text
    assert lines == ["factor 2"]
    assert '{"sum": 6, "share": 0.5}' in answer.text
    assert {facts.uri for facts in store.list(recorded.root)} == before


def test_an_input_that_was_changed_is_refused_by_the_runtime(recorded, store, tmp_path):
    uri = recorded.context["arguments"]["args"][0]["uri"]
    store.write(uri, b'{"values": [100]}')
    job = staged(recorded, store, tmp_path)
    answer = report(recorded, job.folders, exit_code=run_staged(job, show=print), dag_file=None)
    assert answer.status == 1
    assert "ArtifactError" in answer.text


def test_a_job_that_leaves_nothing_is_said(recorded, store, tmp_path):
    job = staged(recorded, store, tmp_path, python="/bin/false")
    answer = report(recorded, job.folders, exit_code=run_staged(job, show=print), dag_file=None)
    assert answer.status == 1
    assert "neither result nor error" in answer.text


def test_under_the_debugger_the_runtime_is_this_releases(recorded, store, tmp_path):
    """A recorded bundle may hold an earlier runtime, which the driver does not know."""
    job = debuggable(staged(recorded, store, tmp_path, debug=True))
    assert job.bundle == step_bundle(None, {"steps.py": _CODE}).data
    assert run_staged(job, show=print) == 0
    assert (job.folders.outputs / "result.json").exists()
