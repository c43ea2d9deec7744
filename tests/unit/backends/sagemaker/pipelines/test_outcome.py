"""What an execution leaves behind."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.sagemaker.client import Missing
from airflow_provider_mlx.backends.sagemaker.pipelines.outcome import Jobs, error_of, result_of
from airflow_provider_mlx.exceptions import JobMisconfigured
from tests.unit.backends.sagemaker.pipelines.made import Aws, execution, step


def test_the_jobs_of_steps_are_asked_for_once_and_a_removed_one_is_no_error():
    steps = [
        step("T", "Succeeded", 0, 9, type="Training", arn="a/t"),
        step("P", "Succeeded", 0, 9, type="Processing", arn="a/p"),
        step("M", "Succeeded", 0, 9, type="Model", arn="a/m"),
        step("F", "Failed", 0, 9, type="Training", arn="a/f"),
    ]
    aws = Aws(
        describe_training_job={"ModelArtifacts": {"S3ModelArtifacts": "s3://m/model.tar.gz"}},
        describe_processing_job=Missing("gone"),
    )
    result = result_of(execution(), steps, Jobs(aws, steps))
    found = result["outputs"]["return_value"]["value"]["steps"]
    assert aws.calls == ["describe_training_job", "describe_processing_job", "describe_training_job"]
    assert "model" not in found["F"], "what a failed one has written does not count"
    assert found["T"]["model"] == "s3://m/model.tar.gz"
    assert found["M"] == {"type": "Model", "status": "Succeeded", "arn": "a/m", "seconds": 9.0}
    assert [one["uri"] for one in result["datasets"]["written"]] == ["s3://m/model.tar.gz"]


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("ClientError: AlgorithmError: See job logs for more information, exit code: 1", "StepFailed"),
        ("ClientError: CapacityError: Unable to provision requested ML compute capacity", "CapacityUnavailable"),
        ("ClientError: ResourceLimitExceeded: The account-level service limit", "CapacityUnavailable"),
        ("ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: not valid", "JobMisconfigured"),
    ],
)
def test_why_a_step_failed_decides_what_follows(reason, failure):
    steps = [step("B", "Failed", 0, 9, reason="later"), step("A", "Failed", 0, 5, reason=reason)]
    error = error_of(Aws(), execution("Failed"), steps)
    assert error["reason"] == failure
    assert error["message"].splitlines() == [f"step `A` failed: {reason}", "  so did `B`"]


def test_a_pipeline_that_fails_without_a_step_says_its_own_reason():
    error = error_of(Aws(), execution("Failed", FailureReason="The role cannot be assumed"), [])
    assert error["message"] == "the pipeline failed: The role cannot be assumed"


def test_what_a_job_printed_is_made_harmless_and_short():
    printed = ["\x1b[31mred\x1b[0m\tand", "x" * 9999]
    aws = Aws(
        describe_log_streams={"logStreams": [{"logStreamName": "job-1/algo-1-1"}]},
        get_log_events={"events": [{"timestamp": n, "message": line} for n, line in enumerate(printed)]},
    )
    failed = step("T", "Failed", 0, 9, type="Training", arn="a/job-1", reason="ClientError: AlgorithmError: no")
    message = error_of(aws, execution("Failed"), [failed])["message"]
    first, second = message.splitlines()[-2:]
    assert first == "  | [31mred[0m\tand"
    assert len(second) < 600


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        pytest.param(Missing("no group"), [], id="nothing was printed"),
        pytest.param(
            JobMisconfigured("may not do logs:DescribeLogStreams"),
            ["  the log of job-1 cannot be read: may not do logs:DescribeLogStreams"], id="no right",
        ),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_had_is_no_obstacle(answer, lines):
    failed = step("T", "Failed", 0, 9, type="Training", arn="a/job-1", reason="ClientError: AlgorithmError: no")
    message = error_of(Aws(describe_log_streams=answer), execution("Failed"), [failed])["message"]
    assert message.splitlines()[2:] == (["  last lines of that job's log:", *lines] if lines else [])
