"""
Who sees what of the lineage, under an auth manager whose users have rights on single DAGs (FAB), on two minors of
Airflow: two users, two DAGs, a dataset between them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.standalone import free_port
from tests.e2e.harness import Drive, Environment, Home
from tests.openlineage.validation import events_in

MINORS = (Environment("fab-3.3"), Environment("fab-3.2"))
TOKEN = "a-token-for-this-test-only"
PASSWORD = "a-password-for-this-test-only"
DAG = """
from airflow.sdk import DAG, task

with DAG("{name}", schedule=None, access_control={{"reads-{name}": {{"DAGs": {{"can_read"}}}}}}):

    @task.mlx(deferrable=False)
    def {name}():
        from airflow_provider_mlx import current_step

        {body}

    {name}()
"""
WRITES = """
        current_step.dataset("s3://lake/secret-of-writes.csv", "v1")
        current_step.dataset("s3://lake/shared.csv", "v2", write=True)
"""
READS = """
        current_step.dataset("s3://lake/shared.csv", "v2")
        current_step.dataset("s3://lake/secret-of-reads.csv", "v3", write=True)
"""
ROLES = {"admin": "Admin", "ann": "reads-writes", "bob": "reads-reads", "eve": "Public"}
PEOPLE = f"""
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

with get_application_builder() as app:
    for user, role in {ROLES!r}.items():
        known = app.sm.find_role(role) or app.sm.add_role(role)
        app.sm.add_user(user, user, user, f"{{user}}@example.com", known, "{PASSWORD}")
"""


@dataclass
class Server:
    """An API server with two runs' lineage, as one user after another asks it."""

    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, user: str, path: str, **parameters: Any) -> httpx.Response:
        return httpx.get(
            f"{self.url}/mlx/lineage/api/v1/{path}", params=parameters, timeout=60,
            headers={"Authorization": f"Bearer {self.tokens[user]}"},
        )  # fmt: skip

    def found(self, user: str, text: str) -> list[str]:
        """The names that a search gives."""
        return [one["name"] for one in self.ask(user, "search", q=text).raise_for_status().json()]

    def key(self, name: str) -> str:
        """A node's key, as an administrator knows it."""
        [node] = [one for one in self.ask("admin", "search", q=name).json() if one["name"] == name]
        return str(node["key"])


@pytest.fixture(scope="session")
def dags(base: Path) -> Path:
    """A DAG that writes what the other one reads, and what each has besides is a secret."""
    folder = base / "permissions"
    folder.mkdir()
    for name, body in (("writes", WRITES), ("reads", READS)):
        (folder / f"{name}.py").write_text(DAG.format(name=name, body=body.strip()))
    return folder


@pytest.fixture(scope="session")
def told(make_home: Callable[..., Home], dags: Path) -> list[Any]:
    """The events of a run of each."""
    home = make_home("permissions-home", dags)
    for run in Drive(home, "writes", "reads").runs().values():
        assert run.state == "success", run.tail()
    return list(events_in(home.folder))


@pytest.fixture(scope="module", params=MINORS, ids=lambda one: one.name)
def server(request: pytest.FixtureRequest, base: Path, dags: Path, told: list[Any]) -> Iterator[Server]:
    environment: Environment = request.param
    environment.check()
    folder = base / environment.name
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}")
    env = {
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-for-this-test-only-0123456789abcdef0123456789abcdef",
        "AIRFLOW__API__SECRET_KEY": "another-secret-for-this-test-only",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__MLX__LINEAGE_STORE": f"sqlite:///{folder}/lineage.db",
        "AIRFLOW__MLX__LINEAGE_TOKEN": TOKEN,
    }
    home = Home(environment, folder, dags, local_root=None, env=env).migrate()
    _done(home, "python", "-c", PEOPLE)
    _done(home, "airflow", "dags", "reserialize")
    _done(home, "airflow", "sync-perm", "--include-dags")
    log = folder / "api.log"
    process = home.start("airflow", "api-server", "--host", "127.0.0.1", "--port", str(port), log=log)
    try:
        _wait_until_healthy(server.url, log)
        for user in ROLES:
            asked = {"username": user, "password": PASSWORD}
            answer = httpx.post(f"{server.url}/auth/token", json=asked, timeout=60)
            server.tokens[user] = answer.raise_for_status().json()["access_token"]
        httpx.post(
            f"{server.url}/mlx/lineage/api/v1/lineage/batch", json=told, timeout=60,
            headers={"Authorization": f"Bearer {TOKEN}"},
        ).raise_for_status()  # fmt: skip
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _done(home: Home, *command: str) -> None:
    done = home.run(*command)
    assert done.code == 0, done.tail()


def _wait_until_healthy(url: str, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/api/v2/monitor/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def test_a_user_sees_the_jobs_and_datasets_of_their_own_dag(server: Server) -> None:
    assert {"writes.writes.writes", "shared.csv", "secret-of-writes.csv"} <= set(
        server.found("ann", "writes") + server.found("ann", "shared")
    )
    assert {"reads.reads.reads", "shared.csv", "secret-of-reads.csv"} <= set(
        server.found("bob", "reads") + server.found("bob", "shared")
    )


@pytest.mark.parametrize(("user", "other"), [("ann", "reads"), ("bob", "writes")])
def test_nobody_finds_what_is_only_the_other_dags(server: Server, user: str, other: str) -> None:
    assert server.found(user, f"secret-of-{other}") == []
    assert server.found(user, f"{other}.{other}") == []
    for key in (server.key(f"secret-of-{other}.csv"), server.key(f"{other}.{other}.{other}")):
        for path in (f"nodes/{key}/runs", f"nodes/{key}/versions", f"nodes/{key}/versions/v1/origin", f"nodes/{key}"):
            assert server.ask(user, path).status_code == 404, path
        assert server.ask(user, "graph", node=key).status_code == 404
    assert server.ask(user, "steps", dag_id=other).json().get("steps", []) == []


@pytest.mark.parametrize(("user", "own", "other"), [("ann", "writes", "reads"), ("bob", "reads", "writes")])
def test_the_other_dags_job_is_a_node_without_a_name(server: Server, user: str, own: str, other: str) -> None:
    graph = server.ask(user, "graph", node=server.key("shared.csv")).raise_for_status().json()
    names = {node["name"] for node in graph["nodes"]}
    assert f"{own}.{own}.{own}" in names
    assert "" in names
    assert not [name for name in names if other in name.replace(f"secret-of-{own}", "")]
    assert other not in json.dumps(graph).replace(f"secret-of-{own}", "").replace(f"reads-{own}", "")


def test_who_may_read_no_dag_sees_nothing(server: Server) -> None:
    assert server.found("eve", "s") == []
    assert server.ask("eve", "graph", node=server.key("shared.csv")).status_code == 404
    assert server.ask("eve", "steps").json()["steps"] == []


def test_an_administrator_sees_all(server: Server) -> None:
    graph = server.ask("admin", "graph", node=server.key("secret-of-writes.csv")).raise_for_status().json()
    assert {"writes.writes.writes", "shared.csv", "reads.reads.reads", "secret-of-reads.csv"} <= {
        node["name"] for node in graph["nodes"]
    }


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Bearer {TOKEN}"])
def test_no_route_reads_without_a_login(server: Server, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    key = server.key("shared.csv")
    for path in (
        f"graph?node={key}", "search?q=s", "steps", "about", "at?dag_id=writes&run_id=x", f"nodes/{key}/runs",
        f"nodes/{key}/versions", f"nodes/{key}/versions/v2/origin",
    ):  # fmt: skip
        answer = httpx.get(f"{server.url}/mlx/lineage/api/v1/{path}", headers=headers, timeout=60)
        assert answer.status_code in (401, 403), path


@pytest.mark.parametrize("user", [None, "admin"])
def test_nobody_sends_without_the_token(server: Server, user: str | None) -> None:
    headers = {"Authorization": f"Bearer {server.tokens[user]}"} if user else {"Authorization": "Bearer wrong"}
    for path in ("lineage", "lineage/batch"):
        answer = httpx.post(f"{server.url}/mlx/lineage/api/v1/{path}", json=[], headers=headers, timeout=60)
        assert answer.status_code == 401
