"""Executions of pipelines run their steps as jobs."""

from __future__ import annotations

import json
import uuid

import boto3
import pytest
from botocore.config import Config

from .job_requests import processing_request, training_request
from .waiting import until


@pytest.fixture
def client(endpoint):
    return endpoint.client("sagemaker")


@pytest.fixture
def definition(endpoint, name):
    """Two steps, of which the second uses what the first wrote; a parameter says what the first writes."""
    prepare = processing_request(
        endpoint, f"{name}-a",
        """
        import os, pathlib, sys
        pathlib.Path("/opt/ml/processing/out/word").write_text(os.environ["WORD"])
        sys.exit(os.environ["WORD"] == "wrong")
        """,
        outputs={"out": f"s3://artifacts/{name}/out"},
    )  # fmt: skip
    prepare["Environment"] = {"WORD": {"Get": "Parameters.Word"}}
    train = training_request(
        endpoint, f"{name}-b",
        """
        import pathlib
        print(pathlib.Path("/opt/ml/input/data/words/word").read_text())
        """,
    )  # fmt: skip
    words = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    source = {"S3DataType": "S3Prefix", "S3Uri": {"Std:Join": {"On": "", "Values": [words, "/"]}}}
    train["InputDataConfig"].append({"ChannelName": "words", "DataSource": {"S3DataSource": source}})
    del prepare["ProcessingJobName"], train["TrainingJobName"]
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Word", "Type": "String", "DefaultValue": "hello"}],
        "Steps": [
            {"Name": "Train", "Type": "Training", "Arguments": train},
            {"Name": "Prepare", "Type": "Processing", "Arguments": prepare, "DisplayName": "prepare"},
        ],
    }


@pytest.fixture
def pipeline(endpoint, client, definition, name):
    client.create_pipeline(PipelineName=name, RoleArn=endpoint.role_arn, PipelineDefinition=json.dumps(definition))
    return name


def ended(client, arn: str) -> dict:
    states = ("Succeeded", "Failed", "Stopped")
    until(lambda: client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] in states)
    return client.describe_pipeline_execution(PipelineExecutionArn=arn)


def steps(client, arn: str) -> dict[str, dict]:
    found = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return {step["StepName"]: step for step in found}


def test_steps_run_in_the_order_of_their_data(client, pipeline, lines):
    parameters = [{"Name": "Word", "Value": "bonjour"}]
    arn = client.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=parameters)["PipelineExecutionArn"]
    assert ended(client, arn)["PipelineExecutionStatus"] == "Succeeded"
    found = steps(client, arn)
    assert list(found) == ["Prepare", "Train"]
    assert [step["StepStatus"] for step in found.values()] == ["Succeeded", "Succeeded"]
    job = found["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert job.startswith(f"pipelines-{arn.rpartition('/')[2]}-Train-")
    assert lines(job) == ["bonjour"]


def test_a_failed_step_fails_the_execution(client, pipeline):
    parameters = [{"Name": "Word", "Value": "wrong"}]
    arn = client.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=parameters)["PipelineExecutionArn"]
    told = ended(client, arn)
    assert told["PipelineExecutionStatus"] == "Failed"
    assert told["FailureReason"] == "Step failure: One or multiple steps failed."
    found = steps(client, arn)
    assert list(found) == ["Prepare"]
    assert found["Prepare"]["FailureReason"] == "ClientError: AlgorithmError: See job logs for more information"


def test_a_token_starts_one_execution(client, pipeline):
    token = uuid.uuid4().hex
    arns = {
        client.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=token)["PipelineExecutionArn"]
        for _ in range(2)
    }
    assert len(arns) == 1
    other = client.start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]
    found = client.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"]
    assert {one["PipelineExecutionArn"] for one in found} == {*arns, other}
    for arn in (*arns, other):
        ended(client, arn)
    loose = _unchecked(client)
    with pytest.raises(client.exceptions.ClientError, match="greater than or equal to 32"):
        loose.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken="short")


def _unchecked(client):
    return boto3.client(
        "sagemaker", endpoint_url=client.meta.endpoint_url, region_name="eu-central-1", aws_access_key_id="x",
        aws_secret_access_key="x", config=Config(parameter_validation=False),
    )  # fmt: skip


def test_a_stop_stops_the_jobs(endpoint, client, definition, name):
    prepare = definition["Steps"][1]["Arguments"]
    sleeper = processing_request(endpoint, f"{name}-c", "import time; time.sleep(600)")
    prepare["ProcessingInputs"] = sleeper["ProcessingInputs"]
    client.create_pipeline(PipelineName=name, RoleArn=endpoint.role_arn, PipelineDefinition=json.dumps(definition))
    arn = client.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    until(lambda: "Metadata" in steps(client, arn).get("Prepare", {}))
    client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)
    assert ended(client, arn)["PipelineExecutionStatus"] == "Stopped"
    assert {name: step["StepStatus"] for name, step in steps(client, arn).items()} == {"Prepare": "Stopped"}
    with pytest.raises(client.exceptions.ClientError, match="can be stopped"):
        client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)
    client.delete_pipeline(PipelineName=name, ClientRequestToken=uuid.uuid4().hex)
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_pipeline(PipelineName=name)


def test_steps_at_a_time(endpoint, client, name):
    """ParallelismConfiguration, and DependsOn."""
    step = processing_request(endpoint, name)
    del step["ProcessingJobName"]
    made = [{"Name": f"S{n}", "Type": "Processing", "Arguments": step} for n in range(3)]
    made[0]["DependsOn"] = ["S2"]
    text = json.dumps({"Version": "2020-12-01", "Steps": made})
    client.create_pipeline(
        PipelineName=name, RoleArn=endpoint.role_arn, PipelineDefinition=text,
        ParallelismConfiguration={"MaxParallelExecutionSteps": 1},
    )  # fmt: skip
    arn = client.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    assert ended(client, arn)["PipelineExecutionStatus"] == "Succeeded"
    found = steps(client, arn)
    assert list(found) == ["S1", "S2", "S0"]
    assert found["S1"]["EndTime"] <= found["S2"]["StartTime"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"Steps": [{"Name": "A"}]}, "Unable to parse", id="no step"),
        pytest.param(
            {"Steps": [{"Name": "A", "Type": "Training", "Arguments": {}, "DependsOn": ["A"]}]}, "cycle", id="a cycle"
        ),
        pytest.param(
            {"Steps": [{"Name": "A", "Type": "Training", "Arguments": {}, "DependsOn": ["B"]}]},
            "not in the pipeline", id="an unknown step",
        ),
    ],
)  # fmt: skip
def test_definitions(endpoint, client, name, change, words):
    with pytest.raises(client.exceptions.ClientError, match=words):
        client.create_pipeline(
            PipelineName=name,
            RoleArn=endpoint.role_arn,
            PipelineDefinition=json.dumps({"Version": "2020-12-01", **change}),
        )


def test_parameters(client, pipeline):
    for parameters, words in (([{"Name": "None", "Value": "x"}], "not defined"),):
        with pytest.raises(client.exceptions.ClientError, match=words):
            client.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=parameters)
