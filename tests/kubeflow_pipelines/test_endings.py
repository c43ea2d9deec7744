"""How a run ends on a real server, begins again and goes away, and what our client makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Conflict
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.status import is_archived, status_of
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.kubeflow_pipelines.run_bodies import new_run_id
from tests.kubeflow_pipelines.server import Server


def state_of(client: KubeflowPipelinesClient, run_id: str) -> Any:
    found = client.find_run(run_id)
    assert found is not None
    return status_of(found).state


def test_a_run_that_is_stopped_ends_as_failed(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.report(run, "Running")
    kubeflow_client.terminate_run(run)
    found = kubeflow_client.find_run(run)
    assert found is not None
    assert status_of(found).stopping
    [workflow] = kubeflow_server.workflows(run)
    assert workflow["spec"]["activeDeadlineSeconds"] == 0
    kubeflow_server.report(run, "Failed", message="Step exceeded its deadline")
    found = kubeflow_client.find_run(run)
    assert found is not None
    assert found["state"] == "FAILED"
    assert status_of(found, workflow=kubeflow_client.workflow_of(run)).state is State.STOPPED


def test_stopping_twice_or_too_late_is_no_error(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_client.terminate_run(run)
    kubeflow_client.terminate_run(run)
    kubeflow_server.report(run, "Failed")
    kubeflow_client.terminate_run(run)
    kubeflow_client.terminate_run(new_run_id())


def test_stopping_a_run_whose_workflow_is_lost_leaves_it_stopping(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    """For good: nothing is left that could be reported, and only removing the run helps."""
    kubeflow_server.report(run, "Running")
    kubeflow_server.delete_workflow(run)
    with pytest.raises(BackendUnavailable):
        kubeflow_client.terminate_run(run)
    kubeflow_client.terminate_run(run)
    found = kubeflow_client.find_run(run)
    assert found is not None
    assert status_of(found).stopping
    kubeflow_client.delete_run(run)
    assert kubeflow_client.find_run(run) is None


def test_a_stop_whose_answer_is_lost_is_asked_for_again(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.report(run, "Running")
    kubeflow_server.relay.lose_answers("POST /runs/{id}:terminate")
    kubeflow_client.terminate_run(run)
    found = kubeflow_client.find_run(run)
    assert found is not None
    assert found["state"] == "CANCELING"


def test_a_failed_run_runs_again_under_its_id(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.report(run, "Failed", message="Error (exit code 1)")
    kubeflow_client.retry_run(run)
    again = kubeflow_client.find_run(run)
    assert again is not None
    assert [one["state"] for one in again["state_history"]] == ["RUNNING"]
    assert status_of(again).state is State.ACTIVE
    kubeflow_server.report(run, "Succeeded")
    assert state_of(kubeflow_client, run) is State.SUCCEEDED
    assert len(kubeflow_server.workflows(run)) == 1


def test_a_run_that_begins_again_runs_as_it_has_before(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.report(run, "Failed")
    kubeflow_client.retry_run(run)
    found = kubeflow_client.find_run(run)
    assert found is not None
    status = status_of(found)
    assert (status.state, status.running) == (State.ACTIVE, True), (
        "its details are those of before, until the next report"
    )


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_a_run_that_has_not_failed_is_not_run_again(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str, phase: str
) -> None:
    kubeflow_server.report(run, phase)
    with pytest.raises(Conflict):
        kubeflow_client.retry_run(run)


def test_a_run_that_was_put_away_goes_on(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_client.transport.post(f"/runs/{run}:archive")
    found = kubeflow_client.find_run(run)
    assert found is not None
    assert is_archived(found)
    kubeflow_server.report(run, "Succeeded")
    assert state_of(kubeflow_client, run) is State.SUCCEEDED
    assert [one["run_id"] for one in kubeflow_client.list_runs(run_ids=[run])] == [run]


def test_a_run_that_is_removed_takes_its_workflow_along(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_client.delete_run(run)
    assert kubeflow_client.find_run(run) is None
    assert kubeflow_server.workflows(run) == []
    kubeflow_client.delete_run(run)


def test_a_workflow_that_is_lost_leaves_its_run_as_it_was(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.report(run, "Running")
    kubeflow_server.delete_workflow(run)
    assert state_of(kubeflow_client, run) is State.ACTIVE
