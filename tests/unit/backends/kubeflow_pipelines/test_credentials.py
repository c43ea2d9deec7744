"""An Airflow connection as access to a server: every way to be known, and everything that is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import Connection

from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.backends.kubeflow_pipelines import credentials
from airflow_provider_mlx.backends.kubeflow_pipelines.auth import (
    AUDIENCE,
    TOKEN_FILE,
    BearerToken,
    ExtraHeaders,
    MintedToken,
    NoAuth,
    SessionCookie,
    TokenFile,
)
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.credentials import EXTRAS, WAYS, access_of, parse_connection
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured
from tests.unit.backends.kubeflow_pipelines.sdk import site_packages
from tests.unit.backends.kubeflow_pipelines.server import Server, serving
from tests.unit.backends.kubeflow_pipelines.token_server import TokenServer, minting

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
ACCOUNT = {"auth": "kubernetes", "kubernetes_conn_id": "k8s", "service_account": "default-editor", "namespace": "ml"}


@pytest.fixture
def kubernetes() -> Iterator[TokenServer]:
    with minting() as made:
        yield made


def connection(host: str = "http://kfp:8888", **given) -> Connection:
    extra = {key: given.pop(key) for key in list(given) if key not in ("port", "schema", "login", "password", "extra")}
    text = given.pop("extra", None) or (json.dumps(extra) if extra else None)
    return Connection(conn_id="kfp", conn_type="kubeflow_pipelines", host=host, extra=text, **given)


def refused(**given) -> str:
    with pytest.raises(JobMisconfigured) as error:
        access_of(connection(**given))
    return str(error.value)


# --- the address ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        pytest.param({"host": "http://ml-pipeline.kubeflow:8888"}, "http://ml-pipeline.kubeflow:8888", id="a URL"),
        pytest.param(
            {"host": "ml-pipeline.kubeflow", "port": 8888}, "http://ml-pipeline.kubeflow:8888", id="host and port"
        ),
        pytest.param({"host": "kf", "schema": "https"}, "https://kf", id="host and scheme"),
        pytest.param(
            {"host": "https://kf/pipeline", "port": 8443}, "https://kf:8443/pipeline", id="a URL, and its port"
        ),
        pytest.param({"host": "https://kf:444", "port": 8443}, "https://kf:444", id="the URL's port comes first"),
        pytest.param({"host": "https://kf/_/pipeline/?ns=ml#/runs"}, "https://kf/pipeline", id="from the browser"),
        pytest.param(
            {"host": "kf/pipeline/apis/v2beta1", "schema": "https"}, "https://kf/pipeline", id="with its path"
        ),
        pytest.param({"host": "http://[::1]", "port": 8888}, "http://[::1]:8888", id="an address of IPv6"),
    ],
)
def test_addresses(fields, address):
    assert access_of(connection(**fields)).address == address


def test_a_targets_own_address_comes_first():
    assert access_of(connection("", schema="nonsense"), address="https://kf/pipeline").address == "https://kf/pipeline"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"host": ""}, "host: there is none", id="none"),
        pytest.param({"host": "grpc://kf:8887"}, "no address of a Kubeflow Pipelines server", id="another protocol"),
        pytest.param({"host": "https://me:s3cr3t@kf"}, "holds a user or a password", id="with a password"),
        pytest.param(
            {"host": "kf", "schema": "pipeline"}, "the whole address, with its path, into the host", id="a URI's path"
        ),
        pytest.param({"host": "kf:99999"}, "port: the port is no port", id="no port"),
    ],
)
def test_no_addresses(fields, said):
    message = refused(**fields)
    assert said in message
    assert "s3cr3t" not in message


# --- ways to be known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "auth"),
    [
        pytest.param({}, NoAuth(), id="nothing is said"),
        pytest.param({"auth": "none"}, NoAuth(), id="none"),
        pytest.param({"auth": "token", "password": "t"}, BearerToken("t"), id="a token"),
        pytest.param({"auth": "cookie", "password": "s=1"}, SessionCookie("s=1"), id="a cookie"),
        pytest.param({"auth": "token_file"}, TokenFile(TOKEN_FILE), id="the pod's token"),
        pytest.param({"auth": "token_file", "token_file": "/t"}, TokenFile("/t"), id="a token at another place"),
        pytest.param({"auth": "headers", "headers": {"kubeflow-userid": "me"}}, ExtraHeaders({"kubeflow-userid": "me"}), id="headers"),
        pytest.param({"auth": "headers", "headers": '{"kubeflow-userid": "me"}'}, ExtraHeaders({"kubeflow-userid": "me"}), id="headers as a form has them"),
        pytest.param({"extra__kubeflow_pipelines__auth": "token", "password": "t"}, BearerToken("t"), id="old spelling"),
        pytest.param({"auth": "", "token_file": None, "verify": ""}, NoAuth(), id="an empty form"),
    ],
)  # fmt: skip
def test_ways_to_be_known(fields, auth):
    access = access_of(connection(**fields))
    assert access.auth == auth
    assert access.headers == {}, "what identifies is sent once"


def test_what_goes_with_every_way():
    access = access_of(
        connection(auth="token", password="t", headers={"X-One": "1"}, verify="false", proxy="http://proxy:3128",
                   certificate_authority=PEM, namespace="ml")
    )  # fmt: skip
    assert (access.headers, access.verify, access.proxy) == ({"X-One": "1"}, False, "http://proxy:3128")
    assert access.certificate_authority == PEM
    assert access.request_headers() == {"X-One": "1", "Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("verify", "checked"), [(True, True), (False, False), ("true", True), ("False", False), (0, False), (None, True)]
)
def test_whether_the_certificate_is_checked(verify, checked):
    assert access_of(connection(verify=verify)).verify is checked


def test_without_a_connection_the_environment_says_it(monkeypatch, tmp_path):
    assert access_of(None, address="kfp:8888").auth == NoAuth()
    (tmp_path / "token").write_text("t")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    assert access_of(None, address="kfp:8888").request_headers() == {"Authorization": "Bearer t"}
    assert access_of(connection(auth="token_file")).request_headers() == {"Authorization": "Bearer t"}


def test_the_namespace_of_a_connection():
    assert parse_connection(connection(namespace=" ml ")).namespace == "ml"
    assert parse_connection(connection()).namespace == ""


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"auht": "token"}, "extra.auht: the connection has no such field → did you mean `auth`?", id="a typo"),
        pytest.param({"zzz": 1}, "it has `auth`, `namespace`", id="no such field"),
        pytest.param({"auth": "tokn", "password": "x"}, "extra.auth: there is no such way to be known → did you mean `token`?", id="no such way"),
        pytest.param({"auth": "token"}, "password: auth `token` needs it", id="no token"),
        pytest.param({"auth": "headers"}, "extra.headers: auth `headers` needs it", id="no headers"),
        pytest.param({"auth": "google_iap"}, "extra.client_id: auth `google_iap` needs it", id="no client id"),
        pytest.param({"auth": "kubernetes", "namespace": "ml"}, "extra.service_account: auth `kubernetes` needs it", id="no service account"),
        pytest.param({"auth": "kubernetes", "service_account": "x"}, "extra.service_account_namespace: it is not said where", id="no namespace"),
        pytest.param({"password": "x"}, "password: auth `none` does not use it → leave it out, or set `auth` to `token` or `cookie`", id="a token, and no way"),
        pytest.param({"auth": "token", "password": "x", "service_account": "y"}, "extra.service_account: auth `token` does not use it → leave it out, or set `auth` to `kubernetes`", id="a field of another way"),
        pytest.param({"login": "me"}, "login: no way to be known uses it", id="a login"),
        pytest.param({"verify": "perhaps"}, "extra.verify: it is neither true nor false", id="neither true nor false"),
        pytest.param({"headers": "a: b"}, "extra.headers: it is no JSON object", id="headers as text"),
        pytest.param({"headers": {"a": "b\r\nc: d"}}, "extra.headers: it is no JSON object", id="a line feed in a header"),
        pytest.param({"headers": {"a": ["b"]}}, "extra.headers: it is no JSON object", id="a list in a header"),
        pytest.param({"proxy": "proxy:3128"}, "extra.proxy: it is no address of a proxy", id="no proxy"),
        pytest.param({"certificate_authority": "/etc/ca.pem"}, "extra.certificate_authority: it is no certificate", id="a path"),
        pytest.param({"extra": "auth=token"}, "extra: it is no JSON object", id="no JSON"),
    ],
)  # fmt: skip
def test_what_is_refused(fields, said):
    message = refused(**fields)
    assert message.startswith("the connection `kfp` to Kubeflow Pipelines cannot be used: ")
    assert said in message


def test_all_of_it_comes_at_once_and_no_secret_is_said():
    message = refused(
        host="https://me:s3cr3t@kf", auth="s3cr3t", password="s3cr3t", login="s3cr3t", headers={"x": ["s3cr3t"]},
        proxy="ftp://me:s3cr3t@proxy", certificate_authority="s3cr3t", verify="s3cr3t", typo="s3cr3t",
    )  # fmt: skip
    assert message.count(" → ") == 8
    assert "s3cr3t" not in message


def test_no_secret_is_shown():
    hidden = parse_connection(
        connection(auth="token", password="s3cr3t", headers={"x": "s3cr3t"}, proxy="http://me:s3cr3t@proxy")
    )
    assert "s3cr3t" not in repr([hidden, hidden.access(lambda conn_id: None)])


def test_every_field_belongs_to_a_way_or_to_all_of_them():
    named = {name for way in WAYS.values() for name in (*way.needs, *way.takes)} - {"password"}
    assert set(EXTRAS) == named | set(credentials.EVERYWHERE)


# --- a service account's token --------------------------------------------------------------------------------------


def test_a_service_accounts_token_is_asked_for_once_and_renewed_when_it_is_refused(kubernetes):
    server = Server(token="minted-2")
    with serving(server):
        read: list[str] = []

        def reader(conn_id: str) -> Connection:
            read.append(conn_id)
            return kubernetes.connection(conn_id)

        client = KubeflowPipelinesClient(lambda: access_of(connection(server.url, **ACCOUNT), read_connection=reader))
        assert client.find_run("none") is None
        assert client.find_run("none") is None
        client.close()
    assert read == ["k8s"], "read when the server is connected, not when a token is needed"
    assert [asked[0] for asked in kubernetes.asked] == [
        "/api/v1/namespaces/ml/serviceaccounts/default-editor/token"
    ] * 2
    body = kubernetes.asked[0][2]
    assert body["spec"] == {"audiences": [AUDIENCE], "expirationSeconds": 3600}


def test_a_token_that_soon_ends_is_minted_anew(kubernetes):
    kubernetes.lasts = timedelta(seconds=60)
    access = access_of(connection(**ACCOUNT), read_connection=kubernetes.connection)
    assert [access.request_headers()["Authorization"] for _ in range(2)] == ["Bearer minted-1", "Bearer minted-2"]


def test_another_audience_and_another_namespace(kubernetes):
    fields = {**ACCOUNT, "namespace": "other", "service_account_namespace": "ml", "audience": "mine"}
    access_of(connection(**fields), read_connection=kubernetes.connection).request_headers()
    assert kubernetes.asked[0][2]["spec"]["audiences"] == ["mine"]


def test_airflows_own_cluster_needs_no_connection():
    fields = {key: value for key, value in ACCOUNT.items() if key != "kubernetes_conn_id"}
    assert isinstance(access_of(connection(**fields)).auth, MintedToken)


@pytest.mark.parametrize(
    ("says", "kind", "said"),
    [
        pytest.param((404, {"reason": "NotFound", "message": "no"}), JobMisconfigured, "no service account `default-editor` in the namespace `ml`", id="there is none"),
        pytest.param((403, {"reason": "Forbidden", "message": "cannot create"}), ConnectionRefused, "`create` the resource `serviceaccounts/token`", id="no right"),
        pytest.param((401, {}), ConnectionRefused, "does not take the connection's credentials", id="not known"),
        pytest.param((422, {"message": "audiences: invalid"}), JobMisconfigured, "audiences: invalid", id="not taken"),
        pytest.param((503, {"message": "later"}), BackendUnavailable, "503", id="no answer"),
        pytest.param((201, {"status": {}}), BackendUnavailable, "without a token", id="an answer without a token"),
    ],
)  # fmt: skip
def test_no_token(says, kind, said, kubernetes):
    kubernetes.says = says
    access = access_of(connection(**ACCOUNT), read_connection=kubernetes.connection)
    with pytest.raises(kind) as error:
        access.request_headers()
    assert type(error.value) is kind
    assert said in str(error.value)
    assert "of-the-connection" not in str(error.value)


# --- Google ---------------------------------------------------------------------------------------------------------


def test_google_wants_a_package_that_is_not_here():
    assert importlib.util.find_spec("google.auth") is None
    access = access_of(connection(auth="google_iap", client_id="c"))
    with pytest.raises(JobMisconfigured, match="pip install apache-airflow-providers-google"):
        access.request_headers()


METADATA = """
    import json, base64, os, sys, threading, time
    from http.server import BaseHTTPRequestHandler, HTTPServer

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self):
            text = json.dumps({"email": "airflow@example.com", "scopes": []})
            if "/identity" in self.path and "audience=the-client" in self.path:
                text = f"{part({'alg': 'none'})}.{part({'exp': END})}.c2ln"
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/json" if text.startswith("{") else "application/text")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            pass

    END = int(time.time()) + 3600
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["GCE_METADATA_HOST"] = os.environ["GCE_METADATA_IP"] = f"127.0.0.1:{server.server_port}"
    sys.path.append(sys.argv[1])  # behind our own packages: google-auth is among what the SDK needs
    from airflow_provider_mlx.backends.kubeflow_pipelines.minting import GoogleIdentity

    token = GoogleIdentity("the-client").mint()
    print(json.dumps([token.text, token.expires.timestamp() - END]))
"""


def test_google_gives_an_identity_token_for_the_proxys_client():
    """The real ``google-auth``, and a metadata server as a virtual machine of Google's has."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(METADATA), str(site_packages())],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text, off = json.loads(done.stdout)
    assert text.endswith(".c2ln")
    assert off == 0


def test_times_are_aware(kubernetes):
    access = access_of(connection(**ACCOUNT), read_connection=kubernetes.connection)
    access.request_headers()
    assert isinstance(access.auth, MintedToken)
    assert access.auth._token is not None
    assert access.auth._token.expires - datetime.now(UTC) < timedelta(hours=1, seconds=1)
