"""Statuses, steps, and lines of the log."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.sagemaker.pipelines.steps import (
    EXECUTION,
    Told,
    job_page,
    line_of,
    parse_step,
    status_of,
)
from airflow_provider_mlx.backends.sagemaker.validation import service_model
from tests.unit.backends.sagemaker.pipelines.made import step


def test_every_status_of_the_service_model_has_a_row():
    assert set(EXECUTION) == set(service_model().shape_for("PipelineExecutionStatus").enum)


@pytest.mark.parametrize(
    ("word", "state", "stopping"),
    [
        ("Executing", State.ACTIVE, False),
        ("Stopping", State.ACTIVE, True),
        ("Stopped", State.STOPPED, False),
        ("Failed", State.FAILED, False),
        ("CompletedWithFailures", State.FAILED, False),
        ("Succeeded", State.SUCCEEDED, False),
        ("Paused", State.UNKNOWN, False),
    ],
)
def test_statuses(word, state, stopping):
    found = status_of(word, "why")
    assert (found.state, found.stopping) == (state, stopping)
    assert found.reason == {
        "Failed": "why",
        "CompletedWithFailures": "why",
        "Paused": "SageMaker says `Paused`, which is not known here",
    }.get(word, "")


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({"TrainingJob": {"Arn": "a/t"}}, ("Training", "a/t", "", "training")),
        ({"ProcessingJob": {"Arn": "a/p"}}, ("Processing", "a/p", "", "processing")),
        ({"TransformJob": {"Arn": "a/x"}}, ("Transform", "a/x", "", None)),
        ({"QualityCheck": {"CheckJobArn": "a/q"}}, ("QualityCheck", "a/q", "", None)),
        ({"Condition": {"Outcome": "True"}}, ("Condition", "", "True", None)),
        ({"Fail": {"ErrorMessage": "too bad a model"}}, ("Fail", "", "too bad a model", None)),
        ({"EMR": {"ClusterId": "j-1"}}, ("EMR", "", "", None)),
        ({}, ("", "", "", None)),
    ],
)
def test_kinds_of_steps(metadata, found):
    seen = parse_step({"StepName": "S", "StepStatus": "Executing", "Metadata": metadata})
    assert (seen.type, seen.arn, seen.said, seen.kind) == found


def test_iterations_of_a_step_are_told_apart():
    told = {"StepName": "Fold", "StepStatus": "Executing", "IterationContext": {"ParentStepName": "All", "Index": 0}}
    assert parse_step(told).name == "Fold[0]"


@pytest.mark.parametrize(
    ("seen", "ending", "line"),
    [
        (step("A", "Executing", type="Training", arn="x/job-1"), False, "step `A` (Training) executes: job-1"),
        (step("A", "Succeeded", 0, 61.4, type="Training"), True, "step `A` (Training) succeeded after 61 s"),
        (step("A", "Failed", 0, 3, reason="ClientError: no"), True, "step `A` failed after 3 s: ClientError: no"),
        (step("A", "Stopped", 0, 3), True, "step `A` stopped after 3 s"),
        (step("C", "Succeeded", 0, 0, type="Condition", said="True"), True, "step `C` (Condition) succeeded after 0 s (True)"),
        (
            step("A", "Succeeded", cached="arn:x/execution/old"), True,
            "step `A` succeeded: the result of arn:x/execution/old counts, it did not run",
        ),
    ],
)  # fmt: skip
def test_lines(seen, ending, line):
    assert line_of(seen, ending=ending) == line


def test_who_begins_anew_says_the_same_lines_in_the_same_order():
    looks = [
        [step("A", "Starting")],
        [step("A", "Executing")],
        [step("A", "Executing"), step("B", "Executing", 5)],
        [step("A", "Stopping"), step("B", "Failed", 5, 8)],
        [step("A", "Stopped", 0, 9), step("B", "Failed", 5, 8)],
    ]
    cursor, lines = "", []
    for look in looks:
        told = Told(cursor)
        lines += [line_of(seen, ending=ending).split(" after")[0] for seen, ending in told.news(look)]
        cursor = str(told)
    anew = [line_of(seen, ending=ending).split(" after")[0] for seen, ending in Told().news(looks[-1])]
    assert lines == anew == ["step `A` executes", "step `B` executes", "step `B` failed", "step `A` stopped"]
    assert Told(cursor).news(looks[-1]) == []


def test_only_training_and_processing_jobs_have_a_page():
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/pipelines-x"
    assert job_page(arn).endswith("?region=eu-west-1#/jobs/pipelines-x")
    assert job_page(arn.replace("training-job", "model")) == job_page("") == ""
