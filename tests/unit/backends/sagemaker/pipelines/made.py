"""What the tests of executions share: requests, steps, and an AWS that answers and counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_mlx.backends.sagemaker.pipelines.backend import PipelineBackend
from airflow_provider_mlx.backends.sagemaker.pipelines.settings import PipelineSettings
from airflow_provider_mlx.backends.sagemaker.pipelines.steps import StepSeen
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


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def step(name, status, started=0, ended=None, **fields):
    return StepSeen(name, status, started=at(started), ended=None if ended is None else at(ended), **fields)


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


def backend_on(aws):
    backend = PipelineBackend(PipelineSettings(pipeline="churn"))
    backend.__dict__["client"] = aws
    return backend
