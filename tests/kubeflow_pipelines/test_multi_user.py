"""A server that knows users: who asks without a right, and in which namespace a run is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess, parse_address
from airflow_provider_mlx.backends.kubeflow_pipelines.auth import AUDIENCE, BearerToken, NoAuth
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from tests.cluster.api import Api
from tests.cluster.fixtures import needed
from tests.kubeflow_pipelines.run_bodies import new_run_id, run_body
from tests.kubeflow_pipelines.server import Server, running_server
from tests.kubeflow_pipelines.stack import USER_HEADER

PROFILE = "team-a"
USER = "ann@example.com"
ACCOUNT = "default-editor"
RULES = [{"apiGroups": ["pipelines.kubeflow.org"], "resources": ["*"], "verbs": ["*"]}]
"""What ``kubeflow-pipelines-edit`` grants, in the profile's namespace."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with needed(), running_server(tmp_path_factory.mktemp("kubeflow") / "state", multi_user=True) as running:
        _make_profile(running.api)
        yield running


def _make_profile(api: Api) -> None:
    role = "rbac.authorization.k8s.io"
    named = {"name": ACCOUNT, "namespace": PROFILE}
    subjects = [
        {"kind": "User", "name": USER, "apiGroup": role},
        {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": PROFILE},
    ]
    for manifest in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROFILE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": f"{role}/v1", "kind": "Role", "metadata": named, "rules": RULES},
        {
            "apiVersion": f"{role}/v1", "kind": "RoleBinding", "metadata": named, "subjects": subjects,
            "roleRef": {"apiGroup": role, "kind": "Role", "name": ACCOUNT},
        },
    ):  # fmt: skip
        api.apply(manifest)


@pytest.fixture
def token(server: Server) -> str:
    """Of the profile's service account, as a pod has it mounted."""
    path = f"/api/v1/namespaces/{PROFILE}/serviceaccounts/{ACCOUNT}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [AUDIENCE]}}
    return str(server.api.request("POST", path, body)["status"]["token"])


def client_of(server: Server, *, user: str = "", token: str = "", namespace: str = PROFILE) -> KubeflowPipelinesClient:
    access = ServerAccess(
        parse_address(server.address), headers={USER_HEADER: user} if user else {},
        auth=BearerToken(token) if token else NoAuth(),
    )  # fmt: skip
    return KubeflowPipelinesClient(lambda: access, namespace=namespace)


@pytest.mark.parametrize("by", ["the gateway's header", "a service account's token"])
def test_a_run_is_in_its_profile(server: Server, token: str, by: str) -> None:
    client = client_of(server, user=USER) if by.startswith("the") else client_of(server, token=token)
    assert client.health()["multi_user"] is True
    experiment = client.experiment_id("churn")
    run_id = new_run_id()
    made = client.create_run(run_body(run_id, experiment_id=experiment))
    assert made["run_id"] == run_id
    assert len(server.workflows(run_id, PROFILE)) == 1
    assert [one["run_id"] for one in client.list_runs(run_ids=[run_id])] == [run_id]
    client.terminate_run(run_id)
    client.delete_run(run_id)
    assert client.find_run(run_id) is None


def test_who_does_not_say_who_asks_is_refused(server: Server) -> None:
    with pytest.raises(ConnectionRefused, match="does not take the connection's credentials"):
        client_of(server).experiment_id("churn")


def test_who_has_no_right_is_refused(server: Server) -> None:
    with pytest.raises(ConnectionRefused, match="403"):
        list(client_of(server, user="bob@example.com").list_runs(run_ids=[new_run_id()]))


def test_a_run_that_nobody_made_is_missing(server: Server) -> None:
    assert client_of(server, user=USER).find_run(new_run_id()) is None
