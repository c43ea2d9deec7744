"""Which word counts when a job has failed: its own, one of several, or the backend's."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.jobs.failures import explain, from_error
from airflow_provider_mlx.jobs.ledger import AttemptLedger
from airflow_provider_mlx.runtime.causes import error_name
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

ME = TaskInstanceIdentity("test", "churn", "run", "train", -1)
RAISED = {"reason": "StepFailed", "type": "ValueError", "message": "no", "follows": "own"}
LOST = {"reason": "StepFailed", "type": "RuntimeError", "message": "closed by peer", "follows": "peer"}
TOLD = {"reason": "StepFailed", "type": "StepFailed", "message": "exit code 9", "follows": "stop"}
CANCELLED = {"reason": "JobCancelled", "type": "JobCancelled", "message": "told to stop", "follows": "stop"}


@pytest.mark.parametrize(
    ("error", "failure", "reason"),
    [
        pytest.param(RAISED, None, "StepFailed", id="the job's own word"),
        pytest.param(RAISED, "Preempted", "StepFailed", id="also when the backend took the job away meanwhile"),
        pytest.param(RAISED, "OutOfMemory", "StepFailed", id="also when another rank was out of memory later"),
        pytest.param(CANCELLED, None, "JobCancelled", id="told to stop, and the backend does not say why"),
        pytest.param(CANCELLED, "Preempted", "Preempted", id="told to stop, since the job was taken away"),
        pytest.param(TOLD, "Preempted", "Preempted", id="also when its own handler for the signal has ended it"),
        pytest.param(LOST, None, "StepFailed", id="a rank has lost another, and the backend does not say why"),
        pytest.param(LOST, "OutOfMemory", "OutOfMemory", id="a rank has lost another, which the kernel killed"),
        pytest.param(LOST, "Preempted", "Preempted", id="a rank has lost another, whose node was taken away"),
        pytest.param(None, "OutOfMemory", "OutOfMemory", id="no word of the job's"),
    ],
)
def test_whose_word_counts(error, failure, reason):
    status = JobStatus(State.FAILED, failure=failure)
    found = explain(error, status, job="j", attempt=1, url=None, log_tail=(), stop_reason=None)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("status", "what", "remedy"),
    [
        pytest.param(
            JobStatus(State.FAILED, "not found: team/train:9", failure="ImageUnavailable"),
            "the job could not start, since its image cannot be had: not found: team/train:9", "check the image's name",
            id="never started",
        ),
        pytest.param(
            JobStatus(State.FAILED, "its queue is stopped → ask its administrator", failure="CapacityUnavailable"),
            "the backend has no room for the job: its queue is stopped", "ask its administrator",
            id="a backend that knows what to do",
        ),
        pytest.param(
            JobStatus(State.FAILED, "its limit is 1Gi", exit_code=137, failure="OutOfMemory"),
            "the job needed more memory than it was given: its limit is 1Gi", "ask for more", id="killed for its memory",
        ),
        pytest.param(
            JobStatus(State.FAILED, exit_code=3), "the job failed with exit status 3 and left no error.json",
            "the job's own log says more", id="nobody knows why",
        ),
        pytest.param(JobStatus(State.STOPPED, "by hand"), "the job was stopped: by hand", "clear the task", id="stopped"),
    ],
)  # fmt: skip
def test_without_a_word_of_the_job_the_backends_is_told_with_what_to_do(status, what, remedy):
    found = explain(None, status, job="j", attempt=1, url=None, log_tail=(), stop_reason=None)
    assert found.what == what
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        pytest.param({"node": 1, "rank": 3}, "rank 3 on node 1: the step failed in its own code: ValueError: no", id="a rank"),
        pytest.param({"node": 1, "rank": None}, "node 1: the step failed", id="a node's supervisor"),
        pytest.param({"node": None, "rank": None}, "the step failed in its own code: ValueError: no", id="the only one"),
        pytest.param({}, "the step failed in its own code: ValueError: no", id="an error of an earlier release"),
    ],
)  # fmt: skip
def test_the_sentence_names_the_rank(place, says):
    assert from_error(RAISED | place, job="j", attempt=1, url=None).what.startswith(says)


@pytest.fixture
def ledger(tmp_path):
    return AttemptLedger(ObjectStore(), tmp_path.as_uri(), ME, 1)


def write(ledger, name, message):
    body = {"protocol": 1, "step": ME.step(try_number=1, attempt=1), "message": message}
    ledger._store.create(f"{ledger.uri}/{name}", json.dumps(body).encode())


def test_of_several_errors_the_one_counts_from_which_the_others_follow(ledger):
    assert ledger.read_error() is None
    write(ledger, "error.json", "the first on the clock")
    assert ledger.read_error()["message"] == "the first on the clock"
    write(ledger, "errors/" + error_name("2026-11-25T19:30:48.000+00:00", "rank0", "peer"), "the first on the clock")
    write(ledger, "errors/" + error_name("2026-11-25T19:30:48.700+00:00", "rank3", "own"), "the cause")
    assert ledger.read_error()["message"] == "the cause"


def test_what_the_steps_code_says_is_told_without_its_secrets():
    error = {"reason": "StepFailed", "type": "ValueError", "message": "cannot log in: password=tr0ub4dor, user=ann"}
    told = str(explain(error, JobStatus(State.FAILED), job="job", attempt=1, url=None, log_tail=(), stop_reason=None))
    assert "cannot log in: password=***" in told
    assert "tr0ub4dor" not in told


def test_the_last_lines_of_a_log_are_told_without_their_secrets():
    lines = ("connecting", "postgres://ann:tr0ub4dor@db/x refused")
    told = str(explain(None, JobStatus(State.FAILED), job="job", attempt=1, url=None, log_tail=lines, stop_reason=None))
    assert "connecting" in told
    assert "tr0ub4dor" not in told
