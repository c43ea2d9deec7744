"""Many executions at once, in bounded looks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_mlx.backends.base import ConnectionRefused, JobHandle, State
from airflow_provider_mlx.backends.sagemaker.client import Missing
from airflow_provider_mlx.backends.sagemaker.pipelines import observer as observing
from airflow_provider_mlx.backends.sagemaker.pipelines.backend import PipelineBackend
from airflow_provider_mlx.backends.sagemaker.pipelines.observer import PipelineObserver
from airflow_provider_mlx.backends.sagemaker.pipelines.settings import PipelineSettings
from airflow_provider_mlx.exceptions import BackendUnavailable
from tests.unit.backends.sagemaker.pipelines.made import ARN, NOON, Aws, execution


@pytest.fixture
def clock(monkeypatch):
    """The observer's clock, which a test moves; sleeping moves it too."""
    made = SimpleNamespace(now=100.0)

    def sleep(seconds):
        made.now += seconds

    monkeypatch.setattr(observing, "time", SimpleNamespace(monotonic=lambda: made.now, sleep=sleep))
    return made


def handles(count, pipeline=ARN):
    return [
        JobHandle("sagemaker_pipeline", f"{pipeline}-{number}", location={"pipeline": pipeline, "execution": f"{pipeline}/{number}"})
        for number in range(count)
    ]  # fmt: skip


def entries(jobs, status="Executing"):
    return [{"PipelineExecutionArn": job.location["execution"], "PipelineExecutionStatus": status} for job in jobs]


def test_two_hundred_executions_are_one_list_and_not_asked_again_at_once():
    jobs = handles(200)
    pages = {None: entries(jobs[:100]), "2": entries(jobs[100:])}

    def listed(NextToken=None, **_):
        return {"PipelineExecutionSummaries": pages[NextToken], **({"NextToken": "2"} if NextToken is None else {})}

    aws = Aws(list_pipeline_executions=listed)
    observer = PipelineObserver(aws)
    assert {status.state for status in observer.observe(jobs, 2.0).values()} == {State.ACTIVE}
    observer.observe(jobs, 2.0)
    assert aws.calls == ["list_pipeline_executions"] * 2


def test_a_look_makes_a_bounded_number_of_calls_and_the_others_come_next():
    jobs = [job for number in range(30) for job in handles(1, f"{ARN}{number}")]
    aws = Aws(describe_pipeline_execution=execution("Executing"))
    observer = PipelineObserver(aws)
    first = observer.observe(jobs, 2.0)
    assert len(aws.calls) == observing.CALLS
    assert sum(status.state is State.UNKNOWN for status in first.values()) == 30 - observing.CALLS
    assert {status.state for status in observer.observe(jobs, 2.0).values()} == {State.ACTIVE}


def test_a_pipeline_without_an_answer_does_not_hold_up_the_others():
    jobs = [*handles(1, "a"), *handles(1, "b")]

    def described(PipelineExecutionArn):
        return BackendUnavailable("throttled") if PipelineExecutionArn == "a/0" else execution("Succeeded")

    found = PipelineObserver(Aws(describe_pipeline_execution=described)).observe(jobs, 2.0)
    assert {name: status.state for name, status in found.items()} == {"a-0": State.UNKNOWN, "b-0": State.SUCCEEDED}
    assert found["a-0"].reason == "throttled"


def test_while_there_is_no_answer_less_and_less_is_asked_and_what_is_over_stays_over(clock):
    (first, second), answers = handles(2), {}
    aws = Aws(describe_pipeline_execution=lambda PipelineExecutionArn: answers[PipelineExecutionArn])
    answers |= {f"{ARN}/0": execution("Succeeded"), f"{ARN}/1": execution("Executing")}
    observer = PipelineObserver(aws)
    observer.observe([first, second], 2.0)
    answers |= dict.fromkeys(answers, BackendUnavailable("throttled"))
    asked = []
    for _ in range(60):
        clock.now += 2.0
        before = len(aws.calls)
        found = observer.observe([first, second], 2.0)
        asked.append(len(aws.calls) - before)
    assert [found[job.name].state for job in (first, second)] == [State.SUCCEEDED, State.UNKNOWN]
    assert sum(asked) < 12
    answers |= dict.fromkeys(answers, execution("Succeeded"))
    clock.now += 30.0
    assert observer.observe([first, second], 2.0)[second.name].state is State.SUCCEEDED


def test_the_credentials_that_are_not_taken_are_for_the_watcher():
    with pytest.raises(ConnectionRefused):
        PipelineObserver(Aws(describe_pipeline_execution=ConnectionRefused("expired"))).observe(handles(1), 2.0)


def test_executions_far_back_in_the_list_are_asked_for_in_turn(clock):
    jobs = handles(50)
    aws = Aws(
        list_pipeline_executions={"PipelineExecutionSummaries": []}, describe_pipeline_execution=execution("Executing")
    )
    observer, asked = PipelineObserver(aws), []
    aws.answers["describe_pipeline_execution"] = lambda PipelineExecutionArn: (
        asked.append(PipelineExecutionArn) or execution("Executing")
    )
    for _ in range(6):
        clock.now += 60.0
        observer.observe(jobs, 2.0)
    assert len(set(asked)) == 50
    assert max(map(asked.count, asked)) - min(map(asked.count, set(asked))) <= 1


def test_an_execution_that_is_gone_is_absent():
    (job,) = handles(1)
    found = PipelineObserver(Aws(describe_pipeline_execution=Missing("gone"))).observe([job], 2.0)
    assert found[job.name].state is State.ABSENT


def test_steps_are_followed_for_who_shows_them_and_taken_once():
    (job,) = handles(1)
    told = {"StepName": "A", "StepStatus": "Executing", "StartTime": NOON}
    aws = Aws(
        describe_pipeline_execution=execution("Executing"),
        list_pipeline_execution_steps={"PipelineExecutionSteps": [told]},
    )
    observer = PipelineObserver(aws)
    observer.observe([job], 2.0)
    assert "list_pipeline_execution_steps" not in aws.calls, "nobody shows them"
    assert observer.follow(job, "").lines == ()
    observer.observe([job], 2.0)
    chunk = observer.follow(job, "")
    assert chunk.lines == ("step `A` executes",)
    assert observer.follow(job, chunk.cursor).lines == ()
    assert observer.follow(job, "").lines == (), "whoever begins anew is followed from the start"
    observer.observe([job], 2.0)
    assert observer.follow(job, "").lines == ("step `A` executes",)


def test_a_worker_that_watches_one_waits_for_its_change(clock):
    (job,) = handles(1)
    words = iter(["Executing", "Executing", "Succeeded"])
    began = clock.now
    observer = PipelineObserver(Aws(describe_pipeline_execution=lambda **_: execution(next(words))), waits=True)
    assert observer.observe([job], 60.0)[job.name].state is State.SUCCEEDED
    assert clock.now - began < 3


def test_a_handle_whose_arn_was_lost_sends_a_worker_to_find_it():
    aws = Aws()
    observer = PipelineObserver(aws)
    bare = JobHandle("sagemaker_pipeline", "job")
    assert observer.observe([bare], 2.0)["job"].state is State.ABSENT
    assert observer.follow(bare, "").lines == ()
    assert observer.observe([bare], 2.0)["job"].state is State.ABSENT
    assert aws.calls == []
    assert PipelineBackend(PipelineSettings(pipeline="churn")).observer_of(bare) is None
