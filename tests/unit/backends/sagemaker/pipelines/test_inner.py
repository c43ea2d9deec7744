"""The steps of an execution, as tasks for lineage."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.sagemaker.pipelines.inner import inner_tasks
from airflow_provider_mlx.backends.sagemaker.pipelines.outcome import Jobs
from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.runtime.values import Dataset
from tests.unit.backends.sagemaker.pipelines.made import Aws, at, step

TRAINING = {
    "HyperParameters": {"rate": "0.1"},
    "InputDataConfig": [{"DataSource": {"S3DataSource": {"S3Uri": "s3://lake/raw"}}}],
    "ModelArtifacts": {"S3ModelArtifacts": "s3://m/model.tar.gz"},
    "FinalMetricDataList": [{"MetricName": "auc", "Value": 0.9, "Timestamp": at(9)}],
}
JOB = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/t-1"


def tasks_of(*steps, **answers):
    aws = Aws(**answers)
    return {task.name: task for task in inner_tasks(steps, Jobs(aws, steps, needed=False))}


def test_a_training_step_says_what_it_read_and_made():
    found = tasks_of(step("Train", "Succeeded", 1, 9, type="Training", arn=JOB), describe_training_job=TRAINING)
    train = found["Train"]
    assert (train.state, train.started, train.ended, train.kind, train.id) == (
        State.SUCCEEDED, at(1), at(9), "Training", JOB,
    )  # fmt: skip
    assert train.url.endswith("#/jobs/t-1")
    assert (train.parameters, train.metrics) == ({"rate": "0.1"}, {"auc": 0.9})
    assert (train.read, train.written) == ((Dataset("s3://lake/raw"),), (Dataset("s3://m/model.tar.gz"),))


def test_what_a_failed_step_read_counts_and_what_it_wrote_does_not():
    failed = step("Train", "Failed", 1, 9, type="Training", arn=JOB, reason="AlgorithmError: no")
    train = tasks_of(failed, describe_training_job=TRAINING)["Train"]
    assert (train.state, train.reason, train.read, train.written) == (
        State.FAILED, "AlgorithmError: no", (Dataset("s3://lake/raw"),), (),
    )  # fmt: skip


@pytest.mark.parametrize("status", ["Executing", "Stopping", "Stopped"])
def test_a_step_that_was_under_way_when_all_ended_was_stopped(status):
    found = tasks_of(step("Check", status, 1, type="Condition"))
    assert found["Check"].state is State.STOPPED


def test_a_step_that_never_began_is_no_run():
    waiting = step("Later", "Starting")
    assert tasks_of(type(waiting)("Later", "Starting")) == {}


def test_a_cached_step_names_the_execution_whose_result_counts():
    cached = step("Train", "Succeeded", 1, 1, type="Training", arn=JOB, cached="arn:an-earlier-execution")
    train = tasks_of(cached, describe_training_job=TRAINING)["Train"]
    assert (train.cached, train.cached_from) == (True, "arn:an-earlier-execution")


def test_a_job_that_may_not_be_described_is_told_without_its_data():
    train = step("Train", "Failed", 1, 9, type="Training", arn=JOB)
    found = tasks_of(train, describe_training_job=JobMisconfigured("may not do sagemaker:DescribeTrainingJob"))
    assert (found["Train"].state, found["Train"].read) == (State.FAILED, ())
