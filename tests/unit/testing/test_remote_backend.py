"""The client of the remote fake: what each fault becomes, what observing costs, and how it is registered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused, JobHandle, State
from airflow_provider_mlx.exceptions import BackendUnavailable, InvalidStep, JobMisconfigured
from airflow_provider_mlx.testing.remote.backend import RemoteBackend, RemoteSettings, status_of
from airflow_provider_mlx.testing.remote.control import RemoteServer
from airflow_provider_mlx.testing.steps import ContractStep

SITE = Path(__file__).resolve().parents[2] / "faults" / "site"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RemoteServer(tmp_path_factory.mktemp("remote")) as server:
        yield server


@pytest.fixture
def backend(server):
    backend = RemoteBackend(RemoteSettings(), "any", read_connection=server.read_connection)
    yield backend
    backend.disconnect()


def request(name, code="pass"):
    labels = {"deployment_id": "mine"}
    return {"name": name, "argv": ["", "-I", "-S", "-c", code], "env": {}, "secrets": {}, "labels": labels}


@pytest.mark.parametrize("how", ["503", "drop"])
def test_an_outage_is_unavailable_for_every_verb(server, backend, how):
    handle = JobHandle("fake-remote", "any")
    server.outage(30, how)
    try:
        for verb in (
            lambda: backend.submit(request("outage")),
            lambda: backend.find("any"),
            lambda: backend.read_log(handle),
            lambda: backend.cancel(handle),
            lambda: backend.forget(handle),
            lambda: backend.observer().observe([handle], 0.0),
        ):
            with pytest.raises(BackendUnavailable) as raised:
                verb()
            assert not isinstance(raised.value, ConnectionRefused)
    finally:
        server.outage(0)
    assert backend.find("any") is None


def test_nobody_listening_is_unavailable():
    backend = RemoteBackend(
        RemoteSettings(), "any",
        read_connection=lambda _: SimpleNamespace(host="127.0.0.1", port=9, schema="", password="x"),
    )  # fmt: skip
    with pytest.raises(BackendUnavailable, match="ConnectError"):
        backend.find("any")


def test_a_lost_answer_leaves_a_job_to_be_found(server, backend):
    server.script("lose_answer", "lost-answer")
    with pytest.raises(BackendUnavailable):
        backend.submit(request("lost-answer"))
    found = backend.find("lost-answer")
    assert found is not None
    assert backend.submit(request("lost-answer")) == found.handle


def test_rotated_credentials_are_refused_once_and_then_read_again(server, backend):
    observer = backend.observer()
    job = JobHandle("fake-remote", "never")
    observer.observe([job], 0.0)
    backend.find("never")
    connection = server.connection()
    stale = RemoteBackend(RemoteSettings(), "any", read_connection=lambda _: SimpleNamespace(**connection))
    server.rotate_token("another token")
    for verb in (lambda: backend.find("never"), lambda: observer.observe([job], 0.0)):
        with pytest.raises(ConnectionRefused):
            verb()
        verb()
    with pytest.raises(ConnectionRefused):
        stale.find("never")
    observer.close()


def test_what_the_server_does_not_take_is_a_definite_refusal(backend):
    with pytest.raises(JobMisconfigured, match="400"):
        backend.submit({"name": "no argv"})
    with pytest.raises(JobMisconfigured, match="conn_id"):
        RemoteBackend(RemoteSettings()).find("any")


def test_a_new_word_of_the_server_is_unknown():
    status = status_of({"status": "hibernating", "reason": "", "failure": None, "exit_code": None})
    assert (status.state, status.reason) == (State.UNKNOWN, "the server says `hibernating`")


def test_observing_costs_one_request_whatever_the_number_of_jobs(server, backend):
    jobs = [backend.submit(request(f"many-{number}")) for number in range(10)]
    waits = backend.submit(request("waits", "import time; time.sleep(60)"))
    observer, before = backend.observer(), server.requests()
    looks, over = 0, False
    while not over:
        seen = observer.observe([*jobs, waits], 5.0)
        looks, over = looks + 1, all(seen[job.name].state.finished for job in jobs)
    after = server.requests()
    assert after["POST /v1/changes"] - before.get("POST /v1/changes", 0) == looks
    assert after.get("GET /v1/jobs/<name>") == before.get("GET /v1/jobs/<name>")
    backend.cancel(waits)
    while not observer.observe([waits], 5.0)["waits"].state.finished:
        pass
    seen = observer.observe([waits, *jobs], 5.0)  # those are asked for by name again: it does not wait
    assert seen["many-0"].state is State.SUCCEEDED
    observer.close()


def test_an_observer_starts_anew_when_another_server_stands_there(server, tmp_path):
    places = [server.connection()]
    backend = RemoteBackend(RemoteSettings(), "any", read_connection=lambda _: SimpleNamespace(**places[-1]))
    job = backend.submit(request("moves"))
    observer = backend.observer()
    assert observer.observe([job], 0.0)["moves"].state is not State.ABSENT
    with RemoteServer(tmp_path) as another:
        places.append(another.connection())
        observer.close()  # the next look connects again
        assert observer.observe([job], 5.0)["moves"].state is State.ABSENT
        observer.close()


def test_secrets_and_roots_that_the_server_cannot_reach_are_refused():
    backend = RemoteBackend(RemoteSettings())
    step = ContractStep(secrets={"TOKEN": {"env": "TOKEN"}})
    with pytest.raises(InvalidStep) as refused:
        step.plan(backend, "s3://bucket/root")
    assert "use a file:// artifact root" in str(refused.value)
    assert "map the name to `{variable: NAME}`" in str(refused.value)


def test_a_plan_says_who_it_is_for_and_how_long():
    from airflow_provider_mlx.step.resources import Resources

    step = ContractStep(run_id="nightly", resources=Resources(spot=True, timeout="1h"))
    planned = step.plan(RemoteBackend(RemoteSettings(queue="gold")), "file:///tmp/root", attempt=2).request
    assert planned["labels"] == {
        "deployment_id": "contract", "dag_id": "contract", "run_id": "nightly", "task_id": "step", "map_index": -1,
        "attempt": 2,
    }  # fmt: skip
    assert (planned["spot"], planned["queue"], planned["native_limit_seconds"]) == (True, "gold", 3600 + 600)


def test_a_folder_on_the_path_registers_the_backend():
    code = (
        "from airflow_provider_mlx.backends.registry import backend_class\n"
        "print(backend_class('fake-remote').__qualname__)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SITE), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["RemoteBackend"]
