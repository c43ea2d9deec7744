"""Runs as the server gets them: whole ones as golden files and against the published schemas, and the rules as tables."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlx.backends.base import Backend, FoundJob, JobHandle, LogChunk
from airflow_provider_mlx.backends.kubeflow_pipelines.cannot import CANNOT, WITH_SETTING
from airflow_provider_mlx.backends.kubeflow_pipelines.ir import pipeline_name, text_problems
from airflow_provider_mlx.backends.kubeflow_pipelines.names import DESCRIPTION_LIMIT, described, digest_in, run_id
from airflow_provider_mlx.backends.kubeflow_pipelines.plan import job_problems, lost_problems, run_body, run_request
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import KubeflowPipelinesSettings
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.step.spec import JobSpec, request_digest
from airflow_provider_mlx.testing.contract import ASKS
from airflow_provider_mlx.testing.steps import ContractStep
from tests.golden import assert_golden
from tests.unit.backends.kubeflow_pipelines.schema import SERVERS, check_pipeline, check_wire

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry.example.com/ml:2026.11"
ROOT = "s3://ml-prod/mlx"


class PlansOnly(Backend):
    """As much of a backend as planning takes."""

    name = "kubeflow_pipelines"
    settings_model = KubeflowPipelinesSettings
    settings: KubeflowPipelinesSettings
    cannot = CANNOT
    with_setting = WITH_SETTING
    image_for_tests = IMAGE

    def plan(self, spec: JobSpec) -> Mapping[str, Any]:
        return run_request(spec, self.settings)

    def problems(self, spec: JobSpec):
        return job_problems(spec, self.settings)

    def submit(self, request: Mapping[str, Any]) -> JobHandle:
        raise NotImplementedError

    def find(self, name: str, location: Mapping[str, str] | None = None) -> FoundJob | None:
        raise NotImplementedError

    def read_log(self, handle: JobHandle, cursor: str = "") -> LogChunk:
        raise NotImplementedError

    def cancel(self, handle: JobHandle) -> None:
        raise NotImplementedError


def plan(step: ContractStep | None = None, root: str = ROOT, **settings) -> dict[str, Any]:
    backend = PlansOnly(KubeflowPipelinesSettings.model_validate(settings))
    return dict((step or ContractStep()).plan(backend, root).request)


def refusal(step: ContractStep | None = None, root: str = ROOT, **settings) -> str:
    with pytest.raises(InvalidStep) as refused:
        plan(step, root, **settings)
    return str(refused.value)


def config(request: Mapping[str, Any]) -> dict[str, Any]:
    platform = request["run"]["pipeline_spec"]["platform_spec"]
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-step"]


def container(request: Mapping[str, Any]) -> dict[str, Any]:
    return request["run"]["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]["exec-step"]["container"]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from texts(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from texts(member)


def without_digests(request):
    """The bundle's digest changes with every line of the runtime, and the context's with it."""
    return json.loads(re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", json.dumps(request)))


CASES = [
    pytest.param({}, {}, id="a plain step"),
    pytest.param(
        {
            "resources": Resources(cpu=2, memory="16Gi", gpu="L4:2", shm="8Gi", disk="100Gi", timeout="4h", spot=True,
                                   launcher="torchrun"),
            "env": {"NCCL_DEBUG": "WARN"},
            "secrets": {"TOKEN": {"name": "hf", "key": "token"}},
        },
        {
            "namespace": "team-a", "experiment": "churn", "service_account": "default-editor",
            "pipeline_root": "s3://ml-prod/kfp",
            "node_selector": {"pool": "ml"}, "tolerations": [{"key": "ml", "operator": "Exists"}],
            "gpus": {"L4": {"node_selector": {"nvidia.com/gpu.product": "NVIDIA-L4"},
                            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute",
                                             "tolerationSeconds": 60}]}},
            "spot": {"node_selector": {"capacity": "spot"}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
            "affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 5, "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}}]}},
            "scratch": {"storage_class": "fast"},
            "image_pull_policy": "IfNotPresent", "image_pull_secrets": ["registry"],
            "volumes": [{"claim": "data", "path": "/data"}, {"config_map": "conf", "path": "/conf"},
                        {"secret": "keys", "path": "/keys"}],
            "labels": {"kueue.x-k8s.io/queue-name": "team-a"}, "annotations": {"note": "churn"},
        },
        id="everything that can be set",
    ),
    pytest.param({"command": ("python", "train.py", "--epochs", "3"), "image": IMAGE}, {}, id="a container command"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "settings"), CASES)
def test_request(step, settings, request):
    name = request.node.callspec.id.replace(" ", "-")
    assert_golden(GOLDEN / f"{name}.json", without_digests(plan(ContractStep(**step), **settings)))


@pytest.mark.parametrize("release", SERVERS)
@pytest.mark.parametrize(("step", "settings"), CASES)
def test_the_pipeline_is_what_the_published_schema_knows(step, settings, release):
    request = plan(ContractStep(**step), **settings)
    check_pipeline(request["run"]["pipeline_spec"], release)
    check_wire("v2beta1Run", run_body(request, experiment_id="e", digest="0" * 64))


def test_the_schema_would_notice_a_field_that_it_does_not_know():
    request = plan(ContractStep(secrets={"TOKEN": {"name": "hf", "key": "token"}}))
    config(request)["secretAsEnv"][0]["optional"] = True
    check_pipeline(request["run"]["pipeline_spec"], "2.17.0")
    with pytest.raises(Exception, match="optional"):
        check_pipeline(request["run"]["pipeline_spec"], "2.14.3")


def test_no_shell_reads_the_command():
    assert container(plan())["command"][:2] == ["python3", "-c"]
    given = ContractStep(command=("python", "train.py", "$HOME; ls"), image=IMAGE)
    assert container(plan(given))["command"] == ["python"]
    assert container(plan(given))["args"] == ["train.py", "$HOME; ls"]


def test_nothing_that_argo_replaces_is_in_a_plan():
    assert not any("{{" in text for text in texts(plan()["run"]["pipeline_spec"]))


def test_a_task_is_neither_cached_nor_retried_there():
    task = plan()["run"]["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]["step"]
    assert task["cachingOptions"] == {}
    assert "retryPolicy" not in task


# --- resources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "settings", "found"),
    [
        pytest.param(Resources(cpu="500m"), {}, {"resourceCpuRequest": "500m"}, id="CPU is a request without a limit"),
        pytest.param(Resources(memory="2Gi"), {}, {"resourceMemoryRequest": "2Gi", "resourceMemoryLimit": "2Gi"},
                     id="memory has both"),
        pytest.param(Resources(gpu=2), {}, {"accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "2"}},
                     id="GPUs are the target's resource"),
        pytest.param(Resources(gpu=1), {"gpu_resource": "amd.com/gpu"},
                     {"accelerator": {"resourceType": "amd.com/gpu", "resourceCount": "1"}}, id="another maker's"),
        pytest.param(Resources(gpu="MIG:1"), {"gpus": {"MIG": {"resource": "nvidia.com/mig-1g.10gb"}}},
                     {"accelerator": {"resourceType": "nvidia.com/mig-1g.10gb", "resourceCount": "1"}},
                     id="a model that is a resource of its own"),
        pytest.param(Resources(gpu=0), {}, None, id="no GPU is none"),
    ],
)  # fmt: skip
def test_resources(resources, settings, found):
    assert container(plan(ContractStep(resources=resources), **settings)).get("resources") == found


def test_shared_memory_is_an_empty_dir_since_no_driver_reads_the_schemas_own_field():
    found = config(plan(ContractStep(resources=Resources(shm="1Gi"))))
    assert found["emptyDirMounts"] == [
        {"volumeName": "mlx-shm", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": str(2**30)}
    ]
    assert "enabledSharedMemory" not in found


def test_the_limit_of_the_pod_is_text_as_json_has_64_bit_numbers():
    seconds = config(plan(ContractStep(resources=Resources(timeout="1h"))))["activeDeadlineSeconds"]
    assert isinstance(seconds, str)
    assert int(seconds) > 3600, "later than the step's own deadline"


@pytest.mark.parametrize("asked", sorted(set(CANNOT)))
def test_what_cannot_be_is_refused_with_the_way_out(asked):
    what, arrow, way_out = CANNOT[asked].partition(" → ")
    assert what in refusal(ASKS[asked])
    assert arrow
    assert way_out


@pytest.mark.parametrize(
    "asked", sorted(set(ASKS) - set(CANNOT) - {"on_demand_fallback", "max_queue", "give_up_pending_after"})
)
def test_what_a_plain_target_refuses_is_what_the_matrix_says_needs_a_setting(asked):
    given = {"spot": {"node_selector": {"capacity": "spot"}}, "scratch": {"path": "/scratch"}}
    if asked in WITH_SETTING:
        assert refusal(ASKS[asked])
    plan(ASKS[asked], **(given if asked in WITH_SETTING else {}))


@pytest.mark.parametrize(
    ("step", "settings", "said"),
    [
        pytest.param({"resources": Resources(gpu="H100:1")}, {"gpus": {"h100-80": {}}},
                     "no GPU model `H100` → did you mean `h100-80`?", id="an unknown model names the nearest"),
        pytest.param({"resources": Resources(gpu="L4:1")},
                     {"node_selector": {"pool": "cpu"}, "gpus": {"L4": {"node_selector": {"pool": "gpu"}}}},
                     "no node has two values: `node_selector` selects pool=cpu, `gpus.L4` selects pool=gpu",
                     id="two selectors of one label"),
        pytest.param({"secrets": {"TOKEN": {"ssm": "/ml/hf"}}}, {}, "is not a secret of Kubernetes", id="AWS's secret"),
        pytest.param({"env": {"TEMPLATE": "Hello {{ name }}"}}, {},
                     "env[0].value: it holds `{{`, which Argo replaces or refuses", id="braces in a variable"),
        pytest.param({"command": ("echo", "{{workflow.name}}"), "image": IMAGE}, {}, "args[0]: it holds `{{`",
                     id="braces in a command"),
        pytest.param({"command": ("echo", '{"Concat": ["a"]}'), "image": IMAGE}, {}, "for an expression of its own",
                     id="the launcher's own words"),
        pytest.param({}, {"console_url": "https://h/#/runs/details/{id}"}, "it may hold {namespace}, {run} and {experiment}",
                     id="an address of the page with another name"),
        pytest.param({"env": {"MOOD": "\N{ROCKET}"}}, {}, "stores no emoji", id="an emoji"),
        pytest.param({"env": {"LONG": "x" * 2_000_000}}, {}, "more than the cluster's store takes", id="too large"),
    ],
)  # fmt: skip
def test_refused(step, settings, said):
    assert said in refusal(ContractStep(**step), **settings)


def test_all_problems_are_said_at_once():
    step = ContractStep(resources=Resources(gpu="H200:1", spot=True, disk="1Gi"), secrets={"TOKEN": {"ssm": "hf"}})
    said = refusal(step, root="file:///mnt/mlx")
    for part in (
        "no GPU model",
        "may be taken back",
        "no volume for it",
        "not a secret of Kubernetes",
        "pods do not see",
    ):
        assert part in said


def test_braces_of_single_kind_are_nobodys_business():
    assert not text_problems({"a": ["{x}", "${y}", '{"a": {"b": 1}}']})


# --- code -----------------------------------------------------------------------------------------------------------


def test_the_code_comes_from_the_store_or_from_a_claim_that_shows_it():
    by_client = container(plan())["args"]
    assert by_client[0].startswith(f"{ROOT}/")
    volume = {"claim": "mlx", "path": "/mnt/mlx", "uri": "file:///srv/mlx"}
    by_claim = container(plan(root="file:///srv/mlx", volumes=[volume]))["args"]
    assert by_claim[0].startswith("/mnt/mlx/")
    assert by_claim[2].startswith("/mnt/mlx/")


# --- names ----------------------------------------------------------------------------------------------------------


def test_the_id_is_the_attempts_and_stays_what_it_is():
    first, again, other = plan(), plan(), plan(ContractStep(run_id="other"))
    assert first["run"]["run_id"] == again["run"]["run_id"] != other["run"]["run_id"]
    assert run_id("churn-train-a0123456789abcdef-1") == "0393df1b-5806-5acf-9169-fed78ce6955a"
    assert uuid.UUID(first["run"]["run_id"]).version == 5


def test_a_run_says_what_it_was_made_from():
    request = plan()
    body = run_body(request, experiment_id="e-1", digest=request_digest(request))
    assert digest_in(body["description"]) == request_digest(request)
    assert body["experiment_id"] == "e-1"
    assert "digest" not in request["run"], "the digest is of the request, and cannot be in it"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Airflow: step `train` of `churn`, attempt 1", id="short"),
        pytest.param("x" * 1000, id="long"),
        pytest.param("grüße \N{ROCKET}\nline", id="what a database may not store"),
    ],
)
def test_a_description_fits_the_servers_column(text):
    found = described(text, "0" * 64)
    assert len(found) <= DESCRIPTION_LIMIT
    assert found.isascii()
    assert "\n" not in found
    assert digest_in(found) == "0" * 64


@pytest.mark.parametrize("text", ["", "by hand", "mlx:abc", " mlx:" + "g" * 64])
def test_a_description_that_is_not_ours_has_no_digest(text):
    assert digest_in(text) == ""


@pytest.mark.parametrize(
    ("dag", "task", "name"),
    [
        pytest.param("churn", "train", "churn-train", id="plain"),
        pytest.param("Äpfel & Birnen", "größe_1", "apfel-birnen-groe-1", id="what no Workflow may be called"),
        pytest.param("d" * 60, "t", "d" * 50, id="long"),
        pytest.param("日本", "語", "step", id="nothing left of it"),
    ],
)
def test_pipelines_are_named_by_their_task(dag, task, name):
    found = pipeline_name(TaskInstanceIdentity("x", dag, "run", task))
    assert found == name
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", found)


# --- what came back -------------------------------------------------------------------------------------------------


def test_a_platform_that_an_old_server_dropped_is_noticed():
    request = plan()
    kept, dropped = request["run"], {"pipeline_spec": {"platforms": {}}}
    assert lost_problems(request, kept) == []
    assert "dropped the Kubernetes part" in str(lost_problems(request, dropped)[0])
