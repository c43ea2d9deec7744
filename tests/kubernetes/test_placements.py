"""
Where steps go, in the words of the API server: what is planned for a scheduler is accepted by its released CRDs.

``fieldValidation=Strict`` refuses a field that the server does not know, and ``dryRun=All`` goes through admission as
a creation would: the restricted Pod Security Standard, PriorityClass and RuntimeClass, Trainer's own webhooks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes import looking
from airflow_provider_mlx.backends.kubernetes.backend import KubernetesBackend
from airflow_provider_mlx.backends.kubernetes.patches import spelled
from airflow_provider_mlx.backends.kubernetes.paths import collection_path, plural_of
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings, TrainerSettings
from airflow_provider_mlx.backends.kubernetes.trainer import NODE, TrainerBackend
from airflow_provider_mlx.exceptions import JobMisconfigured
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import ContractStep
from tests.cluster.api import MERGE_PATCH
from tests.cluster.cluster import running_cluster
from tests.cluster.fixtures import needed
from tests.cluster.problems import ApiRefused
from tests.cluster.waiting import wait_until
from tests.kubernetes.fixtures import BUCKET, CONN_ID, Connected, add_secrets, make_tenant

DRY = "dryRun=All&fieldValidation=Strict"
CLASS = "mlx-tests-high"


class Backend(Connected, KubernetesBackend):
    pass


class Trainer(Connected, TrainerBackend):
    pass


def case(sentence: str, resources: Resources | None = None, **settings: Any) -> Any:
    return pytest.param(settings, resources or Resources(), id=sentence)


TOLERATED = ({"key": "spot", "operator": "Exists", "effect": "NoSchedule"},)
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
        }
    }
}
SPREAD = (
    {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "airflow-provider-mlx"}},
    },
)
VOLUMES = (
    {"path": "/data", "claim": "data", "read_only": True},
    {"path": "/etc/settings", "config_map": "settings"},
    {"path": "/etc/keys", "secret": "keys", "sub_path": "one"},
)

CASES = [
    case("amounts of everything", Resources(cpu="500m", memory="1Gi", disk="2Gi", shm="64Mi")),
    case("whole GPUs", Resources(gpu=2)),
    case("a model by its nodes", Resources(gpu="H100:8"), gpus={"H100": {"node_selector": {"gpu": "h100"}}}),
    case("a part of a GPU", Resources(gpu="MIG:1"), gpus={"MIG": {"resource": "nvidia.com/mig-1g.10gb"}}),
    case("another vendor's GPU", Resources(gpu=1), gpu_resource="amd.com/gpu"),
    case("GPUs that are claimed", Resources(gpu="H100:2"), gpus={"H100": {"device_class": "gpu.example.com"}}),
    case("nodes that may be taken back", Resources(spot=True),
         spot={"node_selector": {"spot": "true"}, "tolerations": TOLERATED}),
    case("selectors, affinity and spread", node_selector={"pool": "ml"}, tolerations=TOLERATED, affinity=AFFINITY,
         topology_spread=SPREAD),
    case("classes of priority and runtime", priority_class=CLASS, runtime_class=CLASS),
    case("a step's own priority", Resources(priority=CLASS)),
    case("volumes, pull secrets and an identity", volumes=VOLUMES, image_pull_secrets=("registry",),
         service_account="default", env_from=({"config_map": "settings"}, {"secret": "keys"})),
    case("several nodes", Resources(nodes=3, gpu=1)),
    case("KAI: a queue, a level of topology, a gang", Resources(nodes=2, gpu=8), scheduler="kai", queue="team",
         preemptible=True, topology={"name": "racks", "required": "rack", "preferred": "host"}),
    case("KAI: half a GPU", Resources(gpu=0.5), scheduler="kai", queue="team"),
    case("KAI: memory of a GPU", scheduler="kai", gpu_memory="20Gi"),
    case("Kueue: a queue, its priority, a level of topology", Resources(nodes=2, priority="urgent"),
         scheduler="kueue", queue="team", topology={"required": "rack"}),
    case("Volcano: a queue and a gang", Resources(nodes=2), scheduler="volcano", queue="team"),
    case("a pod of one's own making", pod_override={
        "metadata": {"annotations": {"team": "risk"}},
        "spec": {"hostAliases": [{"ip": "10.1.2.3", "hostnames": ["lake"]}],
                 "initContainers": [{"name": "fetch", "image": "registry.invalid/fetch:1", "securityContext": {
                     "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]},
    }),
]  # fmt: skip


@pytest.fixture(scope="module")
def classes(cluster: Any) -> Iterator[None]:
    """A PriorityClass and a RuntimeClass, and the CRDs of the schedulers."""
    made = [
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": CLASS}, "value": 7},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": CLASS}, "handler": "runc"},
    ]
    for manifest in made:
        cluster.api.apply(manifest)
    for project in ("kueue", "volcano"):
        cluster.apply_crds(project)
    yield
    for manifest in made:
        cluster.api.delete(cluster.api.path_of(manifest))


def create(cluster: Any, manifest: Mapping[str, Any], namespace: str, query: str = DRY) -> dict[str, Any]:
    """Have an object made, or only looked at; a refusal fails the test with the server's own words."""
    place = collection_path(manifest["apiVersion"], plural_of(manifest["kind"]), namespace)
    body = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
    made: dict[str, Any] = cluster.request("POST", f"{place}?{query}", body)
    return made


def create_after_its_runtime(cluster: Any, trainjob: Mapping[str, Any], namespace: str) -> None:
    """Trainer's webhook looks for the runtime in a cache, which a runtime of just now may not have reached."""

    def is_seen() -> bool:
        try:
            create(cluster, trainjob, namespace)
        except ApiRefused as refused:
            if "must be created before" in refused.message:
                return False
            pytest.fail(str(refused))
        return True

    wait_until("the webhook sees the runtime", is_seen)


def pod_of(template: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "as-the-controller-would"},
        "spec": template["spec"],
    }


def planned(backend: Any, resources: Resources) -> dict[str, Any]:
    backend.image_for_tests = "registry.invalid/ml:1"
    return json.loads(json.dumps(ContractStep(resources=resources).plan(backend, f"s3://{BUCKET}/planned").request))


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(("settings", "resources"), CASES)
def test_the_api_server_accepts_the_job(cluster, tenant, connect, settings, resources):
    connect(tenant)
    request = planned(Backend(KubernetesSettings(namespace=tenant.namespace, **settings), CONN_ID), resources)
    for manifest in (request["manifest"], *request["objects"], pod_of(request["manifest"]["spec"]["template"])):
        create(cluster, manifest, tenant.namespace)


@pytest.mark.usefixtures("classes", "trainer_cluster")
@pytest.mark.parametrize(("settings", "resources"), CASES)
def test_trainer_accepts_the_trainjob_and_its_own_runtime(cluster, tenant, connect, settings, resources):
    connect(tenant)
    request = planned(Trainer(TrainerSettings(namespace=tenant.namespace, **settings), CONN_ID), resources)
    for manifest in (*request["before"], *request["objects"]):
        create(cluster, manifest, tenant.namespace)
    [runtime] = request["before"]
    there = create(cluster, runtime, tenant.namespace, "fieldValidation=Strict")  # the TrainJob's webhook looks for it
    try:
        create_after_its_runtime(cluster, request["manifest"], tenant.namespace)
    finally:
        cluster.api.delete(cluster.api.path_of({**runtime, "metadata": there["metadata"]}))


ON_A_RUNTIME = [
    case("as it is"),
    case("on several nodes with GPUs", Resources(nodes=4, gpu=8)),
    case("selectors and tolerations", node_selector={"pool": "ml"}, tolerations=TOLERATED),
    case("volumes and an identity", volumes=VOLUMES, service_account="default"),
    case("Kueue's queue", scheduler="kueue", queue="team"),
]


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(("settings", "resources"), ON_A_RUNTIME)
def test_trainer_2_0_accepts_a_change_of_the_clusters_runtime(trainer_cluster, tenant, connect, settings, resources):
    connect(tenant)
    template = {"spec": {"containers": [{"name": NODE, "image": "registry.invalid/base:1"}]}}
    step = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    replicated = {"name": NODE, "template": {"metadata": {"labels": step}, "spec": {"template": template}}}
    spec = {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": [replicated]}}}
    trainer_cluster.api.apply(
        {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainingRuntime",
            "metadata": {
                "name": "theirs",
                "namespace": tenant.namespace,
                "labels": {"trainer.kubeflow.org/framework": "torch"},
            },
            "spec": spec,
        }
    )
    runtime = {"runtime": "theirs", "runtime_kind": "TrainingRuntime"}
    backend = Trainer(TrainerSettings(namespace=tenant.namespace, **runtime, **settings), CONN_ID)
    request = planned(backend, resources)
    backend._fit(request["manifest"], request)  # in the name of an identity that may read no CRD
    backend.client.close()
    assert "podSpecOverrides" in request["manifest"]["spec"]
    create_after_its_runtime(trainer_cluster, request["manifest"], tenant.namespace)


@pytest.fixture(scope="module")
def newer() -> Iterator[Any]:
    """An API server without nodes, which knows the released CRDs of a newer Trainer; the controllers are not there."""
    with needed(), running_cluster(nodes=0) as cluster:
        for project in ("trainer", "jobset"):
            cluster.apply_crds(project)
        cluster.serving = cluster.new_namespace()
        yield cluster


@pytest.mark.parametrize(("settings", "resources"), ON_A_RUNTIME)
def test_the_newest_trainer_accepts_a_change_of_the_clusters_runtime(newer, monkeypatch, settings, resources):
    settings = TrainerSettings(namespace=newer.serving, runtime="torch-distributed", **settings)
    extra = {"kube_config_path": str(newer.kubeconfig)}
    backend = TrainerBackend(
        settings, "c", read_connection=lambda conn_id: SimpleNamespace(conn_id=conn_id, extra_dejson=extra)
    )
    request = planned(backend, resources)

    def served() -> str:
        manifest = json.loads(json.dumps(request["manifest"]))
        backend._spelling = None
        try:
            backend._fit(manifest, request)
        except JobMisconfigured:  # a CRD is there before the document that describes it
            return ""
        return next(name for name in ("runtimePatches", "podSpecOverrides") if name in manifest["spec"])

    wait_until("the server publishes what it serves", lambda: served() == "runtimePatches")
    request["manifest"]["spec"]["runtimePatches"] = spelled(request["patch"], "runtimePatches", NODE)
    backend.client.close()
    create(newer, request["manifest"], newer.serving)


@pytest.mark.parametrize(("settings", "resources"), CASES)
def test_the_newest_trainer_accepts_a_runtime_of_the_jobs_own(newer, settings, resources):
    backend = TrainerBackend(TrainerSettings(namespace=newer.serving, **settings))
    request = planned(backend, resources)
    for manifest in (*request["before"], request["manifest"]):
        create(newer, manifest, newer.serving)


# --- what runs -------------------------------------------------------------------------------------------------------


def log_of(backend: Any, handle: Any) -> str:
    return "\n".join(line for line in backend.read_log(handle).lines)


def finish(backend: Any, handle: Any, seconds: float = 120) -> Any:
    return wait_until(
        "the job ends", lambda: (found := backend.find(handle.name)) and found.status.state.finished and found.status,
        seconds=seconds,
    )  # fmt: skip


def test_a_step_gets_the_gpus_that_it_asks_for(tenant, connect, cluster_store):
    connect(tenant)
    backend = Backend(
        KubernetesSettings(namespace=tenant.namespace, env_from=[{"secret": "s3"}]), CONN_ID, cluster_store
    )
    source = "def run():\n    import os\n    print('sees', os.environ['NVIDIA_VISIBLE_DEVICES'])\n"
    step = ContractStep(source, run_id="gpu", resources=Resources(gpu=2))
    handle = step.submit(backend, f"s3://{BUCKET}/gpu")
    assert finish(backend, handle).state is State.SUCCEEDED
    [line] = [line for line in log_of(backend, handle).splitlines() if "sees " in line]
    assert len(set(line.partition("sees ")[2].split(","))) == 2
    backend.forget(handle)


def test_kai_half_a_gpu_asks_for_no_device(cluster, tenant, connect):
    connect(tenant)
    backend = Backend(KubernetesSettings(namespace=tenant.namespace, scheduler="kai", queue="team"), CONN_ID)
    made = create(cluster, planned(backend, Resources(gpu=0.5))["manifest"], tenant.namespace)
    pod = made["spec"]["template"]
    assert pod["metadata"]["annotations"]["gpu-fraction"] == "0.5"
    assert pod["metadata"]["annotations"]["gpu-fraction-container-name"] == "step"
    assert pod["metadata"]["labels"]["kai.scheduler/queue"] == "team"
    assert pod["spec"]["schedulerName"] == "kai-scheduler"
    assert "nvidia.com/gpu" not in json.dumps(made)


class Kueue:
    """What Kueue's controller would write, written by the test: the Workload's conditions, and the Job's suspension."""

    def __init__(self, cluster: Any, namespace: str, job: Mapping[str, Any]) -> None:
        self.cluster, self.job = cluster, job
        self.path = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/workloads/of-the-job"
        self.job_path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{job['metadata']['name']}"
        cluster.api.delete(self.path)
        template = {"spec": job["spec"]["template"]["spec"]}
        create(
            cluster,
            {
                "apiVersion": "kueue.x-k8s.io/v1beta2",
                "kind": "Workload",
                "metadata": {"name": "of-the-job", "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}},
                "spec": {"queueName": "team", "podSets": [{"name": "main", "count": 1, "template": template}]},
            },
            namespace,
            "fieldValidation=Strict",
        )

    def says(self, **conditions: tuple[str, str, str]) -> None:
        """Type → status, reason and message."""
        moment = "2026-01-01T00:00:00Z"
        said = [
            {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": moment}
            for kind, (status, reason, message) in conditions.items()
        ]
        self.cluster.request("PATCH", f"{self.path}/status", {"status": {"conditions": said}}, MERGE_PATCH)

    def suspend(self, yes: bool) -> None:
        self.cluster.request("PATCH", self.job_path, {"spec": {"suspend": yes}}, MERGE_PATCH)


@pytest.fixture
def queued(cluster, cluster_s3, cluster_store, connect, tmp_path, monkeypatch):
    """A step that Kueue has to admit, the backend that sees it, and Kueue's part."""
    monkeypatch.setattr(looking, "FIRST_QUESTION_SECONDS", 0.0)
    monkeypatch.setattr(looking, "NEXT_QUESTION_SECONDS", 0.0)
    cluster.apply_crds("kueue")
    tenant = make_tenant(cluster, tmp_path, scheduler="kueue", queue="team")
    add_secrets(tenant, cluster_s3)
    connect(tenant)
    settings = KubernetesSettings(
        namespace=tenant.namespace, scheduler="kueue", queue="team", env_from=[{"secret": "s3"}]
    )
    backend = Backend(settings, CONN_ID, cluster_store)
    step = ContractStep(
        "def run():\n    import time\n    print('begins', flush=True)\n    time.sleep(6)\n", run_id="queued"
    )
    handle = step.submit(backend, f"s3://{BUCKET}/{tenant.namespace}")
    kueue = Kueue(cluster, tenant.namespace, tenant.get("jobs", "/apis/batch/v1")[0])
    yield backend, handle, kueue
    backend.client.close()
    tenant.remove()


def status_of(backend: Any, handle: Any) -> Any:
    backend.find(handle.name)  # the first look at a waiting job asks nothing further
    return backend.find(handle.name).status


def test_kueue_a_job_waits_is_admitted_preempted_and_admitted_again(queued):
    backend, handle, kueue = queued
    full = ("False", "WaitingForQuota", "insufficient unused quota for cpu in flavor default")
    kueue.says(QuotaReserved=full)
    waiting = status_of(backend, handle)
    assert (waiting.state, waiting.running) == (State.ACTIVE, False)
    assert waiting.reason == f"waits in Kueue's queue `team`: {full[2]}"

    admitted = {"QuotaReserved": ("True", "QuotaReserved", ""), "Admitted": ("True", "Admitted", "")}
    kueue.says(**admitted)
    kueue.suspend(False)
    wait_until("it runs", lambda: backend.find(handle.name).status.running, seconds=60)

    kueue.says(Evicted=("True", "Preempted", "to accommodate a workload of higher priority"), QuotaReserved=full)
    kueue.suspend(True)
    wait_until("its pods are gone", lambda: not backend._looking(None).pods(handle.name), seconds=90)
    preempted = status_of(backend, handle)
    assert (preempted.state, preempted.failure) == (State.ACTIVE, None)
    assert preempted.reason.startswith("preempted by Kueue: to accommodate a workload of higher priority; waits in")

    kueue.says(**admitted)
    kueue.suspend(False)
    assert finish(backend, handle).state is State.SUCCEEDED


def test_kueue_a_job_that_can_never_be_admitted_fails_with_what_to_ask(queued):
    backend, handle, kueue = queued
    kueue.says(QuotaReserved=("False", "ExceedsMaxQuota", "requests 8 GPUs, and the quota is 4"))
    status = status_of(backend, handle)
    assert (status.state, status.failure) == (State.FAILED, "CapacityUnavailable")
    assert "requests 8 GPUs, and the quota is 4 → ask for less, or ask the queue's administrator" in status.reason
    backend.collect(handle, {})
    wait_until("it leaves the queue", lambda: backend.find(handle.name) is None)
