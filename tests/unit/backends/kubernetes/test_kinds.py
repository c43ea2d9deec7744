"""The kinds of objects that run jobs: what their rows say, and how the user writes one of his own."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubernetes.kinds import (
    DEFAULT_CONTAINER,
    KINDS,
    custom_kind,
    main_container,
    parse_sign,
    rank_of,
)


@pytest.mark.parametrize(
    ("said", "value", "holds"),
    [
        ("Complete=True", {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, True),
        (" Complete = True ", {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, True),
        ("Complete=True", {"status": {"conditions": [{"type": "Complete", "status": "False"}]}}, False),
        ("Ready=False", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, True),
        ("Ready=False", {"status": {"conditions": []}}, False),
        ("example.com/Done=True", {"status": {"conditions": [{"type": "example.com/Done", "status": "True"}]}}, True),
        ("status.phase == Done", {"status": {"phase": "Done"}}, True),
        ("status.phase==Done|Over", {"status": {"phase": "Over"}}, True),
        ("status.phase == Done", {"status": {"phase": "Doner"}}, False),
        ("status.phase == Not Done", {"status": {"phase": "Not Done"}}, True),
        ("status.done == true", {"status": {"done": True}}, True),
        ("status.failed == 1", {"status": {"failed": 1}}, True),
        ("status.steps.*.phase == Failed", {"status": {"steps": [{"phase": "Ok"}, {"phase": "Failed"}]}}, True),
        ("status.steps.*.phase == Failed", {"status": {"steps": {"a": {"phase": "Failed"}}}}, True),
        ("status.phase == Done", {}, False),
    ],
)
def test_a_sign(said, value, holds):
    assert parse_sign(said).holds(value) is holds


@pytest.mark.parametrize(
    "said", ["", "Complete", "Complete=true", "phase == Done", "status.phase", "status.phase ==", "=True"]
)
def test_what_says_nothing_about_an_object(said):
    with pytest.raises(ValueError, match="says nothing about an object; write a condition, as `Complete=True`"):
        parse_sign(said)


def test_the_last_of_two_conditions_of_one_type_counts():
    conditions = [{"type": "Failed", "status": "True"}, {"type": "Failed", "status": "False"}]
    assert not parse_sign("Failed=True").holds({"status": {"conditions": conditions}})


def test_a_custom_kind_needs_both_endings():
    with pytest.raises(ValueError, match="by what a RayJob succeeds and by what it fails"):
        custom_kind("ray.io/v1", "RayJob", succeeded=["status.jobStatus == SUCCEEDED"], failed=[])


def test_a_custom_kinds_plural_is_guessed_and_can_be_given():
    signs = {"succeeded": ["Done=True"], "failed": ["Failed=True"]}
    assert custom_kind("ray.io/v1", "RayJob", **signs).plural == "rayjobs"
    assert custom_kind("a.b/v1", "Policy", "policies", **signs).plural == "policies"


TEMPLATE = {"spec": {"containers": []}}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Job", {"template": TEMPLATE}),
        ("JobSet", {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": TEMPLATE}}}]}),
        ("PyTorchJob", {"pytorchReplicaSpecs": {"Master": {"template": TEMPLATE}}}),
        ("TFJob", {"tfReplicaSpecs": {"Worker": {"template": TEMPLATE}}}),
        ("MPIJob", {"mpiReplicaSpecs": {"Launcher": {"template": TEMPLATE}}}),
    ],
)
def test_where_the_pod_templates_stand(kind, spec):
    assert KINDS[kind].pod_templates({"spec": spec}) == [TEMPLATE]
    assert KINDS[kind].pod_templates({}) == []


def test_a_trainjobs_pod_templates_stand_in_its_runtime():
    assert KINDS["TrainJob"].pod_templates({"spec": {"template": TEMPLATE}}) == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_job_is_suspended_by_its_own_field(kind):
    value: dict = {}
    for name in reversed(KINDS[kind].suspend.split(".")):
        value = {name: value or True}
    assert KINDS[kind].is_suspended(value)
    assert not KINDS[kind].is_suspended({})


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_success_comes_before_failure_where_an_object_says_both(kind):
    words = [sign.condition for sign in (*KINDS[kind].failed, *KINDS[kind].succeeded)]
    both = {"status": {"conditions": [{"type": word, "status": "True"} for word in words]}}
    ending = KINDS[kind].ending(both)
    assert ending is not None
    assert ending[0] is State.SUCCEEDED


@pytest.mark.parametrize(
    ("kind", "pod", "name"),
    [
        pytest.param("Job", {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}, "a", id="the first"),
        pytest.param(
            "Job",
            {"metadata": {"annotations": {DEFAULT_CONTAINER: "b"}}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}},
            "b", id="the one that the pod names"),
        pytest.param(
            "Job", {"metadata": {"annotations": {DEFAULT_CONTAINER: "c"}}, "spec": {"containers": [{"name": "a"}]}},
            "a", id="not one that it has not"),
        pytest.param("PyTorchJob", {"spec": {"containers": [{"name": "proxy"}, {"name": "pytorch"}]}}, "pytorch",
                     id="the name that the training operator wants"),
        pytest.param("TrainJob", {"spec": {"containers": [{"name": "proxy"}, {"name": "node"}]}}, "node", id="trainer's"),
        pytest.param("Job", {"status": {"containerStatuses": [{"name": "a"}]}}, "a", id="without a spec"),
        pytest.param("Job", {}, "", id="none"),
    ],
)  # fmt: skip
def test_the_main_container(kind, pod, name):
    assert main_container(KINDS[kind], pod) == name


@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_an_indexed_jobs_pod_tells_its_number_by_label_and_before_1_28_by_annotation(place):
    pod = {"metadata": {place: {"batch.kubernetes.io/job-completion-index": "12"}}}
    assert rank_of(KINDS["Job"], pod).index == (12,)
