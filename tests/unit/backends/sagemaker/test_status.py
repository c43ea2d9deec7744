"""What SageMaker's words mean: a table of answers, a row each."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.sagemaker.status import STATES, WAITS, WORDS, error_in, status_of
from airflow_provider_mlx.backends.sagemaker.validation import service_model
from airflow_provider_mlx.runtime.last_word import brief, with_error

STARTED = {"TrainingStartTime": datetime(2026, 11, 26, tzinfo=UTC)}
PROCESSED = {"ProcessingStartTime": datetime(2026, 11, 26, tzinfo=UTC)}


def training(word: str, second: str = "", **more: object) -> dict[str, object]:
    return {"TrainingJobStatus": word, "SecondaryStatus": second, **more}


@pytest.mark.parametrize(
    ("job", "status"),
    [
        pytest.param(training("InProgress", "Starting"), JobStatus(State.ACTIVE, "it is starting"), id="starting"),
        pytest.param(
            training("InProgress", "Pending", SecondaryStatusTransitions=[{"StatusMessage": "Preparing the instances"}]),
            JobStatus(State.ACTIVE, "it waits for instances: Preparing the instances"),
            id="pending, with SageMaker's own words",
        ),
        pytest.param(training("InProgress", "Training", **STARTED), JobStatus(State.ACTIVE, running=True), id="training"),
        pytest.param(training("InProgress", "Uploading", **STARTED), JobStatus(State.ACTIVE, running=True), id="uploading"),
        pytest.param(
            training("InProgress", "Interrupted", **STARTED),
            JobStatus(State.ACTIVE, "its spot instances were taken, and it waits for others"),
            id="interrupted is active",
        ),
        pytest.param(
            training("InProgress", "Pondering"), JobStatus(State.ACTIVE, "SageMaker says `Pondering`"),
            id="a secondary word that is not known",
        ),
        pytest.param(
            training("Pausing"), JobStatus(State.UNKNOWN, "SageMaker says `Pausing`, which is not known here"),
            id="a word that is not known",
        ),
        pytest.param(training("Stopping", "Stopping", **STARTED), JobStatus(State.ACTIVE, stopping=True, running=True),
                     id="stopping"),
        pytest.param(training("Completed", "Completed", **STARTED), JobStatus(State.SUCCEEDED, running=True), id="completed"),
        pytest.param(training("Stopped", "Stopped", **STARTED), JobStatus(State.STOPPED, "it was stopped", running=True),
                     id="stopped is never green"),
        pytest.param(
            training("Stopped", "MaxRuntimeExceeded", **STARTED),
            JobStatus(State.STOPPED, "it ran longer than its own limit", "JobTimeout", running=True), id="its own limit",
        ),
        pytest.param(
            training("Failed", "Failed", FailureReason="AlgorithmError: ValueError: NaN, exit code: 1", **STARTED),
            JobStatus(State.FAILED, "ValueError: NaN", exit_code=1, running=True), id="the step's own failure",
        ),
    ],
)  # fmt: skip
def test_training(job, status):
    assert status_of("training", job) == status


@pytest.mark.parametrize(
    ("job", "status"),
    [
        pytest.param({}, JobStatus(State.ACTIVE, "it is starting"), id="a processing job has no second word"),
        pytest.param(PROCESSED, JobStatus(State.ACTIVE, running=True), id="it runs since it has started"),
    ],
)
def test_processing(job, status):
    assert status_of("processing", {"ProcessingJobStatus": "InProgress", **job}) == status


@pytest.mark.parametrize("kind", ["training", "processing"])
def test_every_word_of_the_services_model_has_a_meaning(kind):
    shape = service_model().shape_for(WORDS[kind].status)
    assert set(shape.enum) <= STATES.keys()


def test_every_secondary_word_of_the_services_model_is_known():
    words = set(service_model().shape_for("SecondaryStatus").enum)
    over = {"Stopping", "Stopped", "Completed", "Failed", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"}
    assert words - over - {"Training", "Uploading"} == WAITS.keys()


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance "
         "type", "CapacityUnavailable"),
        ("InternalServerError: We encountered an internal error. Please try again.", "Preempted"),
        ("ResourceLimitExceeded: The account-level service limit 'ml.p4d.24xlarge for training job usage' is 0",
         "CapacityUnavailable"),
        ("AlgorithmError: Please use an instance type with more memory, or reduce the size of training data, exit code: "
         "137", "OutOfMemory"),
        ("ClientError: Data download failed:NoSuchKey (404): The specified key does not exist.", "ArtifactError"),
        ("ClientError: Data download failed:No S3 objects found under S3 URL \"s3://b/k\" given in input data source. "
         "Please ensure that the bucket exists in the selected region, that objects exist under that S3 prefix, and that "
         "the role has s3:ListBucket permissions", "ArtifactError"),
        ("ClientError: Data download failed:Failed to download data. AccessDenied (403): Access Denied",
         "JobMisconfigured"),
        ("ClientError: Cannot find docker image 1.dkr.ecr.eu-central-1.amazonaws.com/ml:none. Please check if your ECR "
         "image exists", "ImageUnavailable"),
        ("AlgorithmError: boto3 said 403 AccessDenied, exit code: 1", None),
        ("something new", None),
    ],
)  # fmt: skip
def test_why_a_job_failed(reason, failure):
    assert status_of("training", training("Failed", "Failed", FailureReason=reason)).failure == failure


def test_an_error_comes_back_through_the_failure_file():
    error = {
        "reason": "StepFailed", "type": "ZeroDivisionError", "message": "division by zero", "exit_code": None,
        "frames": [
            {"file": "dags/a.py", "line": 16, "function": "run", "text": "inner(0)", "user": True},
            {"file": "runtime/child.py", "line": 1, "function": "x", "text": "", "user": False},
        ],
    }  # fmt: skip
    said = with_error("ZeroDivisionError: division by zero", brief(error))
    job = training("Failed", "Failed", FailureReason=f"AlgorithmError: {said}, exit code: 1", **STARTED)
    assert status_of("training", job).reason == "ZeroDivisionError: division by zero"
    found = error_in(job)
    assert (found["reason"], found["type"], found["message"]) == ("StepFailed", "ZeroDivisionError", "division by zero")
    assert [(frame["file"], frame["line"]) for frame in found["frames"]] == [("dags/a.py", 16)]


def test_a_failure_that_was_cut_short_is_still_a_sentence():
    job = training("Failed", "Failed", FailureReason='AlgorithmError: ValueError: x ::mlx-error::{"reas')
    assert error_in(job) is None
    assert status_of("training", job).reason == "ValueError: x"
