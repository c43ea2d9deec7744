"""One endpoint per module of tests; every test must leave it without a problem."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .endpoint import Endpoint
from .job_requests import processing_request, training_request

_numbers = itertools.count()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """With a grace that suits tests: an interpreter on a busy machine takes its time to end."""
    with Endpoint(stop_grace_seconds=5.0) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_problems(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the endpoint got wrong fails the test that asked for it."""
    yield
    if "endpoint" in request.fixturenames:
        endpoint = request.getfixturevalue("endpoint")
        found = list(endpoint.problems)
        endpoint.problems.clear()
        endpoint.faults.clear()
        assert not found, found


@pytest.fixture
def name() -> str:
    """A name that no job has yet."""
    return f"job-{next(_numbers)}"


@pytest.fixture
def train(endpoint: Endpoint, name: str) -> Callable[..., dict[str, Any]]:
    """Run a script as a training job to its end, and describe it."""

    def run(script: str = "pass", **changes: Any) -> dict[str, Any]:
        request = training_request(endpoint, changes.pop("name", name), script, **changes)
        client = endpoint.client("sagemaker")
        client.create_training_job(**request)
        endpoint.wait(request["TrainingJobName"])
        told: dict[str, Any] = client.describe_training_job(TrainingJobName=request["TrainingJobName"])
        return told

    return run


@pytest.fixture
def process(endpoint: Endpoint, name: str) -> Callable[..., dict[str, Any]]:
    """Run a script as a processing job to its end, and describe it."""

    def run(script: str = "pass", **changes: Any) -> dict[str, Any]:
        request = processing_request(endpoint, changes.pop("name", name), script, **changes)
        client = endpoint.client("sagemaker")
        client.create_processing_job(**request)
        endpoint.wait(request["ProcessingJobName"])
        told: dict[str, Any] = client.describe_processing_job(ProcessingJobName=request["ProcessingJobName"])
        return told

    return run


@pytest.fixture
def lines(endpoint: Endpoint) -> Callable[..., list[str]]:
    """What a job printed, all its streams in the order of their names."""

    def read(job_name: str) -> list[str]:
        group = endpoint.job(job_name).log_group
        streams = endpoint.logs.streams(group, f"{job_name}/")
        return [event.message for stream in streams for event in endpoint.logs.events(group, stream.name)]

    return read


@pytest.fixture
def objects(endpoint: Endpoint) -> Callable[[str], dict[str, bytes]]:
    """What lies under a prefix of the bucket."""

    def read(prefix: str) -> dict[str, bytes]:
        client = endpoint.client("s3")
        found = client.list_objects_v2(Bucket=endpoint.bucket, Prefix=prefix).get("Contents", [])
        return {
            one["Key"][len(prefix) :]: client.get_object(Bucket=endpoint.bucket, Key=one["Key"])["Body"].read()
            for one in found
        }

    return read
