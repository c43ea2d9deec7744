"""Which instance type a step runs on, what is refused, and how large its disk is."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.sagemaker.catalogue import catalogue, types_for
from airflow_provider_mlx.backends.sagemaker.choice import (
    choose_instance,
    instance_problems,
    volume_gb,
    volume_problems,
)
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.resources import Resources

GPUS = ["ml.g4dn.xlarge", "ml.g6.2xlarge", "ml.g6.12xlarge", "ml.m5.xlarge"]

EVERY = [
    pytest.param(each, job, id=f"{each.name} for {job}") for each in catalogue().types.values() for job in each.jobs
]


def chosen(resources, job="training", **offer):
    return choose_instance(Resources(**resources), job=job, **offer).name


def refused(resources, job="training", **offer):
    return [str(problem) for problem in instance_problems(Resources(**resources), job=job, **offer)]


@pytest.mark.parametrize(
    ("resources", "allowed", "name"),
    [
        pytest.param({}, GPUS, "ml.g4dn.xlarge", id="the first, if nothing is asked for"),
        pytest.param({"gpu": "L4"}, GPUS, "ml.g6.2xlarge", id="the first with this GPU"),
        pytest.param({"gpu": "l4:1", "memory": "64Gi"}, GPUS, "ml.g6.12xlarge", id="more GPUs than asked, if nothing else fits"),
        pytest.param({"gpu": 2}, GPUS, "ml.g6.12xlarge", id="a count of any model"),
        pytest.param({"gpu": 0, "cpu": 4}, GPUS[::-1], "ml.m5.xlarge", id="no GPU"),
        pytest.param({"cpu": "3500m", "memory": "16Gi"}, ["ml.m5.large", "ml.m5.xlarge"], "ml.m5.xlarge", id="nominal memory counts whole"),
        pytest.param({"memory": "16385Mi"}, ["ml.m5.xlarge", "ml.m5.2xlarge"], "ml.m5.2xlarge", id="one MiB too much"),
        pytest.param({"gpu": 1}, ["ml.g6.12xlarge", "ml.g6.xlarge"], "ml.g6.12xlarge", id="the order is a preference, also over a smaller machine"),
        pytest.param({"gpu": 1, "memory": "20Gi"}, ["ml.g5.*"], "ml.g5.2xlarge", id="of a pattern the smallest that fits"),
        pytest.param({"gpu": 1}, ["ml.trn1.2xlarge", "ml.g5.xlarge"], "ml.g5.xlarge", id="Trainium is no GPU of any model"),
        pytest.param({"gpu": "Trainium:1"}, ["ml.g5.xlarge", "ml.trn1.2xlarge"], "ml.trn1.2xlarge", id="and is had by its name"),
        pytest.param({"disk": "200Gi"}, ["ml.g4dn.xlarge", "ml.m5.xlarge"], "ml.m5.xlarge", id="NVMe of its own must be large enough"),
    ],
)  # fmt: skip
def test_the_first_of_the_list_that_fits(resources, allowed, name):
    assert chosen(resources, allowed=allowed) == name


@pytest.mark.parametrize(
    ("prices", "name"),
    [
        pytest.param({"ml.g5.xlarge": 1.4, "ml.g6.xlarge": 1.1, "ml.g4dn.xlarge": 0.7}, "ml.g4dn.xlarge", id="the cheapest that fits"),
        pytest.param({"ml.g5.xlarge": 1.0, "ml.g6.xlarge": 1.0, "ml.m5.large": 0.1}, "ml.g6.xlarge", id="of equals the first of the list"),
        pytest.param({"ml.g5.xlarge": 9.0}, "ml.g5.xlarge", id="a type without a price comes after all others"),
        pytest.param({}, "ml.g6.xlarge", id="no price: the order decides"),
    ],
)  # fmt: skip
def test_prices_decide(prices, name):
    allowed = ["ml.g6.xlarge", "ml.g5.xlarge", "ml.g4dn.xlarge", "ml.m5.large"]
    assert chosen({"gpu": 1}, allowed=allowed, prices=prices) == name


@pytest.mark.parametrize(
    ("resources", "job", "name"),
    [
        pytest.param({}, "training", "ml.c7i.large", id="nothing asked for: the smallest"),
        pytest.param({"cpu": 2, "memory": "8Gi"}, "training", "ml.m5.large", id="a family that most regions have"),
        pytest.param({"cpu": 8}, "processing", "ml.c5.2xlarge", id="not the smaller one of a previous generation"),
        pytest.param({"cpu": 8, "memory": "17Gi"}, "training", "ml.m5.2xlarge", id="not one that is made for its network"),
        pytest.param({"memory": "100Gi"}, "training", "ml.r5.4xlarge", id="memory without vCPUs"),
        pytest.param({"gpu": 1}, "training", "ml.g4dn.xlarge", id="any GPU: the smallest"),
        pytest.param({"gpu": 1, "memory": "30Gi"}, "training", "ml.g4dn.2xlarge", id="a larger machine before a larger GPU"),
        pytest.param({"gpu": 2}, "training", "ml.g7.12xlarge", id="that many GPUs before more"),
        pytest.param({"gpu": 3}, "training", "ml.g4dn.12xlarge", id="the least number above"),
        pytest.param({"gpu": 8}, "training", "ml.g5.48xlarge", id="not the GPUs for large models, unless they are named"),
        pytest.param({"gpu": "H100"}, "training", "ml.p5.4xlarge", id="named"),
        pytest.param({"gpu": "A100:8"}, "training", "ml.p4d.24xlarge", id="the smaller of two A100s"),
        pytest.param({"gpu": "A100-80GB:8"}, "training", "ml.p4de.24xlarge", id="the larger one by its name"),
        pytest.param({"gpu": "V100"}, "training", "ml.p3dn.24xlarge", id="more GPUs of the model, if there are not fewer"),
        pytest.param({"gpu": 1, "disk": "500Gi"}, "training", "ml.g4dn.8xlarge", id="a disk"),
    ],
)  # fmt: skip
def test_without_a_list_the_smallest_that_fits(resources, job, name):
    assert chosen(resources, job=job) == name


@pytest.mark.parametrize(
    ("resources", "job", "allowed", "message"),
    [
        pytest.param(
            {"gpu": "H200:1"}, "training", ["ml.g6.*", "ml.m5.xlarge"],
            "gpu='H200:1': none of the target's instances has it; nearest: ml.g6.xlarge (L4:1), ml.g6.12xlarge (L4:4), "
            "ml.g6.48xlarge (L4:8) → ask for L4:1, or list an instance that has it in the target's `instances`, "
            "as ml.p5e.48xlarge (H200:8)",
            id="another model",
        ),
        pytest.param(
            {"gpu": 1}, "training", ["ml.m5.xlarge"],
            "gpu=1: none of the target's instances has it → list an instance that has it in the target's `instances`, "
            "as ml.g4dn.xlarge (T4:1)",
            id="no GPU at all",
        ),
        pytest.param(
            {"gpu": "L4:1", "cpu": 64, "memory": "4Gi"}, "training", ["ml.g6.xlarge", "ml.m5.24xlarge"],
            "cpu=64, memory='4Gi', gpu='L4:1': none of the target's instances has all of it; nearest: "
            "ml.g6.xlarge (4 vCPUs, 16 GiB, L4:1) → ask for less, or list an instance that has it in the target's "
            "`instances`, as ml.g6.16xlarge (64 vCPUs, 256 GiB, L4:1)",
            id="each field is had, but not together",
        ),
        pytest.param(
            {"gpu": "B200:8"}, "processing", [],
            "gpu='B200:8': no instance type of processing jobs has it; nearest: ml.g7e.48xlarge (RTX-PRO-6000:8), "
            "ml.g6e.48xlarge (L40S:8), ml.g7.48xlarge (RTX-PRO-4500:8) → ask for RTX-PRO-6000:8, or use a target of "
            "training jobs, which take ml.p6-b200.48xlarge (B200:8)",
            id="another kind of job has it",
        ),
        pytest.param(
            {"gpu": "H100:16"}, "training", ["ml.p5.48xlarge"],
            "gpu='H100:16': none of the target's instances has it; nearest: ml.p5.48xlarge (H100:8) "
            "→ ask for H100:8 on each of more `nodes`",
            id="more than one machine has",
        ),
        pytest.param(
            {"memory": "3500Gi"}, "training", [],
            "memory='3500Gi': no instance type of training jobs without a GPU has it; nearest: "
            "ml.r8i.96xlarge (3072 GiB), ml.r7i.48xlarge (1536 GiB), ml.r6i.32xlarge (1024 GiB) → ask for less, or "
            "list an instance that has it in the target's `instances`, as ml.p6-b300.48xlarge (4096 GiB, B300:8)",
            id="memory that only a machine with GPUs has is not given unasked",
        ),
        pytest.param(
            {"disk": "500Gi"}, "training", ["ml.g4dn.xlarge"],
            "disk='500Gi': none of the target's instances has it; nearest: ml.g4dn.xlarge (125 GB of its own storage, "
            "T4:1) → ask for less, or list an instance that has it in the target's `instances`, "
            "as ml.c7i.large (a volume of 16384 GiB)",
            id="NVMe that is too small",
        ),
        pytest.param(
            {"gpu": "A10"}, "training", ["ml.g5.xlarge"],
            "gpu='A10': no instance type has a GPU model `A10` → did you mean `A10G`? there are A100, A100-80GB, A10G, "
            "B200, B300, H100, H200, L4, L40S, RTX-PRO-4500, RTX-PRO-6000, T4, Trainium, Trainium2, V100-32GB",
            id="a model that is none",
        ),
        pytest.param(
            {"gpu": 0.5}, "training", ["ml.g5.xlarge"],
            "gpu=0.5: an instance's GPUs are whole, and its job has them all → ask for gpu=1, or use a kubernetes "
            "target with `scheduler: kai`, which shares GPUs",
            id="a share of a GPU",
        ),
        pytest.param(
            {"gpu": "L4:0.5"}, "training", [],
            "gpu='L4:0.5': an instance's GPUs are whole, and its job has them all → ask for gpu=\"L4:1\", or use a "
            "kubernetes target with `scheduler: kai`, which shares GPUs",
            id="a share of a model",
        ),
        pytest.param(
            {"gpu": 1}, "training", ["ml.trn1.2xlarge"],
            "gpu=1: none of the target's instances has it; nearest: ml.trn1.2xlarge (Trainium:1) → ask for Trainium:1, "
            "or list an instance that has it in the target's `instances`, as ml.g4dn.xlarge (T4:1)",
            id="Trainium by a number",
        ),
    ],
)  # fmt: skip
def test_a_refusal_lists_the_near_misses(resources, job, allowed, message):
    assert refused(resources, job, allowed=allowed) == [message]


def test_all_problems_come_at_once():
    resources = Resources(cpu=1000, memory="9Ti", gpu="H100:0.5")
    offer = {"allowed": ["ml.g6.xlarg", "ml.m5.xlarge"], "prices": {"ml.m5.larg": 0.1}}
    problems = instance_problems(resources, job="training", **offer)
    assert [problem.field for problem in problems] == [
        "instances: ml.g6.xlarg",
        "prices: ml.m5.larg",
        "gpu='H100:0.5'",
        "cpu=1000",
        "memory='9Ti'",
    ]
    with pytest.raises(InvalidStep) as refusal:
        choose_instance(resources, job="training", **offer)
    assert list(refusal.value.problems) == problems


def test_where_a_name_is_misspelt_the_step_is_not_blamed():
    assert [each.split(" → ")[1] for each in refused({"gpu": "L4"}, allowed=["ml.g6.xlarg", "ml.m5.large"])] == [
        "did you mean `ml.g6.xlarge`?"
    ]


def test_a_price_of_a_type_that_another_kind_of_job_takes_is_no_mistake():
    prices = {"ml.p4d.24xlarge": 25.0, "ml.p3.2xlarge": 4.0}
    assert refused({}, "processing", prices=prices) == []


def everything(instance):
    """All that a type has, asked for exactly."""
    return {
        "cpu": instance.vcpus,
        "memory": str(instance.memory_bytes),
        "gpu": instance.gpu or None,
        "disk": str(instance.storage_bytes or 2**30 * 16_384),
    }


@pytest.mark.parametrize(("instance", "job"), EVERY)
def test_every_type_is_chosen_when_it_is_allowed_alone_and_asked_for_what_it_has(instance, job):
    assert chosen(everything(instance), job, allowed=[instance.name]) == instance.name


@pytest.mark.parametrize(("instance", "job"), EVERY)
def test_without_a_list_one_is_found_that_has_no_less_and_no_more_gpus(instance, job):
    found = choose_instance(Resources(**everything(instance)), job=job)
    assert (found.gpus, found.gpu_model) == (instance.gpus, instance.gpu_model)
    assert found.vcpus >= instance.vcpus
    assert found.memory_bytes >= instance.memory_bytes


@pytest.mark.parametrize("field", ["cpu", "memory", "disk", "gpu"])
def test_whoever_asks_a_type_for_more_than_it_has_is_refused_by_that_field(field):
    instance = catalogue().types["ml.g5.12xlarge"]
    more = {
        "cpu": 49,
        "memory": f"{instance.memory_bytes + 1}",
        "disk": f"{instance.storage_bytes + 1}",
        "gpu": "A10G:5",
    }
    asked = {**everything(instance), field: more[field]}
    (problem,) = instance_problems(Resources(**asked), job="training", allowed=[instance.name])
    assert problem.field == f"{field}={more[field]!r}"


@pytest.mark.parametrize("job", ["training", "processing"])
def test_the_order_of_a_mapping_decides_nothing(job):
    prices = {each.name: float(each.vcpus) for each in types_for(job)}
    backwards = dict(reversed(prices.items()))
    for resources in ({}, {"gpu": 1}, {"cpu": 16, "memory": "64Gi"}):
        assert chosen(resources, job, prices=prices) == chosen(resources, job, prices=backwards)


def test_a_step_that_asks_for_no_gpu_gets_none_unless_the_target_lists_nothing_else():
    for gib in (4, 60, 500, 3000):
        assert not choose_instance(Resources(memory=f"{gib}Gi"), job="training").gpus
    assert chosen({}, allowed=["ml.g5.*"]) == "ml.g5.xlarge"


@pytest.mark.parametrize(
    ("name", "disk", "default", "gb"),
    [
        pytest.param("ml.m5.xlarge", None, 30, 30, id="the target's default"),
        pytest.param("ml.m5.xlarge", "100Gi", 30, 100, id="what the step asks for"),
        pytest.param("ml.m5.xlarge", "100.1Gi", 30, 101, id="rounded up"),
        pytest.param("ml.m5.xlarge", "1Mi", 30, 1, id="one is the least"),
        pytest.param("ml.m5.xlarge", "16Ti", 30, 16_384, id="the most"),
        pytest.param("ml.r5d.large", None, 100, 75, id="NVMe: never more than it has"),
        pytest.param("ml.r5d.large", "75G", 30, 70, id="NVMe: all of it"),
    ],
)
def test_the_volume(name, disk, default, gb):
    assert volume_gb(Resources(disk=disk), catalogue().types[name], default) == gb


@pytest.mark.parametrize(
    ("name", "disk", "message"),
    [
        pytest.param(
            "ml.m5.xlarge",
            "17Ti",
            "disk='17Ti': ml.m5.xlarge has a volume of 16384 GiB at most → ask for less, or for an instance type with "
            "such storage",
            id="no volume is so large",
        ),
        pytest.param(
            "ml.g4dn.xlarge",
            "125Gi",
            "disk='125Gi': ml.g4dn.xlarge has 125 GB of its own storage → ask for less, or for an instance type with "
            "more storage, or with none of its own: it gets a volume",
            id="NVMe is fixed, and its GB are decimal",
        ),
    ],
)
def test_a_disk_that_cannot_be_had(name, disk, message):
    resources, instance = Resources(disk=disk), catalogue().types[name]
    assert [str(problem) for problem in volume_problems(resources, instance)] == [message]
    with pytest.raises(InvalidStep, match="disk"):
        volume_gb(resources, instance, 30)
