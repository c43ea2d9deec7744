"""What one look at a job means: suspended, queued, stopped, deleted; and custom resources."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubernetes.kinds import KINDS, custom_kind
from airflow_provider_mlx.backends.kubernetes.kueue import HOPELESS
from airflow_provider_mlx.backends.kubernetes.status import GIVEN_UP, Seen, status_of, stop_note
from tests.unit.backends.kubernetes.objects import (
    BACKOFF,
    deleted,
    ended,
    job,
    look,
    pod,
    runs,
    true,
    waits,
)

ACTIVE, SUCCEEDED, FAILED, STOPPED = State.ACTIVE, State.SUCCEEDED, State.FAILED, State.STOPPED


QUEUED = {"labels": {"kueue.x-k8s.io/queue-name": "team-a"}, "spec": {"suspend": True}}


def workload(*conditions, **spec):
    return {"spec": {"queueName": "team-a", **spec}, "status": {"conditions": list(conditions)}}


def quota(reason, message):
    return {"type": "QuotaReserved", "status": "False", "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("found_workload", "reason"),
    [
        pytest.param(None, "waits in Kueue's queue `team-a`", id="Kueue has not looked yet"),
        pytest.param(workload(quota("WaitingForQuota", "insufficient unused quota for nvidia.com/gpu")),
                     "waits in Kueue's queue `team-a`: insufficient unused quota for nvidia.com/gpu", id="no quota now"),
        pytest.param(workload(quota("Pending", "couldn't assign flavors")),
                     "waits in Kueue's queue `team-a`: couldn't assign flavors", id="the word of Kueue before 0.19"),
        pytest.param(
            workload(true("Evicted", "Preempted", "Preempted to accommodate a workload"), quota("WaitingForQuota", "none")),
            "preempted by Kueue: Preempted to accommodate a workload; waits in Kueue's queue `team-a`: none",
            id="preempted is not failed"),
        pytest.param(workload(true("Evicted", "NodeFailures", "gpu-1 is gone")),
                     "taken back by Kueue, since nodes failed: gpu-1 is gone", id="its nodes failed"),
        pytest.param(
            workload(true("QuotaReserved"), {"type": "Admitted", "status": "False", "message": "checks: provisioning"}),
            "has its quota and waits for Kueue's admission checks: checks: provisioning", id="admission checks"),
    ],
)  # fmt: skip
def test_a_job_that_kueue_holds_waits(found_workload, reason):
    assert look(job(**QUEUED), [], workload=found_workload) == JobStatus(ACTIVE, reason)


@pytest.mark.parametrize("reason", sorted(set(HOPELESS) - {"Deactivated"}))
def test_what_no_waiting_in_kueue_will_change_is_given_up_with_whom_to_ask(reason):
    found = look(job(**QUEUED), [], workload=workload(quota(reason, "says Kueue")))
    what, advice = HOPELESS[reason]
    assert found == JobStatus(FAILED, f"{what}: says Kueue → {advice}", "CapacityUnavailable")


def test_a_workload_that_was_deactivated_is_given_up():
    found = look(job(**QUEUED), [], workload=workload(true("Evicted", "Deactivated", "by an admin"), active=False))
    assert (found.state, found.failure) == (FAILED, "CapacityUnavailable")
    assert "by an admin" in found.reason


def test_once_admitted_kueues_old_words_do_not_count():
    admitted = workload(true("QuotaReserved"), true("Admitted"), {**true("Evicted", "Preempted"), "status": "False"})
    found = look(job(labels=QUEUED["labels"]), [pod(runs(), phase="Running")], workload=admitted)
    assert found == JobStatus(ACTIVE, running=True)


STOP = {"annotations": {"mlx/stop": "the task was cleared"}}


@pytest.mark.parametrize(
    ("value", "pods", "status"),
    [
        pytest.param(job(**STOP), [pod(runs(), phase="Running")],
                     JobStatus(ACTIVE, "it is stopping", stopping=True, running=True), id="asked for"),
        pytest.param(job(true("Suspended"), **STOP), [pod(runs(), phase="Running", **deleted(0))],
                     JobStatus(ACTIVE, "it is stopping", stopping=True, running=True), id="its pod ends"),
        pytest.param(job(true("Suspended"), **STOP), [], JobStatus(STOPPED, "it was stopped: the task was cleared"),
                     id="suspended, and no pod is left"),
        pytest.param(job(true("Suspended"), **STOP), [pod(ended(143))],
                     JobStatus(STOPPED, "it was stopped: the task was cleared"), id="suspended, and its pod is over"),
        pytest.param(job(spec={"suspend": True}, **STOP), [],
                     JobStatus(ACTIVE, "it is stopping", stopping=True), id="the controller has not seen it yet"),
        pytest.param(job(true("Suspended"), status={"active": 1}, **STOP), None,
                     JobStatus(ACTIVE, "it is stopping", stopping=True), id="the object counts an active pod"),
        pytest.param(job(true("Suspended"), status={"active": 0, "terminating": 1}, **STOP), None,
                     JobStatus(ACTIVE, "it is stopping", stopping=True), id="the object counts a pod that ends"),
        pytest.param(job(BACKOFF, **STOP), [pod(ended(143))],
                     JobStatus(STOPPED, "it was stopped: the task was cleared"), id="stopped before it could fail"),
        pytest.param(job(true("Complete"), **STOP), [], JobStatus(SUCCEEDED, running=True),
                     id="it had succeeded before it could stop"),
        pytest.param(job(true("Suspended"), annotations={"mlx/stop": ""}), [], JobStatus(STOPPED, "it was stopped"),
                     id="stopped without a reason"),
        pytest.param(job(deletionTimestamp="2026-11-25T10:00:00Z"), [pod(runs(), phase="Running")],
                     JobStatus(ACTIVE, "it is being deleted", stopping=True, running=True), id="being deleted"),
        pytest.param(job(true("Complete"), deletionTimestamp="2026-11-25T10:00:00Z"), [],
                     JobStatus(SUCCEEDED, running=True), id="deleted after its success"),
    ],
)  # fmt: skip
def test_a_job_that_is_stopped(value, pods, status):
    assert look(value, pods) == status


@pytest.mark.parametrize("failure", sorted(GIVEN_UP))
def test_the_note_of_a_job_that_was_given_up_says_so_for_good(failure):
    given_up = JobStatus(GIVEN_UP[failure], "its image: cannot be pulled", failure)
    assert look(job(annotations={"mlx/stop": stop_note(given_up)}), []) == given_up


def test_a_note_in_other_words_is_a_reason():
    note = stop_note(JobStatus(ACTIVE, "JobTimeout: the step's deadline passed"))
    assert look(job(true("Suspended"), annotations={"mlx/stop": note}), []).failure is None


# --- custom resources ------------------------------------------------------------------------------------------------

RAY = custom_kind(
    "ray.io/v1", "RayJob", succeeded=["status.jobStatus == SUCCEEDED"], failed=["status.jobStatus == FAILED | STOPPED"],
    running=["status.jobStatus == RUNNING"], message="status.message", suspend="spec.suspend",
)  # fmt: skip
SPARK = custom_kind(
    "sparkoperator.k8s.io/v1beta2", "SparkApplication", succeeded=["status.applicationState.state == COMPLETED"],
    failed=["status.applicationState.state == FAILED"], message="status.applicationState.errorMessage",
    pods_label="sparkoperator.k8s.io/app-name", main_container="spark-kubernetes-driver",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (RAY, {"jobStatus": "SUCCEEDED"}, JobStatus(SUCCEEDED, running=True)),
        (RAY, {"jobStatus": "STOPPED", "message": "by hand"}, JobStatus(FAILED, "by hand")),
        (RAY, {"jobStatus": "RUNNING"}, JobStatus(ACTIVE, running=True)),
        (RAY, {"jobStatus": "PENDING"}, JobStatus(ACTIVE)),
        (RAY, {}, JobStatus(ACTIVE)),
        (
            SPARK,
            {"applicationState": {"state": "FAILED", "errorMessage": "driver died"}},
            JobStatus(FAILED, "driver died", running=True),
        ),
        (
            SPARK,
            {"applicationState": {"state": "FAILED"}},
            JobStatus(FAILED, "it failed and does not say why", running=True),
        ),
        (SPARK, {"applicationState": {"state": "RUNNING"}}, JobStatus(ACTIVE, running=True)),
    ],
)
def test_a_custom_resource_ends_by_the_fields_that_the_user_names(kind, status, expected):
    assert status_of(kind, Seen({"status": status}), stop_annotation="mlx/stop") == expected


def test_a_custom_resources_pods_are_looked_at_where_the_user_names_their_label():
    driver = pod(
        runs(name="proxy"), waits("ImagePullBackOff", "no such image", name="spark-kubernetes-driver"), phase="Pending"
    )
    found = status_of(SPARK, Seen({"status": {}}, [driver]), stop_annotation="mlx/stop")
    assert found == JobStatus(FAILED, "its container cannot pull its image: no such image", "ImageUnavailable")


def by_rule(code):
    message = f"Container step for pod ml/mlx-1-abcde failed with exit code {code} matching FailJob rule at index 1"
    return {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": message}


TAKEN = "its pod was taken away: somebody deleted it, or its node was drained or removed"


@pytest.mark.parametrize(
    ("code", "pods", "expected"),
    [
        pytest.param(3, [], (FAILED, None, 3), id="its own exit status, which the Job keeps"),
        pytest.param(143, [], (STOPPED, "Preempted", None), id="told to stop: it was deleted, and that was its end"),
        pytest.param(137, [], (STOPPED, "Preempted", None), id="killed: it was deleted, and did not stop in time"),
        pytest.param(143, [pod(ended(143))], (FAILED, None, 143), id="its pod is there: its own code ended so"),
        pytest.param(143, None, (FAILED, None, 143), id="nobody has looked for its pod"),
    ],
)  # fmt: skip
def test_a_pod_that_was_deleted_and_is_gone_is_not_its_codes_failure(code, pods, expected):
    status = look(job(by_rule(code)), pods)
    assert (status.state, status.failure, status.exit_code) == expected
    assert (status.reason == TAKEN) == (expected[1] == "Preempted")


@pytest.mark.parametrize(
    ("completions", "phases", "state"),
    [
        pytest.param(1, ["Succeeded"], State.SUCCEEDED, id="the only pod, before the controller says so"),
        pytest.param(2, ["Succeeded", "Running"], State.ACTIVE, id="one of two"),
        pytest.param(2, ["Succeeded", "Succeeded"], State.SUCCEEDED, id="both"),
        pytest.param(None, ["Succeeded"], State.ACTIVE, id="a work queue does not say how many"),
    ],
)
def test_a_job_has_succeeded_when_its_pods_have(completions, phases, state):
    job = {"metadata": {"name": "j"}, "spec": {"completions": completions, "parallelism": len(phases)}, "status": {}}
    pods = [
        {"metadata": {"name": f"j-{index}", "labels": {}}, "spec": {"nodeName": "n"}, "status": {"phase": phase}}
        for index, phase in enumerate(phases)
    ]
    assert status_of(KINDS["Job"], Seen(job, pods), stop_annotation="stop").state is state
