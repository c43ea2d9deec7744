"""A manifest that somebody brings, and what becomes of it."""

from __future__ import annotations

import copy

import pytest

from airflow_provider_mlx.backends.base import Brought
from airflow_provider_mlx.backends.kubernetes.manifests import (
    asked_by,
    kind_of,
    kind_problems,
    manifest_problems,
    resource_request,
)
from airflow_provider_mlx.backends.kubernetes.settings import ResourceKind, ResourceSettings
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec

IDENTITY = TaskInstanceIdentity("lab", "dag", "run", "task")
JOB = ResourceKind(api_version="batch/v1", kind="Job")
RAY = ResourceKind(
    api_version="ray.io/v1", kind="RayJob", success=("status.jobStatus == SUCCEEDED",), failure=("Failed=True",)
)


def manifest(*, metadata=None, spec=None, kind="Job"):
    template = {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": kind,
        "metadata": metadata or {},
        "spec": {"template": template, **(spec or {})},
    }


def request(given, resource=JOB, *, limit=None, **settings):
    spec = JobSpec(
        IDENTITY, 1, IDENTITY.job_name(1), "file:///root/attempt-1", native_limit_seconds=limit, tags={"team": "a"}
    )
    return resource_request(given, kind_of(resource), spec, ResourceSettings(resource=resource, **settings))


def test_it_is_known_again_and_otherwise_as_it_was_brought():
    given = manifest(metadata={"generateName": "x-", "labels": {"mine": "1"}}, spec={"backoffLimit": 3})
    before = copy.deepcopy(given)
    made = request(given)["manifest"]
    assert given == before
    assert made["metadata"]["name"] == IDENTITY.job_name(1)
    assert "generateName" not in made["metadata"]
    assert made["spec"]["backoffLimit"] == 3
    labels = made["metadata"]["labels"]
    assert (labels["mine"], labels["team"]) == ("1", "a")
    assert labels["app.kubernetes.io/managed-by"] == "airflow-provider-mlx"
    assert made["spec"]["template"]["metadata"]["labels"] == {key: labels[key] for key in labels if key != "mine"}
    assert made["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]


def test_a_name_of_its_own_stays():
    made = request(manifest(metadata={"name": "nightly"}))
    assert (made["name"], made["manifest"]["metadata"]["name"]) == (IDENTITY.job_name(1), "nightly")


@pytest.mark.parametrize(
    ("given", "path", "found"),
    [
        pytest.param({}, "ttlSecondsAfterFinished", 604800, id="the target's ttl, where it says none"),
        pytest.param({"ttlSecondsAfterFinished": 7200}, "ttlSecondsAfterFinished", 7200, id="its own, where it does"),
    ],
)
def test_when_the_cluster_removes_it(given, path, found):
    assert request(manifest(spec=given))["manifest"]["spec"][path] == found


def test_a_pod_ends_when_its_airflow_is_gone():
    made = request(manifest(), limit=900)["manifest"]
    assert made["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 900


def test_a_custom_resource_gets_no_field_of_a_job():
    made = request({"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"entrypoint": "x"}}, RAY)["manifest"]
    assert made["spec"] == {"entrypoint": "x"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"apiVersion": "batch/v1", "kind": "Job"}, "`metadata` and `spec`", id="no spec"),
        pytest.param(manifest(metadata={"name": "Not_A_Name"}), "63 lower-case", id="a name that is no label"),
        pytest.param(manifest(metadata={"name": "n" * 64}), "63 lower-case", id="a name that is too long for a label"),
        pytest.param(manifest(metadata={"namespace": "other"}), "leave it out", id="another namespace"),
        pytest.param(
            manifest(spec={"ttlSecondsAfterFinished": 60}), "keep=", id="gone before anybody has seen its end"
        ),
    ],
)
def test_what_is_no_job_of_ours_is_refused_with_the_way_out(given, words):
    (problem,) = manifest_problems(given, ResourceSettings(resource=JOB))
    assert words in str(problem)


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        pytest.param(
            ResourceKind(api_version="ray.io/v1", kind="RayJob"), "TrainJob (trainer", id="unknown, and nothing said"
        ),
        pytest.param(
            ResourceKind(api_version="batch/v1beta1", kind="Job"), "success=", id="a version that we do not know"
        ),
        pytest.param(RAY.model_copy(update={"failure": ()}), "succeeds and fails", id="half of its ends"),
        pytest.param(
            RAY.model_copy(update={"failure": ("broken",)}), "says nothing about an object", id="no condition"
        ),
        pytest.param(
            RAY.model_copy(update={"failure": ("spec.a == b",)}),
            "no part of the status",
            id="a field that is not watched",
        ),
    ],
)
def test_a_kind_that_cannot_be_watched_to_its_end_is_refused(resource, words):
    (problem,) = kind_problems(resource)
    assert words in str(problem)


def of_pods(pod, **above):
    return {"template": {"spec": pod}, **above}


POD = {"serviceAccountName": "ci", "containers": [{"image": "a:1", "resources": {"limits": {"nvidia.com/gpu": 2}}}]}


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        pytest.param(of_pods(POD, parallelism=3), Brought(("a:1",), ("ci",), 6, 3), id="a Job of three pods"),
        pytest.param(
            {"replicatedJobs": [{"replicas": 2, "template": {"spec": of_pods(POD, parallelism=2)}}]},
            Brought(("a:1",), ("ci",), 8, 4), id="a JobSet of two Jobs",
        ),
        pytest.param(
            {"pytorchReplicaSpecs": {"Master": of_pods(POD, replicas=1), "Worker": of_pods(POD, replicas=4)}},
            Brought(("a:1",), ("ci",), 10, 5), id="a PyTorchJob",
        ),
        pytest.param(
            {"trainer": {"image": "b:1", "numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": "8"}}}},
            Brought(("b:1",), ("default",), 16, 2), id="a TrainJob",
        ),
        pytest.param(
            {"image": "spark:4", "driver": {"serviceAccount": "spark"}}, Brought(("spark:4",), ("spark",), 0, 1),
            id="a kind that we do not know",
        ),
    ],
)  # fmt: skip
def test_what_the_policy_is_asked_about(spec, asked):
    assert asked_by({"kind": "Any", "spec": spec}) == asked
