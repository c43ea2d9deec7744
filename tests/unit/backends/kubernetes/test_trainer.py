"""TrainJobs that use a runtime of the cluster's: what they can change of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mlx.backends.kubernetes.settings import TrainerSettings
from airflow_provider_mlx.backends.kubernetes.trainer import runtime_problems
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.step.spec import JobSpec

IDENTITY = TaskInstanceIdentity("lab", "dag", "run", "task")
SPEC = JobSpec(
    IDENTITY, 1, IDENTITY.job_name(1), "s3://bucket/root/attempt-1", image="python:3.11", command=("train",),
    resources=Resources(nodes=2),
)  # fmt: skip


def refused(**settings: Any) -> list[str]:
    problems = runtime_problems(SPEC, TrainerSettings.model_validate(settings))
    return [str(problem).partition("`")[2].partition("`")[0] for problem in problems]


SIDECAR = {"name": "proxy", "image": "proxy:1"}
RUNTIME = {"runtime": "torch-distributed"}


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        pytest.param({}, [], id="what every pod of ours has"),
        pytest.param({"node_selector": {"pool": "gpu"}, "tolerations": [{"key": "gpu"}]}, [], id="what a patch carries"),
        pytest.param({"priority_class": "high"}, ["priorityClassName"], id="a priority"),
        pytest.param({"scheduler": "kai", "queue": "a"}, ["schedulerName"], id="a scheduler of the target's"),
        pytest.param(
            {"pod_override": {"spec": {"schedulerName": "mine"}}}, ["schedulerName"], id="a scheduler of the override's"
        ),
        pytest.param({"env_from": [{"secret": "keys"}]}, ["containers[node].envFrom"], id="variables of a secret"),
        pytest.param({"image_pull_policy": "Always"}, ["containers[node].imagePullPolicy"], id="a pull policy"),
        pytest.param({"pod_override": {"spec": {"containers": [SIDECAR]}}}, ["containers[proxy]"], id="a sidecar"),
        pytest.param(
            {"pod_override": {"spec": {"hostNetwork": True, "dnsPolicy": "None"}}}, ["dnsPolicy", "hostNetwork"],
            id="whatever else a pod may have",
        ),
    ],
)  # fmt: skip
def test_what_a_clusters_runtime_keeps_for_itself_is_refused_and_never_dropped(
    settings: dict[str, Any], fields: list[str]
) -> None:
    assert refused(**settings, **RUNTIME) == fields
    assert refused(**settings) == []
