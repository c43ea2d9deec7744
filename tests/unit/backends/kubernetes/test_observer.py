"""What the observer looks at again although nothing has changed."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.base import JobHandle, JobStatus, State
from airflow_provider_mlx.backends.kubernetes import observer as module
from airflow_provider_mlx.backends.kubernetes.kinds import KINDS
from airflow_provider_mlx.backends.kubernetes.observer import KubernetesObserver
from tests.unit.backends.kubernetes.objects import deleted, job, pod, runs

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
        self.says, self.asked = list(says), 0

    def retain(self, names):
        pass

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
