"""Where a step's pods go: what each key of the step and of the target becomes, and what is refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from airflow_provider_mlx.backends.kubernetes.schedulers import MARKS, READERS
from airflow_provider_mlx.backends.kubernetes.scheduling import placement, placement_problems
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.resources import Resources
from tests.golden import assert_golden

GOLDEN = Path(__file__).parent / "golden" / "placement"

GPUS = {
    "L4": {"node_selector": {"nvidia.com/gpu.product": "NVIDIA-L4"}},
    "H100": {
        "node_selector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "MIG-1g.10gb": {"resource": "nvidia.com/mig-1g.10gb"},
    "GB200": {"device_class": "gpu.nvidia.com"},
}
KAI, KUEUE, VOLCANO = ({"scheduler": name, "queue": "team-a"} for name in ("kai", "kueue", "volcano"))


def target(**keys):
    return KubernetesSettings.model_validate({"namespace": "ml", "gpus": GPUS, **keys})


def placed(resources, **keys):
    return placement(Resources(**resources), target(**keys), job="mlx-train-1")


WHOLE = [
    pytest.param({"cpu": 2, "memory": "16Gi", "disk": "100Gi"}, {}, id="cpu-memory-and-disk"),
    pytest.param({"gpu": 2}, {}, id="whole-gpus"),
    pytest.param({"gpu": "H100:8", "cpu": "90", "memory": "1Ti"}, {}, id="a-gpu-model"),
    pytest.param({"gpu": "MIG-1g.10gb:2"}, {}, id="mig"),
    pytest.param({"gpu": "GB200:4", "nodes": 2}, {}, id="dra"),
    pytest.param({"gpu": 0.5}, KAI, id="kai-half-a-gpu"),
    pytest.param({"cpu": 1}, {**KAI, "gpu_memory": "20Gi"}, id="kai-gpu-memory"),
    pytest.param(
        {"gpu": "H100:8", "nodes": 4, "priority": "build"},
        {
            **KAI,
            "preemptible": False,
            "topology": {"name": "racks", "required": "example.com/block", "preferred": "example.com/rack"},
        },
        id="kai-gang",
    ),
    pytest.param(
        {"gpu": 1, "priority": "urgent", "nodes": 2},
        {**KUEUE, "priority_class": "batch", "topology": {"required": "topology.kubernetes.io/zone"}},
        id="kueue",
    ),
    pytest.param({"gpu": 1, "priority": "high"}, VOLCANO, id="volcano"),
    pytest.param({"gpu": 8, "nodes": 4, "priority": "high"}, VOLCANO, id="volcano-gang"),
    pytest.param(
        {"gpu": "L4:1", "spot": True, "cpu": "500m"},
        {
            "node_selector": {"pool": "gpu"},
            "tolerations": [{"key": "pool", "value": "gpu"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
            "topology_spread": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}],
            "priority_class": "batch",
            "runtime_class": "nvidia",
            "spot": {
                "node_selector": {"karpenter.sh/capacity-type": "spot"},
                "tolerations": [{"key": "spot", "operator": "Exists"}, {"key": "pool", "value": "gpu"}],
            },
        },
        id="nodes-of-a-kind",
    ),
]


@pytest.mark.parametrize(("resources", "keys"), WHOLE)
def test_a_placement(resources, keys, request):
    found = asdict(placed(resources, **keys))
    asked = {"resources": resources, "target": keys}
    assert_golden(GOLDEN / f"{request.node.callspec.id}.json", {"asked": asked, "placement": found})


@pytest.mark.parametrize(
    ("resources", "requests", "limits"),
    [
        pytest.param({}, None, None, id="nothing asked for, nothing set"),
        pytest.param({"cpu": 2}, {"cpu": "2"}, None, id="cpu is a request without a limit"),
        pytest.param({"cpu": 0.5}, {"cpu": "0.5"}, None, id="half a core"),
        pytest.param({"memory": " 1Gi "}, {"memory": "1Gi"}, {"memory": "1Gi"}, id="memory is both"),
        pytest.param(
            {"disk": "9Gi"}, {"ephemeral-storage": "9Gi"}, {"ephemeral-storage": "9Gi"}, id="disk is ephemeral storage"
        ),
        pytest.param({"gpu": 1}, None, {"nvidia.com/gpu": "1"}, id="a GPU is a limit"),
        pytest.param({"gpu": 0}, None, None, id="no GPU is none"),
    ],
)
def test_amounts_of_the_main_container(resources, requests, limits):
    found = placed(resources).resources
    assert found == {key: value for key, value in {"requests": requests, "limits": limits}.items() if value}


def test_another_vendors_gpu_is_the_targets_resource():
    assert placed({"gpu": 4}, gpu_resource="amd.com/gpu").resources == {"limits": {"amd.com/gpu": "4"}}


@pytest.mark.parametrize(
    ("gpu", "keys", "annotations"),
    [
        pytest.param(0.5, {}, {"gpu-fraction": "0.5"}, id="a share"),
        pytest.param("0.125", {}, {"gpu-fraction": "0.125"}, id="a share in text"),
        pytest.param(0.00001, {}, {"gpu-fraction": "0.00001"}, id="never with an exponent"),
        pytest.param("L4:0.5", {}, {"gpu-fraction": "0.5"}, id="a share of a model"),
        pytest.param(None, {"gpu_memory": "20Gi"}, {"gpu-memory": "20480"}, id="memory in MiB"),
        pytest.param(None, {"gpu_memory": "1.5G"}, {"gpu-memory": "1431"}, id="memory rounded up"),
        pytest.param(0, {"gpu_memory": "20Gi"}, {}, id="a step that wants no GPU gets no memory of one"),
    ],
)
def test_a_gpu_shared_by_kai_is_an_annotation_and_no_resource(gpu, keys, annotations):
    found = placed({} if gpu is None else {"gpu": gpu}, **KAI, **keys)
    assert found.pod_annotations == annotations
    assert found.resources == {}


def test_kai_gives_the_share_to_the_main_container_wherever_it_stands():
    found = placement(Resources(gpu=0.5), target(**KAI), job="mlx-train-1", container="step")
    assert found.pod_annotations == {"gpu-fraction": "0.5", "gpu-fraction-container-name": "step"}
    whole = placement(Resources(gpu=1), target(**KAI), job="mlx-train-1", container="step")
    assert whole.pod_annotations == {}


@pytest.mark.parametrize("scheduler", [KAI, VOLCANO])
def test_the_pods_of_other_kinds_are_made_a_gang_by_their_own_controllers(scheduler):
    asked = Resources(gpu=1, nodes=4)
    job, train_job = (placement(asked, target(**scheduler), job="mlx-1", kind=kind) for kind in ("Job", "TrainJob"))
    assert job.objects or "kai.scheduler/batch-min-member" in job.job_annotations
    assert not train_job.objects
    assert "kai.scheduler/batch-min-member" not in train_job.job_annotations
    assert "scheduling.k8s.io/group-name" not in train_job.pod_annotations


@pytest.mark.parametrize(("preemptible", "label"), [(None, None), (True, "preemptible"), (False, "non-preemptible")])
def test_kai_decides_by_the_priority_class_unless_told(preemptible, label):
    assert placed({}, **KAI, preemptible=preemptible).job_labels.get("kai.scheduler/preemptibility") == label


@pytest.mark.parametrize(
    ("keys", "job_label", "pod_class"),
    [
        pytest.param({}, None, "high", id="default: the pods' PriorityClass"),
        pytest.param(KAI, ("priorityClassName", "high"), None, id="kai: a label"),
        pytest.param(KUEUE, ("kueue.x-k8s.io/priority-class", "high"), None, id="kueue: a WorkloadPriorityClass"),
        pytest.param(VOLCANO, None, "high", id="volcano: the pods' PriorityClass"),
    ],
)
def test_a_steps_priority(keys, job_label, pod_class):
    found = placed({"priority": "high"}, **keys)
    assert found.pod_spec.get("priorityClassName") == pod_class
    assert [item for item in found.job_labels.items() if item[1] == "high"] == ([job_label] if job_label else [])


def test_a_steps_priority_comes_before_the_targets():
    assert placed({"priority": "high"}, priority_class="low").pod_spec["priorityClassName"] == "high"
    assert placed({}, priority_class="low").pod_spec["priorityClassName"] == "low"


def test_pods_under_kueue_carry_no_queue_which_would_make_them_jobs_of_their_own():
    found = placed({}, **KUEUE)
    assert found.suspend
    assert found.pod_labels == {}


@pytest.mark.parametrize(("nodes", "members"), [(1, None), (2, "2"), (16, "16")])
def test_kai_starts_all_nodes_of_a_job_together(nodes, members):
    assert placed({"nodes": nodes}, **KAI).job_annotations.get("kai.scheduler/batch-min-member") == members


def test_kais_default_queue_is_allowed():
    assert placed({}, scheduler="kai").job_labels == {}


def test_volcanos_default_queue_is_allowed():
    assert placed({"nodes": 2}, scheduler="volcano").objects[0]["spec"] == {"minMember": 2}


def test_a_toleration_stands_once():
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert placed({"gpu": "H100"}, tolerations=[toleration]).pod_spec["tolerations"] == [toleration]


REFUSED = [
    pytest.param(
        {"gpu": 0.5}, {}, "shares none", "nvidia.com/mig-1g.10gb", id="a share of a GPU without KAI: all ways out"
    ),
    pytest.param({"gpu": 0.5}, KUEUE, "`kueue` shares none", "`scheduler: kai`", id="Kueue shares no GPU"),
    pytest.param({"gpu": "MIG-1g.10gb:0.5"}, KAI, "nvidia.com/mig-1g.10gb", "MIG-1g.10gb:1", id="a share of a part"),
    pytest.param({"gpu": "GB200:0.5"}, KAI, "gpu.nvidia.com", "GB200:1", id="a share of a claimed device"),
    pytest.param({"gpu": "l40"}, {}, "no GPU model `l40`", "did you mean `L4`", id="an unknown model: the nearest"),
    pytest.param(
        {"gpu": "B300:2"}, {}, "`B300`", "its models are GB200, H100, L4, MIG-1g.10gb", id="an unknown model: the list"
    ),
    pytest.param({"gpu": "L4"}, {"gpus": {}}, "`L4`", "`gpus: {L4: {node_selector", id="a target without models"),
    pytest.param(
        {"gpu": 1}, {**KAI, "gpu_memory": "20Gi"}, "takes no `gpu` beside it", "leave `gpu` out", id="memory and number"
    ),
    pytest.param({}, {**KAI, "gpu_memory": "much"}, "not a quantity", "20Gi", id="memory that is no quantity"),
    pytest.param(
        {"gpu": "X:1"}, {"gpus": {"X": {"resource": "a.b/c", "device_class": "d"}}}, "both", "`device_class`",
        id="a model by two ways",
    ),
    pytest.param({"spot": True}, {}, "taken back", "`spot: {node_selector", id="spot where the target has none"),
    pytest.param({}, {"queue": "team-a"}, "`default` does not read it", "kai or kueue or volcano", id="nobody's queue"),
    pytest.param({}, {**KUEUE, "preemptible": True}, "does not read it", "kai", id="preemptible is KAI's"),
    pytest.param({}, {"gpu_memory": "20Gi"}, "does not read it", "kai", id="GPU memory is KAI's"),
    pytest.param({}, {"topology": {"required": "zone"}}, "does not read it", "kai or kueue", id="nobody's topology"),
    pytest.param(
        {}, {**KUEUE, "topology": {"name": "racks", "required": "r"}}, "does not read it", "kai", id="Kueue's topology"
    ),
    pytest.param({}, {"scheduler": "kueue"}, "LocalQueue", "set `queue:`", id="Kueue without a queue"),
    pytest.param(
        {}, {**KUEUE, "topology": {"required": "a", "preferred": "b"}}, "one level", "keep", id="Kueue and two levels"
    ),
    pytest.param({}, {**KAI, "topology": {"required": "rack"}}, "`name` is missing", "set", id="KAI without a Topology"),
    pytest.param({}, {**KAI, "topology": {"name": "racks"}}, "is missing", "set", id="KAI without a level"),
    pytest.param({}, {"scheduler": "kueue", "queue": "team/a"}, "no queue", "as the cluster", id="no name of a queue"),
    pytest.param({"priority": "very high"}, {}, "no queue or priority", "as the cluster", id="no name of a class"),
    pytest.param(
        {"gpu": "L4"}, {"node_selector": {"nvidia.com/gpu.product": "NVIDIA-A10"}},
        "`node_selector` selects nvidia.com/gpu.product=NVIDIA-A10, `gpus.L4` selects nvidia.com/gpu.product=NVIDIA-L4",
        "take the label out", id="two values of one label",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("resources", "keys", "what", "remedy"), REFUSED)
def test_what_a_target_cannot_give_is_refused_with_the_way_out(resources, keys, what, remedy):
    problems = placement_problems(Resources(**resources), target(**keys))
    assert len(problems) == 1, problems
    assert what in problems[0].what
    assert remedy in problems[0].remedy
    assert problems[0].field
    with pytest.raises(InvalidStep, match="cannot be had"):
        placed(resources, **keys)


def test_all_problems_come_at_once():
    problems = placement_problems(Resources(gpu=0.5, spot=True), target(queue="a", preemptible=True))
    assert [problem.field for problem in problems] == ["gpu=0.5", "queue: a", "preemptible: True", "spot=True"]


@pytest.mark.parametrize(("resources", "keys"), [case.values for case in WHOLE])
def test_what_is_placed_had_no_problems(resources, keys):
    assert placement_problems(Resources(**resources), target(**keys)) == []


def test_every_scheduler_of_the_settings_has_its_marks():
    known = set(KubernetesSettings.model_fields["scheduler"].annotation.__args__)
    assert set(MARKS) == known
    assert {name for names in READERS.values() for name in names} <= known
