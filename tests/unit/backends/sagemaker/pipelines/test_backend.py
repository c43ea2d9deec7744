"""Finding executions again, writing down what they left, links."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.backends.base import JobHandle
from airflow_provider_mlx.backends.sagemaker.client import Missing
from airflow_provider_mlx.backends.sagemaker.pipelines.backend import PipelineBackend
from airflow_provider_mlx.backends.sagemaker.pipelines.request import display_tail, marked
from airflow_provider_mlx.backends.sagemaker.pipelines.settings import PipelineSettings
from airflow_provider_mlx.step.spec import request_digest
from tests.unit.backends.sagemaker.pipelines.made import ARN, IDENTITY, Aws, backend_on, execution, plan, spec


def summaries(*names):
    return [{"PipelineExecutionArn": f"{ARN}/execution/{name}", "PipelineExecutionDisplayName": name} for name in names]


def test_an_execution_whose_answer_was_lost_is_found_by_its_display_name():
    job = IDENTITY.job_name(1)
    pages = {
        None: summaries("execution-1", f"nightly{display_tail(IDENTITY.job_name(2))}"),
        "2": summaries(f"x{display_tail(job)}"),
    }

    def listed(NextToken=None, **_):
        return {"PipelineExecutionSummaries": pages[NextToken], **({"NextToken": "2"} if NextToken is None else {})}

    described = marked("for people", "d" * 64)
    aws = Aws(
        list_pipeline_executions=listed,
        describe_pipeline_execution=execution("Executing", PipelineExecutionDescription=described),
    )
    found = backend_on(aws).find(job)
    assert found.handle.location["execution"] == f"{ARN}/execution/x{display_tail(job)}"
    assert (found.handle.location["region"], found.request_digest) == ("eu-west-1", "d" * 64)
    assert backend_on(aws).find(IDENTITY.job_name(3)) is None


def test_a_search_has_an_end_and_a_pipeline_that_is_gone_has_no_executions():
    endless = Aws(list_pipeline_executions={"PipelineExecutionSummaries": [], "NextToken": "more"})
    assert backend_on(endless).find("step-a0123456789abcdef-1") is None
    assert len(endless.calls) == 50
    assert backend_on(Aws(list_pipeline_executions=Missing("gone"))).find("step-a0123456789abcdef-1") is None


def test_a_start_looks_for_its_execution_first_and_checks_nothing_then():
    request = plan(1)
    described = marked("for people", request_digest(request))
    name = request["request"]["PipelineExecutionDisplayName"]
    aws = Aws(
        list_pipeline_executions={"PipelineExecutionSummaries": summaries(name)},
        describe_pipeline_execution=execution("Executing", PipelineExecutionDescription=described),
    )
    assert backend_on(aws).submit(request).id == f"{ARN}/execution/{name}"
    assert aws.calls == ["list_pipeline_executions", "describe_pipeline_execution"]


def finished(tmp_path, *, status="Succeeded"):
    """A backend whose one execution is over, and an attempt's folder."""
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    (folder / "context.json").write_text(json.dumps({"step": {"job": "job-1"}}))
    described = marked("for people", "d" * 64)
    aws = Aws(
        describe_pipeline_execution=execution(status, PipelineExecutionDescription=described, FailureReason="why"),
        list_pipeline_execution_steps={"PipelineExecutionSteps": []},
    )
    backend = backend_on(aws)
    handle = JobHandle("sagemaker_pipeline", "job-1", location={"execution": f"{ARN}/execution/one"})
    return backend, handle, folder, aws


@pytest.mark.parametrize(
    ("status", "file"),
    [("Succeeded", "result.json"), ("Failed", "error.json"), ("CompletedWithFailures", "error.json")],
)
def test_what_is_left_is_written_once(tmp_path, status, file):
    backend, handle, folder, aws = finished(tmp_path, status=status)
    backend.collect(handle, {"outputs": folder.as_uri()})
    calls = len(aws.calls)
    first = (folder / file).read_text()
    backend.collect(handle, {"outputs": folder.as_uri()})
    assert (folder / file).read_text() == first
    assert json.loads(first)["step"] == {"job": "job-1"}
    assert aws.calls[calls:] == ["describe_pipeline_execution"], "what is there is not made again"


@pytest.mark.parametrize("status", ["Executing", "Stopping"])
def test_of_what_is_not_over_nothing_is_written(tmp_path, status):
    backend, handle, folder, _ = finished(tmp_path, status=status)
    backend.collect(handle, {"outputs": folder.as_uri()})
    assert [path.name for path in folder.iterdir()] == ["context.json"]


def test_of_what_was_stopped_only_its_steps_are_written(tmp_path):
    backend, handle, folder, _ = finished(tmp_path, status="Stopped")
    backend.collect(handle, {"outputs": folder.as_uri()})
    assert sorted(path.name for path in folder.iterdir()) == ["context.json", "tasks.json"]


def test_a_link_is_studio_or_what_the_task_says():
    location = {"region": "eu-west-1", "pipeline": ARN, "execution": f"{ARN}/execution/one"}
    handle = JobHandle("sagemaker_pipeline", "job", location=location)
    studio = PipelineBackend(PipelineSettings(pipeline="churn")).link(handle)
    assert studio == "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/studio"
    own = PipelineSettings(pipeline="churn", console_url="https://studio/{pipeline}/{execution}")
    assert PipelineBackend(own).link(handle) == "https://studio/churn/one"


@pytest.mark.parametrize("url", ["https://studio/{domain}", "https://studio/{", "https://studio/{region.x}", "{0}"])
def test_an_address_that_cannot_be_filled_in_is_refused(url):
    backend = PipelineBackend(PipelineSettings(pipeline="churn", console_url=url))
    (problem,) = backend.problems(spec())
    assert "it may hold {region}, {pipeline} and {execution}" in str(problem)
