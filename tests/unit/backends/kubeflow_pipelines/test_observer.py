"""Many runs at once: what is asked, how much of it, and what is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_mlx.backends.base import JobHandle, LogChunk, State
from airflow_provider_mlx.backends.kubeflow_pipelines import observer as module
from airflow_provider_mlx.backends.kubeflow_pipelines.access import ServerAccess
from airflow_provider_mlx.backends.kubeflow_pipelines.client import KubeflowPipelinesClient
from airflow_provider_mlx.backends.kubeflow_pipelines.looking import Looking
from airflow_provider_mlx.backends.kubeflow_pipelines.names import run_id
from airflow_provider_mlx.backends.kubeflow_pipelines.observer import KubeflowPipelinesObserver
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.unit.backends.kubeflow_pipelines.objects import detail
from tests.unit.backends.kubeflow_pipelines.server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


class Log:
    """A log that is followed."""

    def __init__(self):
        self.running, self.closed = set(), False

    def take(self, job, cursor):
        return LogChunk((f"line of {job.name}",), "1")

    def retain(self, jobs):
        self.running = {job.name for job in jobs}

    def close(self):
        self.closed = True


@pytest.fixture
def followed():
    return Log()


@pytest.fixture
def observer(server, followed) -> Iterator[KubeflowPipelinesObserver]:
    client = KubeflowPipelinesClient(lambda: ServerAccess(server.url), sleep=lambda seconds: None)
    made = KubeflowPipelinesObserver(client, Looking(client, lambda run, pod: ()), followed)
    yield made
    made.close()


def put(server, *names, state="RUNNING", begun=True):
    for name in names:
        details = [detail("executor", "RUNNING" if begun else "PENDING")]
        server.runs[run_id(name)] = {
            "run_id": run_id(name), "state": state, "run_details": {"task_details": details},
        }  # fmt: skip
    return [JobHandle("kubeflow_pipelines", name) for name in names]


def states(observer, jobs):
    return {name: status.state for name, status in observer.observe(jobs, 0.0).items()}


def test_hundreds_of_running_jobs_are_a_few_questions_without_answers(server, observer):
    jobs = put(server, *(f"job-{number}" for number in range(240)))
    for _ in range(240 // module.WHOLE):
        observer.observe(jobs, 0.0)
    assert set(states(observer, jobs).values()) == {State.ACTIVE}
    server.asked.clear()
    observer.observe(jobs, 0.0)
    filters = [json.loads(one.query["filter"])["predicates"] for one in server.asked]
    assert [len(one[0]["string_values"]["values"]) for one in filters] == [100, 100, 40]
    assert {tuple(one[1]["string_values"]["values"]) for one in filters} == {module.ENDED}
    server.runs[run_id("job-7")]["state"] = "SUCCEEDED"
    del server.runs[run_id("job-8")]
    assert (seen := states(observer, jobs))["job-7"] is State.SUCCEEDED
    assert seen["job-8"] is State.ACTIVE, "it is missed when they are counted"


def test_a_job_that_somebody_deleted_is_missed(server, observer, monkeypatch):
    monkeypatch.setattr(module, "PRESENCE_SECONDS", 0.0)
    jobs = put(server, "one", "two")
    assert set(states(observer, jobs).values()) == {State.ACTIVE}
    del server.runs[run_id("two")]
    assert states(observer, jobs) == {"one": State.ACTIVE, "two": State.ABSENT}


def test_a_job_that_was_never_made_is_absent(server, observer):
    assert states(observer, [JobHandle("kubeflow_pipelines", "nobody")]) == {"nobody": State.ABSENT}


def test_what_waits_is_read_until_it_has_begun(server, observer, followed, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_PER_WAITING_RUN", 0.0)
    jobs = put(server, "one", begun=False)
    assert not observer.observe(jobs, 0.0)["one"].running
    assert observer.follow(jobs[0], "") == LogChunk((), "")
    put(server, "one")
    assert observer.observe(jobs, 0.0)["one"].running
    assert followed.running == {"one"}
    assert observer.follow(jobs[0], "").lines == ("line of one",)


def test_a_run_that_is_being_stopped_is_told_so(server, observer):
    jobs = put(server, "one")
    observer.observe(jobs, 0.0)
    server.runs[run_id("one")]["state"] = "CANCELING"
    assert observer.observe(jobs, 0.0)["one"].stopping


def test_what_is_over_is_not_asked_for_again_and_what_nobody_waits_for_is_forgotten(server, observer, followed):
    jobs = put(server, "one", "two")
    observer.observe(jobs, 0.0)
    server.runs[run_id("one")]["state"] = "FAILED"
    observer.observe(jobs, 0.0)
    server.asked.clear()
    assert states(observer, jobs)["one"] is State.FAILED
    (asked,) = server.asked
    assert run_id("one") not in asked.query["filter"]
    observer.observe([], 0.0)
    assert followed.running == set()
    server.asked.clear()
    observer.observe([], 0.0)
    assert server.asked == [], "nobody waits, and nobody is asked"


def test_no_answer_is_no_status(server, observer):
    jobs = put(server, "one")
    server.faults = [503] * 3
    with pytest.raises(BackendUnavailable):
        observer.observe(jobs, 0.0)
    assert states(observer, jobs) == {"one": State.ACTIVE}


def test_its_logs_end_with_it(observer, followed):
    observer.close()
    assert followed.closed


def test_a_run_of_somebody_elses_is_known_by_its_own_id_and_may_be_one_of_ours(server, observer, followed):
    (job,) = put(server, "one")
    waited_for = JobHandle("kubeflow_pipelines", "of-somebody", id=run_id("one"))
    server.runs["theirs"] = {**server.runs[run_id("one")], "run_id": "theirs", "state": "SUCCEEDED"}
    theirs = JobHandle("kubeflow_pipelines", "theirs", id="theirs")
    assert states(observer, [job, waited_for, theirs]) == {
        "one": State.ACTIVE, "of-somebody": State.ACTIVE, "theirs": State.SUCCEEDED,
    }  # fmt: skip
    assert followed.running >= {"one", "of-somebody"}
    assert observer.follow(waited_for, "").lines == ("line of of-somebody",)
