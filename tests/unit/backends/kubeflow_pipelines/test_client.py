"""The client against a server over real connections: what it asks, what it never asks twice, what it makes of answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess, parse_address
from airflow_provider_mlx.backends.kubeflow_pipelines.answers import Conflict, Missing, Refused
from airflow_provider_mlx.backends.kubeflow_pipelines.auth import BearerToken
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured
from tests.unit.backends.kubeflow_pipelines.schema import check_wire, paths
from tests.unit.backends.kubeflow_pipelines.server import Server, serving

RUN = {"run_id": "r-1", "display_name": "churn-train-1"}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, slept: list[float]) -> Iterator[KubeflowPipelinesClient]:
    made = KubeflowPipelinesClient(lambda: ServerAccess(parse_address(server.url)), sleep=slept.append)
    yield made
    made.close()


# --- creating -------------------------------------------------------------------------------------------------------


def test_a_run_is_looked_for_and_then_made(client, server):
    assert client.create_run(RUN)["run_id"] == "r-1"
    assert server.calls() == ["GET /apis/v2beta1/runs/r-1", "POST /apis/v2beta1/runs"]


def test_a_run_that_is_there_is_not_asked_for_again(client, server):
    client.create_run(RUN)
    assert client.create_run(RUN)["run_id"] == "r-1"
    assert server.workflows == ["r-1"]


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([None, "lost"], id="the answer was lost"),
        pytest.param(["cut", None, "lost"], id="the first look too, which is repeated"),
        pytest.param([None, "lost", 503, 503, 503, None], id="and the server is away for a while"),
    ],
)
def test_a_creation_whose_answer_was_lost_makes_one_workflow(client, server, faults):
    server.faults = list(faults)
    try:
        made = client.create_run(RUN)
    except BackendUnavailable:
        made = client.create_run(RUN)
    assert made["run_id"] == "r-1"
    assert server.workflows == ["r-1"]


@pytest.mark.parametrize("fault", ["cut", 503, 502, 429, 504], ids=lambda fault: f"{fault}")
def test_a_creation_without_an_answer_is_not_asked_for_again(client, server, slept, fault):
    server.faults = [None, fault]
    with pytest.raises(BackendUnavailable, match="not known whether"):
        client.create_run(RUN)
    assert len(server.calls("POST")) == 1
    assert sum(slept) >= 5, "it was looked for during some seconds"


def test_who_comes_second_gets_the_run_of_the_first(client, server):
    """A look before the other's row was there, a creation behind it: 500, and a Workflow too many, as the server has it."""
    server.runs["r-1"] = {**RUN, "state": "RUNNING"}
    server.faults = [404]  # the look came too early; the injected error has another code
    with pytest.raises(ConnectionRefused):
        client.create_run(RUN)
    look = client.find_run
    client.find_run = lambda run_id, **more: setattr(client, "find_run", look)  # type: ignore[method-assign, func-returns-value]
    assert client.create_run(RUN)["state"] == "RUNNING"
    assert len(server.calls("POST")) == 1


def test_a_refusal_is_said_and_not_looked_for(client, server, slept):
    server.faults = [None, 400]
    with pytest.raises(Refused):
        client.create_run(RUN)
    assert slept == []


def test_a_server_that_gives_its_own_ids_is_refused_and_its_run_removed(client, server):
    server.gives_own_ids = True
    with pytest.raises(JobMisconfigured, match="made-by-the-server"):
        client.create_run(RUN)
    assert server.runs == {}


def test_two_workers_that_create_one_run_after_each_other_make_one_workflow(client, server):
    workers = [threading.Thread(target=client.create_run, args=(RUN,)) for _ in range(2)]
    for worker in workers:
        worker.start()
        worker.join()
    assert server.workflows == ["r-1"]


# --- looking --------------------------------------------------------------------------------------------------------


def test_an_unknown_run_is_none_and_a_gateways_404_is_no_answer(client, server):
    assert client.find_run("r-1") is None
    server.prefix = "/pipeline"
    with pytest.raises(ConnectionRefused, match="/pipeline"):
        client.find_run("r-1")


def test_runs_are_listed_by_id_a_hundred_per_question_and_a_page_per_answer(client, server):
    server.runs = {f"r-{number}": {"run_id": f"r-{number}", "state": "RUNNING"} for number in range(250)}
    wanted = [f"r-{number}" for number in range(0, 250, 2)]
    assert [run["run_id"] for run in client.list_runs(run_ids=wanted)] == wanted
    assert [one.query.get("page_token", "").partition("|")[0] for one in server.asked] == [
        "",
        "20",
        "40",
        "60",
        "80",
        "",
        "20",
    ]
    filters = [json.loads(one.query["filter"]) for one in server.asked if "filter" in one.query]
    assert [len(one["predicates"][0]["string_values"]["values"]) for one in filters] == [100, 25]
    for one in filters:
        check_wire("v2beta1Filter", one)


def test_no_ids_are_no_question(client, server):
    assert list(client.list_runs(run_ids=[])) == []
    assert client.count_runs([]) == 0
    assert server.asked == []


def test_runs_are_counted_by_one_row_a_question(client, server):
    server.runs = {f"r-{number}": {"run_id": f"r-{number}", "state": "RUNNING"} for number in range(150)}
    assert client.count_runs([*server.runs, "gone"]) == 150
    assert [one.query["page_size"] for one in server.asked] == ["1", "1"]


def test_a_run_is_not_asked_for_any_more_by_who_was_held_up(client, server):
    def too_late():
        raise BackendUnavailable("held up")

    with pytest.raises(BackendUnavailable, match="held up"):
        client.create_run({"run_id": "r-1"}, before_asking=too_late)
    assert [one.method for one in server.asked] == ["GET"]


def test_runs_are_listed_by_state_over_all_pages(client, server):
    server.runs = {f"r-{number}": {"run_id": f"r-{number}", "state": "RUNNING"} for number in range(45)}
    server.runs["over"] = {"run_id": "over", "state": "FAILED"}
    assert len(list(client.list_runs(states=["RUNNING", "PENDING"]))) == 45
    assert [one.query.get("page_token", "").partition("|")[0] for one in server.asked] == ["", "20", "40"]


def test_a_namespace_goes_with_what_is_listed_and_made(server, slept):
    client = KubeflowPipelinesClient(lambda: ServerAccess(server.url), namespace="team-a", sleep=slept.append)
    list(client.list_runs())
    client.experiment_id("churn")
    assert [one.query.get("namespace") for one in server.asked] == ["team-a", "team-a", None]
    assert server.asked[-1].body == {"display_name": "churn", "namespace": "team-a"}
    client.close()


@pytest.mark.parametrize("faults", [["cut"], [503, 503], [429, "cut"]], ids=str)
def test_a_look_is_repeated(client, server, slept, faults):
    server.faults = list(faults)
    assert client.health()["tag_name"] == "2.14.3"
    assert slept == [0.2, 1.0][: len(faults)]


def test_a_look_is_not_repeated_for_ever(client, server):
    server.faults = [503] * 9
    with pytest.raises(BackendUnavailable, match="503"):
        client.find_run("r-1")
    assert len(server.asked) == 3


def test_no_server_is_no_answer(slept):
    client = KubeflowPipelinesClient(lambda: ServerAccess("http://127.0.0.1:1"), sleep=slept.append)
    with pytest.raises(BackendUnavailable, match="ConnectError"):
        client.create_run(RUN)
    client.close()


def test_the_workflow_is_read_where_there_is_one(client, server):
    server.manifests["r-1"] = {"kind": "Workflow"}
    assert client.workflow_of("r-1") == {"kind": "Workflow"}
    assert client.workflow_of("r-2") is None


def test_a_log_that_the_server_has_not_is_empty(client):
    assert client.pod_log("r-1", "pod") == ""


# --- ending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCELING", "SUCCEEDED", "FAILED", None], ids=str)
def test_a_run_is_asked_to_stop_whatever_it_does(client, server, state):
    if state:
        server.runs["r-1"] = {**RUN, "state": state}
    client.terminate_run("r-1")
    assert server.runs.get("r-1", {}).get("state") == {"PENDING": "CANCELING", "RUNNING": "CANCELING"}.get(state, state)


def test_a_wish_to_stop_whose_answer_was_lost_is_repeated(client, server):
    server.runs["r-1"] = {**RUN, "state": "RUNNING"}
    server.faults = ["lost"]
    client.terminate_run("r-1")
    assert server.runs["r-1"]["state"] == "CANCELING"


def test_a_refusal_to_stop_what_runs_is_said(client, server):
    server.runs["r-1"] = {**RUN, "state": "RUNNING"}
    server.faults = [400]
    with pytest.raises(Refused):
        client.terminate_run("r-1")


def test_a_failed_run_is_retried_under_its_id_and_no_other_one(client, server):
    server.runs["r-1"] = {**RUN, "state": "FAILED"}
    client.retry_run("r-1")
    assert server.runs["r-1"]["state"] == "RUNNING"
    with pytest.raises(Conflict):
        client.retry_run("r-1")
    with pytest.raises(Missing):
        client.retry_run("r-2")


def test_a_run_is_removed_once(client, server):
    server.runs["r-1"] = dict(RUN)
    client.delete_run("r-1")
    client.delete_run("r-1")
    assert server.runs == {}


# --- experiments, credentials, addresses ----------------------------------------------------------------------------


def test_an_experiment_is_made_once(client, server):
    first = client.experiment_id("churn")
    assert client.experiment_id("churn") == first
    assert client.experiment_id("other") != first
    assert len(server.calls("POST")) == 2


def test_an_experiment_that_somebody_made_meanwhile_is_taken(client, server):
    look = client._experiment
    client._experiment = lambda name: setattr(client, "_experiment", look) or ""  # type: ignore[method-assign]
    server.experiments["churn"] = "e-7"
    assert client.experiment_id("churn") == "e-7"


def test_credentials_that_were_rotated_are_read_again(server, slept):
    server.token = "new"
    tokens = iter(["old", "new"])
    client = KubeflowPipelinesClient(lambda: ServerAccess(server.url, BearerToken(next(tokens))), sleep=slept.append)
    assert client.create_run(RUN)["run_id"] == "r-1"
    assert server.workflows == ["r-1"]
    client.close()


def test_credentials_that_are_not_taken_are_said(server, slept):
    server.token = "new"
    client = KubeflowPipelinesClient(lambda: ServerAccess(server.url, BearerToken("old")), sleep=slept.append)
    with pytest.raises(ConnectionRefused, match="identity"):
        client.find_run("r-1")
    assert len(server.asked) == 2
    client.close()


def test_behind_a_gateway_the_prefix_is_part_of_the_address_and_its_absence_is_told(slept):
    with serving(Server(prefix="/pipeline")) as server:
        whole = KubeflowPipelinesClient(lambda: ServerAccess(server.url), sleep=slept.append)
        assert whole.health()["multi_user"] is False
        bare = KubeflowPipelinesClient(lambda: ServerAccess(server.url.removesuffix("/pipeline")), sleep=slept.append)
        with pytest.raises(JobMisconfigured, match="add /pipeline"):
            bare.health()
        whole.close()
        bare.close()


def test_every_call_is_one_of_the_published_api_or_known_not_to_be(client, server):
    server.runs = {"r-1": {**RUN, "state": "FAILED"}}
    client.health()
    client.experiment_id("x")
    list(client.list_runs())
    client.retry_run("r-1")
    client.terminate_run("r-1")
    client.create_run({"run_id": "r-2"})
    client.delete_run("r-1")
    known = {path.replace("{run_id}", "r-1"): methods for path, methods in paths().items()}
    for one in server.asked:
        if "r-2" not in one.path:
            assert one.method.lower() in known[one.path], one
