"""Requests that start executions."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.sagemaker.pipelines.backend import PipelineBackend
from airflow_provider_mlx.backends.sagemaker.pipelines.request import digest_in, display_tail, marked, token
from airflow_provider_mlx.backends.sagemaker.pipelines.settings import PipelineSettings, name_of, region_of
from tests.unit.backends.sagemaker.pipelines.made import ARN, IDENTITY, plan, spec


def problems(pipeline="churn", region="", **asked):
    backend = PipelineBackend(PipelineSettings(pipeline=pipeline, region=region))
    return [str(problem) for problem in backend.problems(spec(**asked))]


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
        pytest.param({"description": "x" * 3010}, ["description: it is longer than"], id="a long description"),
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
    digest = "d" * 64
    assert digest_in(marked("for people, about mlx: all", digest)) == digest
    for foreign in ("", "somebody's own", "mlx:", " mlx:[]", f" mlx:{digest[1:]}", f" mlx:{digest} and more"):
        assert digest_in(foreign) == ""


@pytest.mark.parametrize(
    ("given", "region", "name"),
    [("churn", "", "churn"), (ARN, "eu-west-1", "churn"), ("arn:nonsense", "", "arn:nonsense")],
)
def test_a_name_and_an_arn(given, region, name):
    assert (region_of(given), name_of(given)) == (region, name)
