"""Where the reason of a failed run is: in the messages of its Workflow, and in a pod's log."""

from __future__ import annotations

import pytest

from airflow_provider_mlx import exceptions
from airflow_provider_mlx.backends.kubeflow_pipelines.faults import (
    DRIVER,
    ROWS,
    exit_code_in,
    fault_in,
    fault_of,
    own_lines,
)
from tests.unit.backends.kubeflow_pipelines.objects import WORKFLOW, node, steps, workflow


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        pytest.param("Error (exit code 1)", None, id="the launcher ends with 1 whatever the step's code is"),
        pytest.param("OOMKilled (exit code 137)", "OutOfMemory", id="out of memory"),
        pytest.param("Error (exit code 137)", "OutOfMemory", id="killed"),
        pytest.param("ImagePullBackOff: Back-off pulling image \"x\"", "ImageUnavailable", id="an image that cannot be pulled"),
        pytest.param("ErrImagePull: manifest unknown", "ImageUnavailable", id="an image that is not there"),
        pytest.param("Pod was active on the node longer than the specified deadline", "JobTimeout", id="the pod's limit"),
        pytest.param("Step exceeded its deadline", "JobTimeout", id="the Workflow's limit"),
        pytest.param("pod deleted", "Preempted", id="somebody deleted the pod, or its node went"),
        pytest.param("The node was low on resource: memory.", "Preempted", id="evicted"),
        pytest.param("Error: secret \"hf\" not found", "JobMisconfigured", id="a secret that is not there"),
        pytest.param("couldn't find key token in Secret ml/hf", "JobMisconfigured", id="a key that is not there"),
        pytest.param("pods \"x\" is forbidden: exceeded quota: team", "CapacityUnavailable", id="the namespace's quota"),
        pytest.param("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", "JobMisconfigured",
                     id="the cluster's own rule"),
        pytest.param("error looking up service account ml/x: serviceaccount \"x\" not found", "JobMisconfigured",
                     id="a service account that is not there"),
        pytest.param("persistentvolumeclaim \"data\" not found", "JobMisconfigured", id="a claim that is not there"),
        pytest.param("failed to unmarshal kubernetes config: unknown field \"optional\"", "JobMisconfigured",
                     id="a field that the server does not know"),
        pytest.param("something else", None, id="what is not known is the step's own"),
    ],
)  # fmt: skip
def test_message(message, failure):
    found = fault_of(message)
    assert found.failure == failure
    assert found.reason.startswith(message)


def test_every_failure_is_a_class_of_ours():
    assert all(row.failure is None or hasattr(exceptions, row.failure) for row in ROWS)


@pytest.mark.parametrize(
    ("log", "code"),
    [
        pytest.param(["F1123 10:00:12.000000      30 main.go:57] failed to execute component: exit status 3"], 3,
                     id="the step's own code"),
        pytest.param(["failed to execute component: signal: killed"], 137, id="killed"),
        pytest.param(["failed to execute component: signal: terminated"], 143, id="terminated"),
        pytest.param(["failed to execute component: signal: segmentation fault"], 1, id="another signal"),
        pytest.param(["exit status 3 is what I say myself"], None, id="the step's own words are not the launcher's"),
        pytest.param([], None, id="nothing"),
    ],
)  # fmt: skip
def test_exit_code(log, code):
    assert exit_code_in(log) == code


def test_the_launchers_lines_and_argos_are_not_the_steps():
    log = [
        'time="2026-11-26T08:20:11.123Z" level=info msg="capturing logs" argo=true',
        'time="2026-11-26T08:20:14.123Z" level=info msg="sub-process exited" argo=true error="<nil>"',
        "I1123 10:00:09.123456      30 launcher_v2.go:127] input ComponentSpec:{}",
        "accuracy 0.98",
        "I like this: I1123",
        "F1123 10:00:12.000000      30 main.go:57] failed to execute component: exit status 3",
    ]
    assert list(own_lines(log)) == ["accuracy 0.98", "I like this: I1123"]


def test_the_first_pod_that_failed_is_the_reason():
    kept = steps(
        node("root.step.executor", "Failed", "OOMKilled (exit code 137)", start=9, end=12),
        node("root.later.executor", "Failed", "Error (exit code 1)", start=9, end=14),
        phase="Failed",
    )
    found = fault_in(kept)
    assert (found.task, found.failure) == ("step", "OutOfMemory")
    assert found.pod.startswith(f"{WORKFLOW}-system-container-impl-")


def test_the_code_is_in_the_log_and_a_kill_is_memory():
    kept = steps(node("root.step.executor", "Failed", "Error (exit code 1)", start=9, end=12))
    found = fault_in(kept, ["failed to execute component: exit status 3"])
    assert (found.reason, found.failure, found.exit_code) == ("Error (exit code 1)", None, 3)
    assert fault_in(kept, ["failed to execute component: signal: killed"]).failure == "OutOfMemory"


def test_a_driver_that_failed_is_not_the_steps_failure():
    kept = workflow(
        node("root.step-driver", "Failed", "Error (exit code 1)", template="system-container-driver", end=3)
    )
    assert fault_in(kept).reason == f"{DRIVER}: Error (exit code 1)"


def test_a_workflow_without_pods_says_it_itself():
    assert fault_in(workflow(phase="Error", message="exceeded quota: team")).failure == "CapacityUnavailable"
    assert fault_in(workflow(phase="Failed")) is None
