"""Why a pod ended, and which of several decides: a row for each word of the kubelet and of those who take pods."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubernetes.faults import DISRUPTIONS, ENDED, POD_REASONS, STUCK
from airflow_provider_mlx.backends.kubernetes.status import GIVEN_UP
from airflow_provider_mlx.backends.kubernetes.waiting import REFUSALS, TAKEN_EVENTS
from airflow_provider_mlx.jobs.failures import REASONS
from tests.unit.backends.kubernetes.objects import (
    BACKOFF,
    INDEX,
    deleted,
    ended,
    job,
    look,
    pod,
    rank,
    runs,
    true,
    waits,
)

ACTIVE, SUCCEEDED, FAILED, STOPPED = State.ACTIVE, State.SUCCEEDED, State.FAILED, State.STOPPED


@pytest.mark.parametrize(
    ("kind", "condition", "state"),
    [
        ("Job", "Complete", SUCCEEDED), ("Job", "Failed", FAILED),
        ("Job", "SuccessCriteriaMet", ACTIVE), ("Job", "FailureTarget", ACTIVE),
        ("JobSet", "Completed", SUCCEEDED), ("JobSet", "Failed", FAILED), ("JobSet", "StartupPolicyCompleted", ACTIVE),
        ("TrainJob", "Complete", SUCCEEDED), ("TrainJob", "Failed", FAILED),
        *((kind, *row) for kind in ("PyTorchJob", "TFJob", "MPIJob") for row in (
            ("Succeeded", SUCCEEDED), ("Failed", FAILED), ("Created", ACTIVE), ("Running", ACTIVE),
            ("Restarting", ACTIVE), ("Suspended", ACTIVE))),
    ],
)  # fmt: skip
def test_what_ends_a_job(kind, condition, state):
    assert look(job(true(condition), kind=kind), kind=kind).state is state
    not_yet = {"type": condition, "status": "False"}
    assert look(job(not_yet, kind=kind), kind=kind).state is ACTIVE


@pytest.mark.parametrize("pods", [None, []])
def test_a_new_object_without_a_status_is_accepted_and_does_not_run(pods):
    assert look({"metadata": {"name": "mlx-1"}}, pods).state is ACTIVE
    assert not look({"metadata": {"name": "mlx-1"}}, pods).running


@pytest.mark.parametrize("reason", sorted(POD_REASONS))
def test_a_pod_that_failed_as_a_whole(reason):
    failure, what = POD_REASONS[reason]
    found = look(job(BACKOFF), [pod(ended(137), status={"reason": reason, "message": "the node said so."})])
    assert found == JobStatus(STOPPED, f"{what}: the node said so.", failure, exit_code=137, running=True)


@pytest.mark.parametrize("reason", ["OutOfcpu", "OutOfmemory", "OutOfnvidia.com/gpu", "OutOfpods"])
def test_a_pod_that_came_to_a_full_node_is_taken_away_not_failed(reason):
    found = look(job(BACKOFF), [pod(status={"reason": reason, "message": "Pod was rejected: 1 > 0"})])
    assert (found.state, found.failure) == (STOPPED, "Preempted")


@pytest.mark.parametrize("reason", [*DISRUPTIONS, "SomethingNew"])
def test_a_pod_that_was_taken_away_through_no_fault_of_its_own(reason):
    condition = {**true("DisruptionTarget", reason, "why"), "lastTransitionTime": "2026-11-25T10:00:00Z"}
    found = look(job(BACKOFF), [pod(ended(143), conditions=[condition])])
    assert (found.state, found.failure, found.exit_code) == (STOPPED, "Preempted", 143)
    assert found.reason.endswith(": why")


@pytest.mark.parametrize(
    ("message", "failure", "advice"),
    [
        ("The node was low on resource: memory. Threshold quantity: 100Mi, available: 40Mi. Container step was using "
         "3Gi, request is 1Gi, has larger consumption of memory. ", "Preempted", "Resources(memory=…)"),
        ("The node had condition: [DiskPressure]. ", "Preempted", ""),
        ('Container step exceeded its local ephemeral storage limit "1Gi". ', None, "Resources(disk=…)"),
        ('Usage of EmptyDir volume "shm" exceeds the limit "64Mi". ', None, "shm=…"),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ", None, "Resources(disk=…)"),
    ],
)  # fmt: skip
def test_an_eviction_is_the_nodes_doing_unless_the_pod_went_over_its_own_limit(message, failure, advice):
    found = look(job(BACKOFF), [pod(ended(137), status={"reason": "Evicted", "message": message})])
    assert (found.failure, found.state) == (failure, STOPPED if failure else FAILED)
    assert message.strip() in found.reason
    assert advice in found.reason


@pytest.mark.parametrize(
    ("container", "failure", "reason"),
    [
        pytest.param(ended(1), None, "its container ended with exit status 1", id="an exit status"),
        pytest.param(ended(137), None, "its container ended with exit status 137 (SIGKILL)", id="a signal has a name"),
        pytest.param(ended(255), None, "its container ended with exit status 255", id="no signal has that number"),
        pytest.param(ended(2, message="KeyError: 'x'\n  at line 3\n"), None,
                     "its container ended with exit status 2: KeyError: 'x'", id="the first line of its own message"),
        pytest.param(ended(137, "OOMKilled"), "OutOfMemory",
                     "its container was killed for its memory: it has no limit, and its node had no more → ask for more: "
                     "Resources(memory=…)", id="out of memory without a limit"),
        pytest.param(ended(128, "ContainerCannotRun", message="no such file"), "JobMisconfigured",
                     "its container could not be started: no such file", id="what Docker says of a missing command"),
        pytest.param(ended(137, "ContainerStatusUnknown", message="not located"), "Preempted",
                     "its container was lost with its node: not located", id="lost with its node"),
        pytest.param({"name": "step", "lastState": ended(7)["state"]}, None, "its container ended with exit status 7",
                     id="what it was before it started again"),
    ],
)  # fmt: skip
def test_how_the_main_container_ended(container, failure, reason):
    found = look(job(BACKOFF), [pod(container)])
    assert (found.failure, found.reason) == (failure, reason)
    assert found.exit_code is not None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(pod(), "its pod failed", id="a pod that failed and says nothing"),
        pytest.param(pod(status={"reason": "NewReason", "message": "why"}), "NewReason: why", id="a word that is new"),
        pytest.param(pod(phase="Running"), "its pod was taken away", id="a pod that did not fail is not the one"),
    ],
)
def test_a_pod_of_which_little_is_known(value, reason):
    assert look(job(BACKOFF), [value]).reason.startswith(reason)


def test_the_limit_of_a_whole_pod_is_a_limit_too():
    found = look(job(BACKOFF), [pod(ended(137, "OOMKilled"), spec={"resources": {"limits": {"memory": "3Gi"}}})])
    assert "its limit is 3Gi" in found.reason


def test_the_main_container_decides_and_a_sidecar_that_ends_with_it_does_not():
    others = ended(137, name="proxy"), ended(3)
    assert look(job(BACKOFF), [pod(*others, spec={"containers": [{"name": "step"}, {"name": "proxy"}]})]).exit_code == 3
    well = ended(143, name="proxy"), ended(0, "Completed")
    found = look(job(BACKOFF), [pod(*well, spec={"containers": [{"name": "step"}, {"name": "proxy"}]})])
    assert found.reason == "its container `proxy` ended with exit status 143 (SIGTERM)"
    native = pod(ended(0, "Completed"), inits=[ended(137, name="proxy")],
                 spec={"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]})  # fmt: skip
    assert "proxy" not in look(job(BACKOFF), [native]).reason


@pytest.mark.parametrize("reason", ["DeadlineExceeded", "PyTorchJobFailed"])
def test_its_own_limit_ends_a_job_as_a_timeout(reason):
    message = "PyTorchJob mlx-1 has failed because it was active longer than specified deadline"
    found = look(job(true("Failed", reason, message)), [pod(ended(143))])
    assert (found.state, found.failure) == (STOPPED, "JobTimeout")


def test_a_training_runtime_that_is_not_supported_is_no_lost_pod():
    found = look(
        job(true("Failed", "TrainingRuntimeNotSupported", "no such runtime"), kind="TrainJob"), [], kind="TrainJob"
    )
    assert (found.state, found.failure) == (FAILED, "JobMisconfigured")


@pytest.mark.parametrize(
    ("restart_policy", "failure"),
    [
        pytest.param("Never", "Preempted", id="a pod that never starts again stays where it failed"),
        pytest.param("OnFailure", None, id="one that does is deleted by the Job controller itself"),
    ],
)
def test_a_missing_pod_was_taken_by_somebody_only_where_the_job_keeps_it(restart_policy, failure):
    found = look(job(BACKOFF, spec={"template": {"spec": {"restartPolicy": restart_policy}}}), [])
    assert found.failure == failure


NODE = {"jobset.sigs.k8s.io/replicatedjob-name": "node"}
AGAIN = {"name": "node", "state": runs()["state"], "lastState": ended(5, at="2026-11-25T10:00:00Z")["state"]}


@pytest.mark.parametrize(
    ("pods", "exit_code", "reason"),
    [
        pytest.param(
            [pod(runs("node"), phase="Running", labels={**NODE, INDEX: "0"}, **deleted(0)),
             pod(AGAIN, phase="Running", labels={**NODE, INDEX: "1"}, **deleted(0))],
            5, "node 1: its container ended with exit status 5", id="what it was before it started again"),
        pytest.param([pod(runs("node"), phase="Running", labels={**NODE, INDEX: "0"}, **deleted(0))],
                     None, "FailedJobs: first failed job: node-0", id="only one that is ended with the others is left"),
        pytest.param([pod(ended(143, name="node"), labels={**NODE, INDEX: "0"}, **deleted(0))],
                     None, "FailedJobs: first failed job: node-0", id="that one has ended by now"),
    ],
)  # fmt: skip
def test_pods_that_a_failed_trainjob_deletes_itself_were_taken_by_nobody(pods, exit_code, reason):
    failed = job(true("Failed", "FailedJobs", "first failed job: node-0"), kind="TrainJob")
    found = look(failed, pods, kind="TrainJob")
    assert (found.state, found.failure, found.exit_code, found.reason) == (FAILED, None, exit_code, reason)


def test_a_pod_of_a_failed_trainjob_that_was_taken_away_says_so():
    evicted = pod(ended(143, name="node"), conditions=[true("DisruptionTarget", "EvictionByEvictionAPI")], **deleted(0))
    found = look(job(true("Failed", "FailedJobs"), kind="TrainJob"), [evicted], kind="TrainJob")
    assert (found.state, found.failure) == (STOPPED, "Preempted")


@pytest.mark.parametrize("reason", sorted(TAKEN_EVENTS))
def test_who_took_a_missing_pod_is_in_its_events(reason):
    event = {"involvedObject": {"kind": "Pod", "name": "mlx-1-abcde"}, "reason": reason, "message": "by whom"}
    assert look(job(BACKOFF), [], [event]).reason == f"its pod was taken away: {TAKEN_EVENTS[reason]}: by whom"


# --- several pods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pods", "exit_code", "reason"),
    [
        pytest.param(
            [rank(0, ended(1, at="2026-11-25T10:00:09Z")), rank(1, ended(7, at="2026-11-25T10:00:02Z"))],
            7, "rank 1: its container ended with exit status 7", id="the first in time, not in rank"),
        pytest.param(
            [rank(2, ended(3)), rank(1, ended(2)), rank(0, runs(), phase="Running")],
            2, "rank 1: its container ended with exit status 2", id="of one time the lower rank"),
        pytest.param(
            [rank(0, ended(143, at="2026-11-25T10:00:20Z"), **deleted(0, 1)), rank(1, ended(5, at="2026-11-25T10:00:00Z"))],
            5, "rank 1: its container ended with exit status 5", id="the others are deleted with the job"),
        pytest.param(
            [rank(0, ended(143, at="2026-11-25T10:05:02Z"), **deleted(5)), rank(1, ended(1, at="2026-11-25T10:09:00Z"))],
            143, "rank 0: somebody deleted its pod", id="a pod that was deleted long before the others broke off"),
        pytest.param(
            [rank(0, ended(4, at="2026-11-25T10:01:00Z"), **deleted(9))],
            4, "rank 0: its container ended with exit status 4", id="a pod that was tidied up after it had failed"),
        pytest.param(
            [rank(0, ended(137, at="2026-11-25T10:00:01Z"), status={"reason": "Evicted"}),
             rank(1, ended(5, at="2026-11-25T10:00:09Z"))],
            137, "rank 0: its node evicted it", id="an eviction has the time at which its process ended"),
        pytest.param(
            [rank(1, ended(1), creationTimestamp="2026-11-25T09:00:00Z"),
             rank(1, ended(2, at="2026-11-25T11:00:00Z"), creationTimestamp="2026-11-25T10:30:00Z")],
            2, "rank 1: its container ended with exit status 2", id="of a rank that was started again the newest"),
    ],
)  # fmt: skip
def test_the_first_pod_that_failed_decides_and_is_named(pods, exit_code, reason):
    found = look(job(BACKOFF), pods)
    assert (found.exit_code, found.reason) == (exit_code, reason)


@pytest.mark.parametrize(
    ("kind", "labels", "name"),
    [
        ("Job", {INDEX: "3"}, "rank 3"),
        ("TrainJob", {"jobset.sigs.k8s.io/replicatedjob-name": "node", INDEX: "1"}, "node 1"),
        (
            "JobSet",
            {"jobset.sigs.k8s.io/replicatedjob-name": "ps", "jobset.sigs.k8s.io/job-index": "2", INDEX: "0"},
            "ps 2/0",
        ),
        (
            "PyTorchJob",
            {"training.kubeflow.org/replica-type": "worker", "training.kubeflow.org/replica-index": "4"},
            "worker 4",
        ),
    ],
)
def test_how_a_pod_is_named(kind, labels, name):
    found = look(job(true("Failed"), kind=kind), [pod(ended(1), labels=labels)], kind=kind)
    assert found.reason.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("Job", {INDEX: "0"}, {INDEX: "1"}),
        ("Job", {INDEX: "2"}, {INDEX: "10"}),
        ("PyTorchJob", {"training.kubeflow.org/replica-type": "master"}, {"training.kubeflow.org/replica-type": "worker"}),
        ("TFJob", {"training.kubeflow.org/replica-type": "chief"}, {"training.kubeflow.org/replica-type": "worker"}),
        ("TFJob", {"training.kubeflow.org/replica-type": "worker"}, {"training.kubeflow.org/replica-type": "ps"}),
        ("MPIJob", {"training.kubeflow.org/replica-type": "launcher"}, {"training.kubeflow.org/replica-type": "worker"}),
        ("TrainJob", {"jobset.sigs.k8s.io/replicatedjob-name": "node"},
         {"jobset.sigs.k8s.io/replicatedjob-name": "dataset-initializer"}),
    ],
)  # fmt: skip
def test_a_job_runs_when_rank_0_does(kind, first, second):
    def running(*pods):
        return look(job(kind=kind), list(pods), kind=kind).running

    started, pending = {"phase": "Running"}, {"phase": "Pending"}
    assert running(pod(runs(), labels=first, **started), pod(waits("ContainerCreating"), labels=second, **pending))
    assert not running(pod(runs(), labels=second, **started), pod(waits("ContainerCreating"), labels=first, **pending))


def test_a_job_whose_initializer_runs_does_not_run_the_users_code_yet():
    initializer = pod(runs(), phase="Running", labels={"jobset.sigs.k8s.io/replicatedjob-name": "model-initializer"})
    assert not look(job(kind="TrainJob"), [initializer], kind="TrainJob").running


def test_a_rank_that_waits_is_told_while_the_others_run():
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    waiting = rank(1, phase="Pending", conditions=[unschedulable])
    found = look(job(), [rank(0, runs(), phase="Running"), waiting])
    assert found == JobStatus(ACTIVE, "rank 1: no node has room: 0/3 nodes", running=True)


def test_a_rank_that_the_quota_refuses_is_told_while_the_others_run():
    event = {"reason": "FailedCreate", "message": 'Error creating: pods "x" is forbidden: exceeded quota: compute'}
    found = look(job(spec={"parallelism": 2}), [rank(0, runs(), phase="Running")], [event])
    assert found.running
    assert "the namespace's quota has no room for it" in found.reason


def test_every_failure_that_is_named_is_one_of_ours():
    rows = [*POD_REASONS.values(), *DISRUPTIONS.values(), *ENDED.values(), *STUCK.values()]
    named = {row[0] for row in rows} | {row[1] for row in REFUSALS if row[1]} | set(GIVEN_UP)
    assert named <= set(REASONS)
