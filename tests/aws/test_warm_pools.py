"""Instances that stay after a job: https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html"""

from __future__ import annotations

import time

import pytest

from .endpoint import Endpoint
from .job_requests import RESOURCES, training_request

POOLED = {"ResourceConfig": {**RESOURCES, "KeepAlivePeriodInSeconds": 600}}


def pool(client, name: str) -> dict:
    return client.describe_training_job(TrainingJobName=name)["WarmPoolStatus"]


def test_the_next_job_that_is_alike_has_them_at_once():
    with Endpoint(start_seconds=2.0) as slow:
        client = slow.client("sagemaker")
        for name in ("first", "second"):
            began = time.monotonic()
            client.create_training_job(**training_request(slow, name, **POOLED))
            slow.wait(name)
        assert time.monotonic() - began < 1.9
        assert pool(client, "first")["Status"] == "Reused"
        assert pool(client, "first")["ReusedByJob"] == "second"
        assert pool(client, "second")["Status"] == "Available"
        other = {"ResourceConfig": {**POOLED["ResourceConfig"], "VolumeSizeInGB": 2}}
        client.create_training_job(**training_request(slow, "other", **other))
        assert pool(client, "second")["Status"] == "Available"
        assert pool(client, "other")["Status"] == "InUse"
        found = client.list_training_jobs(WarmPoolStatusEquals="Available")["TrainingJobSummaries"]
        assert [row["TrainingJobName"] for row in found] == ["second"]


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param("raise SystemExit(1)", "Available", id="an algorithm that fails leaves them"),
        pytest.param("pass", "Available", id="as one that completes"),
    ],
)
def test_a_pool_that_is_kept_keeps_its_job(endpoint, train, name, script, status):
    train(script, **POOLED)
    client = endpoint.client("sagemaker")
    assert pool(client, name)["Status"] == status
    with pytest.raises(client.exceptions.ResourceInUse):
        client.delete_training_job(TrainingJobName=name)
    client.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert pool(client, name)["Status"] == "Terminated"
    client.delete_training_job(TrainingJobName=name)


def test_an_internal_error_leaves_none(endpoint, train, name):
    endpoint.next_outcome(name, "InternalServerError")
    assert train(**POOLED)["WarmPoolStatus"]["Status"] == "Terminated"
