"""What one look at a job means, row by row: the words of Kubernetes, Kueue, Trainer and the training operator."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubernetes.faults import DISRUPTIONS, ENDED, POD_REASONS, STUCK
from airflow_provider_mlx.backends.kubernetes.kinds import KINDS, custom_kind
from airflow_provider_mlx.backends.kubernetes.kueue import HOPELESS
from airflow_provider_mlx.backends.kubernetes.status import GIVEN_UP, Seen, status_of, stop_note
from airflow_provider_mlx.backends.kubernetes.waiting import REFUSALS, TAKEN_EVENTS
from airflow_provider_mlx.jobs.failures import REASONS

ACTIVE, SUCCEEDED, FAILED, STOPPED = State.ACTIVE, State.SUCCEEDED, State.FAILED, State.STOPPED
BACKOFF = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached"}
INDEX = "batch.kubernetes.io/job-completion-index"


def true(kind, reason="", message=""):
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def job(*conditions, kind="Job", labels=None, annotations=None, spec=None, status=None, **metadata):
    return {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": {"name": "mlx-1", "labels": labels or {}, "annotations": annotations or {}, **metadata},
        "spec": {"template": {"spec": {"restartPolicy": "Never"}}, **(spec or {})},
        "status": {"conditions": list(conditions), **(status or {})},
    }


def pod(*containers, phase="Failed", labels=None, conditions=(), inits=(), spec=None, status=None, **metadata):
    return {
        "metadata": {"name": "mlx-1-abcde", "labels": labels or {}, **metadata},
        "spec": {"containers": [{"name": one["name"]} for one in containers] or [{"name": "step"}], **(spec or {})},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": list(containers),
            "initContainerStatuses": list(inits),
            **(status or {}),
        },
    }


def ended(code, reason="Error", at="2026-11-25T10:00:00Z", message=None, name="step"):
    return {
        "name": name,
        "state": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at, "message": message}},
    }


def runs(name="step"):
    return {"name": name, "state": {"running": {"startedAt": "2026-11-25T10:00:00Z"}}}


def waits(reason, message="", name="step"):
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def look(value, pods=None, events=(), workload=None, kind="Job"):
    return status_of(KINDS[kind], Seen(value, pods, events, workload), stop_annotation="mlx/stop")


# --- endings ---------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("reason", sorted(TAKEN_EVENTS))
def test_who_took_a_missing_pod_is_in_its_events(reason):
    event = {"involvedObject": {"kind": "Pod", "name": "mlx-1-abcde"}, "reason": reason, "message": "by whom"}
    assert look(job(BACKOFF), [], [event]).reason == f"its pod was taken away: {TAKEN_EVENTS[reason]}: by whom"


# --- several pods ----------------------------------------------------------------------------------------------------


def rank(number, *containers, **fields):
    return pod(*containers, labels={INDEX: str(number)}, **fields)


def deleted(asked_at, grace=30):
    minute = f"2026-11-25T10:{asked_at:02}"
    return {"deletionTimestamp": f"{minute}:{grace:02}Z", "deletionGracePeriodSeconds": grace}


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


# --- waiting ---------------------------------------------------------------------------------------------------------


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
    import re

    used = {next((row[0] for row in REFUSALS if re.search(row[0], message)), None) for message, _ in DENIED}
    assert used == {row[0] for row in REFUSALS} | {None}


def test_a_refusal_is_forgotten_when_a_pod_was_made_after_it():
    events = [
        {"reason": "FailedCreate", "lastTimestamp": "2026-11-25T10:00:00Z", "message": FORBIDDEN + "exceeded quota: x"},
        {"reason": "SuccessfulCreate", "lastTimestamp": "2026-11-25T10:00:05Z", "message": "Created pod: mlx-1-abcde"},
    ]
    assert look(job(), [], events).reason == "it has no pod yet"
    assert look(job(), [], events[:1]).reason.startswith("the namespace's quota")


# --- suspension, Kueue, stopping -------------------------------------------------------------------------------------

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
    driver = pod(waits("ImagePullBackOff", "no such image", name="spark-kubernetes-driver"), phase="Pending")
    found = status_of(SPARK, Seen({"status": {}}, [driver]), stop_annotation="mlx/stop")
    assert (found.state, found.failure) == (FAILED, "ImageUnavailable")


def test_every_failure_that_is_named_is_one_of_ours():
    rows = [*POD_REASONS.values(), *DISRUPTIONS.values(), *ENDED.values(), *STUCK.values()]
    named = {row[0] for row in rows} | {row[1] for row in REFUSALS if row[1]} | set(GIVEN_UP)
    assert named <= set(REASONS)
