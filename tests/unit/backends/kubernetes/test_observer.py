"""What the observer looks at again although nothing has changed."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import JobHandle, JobStatus, State
from airflow_provider_mlx.backends.kubernetes import observer as module
from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
from airflow_provider_mlx.backends.kubernetes.observer import KubernetesObserver
from airflow_provider_mlx.backends.kubernetes.status import Seen, has_failed, status_of
from tests.unit.backends.kubernetes.objects import BACKOFF, deleted, ended, job, pod, runs, true
from tests.unit.backends.kubernetes.test_recorded import LOOKS

RUNS = JobStatus(State.ACTIVE, running=True)
LOST = JobStatus(State.STOPPED, "its node does not answer", "Preempted", running=True)
HANDLE = JobHandle("kubernetes", "mlx-1", id="uid")


class Watch:
    """A collection that never changes."""

    answered, changes = True, 1

    def __init__(self, found):
        self.found = found

    def start(self):
        pass

    check = start

    def get(self, name):
        return self.found

    of = get


class Looks:
    """Says one status after another."""

    def __init__(self, *says):
        self.says, self.asked, self.found = list(says), 0, 0

    def retain(self, names):
        pass

    def find(self, name):
        self.found += 1

    def status(self, job, pods):
        self.asked += 1
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


def observer_of(looks, one_pod):
    made = KubernetesObserver(None, KINDS["Job"], looks, "ml")
    made._jobs, made._pods = Watch(job(labels={}, resourceVersion="1")), Watch([one_pod])
    made._watches = [made._jobs, made._pods]
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "NEXT_QUESTION_SECONDS", 0.0)


def test_a_pod_that_is_deleted_on_a_lost_node_is_seen_as_lost_though_nothing_changes_any_more():
    observer = observer_of(Looks(RUNS, LOST), pod(runs(), phase="Running", resourceVersion="1", **deleted(0)))
    assert observer.observe((HANDLE,), 0)["mlx-1"] == RUNS
    assert observer.observe((HANDLE,), 0)["mlx-1"] == LOST


def test_a_job_that_runs_is_looked_at_when_something_changes():
    looks = Looks(RUNS)
    observer = observer_of(looks, pod(runs(), phase="Running", resourceVersion="1"))
    for _ in range(3):
        assert observer.observe((HANDLE,), 0)["mlx-1"] == RUNS
    assert looks.asked == 1
    observer._pods.found = [pod(runs(), phase="Running", resourceVersion="2")]
    observer.observe((HANDLE,), 0)
    assert looks.asked == 2


STILL_KEPT = [case for case, look in LOOKS.items() if not has_failed(KINDS[look["object"]["kind"]], look["object"])]


@pytest.mark.parametrize("case", STILL_KEPT)
def test_what_is_kept_of_an_object_is_judged_as_the_whole(case):
    whole, kind = LOOKS[case], KINDS[LOOKS[case]["object"]["kind"]]
    pods = whole["pods"]
    kept = Seen(
        module._job(whole["object"], kind),
        None if pods is None else [module._pod(one) for one in pods],
        whole["events"],
    )
    assert status_of(kind, kept, stop_annotation="mlx/stop") == status_of(
        kind, Seen(whole["object"], pods, whole["events"]), stop_annotation="mlx/stop"
    )


def test_a_sidecar_and_the_scheduler_are_known_of_a_kept_pod():
    sidecar = {"name": "proxy", "restartPolicy": "Always", "resources": {}, "image": "proxy:1"}
    kept = module._pod(pod(runs(), spec={"initContainers": [sidecar], "schedulerName": "kai-scheduler"}))
    assert kept["spec"]["schedulerName"] == "kai-scheduler"
    assert kept["spec"]["initContainers"] == [{"name": "proxy", "restartPolicy": "Always", "resources": {}}]


def test_a_job_that_failed_is_read_whole_and_one_that_succeeded_is_not():
    looks = Looks(RUNS)
    observer = observer_of(looks, pod(ended(0), phase="Succeeded", resourceVersion="1"))
    observer._jobs.found = job(true("Complete"), resourceVersion="1")
    observer.observe((HANDLE,), 0)
    assert (looks.asked, looks.found) == (1, 0)
    observer._jobs.found = job(BACKOFF, resourceVersion="2")
    observer._pods.found = []
    observer.observe((HANDLE,), 0)
    assert (looks.asked, looks.found) == (1, 1)
