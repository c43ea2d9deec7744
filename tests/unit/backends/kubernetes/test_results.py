"""What a job without a runtime of ours brings back, from its pods."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
from airflow_provider_mlx.backends.kubernetes.results import result_of, spoken

IDENTITY = {"job": "dag-task-a0-1", "attempt": 1}
JOB = {"metadata": {"annotations": {"airflow-provider-mlx/identity": json.dumps(IDENTITY)}}}


def pod(message, *, code=0, rank=None, created="2026-01-01T00:00:00Z", role=""):
    labels = {"batch.kubernetes.io/job-completion-index": str(rank)} if rank is not None else {}
    labels |= {"jobset.sigs.k8s.io/replicatedjob-name": role} if role else {}
    terminated = {
        "exitCode": code,
        "message": message,
        "startedAt": "2026-01-01T00:00:01Z",
        "finishedAt": "2026-01-01T00:00:09Z",
    }
    return {
        "metadata": {"labels": labels, "creationTimestamp": created},
        "spec": {"containers": [{"name": "main"}, {"name": "sidecar"}]},
        "status": {
            "containerStatuses": [
                {"name": "sidecar", "state": {"terminated": {"exitCode": 0, "message": "of a sidecar"}}},
                {"name": "main", "state": {"terminated": terminated}},
            ]
        },
    }


def value(*pods, kind="Job"):
    return result_of(KINDS[kind], JOB, pods)["outputs"]["return_value"]["value"]


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        pytest.param([pod("1")], 1, id="the main container's word, not a sidecar's"),
        pytest.param([pod("1", rank=1), pod("0", rank=0)], 0, id="rank 0's"),
        pytest.param([pod("1", code=1), pod("2")], 2, id="not that of a pod that failed and was made again"),
        pytest.param([pod("9", created="2026-01-02T00:00:00Z"), pod("1")], 9, id="of two that are alike, the newer's"),
        pytest.param([], None, id="nothing, where there are no pods"),
        pytest.param([{"metadata": {}, "status": {}}], None, id="nothing, where a pod tells nothing"),
    ],
)
def test_whose_word_counts(pods, said):
    assert value(*pods) == said


def test_a_trainjobs_initializer_has_no_say():
    assert value(pod('"data"', role="dataset-initializer"), pod('"node"', role="node"), kind="TrainJob") == "node"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param('{"a": [1, "é"]}\n', {"a": [1, "é"]}, id="an object"),
        pytest.param("false", False, id="false is a value"),
        pytest.param("null", None, id="null is nothing"),
        pytest.param(" two words \n", "two words", id="text, without the space around it"),
        pytest.param('{"a": 1', '{"a": 1', id="what was cut off is text"),
        pytest.param('{"mlx": "artifact/1"}', '{"mlx": "artifact/1"}', id="what would be a reference of ours is text"),
        pytest.param("Infinity", "Infinity", id="no JSON, no number"),
        pytest.param("[" * 100_000, "[" * 100_000, id="a depth that no reader takes"),
        pytest.param("", None, id="an empty word"),
        pytest.param(None, None, id="no word"),
    ],
)
def test_a_message_is_json_or_text(message, said):
    assert spoken(message) == said


def test_the_record_says_whose_it_is_and_when_it_ended():
    found = result_of(KINDS["Job"], JOB, [pod("1")])
    assert (found["protocol"], found["step"], found["skipped"]) == (1, IDENTITY, None)
    assert found["timings"] == {"started_at": "2026-01-01T00:00:01Z", "finished_at": "2026-01-01T00:00:09Z"}
