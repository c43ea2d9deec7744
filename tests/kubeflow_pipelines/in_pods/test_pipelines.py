"""
What comes out of whole pipelines: the tasks that are added, and what real drivers say that they were given.

The pipelines are compiled by the SDK as users' are, and run as the operator runs them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubeflow_pipelines.pipeline_source import PipelineSource
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.backend import PipelineRunBackend
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.settings import RunSettings
from tests.kubeflow_pipelines.in_pods.recording import outline, stable_workflow
from tests.kubeflow_pipelines.in_pods.steps import RunningPipeline
from tests.unit.backends.kubeflow_pipelines.sdk import compiler

PIPELINES = Path(__file__).parent / "pipelines"
RECORDED = Path(__file__).parents[1] / "recorded" / "in_pods" / "workflow-kinds.json"
TEXT = 'grüße <&> "it\'s"\n$(x) $HOME'
VALUES = {
    "text": TEXT, "count": 3, "whole": 2.0, "share": 0.25, "good": True, "names": ["a", 1, None],
    "facts": {"k": {"deep": [1.5]}}, "nothing": "",
}  # fmt: skip
KINDS = {
    **{name: f"values.{name}" for name in VALUES},
    "model": "train.model", "table": "train.table", "metrics": "evaluate.metrics", "auc": "evaluate.Output",
    "registered": "register.Output", "receipt": "condition-1/register.receipt", "other": "register-2.receipt",
    "unregistered": "condition-2/register-2.Output", "total": "total.Output", "said": "exit-handler-5/say.Output",
    "note": "say.note",
}  # fmt: skip
BRANCHES = "exit-handler-1/condition-branches-2"
GROUPS = {
    "inner": "exit-handler-1/inner.Output", "deep": "exit-handler-1/inner/say.Output", "deep_note": "exit-handler-1/inner/say.note",
    "chosen": "say-3.Output", "branch": f"{BRANCHES}.pipelinechannel--condition-branches-2-oneof-1",
    "first": f"{BRANCHES}/condition-3/say.Output", "second": f"{BRANCHES}/condition-4/say-2.Output",
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compiles one of the pipelines by its name."""
    sdk = compiler(tmp_path_factory.mktemp("compiled"))
    return lambda name: sdk.compile(PipelineSource(PIPELINES / f"{name}.py", name))


@pytest.fixture
def backend(kubeflow_in_pods, store):
    backend = PipelineRunBackend(RunSettings(address=kubeflow_in_pods.address), store=store)
    yield backend
    backend.client.close()


@pytest.fixture
def run(backend, compiled, root):
    """Runs a pipeline to its end, under a name of this test."""
    return lambda name, title, **asked: RunningPipeline(backend, compiled(name), root, title, **asked)


def test_outputs_of_every_kind_and_again_from_the_cache(run, backend):
    fresh = run("kinds", "fresh", outputs=KINDS, parameters={"rows": 7})
    assert fresh.finish().state is State.SUCCEEDED
    value = fresh.value
    assert {name: (value[name], type(value[name])) for name in VALUES} == {
        name: (one, type(one)) for name, one in VALUES.items()
    }
    assert (value["total"], value["auc"], value["said"]) == (5, 0.91, TEXT.upper())
    assert value["metrics"] == {"auc": 0.91, "rows": 7}
    ours = f"s3://mlpipeline/v2/artifacts/kinds/{fresh.run_id}"
    written = {name: value[name]["uri"] for name in ("model", "table", "receipt", "note")}
    assert all(uri.startswith(f"{ours}/") and uri.endswith(f"/{name}") for name, uri in written.items())
    assert value["registered"].replace("minio:", "s3:") == written["model"]
    assert (value["other"], value["unregistered"]) == (None, None)
    told = fresh.read("result.json")
    assert told["metrics"] == {"auc": 0.91, "rows": 7.0}
    assert told["datasets"]["read"] == []
    assert {one["uri"] for one in told["datasets"]["written"]} == set(written.values())
    assert not [name for name in value["tasks"] if "airflow" in name]
    assert not [line for line in backend.read_log(fresh.handle).lines if "airflow" in line]
    _compare_with_recorded(backend.client.workflow_of(fresh.run_id))

    again = run("kinds", "again", outputs=KINDS, parameters={"rows": 7})
    assert again.finish().state is State.SUCCEEDED
    changed = {"run_id", "tasks"}
    assert {name: one for name, one in again.value.items() if name not in changed} == {
        name: one for name, one in value.items() if name not in changed
    }
    datasets = again.read("result.json")["datasets"]
    assert datasets["read"] == []
    named = {one["uri"] for one in value.values() if isinstance(one, dict) and one.get("mlx") == "dataset/1"}
    assert {one["uri"] for one in datasets["written"]} == named, "what came out of its tasks, though from the cache"


def test_outputs_in_groups(run):
    """Without the cache: a branch whose tasks all come from there makes `dsl.OneOf` fail at 2.14.3."""
    pipeline = run("groups", "groups", outputs=GROUPS, caching=False)
    assert pipeline.finish().state is State.SUCCEEDED
    value = pipeline.value
    assert {name: value[name] for name in GROUPS if name != "deep_note"} == {
        "inner": "NESTED", "deep": "NESTED", "chosen": "FIRST", "branch": "FIRST", "first": "FIRST", "second": None,
    }  # fmt: skip
    assert value["deep_note"]["uri"].endswith("/note")


def test_a_pipeline_whose_task_fails(run, backend):
    pipeline = run("failing", "failing", outputs={"score": "train.Output"})
    status = pipeline.finish()
    assert (status.state, status.exit_code) == (State.FAILED, 1)
    error = pipeline.read("error.json")
    lines = error["message"].splitlines()
    assert lines[:3] == [
        "task `exit-handler-1/train` failed: Error (exit code 1)",
        "  its code ended with exit code 1",
        "  so did `exit-handler-1`",
    ]
    assert "  | ValueError: too few rows" in lines
    assert "  | training on 1" in lines
    log = backend.read_log(pipeline.handle).lines
    assert any(line.startswith("exit-handler-1/train failed after") for line in log)
    assert any(line.startswith("clean succeeded after") for line in log), "an exit task runs all the same"


def _compare_with_recorded(workflow):
    """What unit tests read is as a real server tells it; times, ids and the order of nodes differ each time."""
    if os.environ.get("MLX_ACCEPT_GOLDEN") == "1":
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text(json.dumps(stable_workflow(workflow), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    assert outline(workflow) == outline(json.loads(RECORDED.read_text()))
