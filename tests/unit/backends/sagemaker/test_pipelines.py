"""Executions of pipelines: requests, parameters, statuses, log lines and bounded looks, without a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.backends.base import JobHandle, State
from airflow_provider_mlx.backends.sagemaker.client import Missing
from airflow_provider_mlx.backends.sagemaker.pipelines import observer as observing
from airflow_provider_mlx.backends.sagemaker.pipelines.backend import PipelineBackend
from airflow_provider_mlx.backends.sagemaker.pipelines.observer import PipelineObserver
from airflow_provider_mlx.backends.sagemaker.pipelines.outcome import Jobs, error_of, result_of
from airflow_provider_mlx.backends.sagemaker.pipelines.parameters import definition_problems, parse_definition
from airflow_provider_mlx.backends.sagemaker.pipelines.request import Marked, display_tail, mark_in, marked, token
from airflow_provider_mlx.backends.sagemaker.pipelines.settings import PipelineSettings, name_of, region_of
from airflow_provider_mlx.backends.sagemaker.pipelines.steps import (
    EXECUTION,
    StepSeen,
    Told,
    job_page,
    line_of,
    parse_step,
    status_of,
)
from airflow_provider_mlx.backends.sagemaker.validation import service_model
from airflow_provider_mlx.exceptions import BackendUnavailable, JobMisconfigured
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/churn"
IDENTITY = TaskInstanceIdentity("prod", "dag", "scheduled__2026-11-23", "train", 3)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def spec(attempt=1, **asked):
    name = IDENTITY.job_name(attempt)
    folder = f"s3://ml-prod/mlx/{IDENTITY.attempt_folder(attempt)}"
    return JobSpec(identity=IDENTITY, attempt=attempt, name=name, outputs_uri=folder, manifest=asked)


def plan(attempt=1, pipeline="churn", region="", **asked):
    return PipelineBackend(PipelineSettings(pipeline=pipeline, region=region)).plan(spec(attempt, **asked))


def problems(pipeline="churn", region="", **asked):
    backend = PipelineBackend(PipelineSettings(pipeline=pipeline, region=region))
    return [str(problem) for problem in backend.problems(spec(**asked))]


# --- requests --------------------------------------------------------------------------------------------------------


def test_the_whole_request():
    request = plan(
        parameters={"Day": "2026-11-23", "Depth": 5, "Rate": 0.5, "Fast": True}, version="7", parallelism=2,
        description="nightly\nrun", display_name="nightly", selected_steps=["Train"],
        source_execution=f"{ARN}/execution/abc123def456",
    )  # fmt: skip
    assert request["request"] == {
        "PipelineName": "churn",
        "PipelineExecutionDisplayName": f"nightly-a{IDENTITY.short_digest}-1",
        "PipelineExecutionDescription": "nightly run",
        "ClientRequestToken": token("start", IDENTITY.digest, "1"),
        "PipelineParameters": [
            {"Name": "Day", "Value": "2026-11-23"},
            {"Name": "Depth", "Value": "5"},
            {"Name": "Rate", "Value": "0.5"},
            {"Name": "Fast", "Value": "true"},
        ],
        "PipelineVersionId": 7,
        "ParallelismConfiguration": {"MaxParallelExecutionSteps": 2},
        "SelectiveExecutionConfig": {
            "SelectedSteps": [{"StepName": "Train"}],
            "SourcePipelineExecutionArn": f"{ARN}/execution/abc123def456",
        },
    }


def test_an_attempt_has_one_token_and_one_name_and_no_other_has_them():
    first, again, second = plan(1)["request"], plan(1)["request"], plan(2)["request"]
    assert first == again
    for field in ("ClientRequestToken", "PipelineExecutionDisplayName"):
        assert first[field] != second[field]
    assert 32 <= len(first["ClientRequestToken"]) <= 128
    assert first["PipelineExecutionDisplayName"] == f"mlx-dag-train-a{IDENTITY.short_digest}-1"
    assert first["PipelineExecutionDisplayName"].endswith(display_tail(IDENTITY.job_name(1)))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param({"parameters": {"A": [1]}}, ["parameters['A']: a list is no value"], id="a list"),
        pytest.param({"parameters": {"A": None}}, ["parameters['A']: a NoneType is no value"], id="nothing"),
        pytest.param({"parameters": {"A": float("nan")}}, ["parameters['A']: nan is no number of JSON"], id="no number"),
        pytest.param(
            {"version": 1.5, "parallelism": 0},
            ["version: 1.5 is no whole number", "parallelism: 0 is no whole number"], id="two numbers at once",
        ),
        pytest.param({"parallelism": True}, ["parallelism: True is no whole number"], id="a boolean is no number"),
        pytest.param({"parameters": {"A": "x" * 1025}}, ["parameters[0].Value: it has 1025 characters"], id="a long value"),
        pytest.param({"display_name": "a b"}, ["display_name: 'a b-a"], id="a name with a space"),
        pytest.param({"description": "x" * 3000}, ["description: it is longer than"], id="a long description"),
        pytest.param(
            {"source_execution": f"{ARN}/execution/x"}, ["source_execution: an execution whose results are used goes"],
            id="a source without steps",
        ),
        pytest.param({"pipeline": "no name"}, ["pipeline: 'no name' does not match"], id="no pipeline's name"),
        pytest.param({"pipeline": ARN, "region": "us-east-1"}, ["region: the pipeline's ARN is of eu-west-1"], id="two regions"),
        pytest.param({"pipeline": ARN, "region": "eu-west-1"}, [], id="an ARN and its region"),
    ],
)  # fmt: skip
def test_what_the_api_does_not_take(asked, said):
    found = problems(**asked)
    assert len(found) == len(said)
    assert all(problem.startswith(words) for problem, words in zip(found, said, strict=True)), found


@pytest.mark.parametrize(
    ("version", "member"),
    [
        (7, {"PipelineVersionId": 7}),
        ("7", {"PipelineVersionId": 7}),
        ("champion", {"PipelineVersionAlias": "champion"}),
    ],
)
def test_a_version_is_a_number_or_an_alias(version, member):
    assert member.items() <= plan(version=version)["request"].items()


def test_a_description_tells_people_and_us():
    mark = Marked("d" * 64, "s3://ml-prod/mlx/runs/a röot/attempt-1")
    assert mark_in(marked("for people, about mlx: all", mark)) == mark
    for foreign in ("", "somebody's own", "mlx:", " mlx:[]", ' mlx:[1,"a"]', " mlx:{"):
        assert mark_in(foreign) == Marked()


@pytest.mark.parametrize(
    ("given", "region", "name"),
    [("churn", "", "churn"), (ARN, "eu-west-1", "churn"), ("arn:nonsense", "", "arn:nonsense")],
)
def test_a_name_and_an_arn(given, region, name):
    assert (region_of(given), name_of(given)) == (region, name)


# --- what a pipeline takes -------------------------------------------------------------------------------------------

DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [
        {"Name": "Day", "Type": "String"},
        {"Name": "Depth", "Type": "Integer", "DefaultValue": 0},
        {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Fast", "Type": "Boolean", "DefaultValue": False},
        {"Name": "Size", "Type": "String", "DefaultValue": "small", "EnumValues": ["small", "large"]},
        {"Name": "Later", "Type": "Tensor", "DefaultValue": 1},
    ],
    "Steps": [
        {"Name": "Prepare", "Type": "Processing"},
        {"Name": "Good", "Type": "Condition", "Arguments": {"IfSteps": [{"Name": "Register"}], "ElseSteps": []}},
    ],
}
DAY = {"Day": "2026-11-23"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(DAY, [], id="what has a default may be left out"),
        pytest.param({}, ["parameters: `Day` (String) has no default and is not given"], id="missing"),
        pytest.param({**DAY, "Dept": "1"}, ["has no parameter `Dept` → did you mean `Depth`?"], id="misspelt"),
        pytest.param({**DAY, "Zzz": "1"}, ["has no parameter `Zzz` → it has `Day`, `Depth`"], id="unknown"),
        pytest.param({**DAY, "Depth": "-5"}, [], id="an integer"),
        pytest.param({**DAY, "Depth": "5.0"}, ["'5.0' is no Integer → the pipeline takes a whole number"], id="a float is none"),
        pytest.param({**DAY, "Depth": "1_000"}, ["'1_000' is no Integer"], id="Python's underscore is none"),
        pytest.param({**DAY, "Rate": "1e-3"}, [], id="a float"),
        pytest.param({**DAY, "Rate": "much"}, ["'much' is no Float"], id="no float"),
        pytest.param({**DAY, "Fast": "True"}, [], id="a boolean in any case"),
        pytest.param({**DAY, "Fast": "1"}, ["'1' is no Boolean → the pipeline takes true or false"], id="no boolean"),
        pytest.param({**DAY, "Size": "huge"}, ["'huge' is none of the values that the pipeline allows → use one of `small`, `large`"], id="enum"),
        pytest.param({**DAY, "Later": "anything"}, [], id="a type of tomorrow is AWS's to judge"),
        pytest.param({"Rate": "x", "Fast": "y", "Nope": "z"}, ["`Nope`", "`Day`", "'x'", "'y'"], id="all at once"),
    ],
)  # fmt: skip
def test_parameters_against_the_definition(given, said):
    definition = parse_definition(json.dumps(DEFINITION))
    body = {"PipelineParameters": [{"Name": name, "Value": value} for name, value in given.items()]}
    found = [str(problem) for problem in definition_problems(definition, body)]
    assert len(found) == len(said), found
    assert all(words in problem for problem, words in zip(found, said, strict=True)), found


def test_selected_steps_are_the_pipelines_those_of_branches_too():
    definition = parse_definition(json.dumps(DEFINITION))
    body = {"PipelineParameters": [{"Name": "Day", "Value": "x"}]}
    names = [{"StepName": "Register"}, {"StepName": "Prepar"}]
    (problem,) = definition_problems(definition, {**body, "SelectiveExecutionConfig": {"SelectedSteps": names}})
    assert "has no step `Prepar` → did you mean `Prepare`?" in str(problem)


@pytest.mark.parametrize("text", ["", "[]", '{"Steps": 1}', '{"Parameters": [{}], "Steps": []}'])
def test_a_definition_that_we_do_not_understand_is_left_to_sagemaker(text):
    assert parse_definition(text) is None


# --- statuses and lines ----------------------------------------------------------------------------------------------


def test_every_status_of_the_service_model_has_a_row():
    assert set(EXECUTION) == set(service_model().shape_for("PipelineExecutionStatus").enum)


@pytest.mark.parametrize(
    ("word", "state", "stopping"),
    [
        ("Executing", State.ACTIVE, False),
        ("Stopping", State.ACTIVE, True),
        ("Stopped", State.STOPPED, False),
        ("Failed", State.FAILED, False),
        ("CompletedWithFailures", State.FAILED, False),
        ("Succeeded", State.SUCCEEDED, False),
        ("Paused", State.UNKNOWN, False),
    ],
)
def test_statuses(word, state, stopping):
    found = status_of(word, "why")
    assert (found.state, found.stopping) == (state, stopping)
    assert found.reason == {
        "Failed": "why",
        "CompletedWithFailures": "why",
        "Paused": "SageMaker says `Paused`, which is not known here",
    }.get(word, "")


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def step(name, status, started=0, ended=None, **fields):
    return StepSeen(name, status, started=at(started), ended=None if ended is None else at(ended), **fields)


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({"TrainingJob": {"Arn": "a/t"}}, ("Training", "a/t", "", "training")),
        ({"ProcessingJob": {"Arn": "a/p"}}, ("Processing", "a/p", "", "processing")),
        ({"TransformJob": {"Arn": "a/x"}}, ("Transform", "a/x", "", None)),
        ({"QualityCheck": {"CheckJobArn": "a/q"}}, ("QualityCheck", "a/q", "", None)),
        ({"Condition": {"Outcome": "True"}}, ("Condition", "", "True", None)),
        ({"Fail": {"ErrorMessage": "too bad a model"}}, ("Fail", "", "too bad a model", None)),
        ({"EMR": {"ClusterId": "j-1"}}, ("EMR", "", "", None)),
        ({}, ("", "", "", None)),
    ],
)
def test_kinds_of_steps(metadata, found):
    seen = parse_step({"StepName": "S", "StepStatus": "Executing", "Metadata": metadata})
    assert (seen.type, seen.arn, seen.said, seen.kind) == found


def test_iterations_of_a_step_are_told_apart():
    told = {"StepName": "Fold", "StepStatus": "Executing", "IterationContext": {"ParentStepName": "All", "Index": 0}}
    assert parse_step(told).name == "Fold[0]"


@pytest.mark.parametrize(
    ("seen", "ending", "line"),
    [
        (step("A", "Executing", type="Training", arn="x/job-1"), False, "step `A` (Training) executes: job-1"),
        (step("A", "Succeeded", 0, 61.4, type="Training"), True, "step `A` (Training) succeeded after 61 s"),
        (step("A", "Failed", 0, 3, reason="ClientError: no"), True, "step `A` failed after 3 s: ClientError: no"),
        (step("A", "Stopped", 0, 3), True, "step `A` stopped after 3 s"),
        (step("C", "Succeeded", 0, 0, type="Condition", said="True"), True, "step `C` (Condition) succeeded after 0 s (True)"),
        (
            step("A", "Succeeded", cached="arn:x/execution/old"), True,
            "step `A` succeeded: the result of arn:x/execution/old counts, it did not run",
        ),
    ],
)  # fmt: skip
def test_lines(seen, ending, line):
    assert line_of(seen, ending=ending) == line


def test_who_begins_anew_says_the_same_lines_in_the_same_order():
    looks = [
        [step("A", "Starting")],
        [step("A", "Executing")],
        [step("A", "Executing"), step("B", "Executing", 5)],
        [step("A", "Stopping"), step("B", "Failed", 5, 8)],
        [step("A", "Stopped", 0, 9), step("B", "Failed", 5, 8)],
    ]
    cursor, lines = "", []
    for look in looks:
        told = Told(cursor)
        lines += [line_of(seen, ending=ending).split(" after")[0] for seen, ending in told.news(look)]
        cursor = str(told)
    anew = [line_of(seen, ending=ending).split(" after")[0] for seen, ending in Told().news(looks[-1])]
    assert lines == anew == ["step `A` executes", "step `B` executes", "step `B` failed", "step `A` stopped"]
    assert Told(cursor).news(looks[-1]) == []


def test_only_training_and_processing_jobs_have_a_page():
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/pipelines-x"
    assert job_page(arn).endswith("?region=eu-west-1#/jobs/pipelines-x")
    assert job_page(arn.replace("training-job", "model")) == job_page("") == ""


# --- what an execution leaves ----------------------------------------------------------------------------------------


class Aws:
    """Answers by operation, and counts."""

    def __init__(self, **answers):
        self.answers, self.calls = answers, []

    def call(self, operation, /, service="sagemaker", **request):
        self.calls.append(operation)
        answer = self.answers[operation]
        if callable(answer):
            answer = answer(**request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        pass


def execution(status="Succeeded", **fields):
    arn = f"{ARN}/execution/one"
    return {"PipelineArn": ARN, "PipelineExecutionArn": arn, "PipelineExecutionStatus": status, **fields}


def test_the_jobs_of_steps_are_asked_for_once_and_a_removed_one_is_no_error():
    steps = [
        step("T", "Succeeded", 0, 9, type="Training", arn="a/t"),
        step("P", "Succeeded", 0, 9, type="Processing", arn="a/p"),
        step("M", "Succeeded", 0, 9, type="Model", arn="a/m"),
        step("F", "Failed", 0, 9, type="Training", arn="a/f"),
    ]
    aws = Aws(
        describe_training_job={"ModelArtifacts": {"S3ModelArtifacts": "s3://m/model.tar.gz"}},
        describe_processing_job=Missing("gone"),
    )
    result = result_of(execution(), steps, Jobs(aws, steps))
    found = result["outputs"]["return_value"]["value"]["steps"]
    assert aws.calls == ["describe_training_job", "describe_processing_job"]
    assert found["T"]["model"] == "s3://m/model.tar.gz"
    assert found["M"] == {"type": "Model", "status": "Succeeded", "arn": "a/m", "seconds": 9.0}
    assert [one["uri"] for one in result["datasets"]["written"]] == ["s3://m/model.tar.gz"]


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("ClientError: AlgorithmError: See job logs for more information, exit code: 1", "StepFailed"),
        ("ClientError: CapacityError: Unable to provision requested ML compute capacity", "CapacityUnavailable"),
        ("ClientError: ResourceLimitExceeded: The account-level service limit", "CapacityUnavailable"),
        ("ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: not valid", "JobMisconfigured"),
    ],
)
def test_why_a_step_failed_decides_what_follows(reason, failure):
    steps = [step("B", "Failed", 0, 9, reason="later"), step("A", "Failed", 0, 5, reason=reason)]
    error = error_of(Aws(), execution("Failed"), steps)
    assert error["reason"] == failure
    assert error["message"].splitlines() == [f"step `A` failed: {reason}", "  so did `B`"]


def test_a_pipeline_that_fails_without_a_step_says_its_own_reason():
    error = error_of(Aws(), execution("Failed", FailureReason="The role cannot be assumed"), [])
    assert error["message"] == "the pipeline failed: The role cannot be assumed"


def test_what_a_job_printed_is_made_harmless_and_short():
    printed = ["\x1b[31mred\x1b[0m\tand", "x" * 9999]
    aws = Aws(
        describe_log_streams={"logStreams": [{"logStreamName": "job-1/algo-1-1"}]},
        get_log_events={"events": [{"timestamp": n, "message": line} for n, line in enumerate(printed)]},
    )
    failed = step("T", "Failed", 0, 9, type="Training", arn="a/job-1", reason="ClientError: AlgorithmError: no")
    message = error_of(aws, execution("Failed"), [failed])["message"]
    first, second = message.splitlines()[-2:]
    assert first == "  | [31mred[0m\tand"
    assert len(second) < 600


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        pytest.param(Missing("no group"), [], id="nothing was printed"),
        pytest.param(
            JobMisconfigured("may not do logs:DescribeLogStreams"),
            ["  the log of job-1 cannot be read: may not do logs:DescribeLogStreams"], id="no right",
        ),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_had_is_no_obstacle(answer, lines):
    failed = step("T", "Failed", 0, 9, type="Training", arn="a/job-1", reason="ClientError: AlgorithmError: no")
    message = error_of(Aws(describe_log_streams=answer), execution("Failed"), [failed])["message"]
    assert message.splitlines()[2:] == (["  last lines of that job's log:", *lines] if lines else [])


# --- many at once ----------------------------------------------------------------------------------------------------


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
    with pytest.raises(BackendUnavailable):
        PipelineObserver(Aws(describe_pipeline_execution=BackendUnavailable("throttled"))).observe(jobs, 2.0)


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


def test_a_worker_that_watches_one_waits_for_its_change(monkeypatch):
    (job,) = handles(1)
    words = iter(["Executing", "Executing", "Succeeded"])
    slept = []
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds):
        slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(observing, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    observer = PipelineObserver(Aws(describe_pipeline_execution=lambda **_: execution(next(words))), waits=True)
    assert observer.observe([job], 60.0)[job.name].state is State.SUCCEEDED
    assert sum(slept) < 3


def test_a_handle_whose_arn_was_lost_sends_a_worker_to_find_it():
    aws = Aws()
    observer = PipelineObserver(aws)
    bare = JobHandle("sagemaker_pipeline", "job")
    assert observer.observe([bare], 2.0)["job"].state is State.ABSENT
    assert observer.follow(bare, "").lines == ()
    assert observer.observe([bare], 2.0)["job"].state is State.ABSENT
    assert aws.calls == []
    assert PipelineBackend(PipelineSettings(pipeline="churn")).observer_of(bare) is None


# --- links -----------------------------------------------------------------------------------------------------------


def test_a_link_is_studio_or_what_the_task_says():
    location = {"region": "eu-west-1", "pipeline": ARN, "execution": f"{ARN}/execution/one"}
    handle = JobHandle("sagemaker_pipeline", "job", location=location)
    studio = PipelineBackend(PipelineSettings(pipeline="churn")).link(handle)
    assert studio == "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/studio"
    own = PipelineSettings(pipeline="churn", console_url="https://studio/{pipeline}/{execution}")
    assert PipelineBackend(own).link(handle) == "https://studio/churn/one"
