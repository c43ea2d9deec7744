"""For what a job waits, and what it waits for in vain: containers, events, refusals, queues."""

from __future__ import annotations

import re

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubernetes.faults import STUCK
from airflow_provider_mlx.backends.kubernetes.waiting import REFUSALS
from tests.unit.backends.kubernetes.objects import (
    job,
    look,
    pod,
    runs,
    waits,
)

ACTIVE, SUCCEEDED, FAILED, STOPPED = State.ACTIVE, State.SUCCEEDED, State.FAILED, State.STOPPED


@pytest.mark.parametrize("reason", sorted(STUCK))
@pytest.mark.parametrize("where", ["main", "init", "sidecar"])
def test_a_container_that_will_never_start_gives_the_job_up(reason, where):
    failure, what = STUCK[reason]
    container = waits(reason, "says the kubelet", name="step" if where == "main" else "other")
    main = waits("PodInitializing")
    pods = {
        "main": pod(container, phase="Pending"),
        "init": pod(main, inits=[container], phase="Pending"),
        "sidecar": pod(main, container, phase="Pending"),
    }
    found = look(job(), [pods[where]])
    called = {"main": "its container", "init": "its init container `other`", "sidecar": "its container `other`"}[where]
    assert found == JobStatus(FAILED, f"{called} {what}: says the kubelet", failure)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", "Back-off pulling image \"x\": ErrImagePull: toomanyrequests: You have reached your pull rate limit"),
        ("ImagePullBackOff", "ErrImagePull: failed to resolve reference: unexpected status: 503 Service Unavailable"),
        ("ImagePullBackOff", "dial tcp 10.0.0.1:443: i/o timeout"),
        ("ImagePullBackOff", "dial tcp 10.0.0.1:443: connect: connection refused"),
        ("ImagePullBackOff", "net/http: TLS handshake timeout"),
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
        ("CreateContainerError", "context deadline exceeded"),
        ("CreateContainerError", "failed to reserve container name \"step_1\": name is reserved"),
    ],
)  # fmt: skip
def test_a_registry_or_kubelet_that_may_work_in_a_minute_is_waited_for(reason, message):
    found = look(job(), [pod(waits(reason, message), phase="Pending")])
    assert found == JobStatus(ACTIVE, f"{reason} of `step`: {message}")


def test_an_images_name_is_no_status_of_a_registry():
    found = look(job(), [pod(waits("ImagePullBackOff", 'Back-off pulling image "ml:503"'), phase="Pending")])
    assert found.failure == "ImageUnavailable"


@pytest.mark.parametrize(
    ("pods", "events", "reason"),
    [
        pytest.param([], [], "it has no pod yet", id="nothing yet"),
        pytest.param([pod(phase="Pending", spec={"schedulerName": "kai-scheduler"})], [],
                     "waits for a node (scheduler `kai-scheduler`)", id="no scheduler has looked at it"),
        pytest.param([pod(phase="Pending", spec={"nodeName": "gpu-1"})], [], "starts on gpu-1", id="a node has it"),
        pytest.param(
            [pod(phase="Pending", spec={"schedulingGates": [{"name": "kueue.x-k8s.io/topology"}]},
                 conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}])], [],
            "waits for kueue.x-k8s.io/topology", id="a scheduling gate"),
        pytest.param(
            [pod(waits("ContainerCreating"), phase="Pending", spec={"nodeName": "gpu-1"})],
            [{"reason": "FailedMount", "lastTimestamp": "2026-11-25T10:00:00Z", "message": "old",
              "involvedObject": {"kind": "Pod", "name": "mlx-1-abcde"}},
             {"reason": "Pulling", "lastTimestamp": "2026-11-25T10:00:09Z", "message": 'Pulling image "ml:1"',
              "involvedObject": {"kind": "Pod", "name": "mlx-1-abcde"}}],
            'pulls its image: Pulling image "ml:1"', id="the last event counts"),
        pytest.param(
            [pod(waits("ContainerCreating"), phase="Pending", spec={"nodeName": "gpu-1"})],
            [{"reason": "FailedAttachVolume", "eventTime": "2026-11-25T10:00:00.123456Z", "note": "Multi-Attach error",
              "regarding": {"kind": "Pod", "name": "mlx-1-abcde"}}],
            "a volume cannot be attached: Multi-Attach error", id="an event of events.k8s.io"),
        pytest.param(
            [pod(waits("ContainerCreating"), phase="Pending", spec={"nodeName": "gpu-1"})],
            [{"reason": "FailedMount", "message": "x", "involvedObject": {"kind": "Pod", "name": "another"}}],
            "starts on gpu-1", id="another pod's event does not count"),
        pytest.param([pod(runs(), phase="Running")], [{"reason": "FailedMount", "message": "once",
                     "involvedObject": {"kind": "Pod", "name": "mlx-1-abcde"}}], "", id="a pod that runs waits for nothing"),
    ],
)  # fmt: skip
def test_for_what_a_job_waits(pods, events, reason):
    assert look(job(), pods, events).reason == reason


FORBIDDEN = 'Error creating: pods "mlx-1-abcde" is forbidden: '
DENIED = [
    (FORBIDDEN + "exceeded quota: compute, requested: requests.nvidia.com/gpu=8", None),
    (FORBIDDEN + "unable to create new content in namespace ml because it is being terminated", "JobMisconfigured"),
    (FORBIDDEN + 'violates PodSecurity "restricted:latest": runAsNonRoot != true', "JobMisconfigured"),
    ('Error creating: admission webhook "validate.kyverno.svc-fail" denied the request: policy x', "JobMisconfigured"),
    (FORBIDDEN + "ValidatingAdmissionPolicy 'images' with binding 'all' denied request: no", "JobMisconfigured"),
    (FORBIDDEN + 'error looking up service account ml/a: serviceaccount "a" not found', "JobMisconfigured"),
    (FORBIDDEN + "no PriorityClass with name high was found", "JobMisconfigured"),
    (FORBIDDEN + 'pod rejected: RuntimeClass "nvidia" not found', "JobMisconfigured"),
    (FORBIDDEN + "failed quota: compute: must specify limits.memory for: step", "JobMisconfigured"),
    (FORBIDDEN + "maximum memory usage per Container is 1Gi, but limit is 2Gi", "JobMisconfigured"),
    ('Error creating: Pod "mlx-1-abcde" is invalid: spec.priority: Forbidden', "JobMisconfigured"),
    ("Error creating: Internal error occurred: failed calling webhook \"x\": connection refused", None),
    ("Error creating: Operation cannot be fulfilled on resourcequotas \"compute\"", None),
]  # fmt: skip


@pytest.mark.parametrize(("message", "failure"), DENIED)
@pytest.mark.parametrize("reason", ["FailedCreate", "FailedCreatePod"])
def test_a_pod_that_the_api_server_does_not_take(message, failure, reason):
    event = {"reason": reason, "message": message, "involvedObject": {"kind": "Job", "name": "mlx-1"}}
    found = look(job(), [], [event])
    assert (found.state, found.failure, found.running) == (FAILED if failure else ACTIVE, failure, False)
    assert found.reason.endswith(message.removeprefix("Error creating: "))


def test_every_refusal_has_its_row():
    used = {next((row[0] for row in REFUSALS if re.search(row[0], message)), None) for message, _ in DENIED}
    assert used == {row[0] for row in REFUSALS} | {None}


def test_a_refusal_is_forgotten_when_a_pod_was_made_after_it():
    events = [
        {"reason": "FailedCreate", "lastTimestamp": "2026-11-25T10:00:00Z", "message": FORBIDDEN + "exceeded quota: x"},
        {"reason": "SuccessfulCreate", "lastTimestamp": "2026-11-25T10:00:05Z", "message": "Created pod: mlx-1-abcde"},
    ]
    assert look(job(), [], events).reason == "it has no pod yet"
    assert look(job(), [], events[:1]).reason.startswith("the namespace's quota")
