"""The hook on a real Airflow: its connections, its form, and a server over real connections."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import Connection

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines.credentials import EXTRAS, WAYS, access_of, parse_connection
from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.hooks import kubeflow_pipelines_fields as form
from airflow_provider_mlx.hooks.kubeflow_pipelines import KubeflowPipelinesHook
from tests.unit.backends.kubeflow_pipelines.server import Server, serving
from tests.unit.backends.kubeflow_pipelines.token_server import TokenServer, minting


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def kubernetes() -> Iterator[TokenServer]:
    with minting() as made:
        yield made


@pytest.fixture
def say(monkeypatch):
    """Connections of the environment, as a deployment may have them."""

    def set_connection(conn_id: str = "kubeflow_pipelines_default", **fields) -> None:
        text = json.dumps({"conn_type": "kubeflow_pipelines", **fields})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)

    return set_connection


# --- connections of Airflow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        pytest.param("kubeflow-pipelines://ml-pipeline.kubeflow:8888", "http://ml-pipeline.kubeflow:8888", id="short"),
        pytest.param("kubeflow-pipelines://kf.example.com/https", "https://kf.example.com", id="with a scheme"),
        pytest.param("kubeflow-pipelines://https://kf.example.com:8443", "https://kf.example.com:8443", id="as a URL"),
        pytest.param(
            "kubeflow-pipelines://:t0ken@https%3A%2F%2Fkf.example.com%2Fpipeline?auth=token&namespace=ml",
            "https://kf.example.com/pipeline", id="with its path, quoted",
        ),
    ],
)  # fmt: skip
def test_a_uri_there_and_back(uri, address):
    connection = Connection.from_uri(uri, conn_id="kfp")
    assert connection.conn_type == KubeflowPipelinesHook.conn_type
    assert access_of(connection).address == address
    again = Connection.from_uri(connection.get_uri(), conn_id="kfp")
    assert access_of(again) == access_of(connection)


def test_json_there_and_back():
    extra = {
        "auth": "headers", "headers": {"kubeflow-userid": "me@example.com"}, "verify": False, "namespace": "ml",
        "proxy": "http://proxy:3128", "certificate_authority": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
    }  # fmt: skip
    given = {"conn_type": "kubeflow-pipelines", "host": "https://kf.example.com/pipeline", "extra": extra}
    connection = Connection.from_json(json.dumps(given), conn_id="kfp")
    for again in (
        Connection.from_json(connection.as_json(), conn_id="kfp"),
        Connection.from_uri(connection.get_uri(), conn_id="kfp"),
    ):
        assert parse_connection(again) == parse_connection(connection)
        assert access_of(again).request_headers() == {"kubeflow-userid": "me@example.com"}


# --- the form -------------------------------------------------------------------------------------------------------


def test_the_form_has_every_field_of_a_connection():
    assert set(form.FIELDS) == set(EXTRAS)
    assert set(form.FIELDS["auth"]["schema"]["enum"]) == set(WAYS)


def test_an_untouched_form_changes_nothing():
    """Airflow saves the defaults of a form, and empty fields as well."""
    defaults = {name: field["schema"].get("default", "") for name, field in form.FIELDS.items()}
    said = Connection(conn_id="kfp", conn_type="kubeflow_pipelines", host="kfp:8888", extra=json.dumps(defaults))
    assert access_of(said) == access_of(Connection(conn_id="kfp", conn_type="kubeflow_pipelines", host="kfp:8888"))


def test_airflow_reads_the_form_and_finds_the_hook():
    """In a process of its own: Airflow's list of providers is one per process."""
    code = """
        import json, warnings
        warnings.simplefilter("error")
        from airflow.providers_manager import ProvidersManager
        manager = ProvidersManager()
        fields = {
            info.field_name: info.is_sensitive
            for name, info in manager._connection_form_widgets_from_metadata.items()
            if name.startswith("extra__kubeflow_pipelines__")
        }
        behaviour = manager._field_behaviours_from_metadata["kubeflow_pipelines"]
        import sys
        print(json.dumps([fields, behaviour, "airflow_provider_mlx.hooks.kubeflow_pipelines" in sys.modules]))
    """
    import textwrap

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    fields, behaviour, imported = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, sensitive in fields.items() if sensitive} == {"headers"}
    assert set(fields) == set(form.FIELDS)
    assert behaviour["hidden_fields"] == ["login", "extra"]
    assert not imported, "the form costs nothing of ours"


# --- what it does ---------------------------------------------------------------------------------------------------


def test_the_client_and_its_other_halves(server, say):
    say(host=server.url, extra={"namespace": "ml"})
    hook = KubeflowPipelinesHook()
    assert hook.get_conn().health()["tag_name"] == "2.14.3"
    assert hook.get_conn() is hook.get_conn()
    assert hook.get_conn().namespace == "ml"
    assert KubeflowPipelinesHook(namespace="other").get_conn().namespace == "other"
    assert hook.pipelines.ensure_version("churn", "v1", "a: 1")["name"] == "v1"
    assert list(hook.recurring_runs.list()) == []
    hook.close()
    assert hook.get_conn().find_run("none") is None, "it opens again"
    hook.close()


def test_a_connection_that_cannot_be_used_is_said_at_once(say):
    say(host="kfp", extra={"auth": "token"})
    with pytest.raises(JobMisconfigured, match="password: auth `token` needs it"):
        KubeflowPipelinesHook().get_conn()


def test_there_is_no_such_connection():
    with pytest.raises(AirflowNotFoundException):
        KubeflowPipelinesHook("nowhere").get_conn()


def test_airflow_makes_the_hook_from_a_connection(say, server, monkeypatch):
    say("kfp", host=server.url)
    from airflow.sdk import BaseHook

    hook = BaseHook.get_connection("kfp").get_hook()
    assert isinstance(hook, KubeflowPipelinesHook)
    assert hook.kubeflow_pipelines_conn_id == "kfp"


# --- the button -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "token", "says", "works"),
    [
        pytest.param({}, "", "Kubeflow Pipelines 2.14.3, single-user", True, id="it works"),
        pytest.param({"extra": {"namespace": "ml"}}, "", "namespace `ml`", True, id="with a namespace"),
        pytest.param({"password": "t", "extra": {"auth": "token"}}, "t", "single-user", True, id="with its token"),
        pytest.param({"password": "old", "extra": {"auth": "token"}}, "t", "does not take the connection's credentials", False, id="with another token"),
        pytest.param({"extra": {"auht": "none"}}, "", "did you mean `auth`?", False, id="a typo"),
        pytest.param({"extra": {"auth": "kubernetes", "service_account": "a", "namespace": "ml", "kubernetes_conn_id": "nowhere"}}, "", "nowhere", False, id="no connection to Kubernetes"),
    ],
)  # fmt: skip
def test_the_connections_test(fields, token, says, works, server, say):
    server.token = token
    say(host=server.url, **fields)
    done, told = KubeflowPipelinesHook().test_connection()
    assert done is works
    assert says in told
    assert "old" not in told


def test_a_server_that_is_not_there_and_one_behind_a_gateway(say):
    say(host="http://127.0.0.1:9")
    done, told = KubeflowPipelinesHook().test_connection()
    assert not done
    assert "no answer from Kubeflow Pipelines" in told
    with serving(Server(prefix="/pipeline")) as server:
        say(host=server.url.removesuffix("/pipeline"))
        done, told = KubeflowPipelinesHook().test_connection()
    assert not done
    assert "add /pipeline to the address in the connection" in told


def test_a_multi_user_server_is_asked_for_what_everybody_sees_where_no_namespace_is_named(say):
    class ManyUsers(Server):
        def _healthz(self, asked, rest):
            return 200, {"multi_user": True}

        def _runs(self, asked, rest):
            return 400, {"code": 3, "message": "namespace is empty"}

        def _pipelines(self, asked, rest):
            return 200, {}

    with serving(ManyUsers()) as server:
        say(host=server.url)
        assert KubeflowPipelinesHook().test_connection() == (
            True, "Kubeflow Pipelines of a release that it does not tell, multi-user",
        )  # fmt: skip
        assert server.calls()[-1] == "GET /apis/v2beta1/pipelines"


# --- coroutines -----------------------------------------------------------------------------------------------------


def test_coroutines_use_the_same_client_in_a_thread(server, say, kubernetes):
    say("k8s", conn_type="kubernetes", extra=kubernetes.connection().extra_dejson)
    server.token = "minted-1"
    say(
        host=server.url,
        extra={"auth": "kubernetes", "kubernetes_conn_id": "k8s", "service_account": "default-editor", "namespace": "ml"},
    )  # fmt: skip
    hook = KubeflowPipelinesHook()
    threads: list[str] = []

    def look(client):
        threads.append(threading.current_thread().name)
        return client.find_run("none")

    async def several() -> list[object]:
        return [await hook.acall(look), *(await asyncio.gather(hook.acall(look), hook.acall(look)))]

    assert asyncio.run(several()) == [None, None, None]
    hook.close()
    assert threading.current_thread().name not in threads
    assert len(kubernetes.asked) == 1, "one client, one token"


def test_after_a_refusal_a_coroutine_reads_the_connection_again(server, say):
    server.token = "new"
    say(host=server.url, password="old", extra={"auth": "token"})
    hook = KubeflowPipelinesHook()

    async def rotated() -> object:
        with pytest.raises(ConnectionRefused):
            await hook.acall(lambda client: client.find_run("none"))
        say(host=server.url, password="new", extra={"auth": "token"})
        return await hook.acall(lambda client: client.find_run("none"))

    assert asyncio.run(rotated()) is None
    hook.close()
