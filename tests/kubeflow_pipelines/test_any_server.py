"""
What our client relies on, of whatever server there is: ``MLX_TEST_KFP_URL=https://… make verify-kfp``.

Without the variable it is the tests' own. ``MLX_TEST_KFP_TOKEN`` is a bearer token, ``MLX_TEST_KFP_NAMESPACE`` a
profile's. What is made there is removed; its steps are asked to stop before they can do anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess, parse_address
from airflow_provider_mlx.backends.kubeflow_pipelines.auth import BearerToken, NoAuth
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.pipelines import PipelineRegistry
from airflow_provider_mlx.backends.kubeflow_pipelines.status import status_of
from tests.kubeflow_pipelines.run_bodies import new_run_id, run_body

EXPERIMENT = "airflow-provider-mlx-verifies"


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Iterator[KubeflowPipelinesClient]:
    address, token = os.environ.get("MLX_TEST_KFP_URL", ""), os.environ.get("MLX_TEST_KFP_TOKEN", "")
    if not address:
        address = request.getfixturevalue("running_kubeflow").address
    access = ServerAccess(parse_address(address), BearerToken(token) if token else NoAuth())
    made = KubeflowPipelinesClient(lambda: access, namespace=os.environ.get("MLX_TEST_KFP_NAMESPACE", ""))
    yield made
    made.close()


@pytest.fixture(scope="module")
def experiment(client: KubeflowPipelinesClient) -> str:
    return client.experiment_id(EXPERIMENT)


@pytest.fixture
def runs(client: KubeflowPipelinesClient, experiment: str) -> Iterator[list[str]]:
    """Three runs; they are stopped, and deleted at the end."""
    made = [new_run_id() for _ in range(3)]
    for run_id in made:
        client.create_run(run_body(run_id, experiment_id=experiment))
        client.terminate_run(run_id)
    yield made
    for run_id in made:
        client.delete_run(run_id)


def test_it_says_that_it_is_well(client: KubeflowPipelinesClient) -> None:
    assert client.health()


def test_an_experiment_has_one_id(client: KubeflowPipelinesClient, experiment: str) -> None:
    assert client.experiment_id(EXPERIMENT) == experiment


def test_a_run_has_the_id_that_it_was_given_and_is_made_once(
    client: KubeflowPipelinesClient, experiment: str, runs: list[str]
) -> None:
    found = client.find_run(runs[0])
    assert found is not None
    assert found["run_id"] == runs[0]
    again = client.create_run(run_body(runs[0], experiment_id=experiment))
    assert again["created_at"] == found["created_at"]


def test_the_kubernetes_part_of_a_pipeline_comes_back(client: KubeflowPipelinesClient, runs: list[str]) -> None:
    found = client.find_run(runs[0])
    assert found is not None
    assert found["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]


def test_runs_are_listed_by_their_ids_over_several_pages(client: KubeflowPipelinesClient, runs: list[str]) -> None:
    assert sorted(run["run_id"] for run in client.list_runs(run_ids=runs, page_size=2)) == sorted(runs)
    assert client.count_runs([*runs, new_run_id()]) == 3


def test_a_run_that_was_stopped_is_stopping_or_over(client: KubeflowPipelinesClient, runs: list[str]) -> None:
    client.terminate_run(runs[0])  # again: no error
    found = client.find_run(runs[0])
    assert found is not None
    status = status_of(found, workflow=client.workflow_of(runs[0]))
    assert status.stopping or status.state in (State.STOPPED, State.FAILED)


def test_a_run_that_was_deleted_is_gone(client: KubeflowPipelinesClient, runs: list[str]) -> None:
    client.delete_run(runs[0])
    client.delete_run(runs[0])
    assert client.find_run(runs[0]) is None


def test_a_version_is_uploaded_once(client: KubeflowPipelinesClient) -> None:
    body = run_body()["pipeline_spec"]
    pipeline, registry = parse_pipeline(body), PipelineRegistry(client)
    first = registry.ensure_version(EXPERIMENT, "v1", pipeline.to_yaml())
    try:
        again = registry.ensure_version(EXPERIMENT, "v1", pipeline.to_yaml())
        assert again["pipeline_version_id"] == first["pipeline_version_id"]
        assert parse_pipeline(again["pipeline_spec"]).spec["root"] == pipeline.spec["root"]
    finally:
        registry.delete_pipeline(str(first["pipeline_id"]))
