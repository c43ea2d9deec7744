"""
What a real cluster says of jobs: Kubernetes 1.36.3 with containerd, JobSet 0.8.2 and Trainer 2.0.0.

``recorded.jsonl`` holds a look at each: the job's object, its pods and the events, with what nothing reads left out.
"""

from __future__ import annotations

import copy
import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.backends.base import JobStatus, State
from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
from airflow_provider_mlx.backends.kubernetes.status import Seen, has_ended, status_of, stop_note

LOOKS = {
    look["case"]: look for look in map(json.loads, (Path(__file__).parent / "recorded.jsonl").read_text().splitlines())
}
ACTIVE, SUCCEEDED, FAILED, STOPPED = State.ACTIVE, State.SUCCEEDED, State.FAILED, State.STOPPED


def seen(case, **changes):
    look = LOOKS[case]
    return Seen(**{"object": look["object"], "pods": look["pods"], "events": look["events"], **changes})


def kind(case):
    return KINDS[LOOKS[case]["object"]["kind"]]


def status(case, **keys):
    return status_of(kind(case), seen(case), stop_annotation="mlx/stop", **keys)


BACK_OFF = (
    'cannot pull its image: Back-off pulling image "lab.local/none:{0}": ErrImagePull: rpc error: code = NotFound desc = '
    'failed to pull and unpack image "lab.local/none:{0}": failed to resolve reference "lab.local/none:{0}": '
    "lab.local/none:{0}: not found"
)
AWAY = "its pod was taken away: somebody deleted it, or its node was drained or removed"

OVER = [
    ("succeeded", SUCCEEDED, None, None, ""),
    ("exit-3", FAILED, None, 3, "its container ended with exit status 3: ValueError: no rows"),
    ("sigsegv", FAILED, None, 139, "its container ended with exit status 139 (SIGSEGV)"),
    ("oom-killed", FAILED, "OutOfMemory", 137,
     "its container was killed for its memory: its limit is 64Mi → ask for more: Resources(memory=…)"),
    ("disk-limit", FAILED, None, 137,
     "it used more disk than it may: Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "
     "→ ask for more: Resources(disk=…), shm=…"),
    ("init-failed", FAILED, None, None, "its init container `fetch` ended with exit status 7"),
    ("no-such-command", FAILED, "JobMisconfigured", 128,
     "its container could not be started: failed to create containerd task: failed to create shim task: OCI runtime "
     "create failed: runc create failed: unable to start container process: exec: \"no-such-command\": executable file "
     "not found in $PATH: unknown"),
    ("deadline", STOPPED, "JobTimeout", None,
     "it ran longer than its own limit: Job was active longer than specified deadline"),
    ("rank-1-failed", FAILED, None, 9, "rank 1: its container ended with exit status 9"),
    ("exit-policy", FAILED, None, 42, "its container ended with exit status 42"),
    ("pod-deleted", STOPPED, "Preempted", None, AWAY),
    ("rank-1-deleted", STOPPED, "Preempted", None, AWAY),
    ("evicted", STOPPED, "Preempted", None, AWAY),
    ("evicted-policy", STOPPED, "Preempted", None, AWAY),
    ("preempted", STOPPED, "Preempted", None,
     "its pod was taken away: the scheduler took its place for a pod of higher priority: Preempted by pod "
     "9a2c36dd-d755-4586-bd59-1c65dc34177c on node node-b"),
    ("node-gone", STOPPED, "Preempted", None,
     "its pod was taken away: its node was lost, or got a taint that it does not tolerate: Marking for deletion Pod "
     "ml-05f55a61/node-lost-7csl6"),
    ("stopped", STOPPED, None, None, "it was stopped: the task was cleared"),
    ("train-ok", SUCCEEDED, None, None, ""),
    # its containers start again in their pod, which went with the others: only error.json knows more
    ("train-failed", FAILED, None, None,
     "FailedJobs: jobset failed due to one or more job failures (first failed job: train-failed-node-0)"),
    ("set-failed", FAILED, None, 6, "workers 1/0: its container ended with exit status 6"),
]  # fmt: skip

GIVEN_UP = [
    ("image-back-off", "ImageUnavailable", "its container " + BACK_OFF.format(1)),
    ("image-name", "ImageUnavailable",
     "its container names no valid image: Failed to apply default image tag \"Not A Name\": couldn't parse image name "
     "\"Not A Name\": invalid reference format: repository name (library/Not A Name) must be lowercase"),
    ("image-never", "ImageUnavailable",
     "its container may not pull its image, and the node has it not: Container image \"lab.local/none:3\" is not present "
     "with pull policy of Never"),
    ("init-image", "ImageUnavailable", "its init container `fetch` " + BACK_OFF.format(4)),
    ("train-image", "ImageUnavailable", "node 1: its container " + BACK_OFF.format(9)),
    ("secret-missing", "JobMisconfigured", 'its container cannot be configured: secret "hf-token" not found'),
    ("root-image", "JobMisconfigured",
     "its container cannot be configured: container has runAsNonRoot and image will run as root (pod: "
     '"root-image-b7fct_ml-41c18075(4fa05ccb-74be-4bd1-be17-3b3d6956cac6)", container: step)'),
    ("pod-security", "JobMisconfigured",
     'the namespace\'s Pod Security Standard refuses its pod: pods "pod-security-jn2tz" is forbidden: violates '
     'PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "step" must set '
     'securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "step" must set '
     'securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "step" must set '
     'securityContext.runAsNonRoot=true), seccompProfile (pod or container "step" must set '
     'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'),
    ("service-account", "JobMisconfigured",
     'its service account is missing: pods "service-account-" is forbidden: error looking up service account '
     'ml-41c18075/no-such-account: serviceaccount "no-such-account" not found'),
    ("priority-class", "JobMisconfigured",
     'its PriorityClass is missing: pods "priority-class-" is forbidden: no PriorityClass with name no-such-class was '
     "found"),
]  # fmt: skip

GOES_ON = [
    ("running", True, False, ""),
    ("train-running", True, False, ""),
    ("unschedulable", False, False,
     "no node has room: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu. no new claims to deallocate, "
     "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."),
    ("image-first-error", False, False,
     "ErrImagePull of `step`: rpc error: code = NotFound desc = failed to pull and unpack image \"lab.local/none:2\": "
     "failed to resolve reference \"lab.local/none:2\": lab.local/none:2: not found"),
    ("config-map-missing", False, False,
     'a volume cannot be mounted: MountVolume.SetUp failed for volume "c" : configmap "no-such-map" not found'),
    ("quota", False, False,
     'the namespace\'s quota has no room for it: pods "quota-jfjks" is forbidden: exceeded quota: compute, requested: '
     "requests.cpu=4, used: requests.cpu=0, limited: requests.cpu=1"),
    ("suspended", False, False, "it is suspended, and waits for whoever did so"),
    ("train-suspended", False, False, "it is suspended, and waits for whoever did so"),
    ("stopping", True, True, "it is stopping"),
    ("being-deleted", True, True, "it is being deleted"),
    ("pod-being-deleted", True, False, "it is ending: somebody deleted its pod"),
    ("being-evicted", True, False,
     "it is ending: it was evicted by the API, as a drained node does: Eviction API: evicting"),
    ("being-preempted", True, False,
     "it is ending: the scheduler took its place for a pod of higher priority: default-scheduler: preempting to "
     "accommodate a higher priority pod"),
    ("node-lost", True, False,
     "it is ending: its node was lost, or got a taint that it does not tolerate: Taint manager: deleting due to "
     "NoExecute taint"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "state", "failure", "exit_code", "reason"), OVER, ids=[row[0] for row in OVER])
def test_a_job_that_is_over(case, state, failure, exit_code, reason):
    found = status(case)
    assert (found.state, found.failure, found.exit_code, found.reason) == (state, failure, exit_code, reason)
    assert not found.stopping


@pytest.mark.parametrize(("case", "failure", "reason"), GIVEN_UP, ids=[row[0] for row in GIVEN_UP])
def test_a_job_that_kubernetes_would_let_wait_for_ever_is_given_up(case, failure, reason):
    assert status(case) == JobStatus(FAILED, reason, failure)
    assert not has_ended(kind(case), LOOKS[case]["object"])


@pytest.mark.parametrize(("case", "running", "stopping", "reason"), GOES_ON, ids=[row[0] for row in GOES_ON])
def test_a_job_that_goes_on(case, running, stopping, reason):
    assert status(case) == JobStatus(ACTIVE, reason, running=running, stopping=stopping)


def test_every_look_has_its_row():
    assert {row[0] for row in (*OVER, *GIVEN_UP, *GOES_ON)} == set(LOOKS)


@pytest.mark.parametrize("case", [row[0] for row in GIVEN_UP])
def test_a_job_that_was_given_up_stays_so_while_it_is_stopped(case):
    before = status(case)
    stopped = copy.deepcopy(LOOKS[case]["object"])
    stopped["metadata"].setdefault("annotations", {})["mlx/stop"] = stop_note(before)
    after = status_of(kind(case), seen(case, object=stopped), stop_annotation="mlx/stop")
    assert after == before


@pytest.mark.parametrize(
    ("after_seconds", "state"),
    [
        pytest.param(59, ACTIVE, id="within a minute its node may still end it"),
        pytest.param(61, STOPPED, id="after a minute its node is lost"),
    ],
)
def test_a_deleted_pod_that_does_not_go_is_on_a_lost_node(after_seconds, state):
    until = datetime.fromisoformat(LOOKS["node-lost"]["pods"][0]["metadata"]["deletionTimestamp"])
    found = status("node-lost", now=datetime.fromtimestamp(until.timestamp() + after_seconds, until.tzinfo))
    assert found.state is state
    assert found.failure == (None if state is ACTIVE else "Preempted")


def test_the_wait_for_a_lost_node_ends_also_where_the_job_was_stopped_or_deleted():
    until = datetime.fromisoformat(LOOKS["node-lost"]["pods"][0]["metadata"]["deletionTimestamp"])
    later = datetime.fromtimestamp(until.timestamp() + 61, until.tzinfo)
    for metadata in ({"annotations": {"mlx/stop": "cleared"}}, {"deletionTimestamp": "2026-11-25T19:56:45Z"}):
        stopped = copy.deepcopy(LOOKS["node-lost"]["object"])
        stopped["metadata"].update(metadata)
        look = seen("node-lost", object=stopped)
        assert status_of(KINDS["Job"], look, stop_annotation="mlx/stop").stopping
        found = status_of(KINDS["Job"], look, stop_annotation="mlx/stop", now=later)
        assert (found.state, found.failure) == (STOPPED, None)
        assert found.reason.endswith("the node of its pod does not answer")


@pytest.mark.parametrize("case", ["pod-deleted", "evicted", "rank-1-deleted", "node-gone"])
def test_pods_that_nobody_looked_at_are_not_called_missing(case):
    found = status_of(kind(case), seen(case, pods=None, events=()), stop_annotation="mlx/stop")
    assert (found.state, found.failure) == (FAILED, None)


@pytest.mark.parametrize(
    ("case", "running"),
    [("running", True), ("unschedulable", False), ("train-running", False)],  # Trainer 2.0 counts nothing
)
def test_without_a_look_at_the_pods_the_object_counts_them(case, running):
    found = status_of(kind(case), seen(case, pods=None, events=()), stop_annotation="mlx/stop")
    assert found == JobStatus(ACTIVE, running=running)


def test_a_stopped_job_is_waited_for_while_the_object_counts_pods():
    ending = status_of(KINDS["Job"], seen("stopping", pods=None), stop_annotation="mlx/stop")
    assert (ending.state, ending.stopping) == (ACTIVE, True)


# --- total: whatever an API server answers ---------------------------------------------------------------------------

ODD = st.sampled_from(
    [None, True, 0, -1, 2**70, 1.5, "", "x", "True", "2026-11-25T19:55:21Z", [], {}, [None], [[]], {"": None}]
).map(copy.deepcopy)


@st.composite
def damaged(draw):
    """A recorded look, of which some parts are missing or something else."""
    look = copy.deepcopy(draw(st.sampled_from(list(LOOKS.values()))))
    for _ in range(draw(st.integers(1, 6))):
        place, name = look, draw(st.sampled_from(["object", "pods", "events"]))
        while isinstance(place[name], dict | list) and place[name] and draw(st.integers(0, 4)):
            place = place[name]
            name = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if isinstance(place, dict) and place is not look and draw(st.booleans()):
            del place[name]
        else:
            place[name] = draw(ODD)
    return look


@given(look=damaged(), name=st.sampled_from(sorted(KINDS)), workload=ODD)
def test_no_answer_of_any_shape_is_an_error(look, name, workload):
    pods, events = (look[key] if isinstance(look[key], list) else [] for key in ("pods", "events"))
    odd = Seen(look["object"], pods, events, workload)
    found = status_of(KINDS[name], odd, stop_annotation="mlx/stop", now=datetime.fromisoformat("2026-11-25T20:00:00Z"))
    assert isinstance(found, JobStatus)
    assert isinstance(stop_note(found), str)


@pytest.mark.parametrize("case", sorted(LOOKS))
def test_nothing_of_a_pods_environment_gets_into_a_reason(case):
    look = copy.deepcopy(LOOKS[case])
    for pod in look["pods"]:
        for container in pod["spec"]["containers"]:
            container["env"] = [{"name": "TOKEN", "value": "s3cr3t-canary"}]
            container["args"] = ["s3cr3t-canary"]
    found = status_of(kind(case), Seen(look["object"], look["pods"], look["events"]), stop_annotation="mlx/stop")
    assert found == status(case)
    assert "s3cr3t-canary" not in found.reason
