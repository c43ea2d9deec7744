"""What a finished job's machines were, and for how long they are billed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_mlx.backends.base import Usage
from airflow_provider_mlx.backends.sagemaker.usage import usage_of
from airflow_provider_mlx.backends.sagemaker.validation import service_model

BEGAN = datetime(2026, 11, 26, tzinfo=UTC)
WHERE = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2}
PRICES = {"ml.g5.xlarge": 1.408}


def test_a_training_job_is_billed_by_sagemakers_own_word():
    job = {"ResourceConfig": WHERE, "BillableTimeInSeconds": 840, "TrainingTimeInSeconds": 2400}
    assert usage_of("training", job, PRICES) == Usage("", "ml.g5.xlarge", 2, 840.0, True, 1.408)


def test_without_its_word_nothing_is_guessed():
    assert usage_of("training", {"ResourceConfig": WHERE}, PRICES).seconds is None


def test_a_processing_job_is_billed_while_it_runs():
    job = {
        "ProcessingResources": {"ClusterConfig": WHERE}, "ProcessingStartTime": BEGAN,
        "ProcessingEndTime": BEGAN + timedelta(seconds=90),
    }  # fmt: skip
    assert usage_of("processing", job, {}) == Usage("", "ml.g5.xlarge", 2, 90.0, False, None)
    assert usage_of("processing", {}, PRICES) == Usage()


def test_the_fields_are_those_of_the_service():
    model = service_model()
    training = model.shape_for("DescribeTrainingJobResponse").members
    processing = model.shape_for("DescribeProcessingJobResponse").members
    assert {"BillableTimeInSeconds", "ResourceConfig"} <= set(training)
    assert {"ProcessingStartTime", "ProcessingEndTime", "ProcessingResources"} <= set(processing)
