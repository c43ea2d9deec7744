"""Misbehaviour on demand."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from .faults import Faults
from .job_requests import training_request


def error(call) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as refused:
        call()
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def test_throttling(endpoint):
    client = endpoint.client("sagemaker")
    endpoint.faults.add("ListTrainingJobs", "throttle", times=2)
    for _ in range(2):
        assert error(client.list_training_jobs) == ("ThrottlingException", 400, "Rate exceeded")
    client.list_training_jobs()
    client.list_processing_jobs()


def test_boto3_retries_it(endpoint):
    endpoint.faults.add("sagemaker:*", "throttle", times=1)
    endpoint.client("sagemaker", retries={"max_attempts": 3, "mode": "standard"}).list_training_jobs()


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("InternalFailure", 500, "unknown error"),
        ("ExpiredTokenException", 400, "The security token included in the request is expired"),
        (
            "AccessDeniedException",
            400,
            "is not authorized to perform: sagemaker:CreateTrainingJob on resource: arn:aws",
        ),
        ("ResourceLimitExceeded", 400, "The account-level service limit"),
    ],
)
def test_errors(endpoint, name, code, status, words):
    endpoint.faults.add("CreateTrainingJob", "error", code=code, times=1)
    client = endpoint.client("sagemaker")
    found = error(lambda: client.create_training_job(**training_request(endpoint, name)))
    assert found[:2] == (code, status)
    assert words in found[2]
    with pytest.raises(KeyError):
        endpoint.job(name)


def test_everything_may_fail_for_a_while(endpoint):
    s3, sts, logs = (endpoint.client(service) for service in ("s3", "sts", "logs"))
    rule = endpoint.faults.add("*", "error", code="ExpiredTokenException", seconds=60)
    assert error(s3.list_buckets)[0] == "ExpiredToken"
    assert error(sts.get_caller_identity)[0] == "ExpiredTokenException"
    assert error(logs.describe_log_groups)[0] == "ExpiredTokenException"
    rule.until = time.monotonic()  # the minute is over
    s3.list_buckets()


def test_a_job_is_another_principal(endpoint, train, lines, name):
    """Its calls meet only the faults that say so."""
    endpoint.faults.add("s3:GetObject", "error", code="SlowDown", principal=name)
    train(
        """
        import boto3, botocore.config
        client = boto3.client("s3", config=botocore.config.Config(retries={"total_max_attempts": 1}))
        try:
            client.get_object(Bucket="artifacts", Key="x")
        except Exception as error:
            print(error.response["Error"]["Code"])
        """,
        image="x:boto3",
    )
    assert lines(name) == ["SlowDown"]


def test_a_lost_response_takes_effect(endpoint, name):
    endpoint.faults.add("CreateTrainingJob", "lost_response", times=1)
    client = endpoint.client("sagemaker")
    with pytest.raises(ConnectionClosedError):
        client.create_training_job(**training_request(endpoint, name))
    assert endpoint.wait(name)["TrainingJobStatus"] == "Completed"
    assert error(lambda: client.create_training_job(**training_request(endpoint, name)))[0] == "ResourceInUse"


def test_a_lost_response_of_s3(endpoint, name):
    endpoint.faults.add("PutObject", "lost_response", times=1)
    client = endpoint.client("s3")
    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket="artifacts", Key=name, Body=b"x")
    assert client.get_object(Bucket="artifacts", Key=name)["Body"].read() == b"x"


def test_a_blackhole_says_nothing(endpoint):
    endpoint.faults.add("ListTrainingJobs", "blackhole", times=1, hold_seconds=30)
    client = endpoint.client("sagemaker", read_timeout=0.3)
    with pytest.raises(ReadTimeoutError):
        client.list_training_jobs()
    endpoint.client("sagemaker").list_training_jobs()


@pytest.mark.parametrize("word", ["CapacityError", "InternalServerError"])
def test_jobs_fail_as_it_was_decided(endpoint, train, name, word):
    endpoint.next_outcome(name, word)
    told = train()
    assert (told["TrainingJobStatus"], told["FailureReason"].partition(":")[0]) == ("Failed", word)
    assert "TrainingStartTime" not in told
    assert train(name=f"{name}-2")["TrainingJobStatus"] == "Completed"


def test_an_internal_error_is_tried_again_if_it_is_to_be(endpoint, train, name):
    endpoint.next_outcome(name, "InternalServerError", times=2)
    told = train(RetryStrategy={"MaximumRetryAttempts": 2})
    assert told["TrainingJobStatus"] == "Completed"
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]].count("Restarting") == 2


def test_words_that_do_not_exist(endpoint):
    with pytest.raises(ValueError, match="no such kind"):
        Faults().add("*", "explode")
    with pytest.raises(ValueError, match="no such outcome"):
        endpoint.next_outcome("x", "Nonsense")
