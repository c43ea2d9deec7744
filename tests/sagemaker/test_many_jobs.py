"""What the triggerer learns when many jobs end at once, and what it asks for that."""

from __future__ import annotations

import time

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import JobHandle, State
from airflow_provider_mlx.backends.sagemaker.backend import SageMakerBackend
from airflow_provider_mlx.backends.sagemaker.names import sagemaker_name
from airflow_provider_mlx.backends.sagemaker.observer import OVERLAP, QUESTIONS
from airflow_provider_mlx.backends.sagemaker.settings import Kind, SageMakerSettings
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.aws.endpoint import Endpoint
from tests.aws.job_requests import processing_request, training_request

from .conftest import CONN_ID

NUMBER = 3 * QUESTIONS
REQUESTS = {"training": training_request, "processing": processing_request}


@pytest.fixture(scope="module")
def endpoint():
    """Jobs here end when a test says so."""
    with Endpoint(execute=False) as running:
        yield running
    assert running.problems == []


@pytest.fixture(params=["training", "processing"])
def kind(request) -> Kind:
    return request.param


@pytest.fixture
def observer(connected, endpoint, kind):
    from airflow.sdk.bases.hook import BaseHook

    settings = SageMakerSettings(role_arn=endpoint.role_arn, kind=kind)
    backend = SageMakerBackend(settings, CONN_ID, ObjectStore(), read_connection=BaseHook.get_connection)
    observer = backend.observer()
    yield observer
    observer.close()


@pytest.fixture
def jobs(endpoint, kind, request) -> list[JobHandle]:
    return [start(endpoint, kind, request.node.name, index) for index in range(NUMBER)]


def start(endpoint: Endpoint, kind: Kind, run: str, index: int) -> JobHandle:
    name = TaskInstanceIdentity("many", "dag", run, "step", index).job_name(1)
    client = endpoint.client("sagemaker")
    getattr(client, f"create_{kind}_job")(**REQUESTS[kind](endpoint, sagemaker_name(name)))
    return JobHandle("sagemaker", name)


def look_until_active(observer, jobs):
    until = time.monotonic() + 30
    while True:
        seen = observer.observe(jobs, 0.0)
        if all(status.state is State.ACTIVE for status in seen.values()):
            return
        assert time.monotonic() < until, seen


def test_that_many_jobs_have_succeeded_is_known_without_a_question_for_each(endpoint, observer, kind, jobs):
    look_until_active(observer, jobs)
    for job in jobs:
        endpoint.finish(sagemaker_name(job.name))
    before = endpoint.calls.counts()
    seen = observer.observe(jobs, 0.0)
    assert {status.state for status in seen.values()} == {State.SUCCEEDED}
    assert (endpoint.calls.counts() - before)[f"Describe{kind.capitalize()}Job"] == 0


def test_that_many_jobs_have_failed_is_known_at_once_and_why_is_asked_in_turns(endpoint, observer, kind, jobs):
    look_until_active(observer, jobs)
    for job in jobs:
        endpoint.finish(sagemaker_name(job.name), "Failed", "AlgorithmError: it is broken")
    before = endpoint.calls.counts()
    seen = observer.observe(jobs, 0.0)
    assert {status.state for status in seen.values()} == {State.FAILED}
    assert (endpoint.calls.counts() - before)[f"Describe{kind.capitalize()}Job"] == QUESTIONS
    assert sum(status.reason == "it is broken" for status in seen.values()) == QUESTIONS


def test_a_list_asks_for_what_has_changed_since_the_last_look(endpoint, observer, kind, jobs):
    look_until_active(observer, jobs)
    time.sleep(4)  # nothing changes
    before = time.time()
    observer.observe(jobs, 0.0)
    observer.observe(jobs, 0.0)
    asked = endpoint.calls.of(f"List{kind.capitalize()}Jobs")[-1].params["LastModifiedTimeAfter"]
    assert asked >= before - OVERLAP.total_seconds() - 1
