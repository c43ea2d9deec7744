"""What a run's words mean: a table of answers, a row each."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubeflow_pipelines.status import STATES, is_archived, status_of, was_terminated
from tests.unit.backends.kubeflow_pipelines.objects import node, one_step, run, steps, workflow
from tests.unit.backends.kubeflow_pipelines.schema import PUBLISHED, check_wire

STOPPED = JobStatus(State.STOPPED, "it was stopped", running=True)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        pytest.param(run("PENDING"), JobStatus(State.ACTIVE, "it waits for its Workflow to begin"), id="just made"),
        pytest.param(one_step("PENDING"), JobStatus(State.ACTIVE, "its step's pod has not begun"),
                     id="running, but the step's pod is not: an image is pulled, or there is no room"),
        pytest.param(one_step("RUNNING"), JobStatus(State.ACTIVE, running=True), id="running"),
        pytest.param(run("RUNNING"), JobStatus(State.ACTIVE, running=True), id="running, and nothing is told of tasks"),
        pytest.param(one_step("RUNNING", state="CANCELING"), JobStatus(State.ACTIVE, stopping=True, running=True),
                     id="stopping"),
        pytest.param(run("PAUSED"), JobStatus(State.ACTIVE, "it is paused"), id="paused"),
        pytest.param(one_step("SUCCEEDED", state="SUCCEEDED"), JobStatus(State.SUCCEEDED, running=True), id="succeeded"),
        pytest.param(one_step("SKIPPED", "SUCCEEDED", state="SUCCEEDED"), JobStatus(State.SUCCEEDED, running=True),
                     id="taken from the cache"),
        pytest.param(run("SKIPPED"), JobStatus(State.SUCCEEDED, running=True), id="skipped is over, and nothing went wrong"),
        pytest.param(one_step("FAILED", state="FAILED"), JobStatus(State.FAILED, running=True), id="failed, without a reason"),
        pytest.param(run("FAILED", error={"code": 13, "message": "cannot be rendered"}),
                     JobStatus(State.FAILED, "cannot be rendered"), id="could not be rendered"),
        pytest.param(one_step("FAILED", state="FAILED", history=("PENDING", "RUNNING", "CANCELING", "FAILED")), STOPPED,
                     id="a run that was stopped ends as FAILED, and its history may say so"),
        pytest.param(one_step("FAILED", state="CANCELED"), STOPPED, id="canceled, which no server says today"),
        pytest.param(run(""), JobStatus(State.UNKNOWN, "the server gives no state"), id="no word"),
        pytest.param(run("RUNTIME_STATE_UNSPECIFIED"),
                     JobStatus(State.UNKNOWN, "Kubeflow Pipelines says `RUNTIME_STATE_UNSPECIFIED`, which is not known here"),
                     id="the word that says nothing"),
        pytest.param(run("PONDERING"),
                     JobStatus(State.UNKNOWN, "Kubeflow Pipelines says `PONDERING`, which is not known here"),
                     id="a word that is not known"),
    ],
)  # fmt: skip
def test_status(told, status):
    check_wire("v2beta1Run", {**told, "state": told.get("state") if told.get("state") in STATES else "PENDING"})
    assert status_of(told) == status


def test_every_word_of_the_published_api_has_a_meaning_but_the_one_that_has_none():
    words = json.loads((PUBLISHED / "swagger-2.17.0.json").read_text())["definitions"]["v2beta1RuntimeState"]["enum"]
    assert set(words) - {"RUNTIME_STATE_UNSPECIFIED"} == STATES.keys()


@pytest.mark.parametrize(
    ("told", "asked", "kept", "stopped"),
    [
        pytest.param(one_step("FAILED", state="FAILED"), True, None, True, id="our own wish decides"),
        pytest.param(one_step("FAILED", state="FAILED"), False, None, False, id="without any sign it failed"),
        pytest.param(one_step("FAILED", state="FAILED"), False, workflow(activeDeadlineSeconds=0), True,
                     id="the Workflow's deadline of 0 is how a run is stopped"),
        pytest.param(one_step("FAILED", state="FAILED"), False, workflow(activeDeadlineSeconds=3600), False,
                     id="a deadline of its own is none"),
        pytest.param(one_step("SUCCEEDED", state="SUCCEEDED", history=("CANCELING", "SUCCEEDED")), True, None, False,
                     id="what ended before the wish arrived has succeeded"),
    ],
)  # fmt: skip
def test_a_failed_run_that_was_stopped_is_stopped(told, asked, kept, stopped):
    assert (status_of(told, stop_requested=asked, workflow=kept).state is State.STOPPED) is stopped


def test_a_retry_takes_a_finished_run_back():
    before = one_step("FAILED", state="FAILED", history=("PENDING", "RUNNING", "FAILED"))
    after = one_step("RUNNING", history=("RUNNING",))
    assert [status_of(told).state for told in (before, after)] == [State.FAILED, State.ACTIVE]


def test_why_a_pod_does_not_begin_is_in_the_workflow():
    said = "Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    kept = steps(node("root.step.executor", "Pending", said, start=9))
    assert status_of(one_step("PENDING"), workflow=kept).reason == f"its step's pod has not begun: {said}"


def test_an_archived_run_goes_on():
    told = run("RUNNING", storage_state="ARCHIVED")
    assert is_archived(told)
    assert status_of(told).state is State.ACTIVE


@pytest.mark.parametrize("strange", [{}, {"state": None}, {"run_details": None, "state": "RUNNING"}, {"error": "text"}])
def test_an_answer_of_another_form_breaks_nothing(strange):
    assert status_of(strange).state in (State.UNKNOWN, State.ACTIVE)
    assert not was_terminated(strange, workflow={"spec": None})
