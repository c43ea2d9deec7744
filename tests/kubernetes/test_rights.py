"""
The Role holds what is used, and nothing else: every request of a life with all its accidents is written down.

The requests are answered by a real API server in the name of an identity with that Role, so none is too many either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes import looking
from airflow_provider_mlx.backends.kubernetes.backend import KubernetesBackend
from airflow_provider_mlx.backends.kubernetes.client import KubernetesClient
from airflow_provider_mlx.backends.kubernetes.needs import rights_of
from airflow_provider_mlx.backends.kubernetes.rights import Right
from airflow_provider_mlx.backends.kubernetes.settings import GpuModel, KubernetesSettings, TrainerSettings
from airflow_provider_mlx.backends.kubernetes.trainer import TrainerBackend
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import ContractStep
from tests.cluster.waiting import wait_until
from tests.kubernetes.fixtures import BUCKET, CONN_ID, Connected, Tenant, add_secrets, make_tenant

Asked = set[tuple[str, str, str]]

_PATH = re.compile(
    r"/apis?/(?:(?P<group>[^/]+\.[^/]+|batch)/)?[^/]+/namespaces/[^/]+/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>.+))?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}
TOO_MUCH = Resources(nodes=2, memory="900Gi")
"""No node has it: the job waits."""


class Backend(Connected, KubernetesBackend):
    pass


class Trainer(Connected, TrainerBackend):
    pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """(group, resource, verb) of every request of the backend."""
    found: Asked = set()
    request, stream = KubernetesClient._request, KubernetesClient._stream

    def note(method: str, path: str, params: Any) -> None:
        match = _PATH.fullmatch(path)
        assert match, f"{method} {path} is not in a namespace, so no Role can allow it"
        resource = match["plural"] + (f"/{match['sub']}" if match["sub"] else "")
        reading = "get" if match["name"] else "watch" if (params or {}).get("watch") else "list"
        found.add((match["group"] or "", resource, _VERBS.get(method, reading)))

    def noted_request(self: Any, method: str, path: str, **given: Any) -> Any:
        note(method, path, given.get("params"))
        return request(self, method, path, **given)

    def noted_stream(self: Any, path: str, params: Any, read_seconds: float) -> Any:
        note("GET", path, params)
        return stream(self, path, params, read_seconds)

    monkeypatch.setattr(KubernetesClient, "_request", noted_request)
    monkeypatch.setattr(KubernetesClient, "_stream", noted_stream)
    monkeypatch.setattr(looking, "FIRST_QUESTION_SECONDS", 0.0)
    return found


@pytest.fixture
def tenant_for(cluster: Any, cluster_s3: str, tmp_path: Any, connect: Any) -> Iterator[Callable[..., Tenant]]:
    """Makes a tenant with what ``init kubernetes`` writes for some wishes, and connects to it."""
    made: list[Tenant] = []

    def make(**wished: Any) -> Tenant:
        made.append(make_tenant(cluster, tmp_path, **wished))
        add_secrets(made[-1], cluster_s3)
        connect(made[-1])
        return made[-1]

    yield make
    for one in made:
        one.remove()


def verbs(rights: tuple[Right, ...]) -> Asked:
    return {(right.group, right.resource, verb) for right in rights for verb in right.verbs}


def leave_behind(tenant: Tenant, request: Any) -> None:
    """What a job of the same name may have left: objects that belong to somebody else, and are in the way."""
    somebody = tenant.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "somebody"}})
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "somebody", "uid": somebody["metadata"]["uid"]}
    code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": request["code"]["config_map"]}}
    for manifest in (*request.get("before", ()), *request["objects"], code):
        tenant.apply({**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}})


def wait_in_vain(tenant: Tenant, backend: Any, root: str) -> None:
    """A job that gets no node: submitted over leftovers, twice, watched, asked why, stopped and forgotten."""
    step = ContractStep(run_id="waits", resources=TOO_MUCH)
    if isinstance(backend.settings, KubernetesSettings) and backend.settings.gpus:
        step = ContractStep(run_id="waits", resources=Resources(nodes=2, gpu="H100:8"))
    request = step.prepare(backend, root)
    leave_behind(tenant, request)
    handle = backend.submit(request)
    assert backend.submit(request) == handle
    observer = backend.observer()
    assert observer.observe([handle], 1.0)[handle.name].state is State.ACTIVE
    observer.observe([handle], 3.0)
    observer.close()
    wait_until("the job says why it waits", lambda: backend.find(handle.name).status.reason)
    backend.cancel(handle)
    wait_until("it is stopped", lambda: (found := backend.find(handle.name)) is None or found.status.state.finished)
    backend.forget(handle)


def run_and_stop(backend: Any, root: str) -> None:
    """A job that is stopped while it runs, and one that ends without a line feed, whose last line is read twice."""
    source = "import time\n\ndef run():\n    print('begins', flush=True)\n    time.sleep(120)\n"
    handle = ContractStep(source, run_id="runs").submit(backend, root)
    wait_until("it runs", lambda: backend.find(handle.name).status.running, seconds=90)
    backend.cancel(handle)
    wait_until("it is stopped", lambda: backend.find(handle.name).status.state.finished, seconds=90)
    backend.forget(handle)
    handle = ContractStep("import sys\n\ndef run():\n    sys.stdout.write('x')\n", run_id="ends").submit(backend, root)
    wait_until("it ends", lambda: backend.find(handle.name).status.state.finished, seconds=90)
    cursor = [""]

    def is_read() -> bool:
        chunk = backend.read_log(handle, cursor[0])
        cursor[0] = chunk.cursor
        return bool(chunk.lines) and chunk.lines[-1] == "x"

    wait_until("its last line is read", is_read)
    backend.forget(handle)


def test_every_verb_of_the_role_is_used_by_jobs_and_no_other(asked, tenant_for, cluster_store):
    tenant = tenant_for()
    backend = Backend(
        KubernetesSettings(namespace=tenant.namespace, env_from=[{"secret": "s3"}]), CONN_ID, cluster_store
    )
    wait_in_vain(tenant, backend, f"s3://{BUCKET}/rights")
    run_and_stop(backend, f"s3://{BUCKET}/rights")
    assert asked - verbs(rights_of(backend.settings)) == set(), "asked for, and not in the Role"
    assert verbs(rights_of(backend.settings)) - asked == set(), "in the Role, and never asked for"


@pytest.mark.usefixtures("trainer_cluster")
def test_every_verb_of_the_role_is_used_by_trainjobs_and_no_other(asked, tenant_for, cluster_store):
    tenant = tenant_for(trainer=True)
    backend = Trainer(TrainerSettings(namespace=tenant.namespace, env_from=[{"secret": "s3"}]), CONN_ID, cluster_store)
    wait_in_vain(tenant, backend, f"s3://{BUCKET}/rights-trainer")
    run_and_stop(backend, f"s3://{BUCKET}/rights-trainer")
    assert asked == verbs(rights_of(backend.settings))


@pytest.mark.parametrize(
    ("project", "settings"),
    [
        pytest.param("kueue", {"scheduler": "kueue", "queue": "team"}, id="Kueue's Workloads are listed"),
        pytest.param("volcano", {"scheduler": "volcano"}, id="Volcano's PodGroups are made, replaced and read"),
        pytest.param("", {"gpus": {"H100": GpuModel(device_class="gpu.example.com")}}, id="claim templates likewise"),
    ],
)
def test_what_a_scheduler_adds_to_the_role_is_used(asked, tenant_for, cluster, cluster_store, project, settings):
    if project:
        cluster.apply_crds(project)
    tenant = tenant_for(scheduler=settings.get("scheduler", "default"), devices="gpus" in settings)
    backend = Backend(KubernetesSettings(namespace=tenant.namespace, **settings), CONN_ID, cluster_store)
    wait_in_vain(tenant, backend, f"s3://{BUCKET}/rights-{project or 'dra'}")
    usual = verbs(rights_of(KubernetesSettings()))
    further = verbs(rights_of(backend.settings)) - usual
    assert further
    assert asked - usual == further
