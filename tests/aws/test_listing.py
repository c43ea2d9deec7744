"""Lists of jobs: pages, filters, order; on an endpoint that runs nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from .endpoint import Endpoint
from .job_requests import processing_request, training_request


@pytest.fixture(scope="module")
def endpoint():
    with Endpoint(execute=False) as running:
        client = running.client("sagemaker")
        for number in range(25):
            client.create_training_job(**training_request(running, f"list-{number:02}"))
            client.create_processing_job(**processing_request(running, f"list-{number:02}"))
        yield running


def pages(client, **asked) -> list[list[str]]:
    return [
        [row["TrainingJobName"] for row in page["TrainingJobSummaries"]]
        for page in client.get_paginator("list_training_jobs").paginate(**asked)
    ]


NAMES = [f"list-{number:02}" for number in range(25)]


def test_pages(endpoint):
    client = endpoint.client("sagemaker")
    assert pages(client) == [NAMES[:10], NAMES[10:20], NAMES[20:]]
    assert pages(client, MaxResults=100) == [NAMES]
    assert pages(client, MaxResults=20, SortOrder="Descending") == [NAMES[:4:-1], NAMES[4::-1]]
    assert pages(client, SortBy="Name", SortOrder="Descending", MaxResults=100) == [NAMES[::-1]]
    with pytest.raises(client.exceptions.ClientError, match="less than or equal to 100"):
        client.list_training_jobs(MaxResults=101)


def test_jobs_that_come_between_pages_do_not_shift_them(endpoint):
    client = endpoint.client("sagemaker")
    asked = {"MaxResults": 5, "SortOrder": "Descending", "NameContains": "list-"}
    first = client.list_training_jobs(**asked)
    client.create_training_job(**training_request(endpoint, "list-late"))
    second = client.list_training_jobs(**asked, NextToken=first["NextToken"])
    assert [row["TrainingJobName"] for row in second["TrainingJobSummaries"]] == NAMES[19:14:-1]
    endpoint.finish("list-late", "Stopped")
    client.delete_training_job(TrainingJobName="list-late")
    with pytest.raises(client.exceptions.ClientError, match="pagination token"):
        client.list_training_jobs(MaxResults=5, NextToken=first["NextToken"])


def test_names_and_times(endpoint):
    client = endpoint.client("sagemaker")
    assert pages(client, NameContains="t-1") == [NAMES[10:20]]
    middle = client.describe_training_job(TrainingJobName=NAMES[12])["CreationTime"]
    assert NAMES[13] in pages(client, CreationTimeAfter=middle, MaxResults=100)[0]
    assert NAMES[12] not in pages(client, CreationTimeAfter=middle, MaxResults=100)[0]
    assert NAMES[11] in pages(client, CreationTimeBefore=middle, MaxResults=100)[0]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert pages(client, CreationTimeAfter=tomorrow) == [[]]
    assert pages(client, LastModifiedTimeBefore=tomorrow, MaxResults=100) == [NAMES]


def test_changes_by_the_last_modified_time(endpoint):
    client = endpoint.client("sagemaker")
    time.sleep(0.005)
    before = datetime.now(UTC)
    time.sleep(0.005)
    endpoint.finish(NAMES[3])
    assert pages(client, LastModifiedTimeAfter=before) == [[NAMES[3]]]


def test_status_is_filtered_after_the_page_of_training_jobs_only(endpoint):
    """The page of ListTrainingJobs says so; of ListProcessingJobs nothing of the kind is said."""
    client = endpoint.client("sagemaker")
    endpoint.finish(NAMES[7], "Failed", "AlgorithmError: , exit code: 1")
    endpoint.job(NAMES[7])
    assert pages(client, StatusEquals="Failed", MaxResults=5) == [[], [NAMES[7]], [], [], []]
    assert pages(client, StatusEquals="Failed") == [[NAMES[7]]]
    found = client.list_processing_jobs(StatusEquals="InProgress", MaxResults=100, NameContains="list-2")
    assert [row["ProcessingJobName"] for row in found["ProcessingJobSummaries"]] == NAMES[20:]


def test_a_job_ends_when_it_is_told_to(endpoint):
    client = endpoint.client("sagemaker")
    client.create_training_job(**training_request(endpoint, "told"))
    assert client.describe_training_job(TrainingJobName="told")["TrainingJobStatus"] == "InProgress"
    endpoint.finish("told")
    told = client.describe_training_job(TrainingJobName="told")
    assert (told["TrainingJobStatus"], told["TrainingTimeInSeconds"]) == ("Completed", 1)
    client.delete_training_job(TrainingJobName="told")
    client.create_training_job(**training_request(endpoint, "stopped"))
    client.stop_training_job(TrainingJobName="stopped")
    assert client.describe_training_job(TrainingJobName="stopped")["TrainingJobStatus"] == "Stopped"
    client.delete_training_job(TrainingJobName="stopped")


def test_a_thousand_jobs_are_cheap():
    with Endpoint(execute=False, bucket="many") as many:
        client = many.client("sagemaker")
        request = training_request(many, "seed")
        began = time.process_time()
        for number in range(300):
            client.create_training_job(**{**request, "TrainingJobName": f"many-{number}"})
        creating = time.process_time() - began
        for number in range(300, 1000):
            many._sagemaker.operations["CreateTrainingJob"]({**request, "TrainingJobName": f"many-{number}"})
        assert sum(len(page) for page in pages(client, MaxResults=100)) == 1000
        listing = time.process_time() - began - creating
    assert creating / 300 < 0.05
    assert listing < 2
