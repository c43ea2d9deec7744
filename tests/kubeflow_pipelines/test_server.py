"""
What a real API server of Kubeflow Pipelines does with a run, and our client with what it says.

Nothing runs here: Workflows are reported as the persistence agent reports them.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused, State
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess, parse_address
from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Conflict, Missing
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.faults import fault_in
from airflow_provider_mlx.backends.kubeflow_pipelines.plan import lost_problems
from airflow_provider_mlx.backends.kubeflow_pipelines.reading import RunReader
from airflow_provider_mlx.backends.kubeflow_pipelines.status import status_of
from airflow_provider_mlx.backends.kubeflow_pipelines.workflow import waiting_reason
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.kubeflow_pipelines.api_server import COMMIT, VERSION
from tests.kubeflow_pipelines.run_bodies import new_run_id, run_body
from tests.kubeflow_pipelines.server import Server
from tests.kubeflow_pipelines.workflows import step_nodes

RUNS = "/apis/v2beta1/runs"
GOLDEN = Path(__file__).parents[1] / "unit" / "backends" / "kubeflow_pipelines" / "golden"


def state_of(client: KubeflowPipelinesClient, run_id: str) -> Any:
    found = client.find_run(run_id)
    assert found is not None
    return status_of(found).state


# --- who is there ----------------------------------------------------------------------------------------------------


def test_it_says_who_it_is(kubeflow_client: KubeflowPipelinesClient) -> None:
    told = kubeflow_client.health()
    assert told["tag_name"] == VERSION
    assert told["commit_sha"] == COMMIT
    assert told["multi_user"] is False


def test_an_address_with_a_prefix_that_there_is_not_is_told(kubeflow_server: Server) -> None:
    client = KubeflowPipelinesClient(lambda: ServerAccess(parse_address(f"{kubeflow_server.address}/pipeline")))
    with pytest.raises(ConnectionRefused, match="no API of Kubeflow Pipelines at this address"):
        client.health()
    client.close()


def test_a_route_that_the_server_lacks_is_no_missing_run(kubeflow_client: KubeflowPipelinesClient) -> None:
    with pytest.raises(ConnectionRefused):
        kubeflow_client.transport.get("/nothing")


def test_a_gateways_login_page_is_told(kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient) -> None:
    kubeflow_server.relay.answer(200, body=b"<!doctype html><title>Log in</title>", content_type="text/html")
    with pytest.raises(ConnectionRefused, match="wants a login"):
        kubeflow_client.find_run(new_run_id())


# --- made once -------------------------------------------------------------------------------------------------------


def test_the_id_that_is_asked_for_is_the_runs(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient
) -> None:
    run_id = new_run_id()
    made = kubeflow_client.create_run(run_body(run_id, description="ours"))
    assert made["run_id"] == run_id
    assert made["description"] == "ours"
    assert status_of(made).state is State.ACTIVE
    assert lost_problems({"run": run_body(run_id)}, made) == []
    assert len(kubeflow_server.workflows(run_id)) == 1


def test_asking_again_makes_no_second_one(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    assert kubeflow_client.create_run(run_body(run))["run_id"] == run
    assert len(kubeflow_server.workflows(run)) == 1
    assert kubeflow_server.relay.count()["POST /runs"] == 1


def test_a_second_request_with_one_id_makes_a_second_workflow(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    """The hazard that the client is built around; when this fails, the server has learned better."""
    with pytest.raises(Conflict):
        kubeflow_client.transport.post("/runs", run_body(run))
    assert len(kubeflow_server.workflows(run)) == 2


def test_an_answer_that_is_lost_leaves_the_run_there(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient
) -> None:
    run_id = new_run_id()
    kubeflow_server.relay.lose_answers("POST /runs")
    assert kubeflow_client.create_run(run_body(run_id))["run_id"] == run_id
    assert len(kubeflow_server.workflows(run_id)) == 1
    assert kubeflow_server.relay.count()["POST /runs"] == 1


def test_a_server_that_is_away_gets_the_run_when_it_is_back(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient
) -> None:
    run_id = new_run_id()
    kubeflow_server.relay.answer(503)
    with pytest.raises(BackendUnavailable):
        kubeflow_client.create_run(run_body(run_id))
    assert kubeflow_server.workflows(run_id) == []
    kubeflow_server.relay.heal()
    kubeflow_client.create_run(run_body(run_id))
    assert len(kubeflow_server.workflows(run_id)) == 1


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_planned_for_a_step_is_taken_whole(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, golden: Path
) -> None:
    request = json.loads(golden.read_text())
    run = {**request["run"], "run_id": new_run_id()}
    made = kubeflow_client.create_run(run)
    assert made["run_id"] == run["run_id"]
    assert made["display_name"] == run["display_name"]
    assert lost_problems(request, made) == []
    assert made["pipeline_spec"]["platform_spec"] == run["pipeline_spec"]["platform_spec"]
    assert len(kubeflow_server.workflows(run["run_id"])) == 1


# --- how it is -------------------------------------------------------------------------------------------------------


def test_a_run_goes_from_pending_to_succeeded(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    assert kubeflow_client.find_run(run)["state"] == "PENDING"  # type: ignore[index]
    kubeflow_server.report(run, "Running")
    running = kubeflow_client.find_run(run)
    assert running is not None
    assert running["state"] == "RUNNING"
    assert status_of(running).running
    kubeflow_server.report(run, "Succeeded")
    assert state_of(kubeflow_client, run) is State.SUCCEEDED
    [task] = RunReader(kubeflow_client).read(run).tasks
    assert (task.name, task.state) == ("step", "SUCCEEDED")


def test_a_pod_that_waits_says_why(kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str) -> None:
    kubeflow_server.report(run, "Running", step_nodes("Pending", "ImagePullBackOff: Back-off pulling image"))
    found, workflow = kubeflow_client.find_run(run), kubeflow_client.workflow_of(run)
    assert found is not None
    assert workflow is not None
    assert not status_of(found, workflow=workflow).running
    assert waiting_reason(workflow) == "ImagePullBackOff: Back-off pulling image"


@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_a_failure_has_its_reason_in_the_workflow(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str, phase: str
) -> None:
    kubeflow_server.report(run, phase, message="OOMKilled (exit code 137)")
    assert state_of(kubeflow_client, run) is State.FAILED
    assert not (kubeflow_client.find_run(run) or {}).get("error")
    reading = RunReader(kubeflow_client).read(run)
    assert reading.workflow is not None
    fault = fault_in(reading.workflow)
    assert fault is not None
    assert fault.failure == "OutOfMemory"
    assert fault.task == "step"
    [task] = reading.tasks
    assert task.message == "OOMKilled (exit code 137)"


def test_many_runs_are_one_question(kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient) -> None:
    runs = [new_run_id() for _ in range(3)]
    for run_id in runs:
        kubeflow_client.create_run(run_body(run_id))
    kubeflow_server.report(runs[0], "Succeeded")
    kubeflow_server.relay.calls.clear()
    found = {one["run_id"]: one["state"] for one in kubeflow_client.list_runs(run_ids=[*runs, new_run_id()])}
    assert found == {runs[0]: "SUCCEEDED", runs[1]: "PENDING", runs[2]: "PENDING"}
    assert kubeflow_server.relay.count() == {"GET /runs": 1}
    only = [one["run_id"] for one in kubeflow_client.list_runs(run_ids=runs, states=["SUCCEEDED"])]
    assert only == [runs[0]]


@pytest.fixture
def experiment_of_three(kubeflow_client: KubeflowPipelinesClient) -> tuple[str, list[str]]:
    """An experiment, and the runs in it, in the order of their ids."""
    experiment = kubeflow_client.experiment_id(f"three-{new_run_id()}")
    runs = sorted(new_run_id() for _ in range(3))
    for run_id in runs:
        kubeflow_client.create_run(run_body(run_id, experiment_id=experiment))
    return experiment, runs


def test_pages_follow_each_other(
    kubeflow_client: KubeflowPipelinesClient, experiment_of_three: tuple[str, list[str]]
) -> None:
    experiment, runs = experiment_of_three
    listed = kubeflow_client.list_runs(experiment_id=experiment, page_size=2)
    assert sorted(one["run_id"] for one in listed) == runs


def test_the_second_page_of_an_in_filter_is_asked_for_by_its_token_alone(
    kubeflow_server: Server, experiment_of_three: tuple[str, list[str]]
) -> None:
    """The token holds filter and order. The server compares them with what is sent, and finds no ``IN`` the same."""

    def page(**params: str) -> httpx.Response:
        return kubeflow_server.request("GET", f"{RUNS}?{httpx.QueryParams({'page_size': '2', **params})}")

    _, runs = experiment_of_three
    wanted = {"predicates": [{"key": "run_id", "operation": "IN", "string_values": {"values": runs}}]}
    first = page(filter=json.dumps(wanted)).json()
    refused = page(filter=json.dumps(wanted), page_token=first["next_page_token"])
    assert refused.status_code == 400
    assert "page token does not match" in refused.text
    second = page(page_token=first["next_page_token"]).json()
    assert sorted(one["run_id"] for one in [*first["runs"], *second["runs"]]) == runs
    assert "next_page_token" not in second


@pytest.mark.parametrize("by", ["run_ids", "states"])
def test_runs_that_were_asked_for_come_on_several_pages(
    kubeflow_client: KubeflowPipelinesClient, experiment_of_three: tuple[str, list[str]], by: str
) -> None:
    experiment, runs = experiment_of_three
    asked: dict[str, Any] = {"run_ids": runs} if by == "run_ids" else {"states": ["PENDING", "RUNNING"]}
    listed = kubeflow_client.list_runs(**asked, experiment_id=experiment, page_size=2)
    assert sorted(one["run_id"] for one in listed) == runs


def test_a_run_that_nobody_made_is_missing(kubeflow_client: KubeflowPipelinesClient) -> None:
    nobody = new_run_id()
    assert kubeflow_client.find_run(nobody) is None
    assert kubeflow_client.workflow_of(nobody) is None
    with pytest.raises(Missing):
        RunReader(kubeflow_client).read(nobody)


def test_the_server_has_no_log_of_a_pod(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.report(run, "Failed")
    assert kubeflow_client.pod_log(run, "pod") == ""


@pytest.mark.parametrize("made", [True, False], ids=["nothing was reported yet", "there is no run"])
def test_no_log_is_no_text(kubeflow_client: KubeflowPipelinesClient, run: str, made: bool) -> None:
    assert kubeflow_client.pod_log(run if made else new_run_id(), "pod") == ""


# --- bad days --------------------------------------------------------------------------------------------------------


def test_a_restart_keeps_runs(kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str) -> None:
    kubeflow_server.report(run, "Running")
    kubeflow_server.restart()
    assert state_of(kubeflow_client, run) is State.ACTIVE
    kubeflow_server.report(run, "Succeeded")
    assert state_of(kubeflow_client, run) is State.SUCCEEDED


def test_who_asks_while_it_restarts_has_no_answer(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.stack.kill_api_server()
    with pytest.raises(BackendUnavailable):
        kubeflow_client.find_run(run)
    again = threading.Thread(target=kubeflow_server.stack.start_api_server_again)
    again.start()
    again.join()
    assert kubeflow_client.find_run(run) is not None


def test_a_server_that_is_frozen_is_no_failure(
    kubeflow_server: Server, kubeflow_client: KubeflowPipelinesClient, run: str
) -> None:
    kubeflow_server.relay.stop_answering(1)
    assert kubeflow_client.find_run(run) is not None  # it was asked again
