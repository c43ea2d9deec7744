"""Planted secrets are found nowhere but where they belong: in connections, and in the environment of the job."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.backends.base import ConnectionRefused
from airflow_provider_mlx.cli.plan import run_plan
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured, MlxError
from airflow_provider_mlx.jobs import life
from airflow_provider_mlx.operators import deferral
from airflow_provider_mlx.runtime.uris import without_credentials
from airflow_provider_mlx.testing.fake import RUNNING, SUCCEEDED, Script
from airflow_provider_mlx.testing.remote.backend import RemoteBackend, RemoteSettings
from airflow_provider_mlx.testing.remote.control import RemoteServer
from airflow_provider_mlx.triggers import watcher
from airflow_provider_mlx.triggers.job import JobTrigger
from tests.contract.conftest import s3_endpoint  # noqa: F401  (fixture)
from tests.security.canaries import files_under
from tests.unit.lineage.conftest import events_in
from tests.unit.operators.conftest import CLOCK
from tests.unit.triggers.conftest import Lines, fired, trigger_of

STEP = """
@task.mlx(multiple_outputs=False, secrets={{'HF_TOKEN': 'hf'}}, env={{'PLAIN': 'seen'}}, deferrable={deferrable})
def step(x):
    import os, time
    from airflow_provider_mlx.runtime import current_step
    token = os.environ['HF_TOKEN']
    current_step.log_metric('length', len(token))
    print('the token has', len(token), 'characters')
    time.sleep({seconds})
    return {{'x': x, 'length': len(token), 'plain': os.environ['PLAIN'], 'others': sorted(
        name for name in os.environ if 'AIRFLOW' in name or 'AWS' in name or name == 'THE_TOKEN')}}
step([1, 2])
"""


def serialized(dag) -> str:
    """The DAG as Airflow keeps it."""
    from airflow.serialization.serialized_objects import SerializedDAG

    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serializer  # Airflow 3.2
    except ImportError:
        Serializer = SerializedDAG
    return json.dumps(Serializer.to_dict(dag))


def planned(task, monkeypatch) -> str:
    """What `plan` prints for a task."""
    from airflow_provider_mlx.cli import plan

    monkeypatch.setattr(plan, "find_task", lambda dag_id, task_id: (task.dag, task))
    monkeypatch.setattr(type(task), "render_template_fields", lambda self, context, jinja_env=None: None)
    given = SimpleNamespace(dag_id="dag", task_id="step", conf="{}", stack=None, map_index=-1)
    return "".join(run_plan(SimpleNamespace(**vars(given), json=way)) for way in (False, True))


def fields_of(task) -> dict[str, object]:
    return {name: getattr(task, name, None) for name in task.template_fields}


# --- the scanner -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: text, lambda text: text.encode(), lambda text: {"a": [{"b": text}]}, lambda text: {text: 1},
        lambda text: json.dumps(json.dumps({"a": text})), lambda text: ValueError(f"at {text}!"),
        lambda text: __import__("base64").b64encode(b"user:" + text.encode()),
        lambda text: __import__("base64").b64encode(text.encode() + b"!"),
        lambda text: __import__("urllib.parse").parse.quote(text, safe=""), lambda text: text.encode().hex(),
        lambda text: _caused_by(text),
    ],
)  # fmt: skip
def test_the_scanner_finds_what_is_planted(disguise, canaries, tmp_path):
    """The control: each of the disguises, in a value and in a file."""
    odd, plain = canaries.plant("odd", odd=True), canaries.plant("plain")
    assert canaries.found_in({"here": disguise(plain)}) == ["plain in here"]
    assert canaries.found_in({"here": disguise(odd)}) == ["odd in here"]
    assert canaries.found_in({"here": "c4nary", "there": {"a": [1, None, "c4naryc4nary"]}}) == []
    hidden = disguise(plain)
    if isinstance(hidden, (str, bytes)):
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "file").write_bytes(b"before" + (hidden if isinstance(hidden, bytes) else hidden.encode()))
        assert len(canaries.found_in(files_under(tmp_path))) == 1


def _caused_by(text: str) -> BaseException:
    error = ValueError("harmless")
    error.__cause__ = KeyError(text)
    return error


# --- a step on local, with its artifacts in a store behind a connection --------------------------------------------


@pytest.fixture
def store_of_secrets(s3_endpoint, canaries, monkeypatch):  # noqa: F811
    """A bucket, and connections and variables full of secrets."""
    bucket = "secrets-of-a-step"
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="i", aws_secret_access_key="k"
    )
    client.create_bucket(Bucket=bucket)
    store = {
        "conn_type": "aws", "login": canaries.plant("key id"), "password": canaries.plant("secret key", odd=True),
        "extra": {"region_name": "us-east-1", "endpoint_url": s3_endpoint, "aws_session_token": canaries.plant("session")},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_ARTIFACTS", json.dumps(store))
    monkeypatch.setenv(
        "AIRFLOW_CONN_DB", f"postgres://me:{canaries.plant('userinfo')}@db/x?token={canaries.plant('query')}"
    )
    monkeypatch.setenv("AIRFLOW_VAR_API_KEY", canaries.plant("variable"))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", canaries.plant("fernet"))
    monkeypatch.setenv("PIP_INDEX_URL", f"https://me:{canaries.plant('index')}@index.invalid/simple")
    monkeypatch.setenv("THE_TOKEN", canaries.plant("secret of the step"))

    def objects() -> dict[str, bytes]:
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {item["Key"]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in found}

    yield f"s3://{bucket}/mlx", objects
    for key in objects():
        client.delete_object(Bucket=bucket, Key=key)


STACKS = """
default: s
stacks:
  s:
    artifacts: {{root: "{root}", conn_id: {store}}}
    targets:
      default: {{backend: {backend}, {more} secrets: {{hf: {secret}}}}}
"""


@pytest.fixture
def events(events_file, monkeypatch):
    """The file of lineage's events, of a run with the dates that they need."""
    from airflow_provider_mlx.lineage import provider

    now, child_run = datetime.fromisoformat(CLOCK), provider.child_run
    run = SimpleNamespace(logical_date=now, run_after=now, clear_number=0, conf={}, run_id="run")
    monkeypatch.setattr(provider, "child_run", lambda context, *a, **k: child_run({**context, "dag_run": run}, *a, **k))
    return events_file


def test_nothing_of_a_step_on_local_holds_a_secret(
    store_of_secrets, load, execute, airflow_home, canaries, logged, events, monkeypatch, capfd
):
    root, objects = store_of_secrets
    stacks = STACKS.format(root=root, store="artifacts", backend="local", more="", secret="{env: THE_TOKEN}")
    task = load(STEP.format(seconds=0, deferrable=False), stacks=stacks)["step"]
    ti = execute(task)
    length = len(canaries.planted["secret of the step"])
    assert ti.result == {"x": [1, 2], "length": length, "plain": "seen", "others": []}, "the control: the job has it"
    kept = objects()
    assert {name.rpartition("/")[2] for name in kept} >= {
        "context.json",
        "job.json",
        "handle.json",
        "result.json",
        "log.txt",
    }
    looked_at = {
        "XCom": [ti.result, ti.pushed], "fields": fields_of(task), "the DAG": serialized(task.dag),
        "the plan": planned(task, monkeypatch), "the log": list(logged), "output": "".join(capfd.readouterr()),
        "events": events,
        **kept, **files_under(airflow_home),
    }  # fmt: skip
    assert "token has" in str(logged), "the control: the job's lines are here"
    assert [event["eventType"] for event in events_in(events)] == ["START", "COMPLETE"], "the control"
    assert canaries.found_in(looked_at) == []


def test_a_failed_step_tells_no_secret(store_of_secrets, load, execute, airflow_home, canaries, logged, events):
    root, objects = store_of_secrets
    stacks = STACKS.format(root=root, store="artifacts", backend="local", more="", secret="{env: THE_TOKEN}")
    body = "@task.mlx(secrets={'HF_TOKEN': 'hf'})\ndef step():\n    raise ValueError('planned')\nstep()"
    with pytest.raises(MlxError) as failed:
        execute(load(body, stacks=stacks)["step"])
    assert any(name.endswith("error.json") for name in objects())
    assert [event["eventType"] for event in events_in(events)] == ["START", "FAIL"], "the control"
    looked_at = {
        "the error": failed.value,
        "the log": list(logged),
        "events": events,
        **objects(),
        **files_under(airflow_home),
    }
    assert canaries.found_in(looked_at) == []


# --- a step on a remote backend, deferred --------------------------------------------------------------------------


def test_nothing_of_a_deferred_step_holds_a_secret(
    load, execute, airflow_home, canaries, logged, remote_backend, monkeypatch, tmp_path
):
    token = canaries.plant("password of the connection", odd=True)
    secret = canaries.plant("secret of the step")
    with RemoteServer(tmp_path / "server", token=token, env={"OF_THE_SERVER": secret}) as server:
        connection = server.connection() | {"login": canaries.plant("login"), "extra": {"key": canaries.plant("extra")}}
        monkeypatch.setenv("AIRFLOW_CONN_REMOTE", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "security")
        monkeypatch.setattr(life, "STAY_SECONDS", 0.0)
        monkeypatch.setattr(deferral, "QUIET_SECONDS", 0.0)
        monkeypatch.setattr(watcher, "LOOK_SECONDS", 0.1)
        root = (airflow_home / "artifacts").as_uri()
        stacks = STACKS.format(
            root=root, store="null", backend="fake-remote", more="conn_id: remote,", secret="{variable: OF_THE_SERVER}"
        )
        task = load(STEP.format(seconds=1, deferrable=True), stacks=stacks)["step"]
        with pytest.raises(TaskDeferred) as left:
            execute(task)
        path, arguments = left.value.trigger.serialize()
        stored = json.loads(json.dumps(arguments))
        trigger, lines = JobTrigger(**stored), Lines()
        trigger._log = lines
        event = asyncio.run(fired(trigger, seconds=30))
        assert event["word"] == "finished", (event, lines)
        monkeypatch.setattr(type(task), "execute", partial(_complete, event=event))
        ti = execute(task)
        assert ti.result["length"] == len(secret), "the control: the job has it"
        looked_at = {
            "the trigger": [path, stored], "the event": event, "XCom": [ti.result, ti.pushed], "fields": fields_of(task),
            "the DAG": serialized(task.dag), "the plan": planned(task, monkeypatch), "the log": [*logged, *lines],
            "the record": server.record_file, **files_under(airflow_home),
        }  # fmt: skip
        assert {Path(name).name for name in looked_at} >= {"context.json", "job.json", "handle.json", "result.json"}
    assert canaries.found_in(looked_at) == []


def _complete(context, *, event):
    return context["task"].execute_complete(context, event=event)


def test_a_refused_connection_is_named_and_not_shown(canaries, remote_backend, tmp_path):
    token = canaries.plant("token")
    with RemoteServer(tmp_path / "server", token="another") as server:
        connection = SimpleNamespace(**server.connection() | {"password": token})
        backend = RemoteBackend(RemoteSettings(), "remote", read_connection=lambda conn_id: connection)
        with pytest.raises(ConnectionRefused) as refused:
            backend.find("any")
        backend.disconnect()
    assert "`remote`" in str(refused.value)
    assert canaries.found_in({"the error": refused.value}) == []


def test_a_password_that_no_header_can_hold_is_not_shown(canaries, tmp_path):
    """Pasted with its line end, as it happens."""
    password = canaries.plant("password")
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = {"schema": "http", "host": "127.0.0.1", "port": server.getsockname()[1]}
        connection = SimpleNamespace(**where, password=f"{password}\n")
        backend = RemoteBackend(RemoteSettings(), "remote", read_connection=lambda conn_id: connection)
        with pytest.raises(MlxError) as refused:
            backend.find("any")
        backend.disconnect()
    assert canaries.found_in({"the error": refused.value}) == []


# --- what somebody else's client says ------------------------------------------------------------------------------

SAID = (
    "GET https://me:{0}@store.invalid/x?X-Amz-Signature={0}&x=1 failed",
    "HTTPSConnectionPool(host='h'): url: /x?sig={0} (Authorization: Bearer {0})",
    "headers: {{'Authorization': 'AWS4-HMAC-SHA256 Credential=AKIA/x, Signature={0}'}}",
    "Proxy-Authorization: Basic {0}",
    "bearer {0} was not taken",
    "https://{0}@index.invalid/simple: 401",
    "https://account.blob.core.windows.net/c?sv=1&sig={0}",
    "gs: ?X-Goog-Signature={0}&access_token={0}",
)


@pytest.mark.parametrize("said", SAID)
def test_the_text_of_a_stores_client_is_cleaned(said, canaries, monkeypatch):
    import obstore
    from obstore import exceptions

    text = said.format(canaries.plant("secret"))
    for kind in (exceptions.GenericError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, OSError):

        def fails(*_, kind=kind, **__):
            raise kind(f"{text}\n\nDebug source:\n{text}")

        for verb in ("get", "head", "put", "delete"):
            monkeypatch.setattr(obstore, verb, fails)
        store, uri = ObjectStore(), "memory://b/x"
        for ask in (
            partial(store.read, uri),
            partial(store.facts, uri),
            partial(store.create, uri, b""),
            partial(store.write, uri, b""),
        ):
            with pytest.raises((BackendUnavailable, JobMisconfigured)) as refused:
                ask()
            assert canaries.found_in({"the error": refused.value}) == []
    assert canaries.found_in({"the control": text}) == ["secret in the control"]
    assert "?" not in said or "=***" in without_credentials(text)


def _says(text: str):
    def find(self, name, location=None):
        raise BackendUnavailable(text)

    return find


@pytest.mark.parametrize("said", SAID)
def test_the_text_of_a_backends_client_is_cleaned(said, canaries, scene, monkeypatch):
    """A third party's backend may put its client's text into its error; it goes into the task's log."""
    here = scene(Script(sees=(RUNNING, SUCCEEDED)))
    order = here.submit()
    trigger, lines = trigger_of(order)
    kind, asked = here.cluster.backend_class, [0]
    find, fails = kind.find, _says(said.format(canaries.plant("secret")))

    def twice(self, name, location=None):
        asked[0] += 1
        return (fails if asked[0] <= 2 else find)(self, name, location)

    monkeypatch.setattr(kind, "find", twice)
    asyncio.run(fired(trigger))
    assert any("waiting" in line for line in lines), "the control: it was said"
    assert canaries.found_in({"the log": list(lines)}) == []
