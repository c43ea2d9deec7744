"""Requests are refused as the service model and the documentation say, in AWS's words."""

from __future__ import annotations

import json
import urllib.request

import pytest

from .job_requests import channel, processing_request, training_request
from .service_model import check_request, compiled, problems_of_answer


def refusal(endpoint, operation: str, request: dict) -> str:
    client = endpoint.client("sagemaker", parameter_validation=False)
    with pytest.raises(client.exceptions.ClientError) as refused:
        getattr(client, operation)(**request)
    return f"{refused.value.response['Error']['Code']}: {refused.value.response['Error']['Message']}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            {"TrainingJobName": "a_b"},
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9]",
            id="patterns",
        ),
        pytest.param(
            {"TrainingJobName": "a" * 64},
            "2 validation errors detected: Value 'a",
            id="lengths, and all violations at once",
        ),
        pytest.param(
            {"RoleArn": None},
            "Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
            id="required members",
        ),
        pytest.param(
            {"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "Value 'ml.huge' at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set: [ml.m4.xlarge",
            id="enums",
        ),
        pytest.param(
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy constraint: Member must have value greater than or equal to 1",
            id="ranges",
        ),
        pytest.param(
            {"Environment": {"A": "x" * 513}},
            "at 'environment' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 512]",
            id="values of maps",
        ),
        pytest.param(
            {"Environment": {"A-B": "x"}}, "Map keys must satisfy constraint: [Member must satisfy regular", id="keys"
        ),
        pytest.param(
            {"Environment": {f"A{n}": "x" for n in range(101)}}, "length less than or equal to 100", id="sizes of maps"
        ),
        pytest.param(
            {"InputDataConfig": [channel("a b", "s3://artifacts/x")]},
            "Value 'a b' at 'inputDataConfig.1.member.channelName'",
            id="members of lists",
        ),
        pytest.param(
            {"RoleArn": "arn:aws:iam::123456789012:role/unknown"},
            "ValidationException: Could not assume role",
            id="roles",
        ),
        pytest.param(
            {"EnableManagedSpotTraining": True}, "ValidationException: Invalid MaxWaitTimeInSeconds", id="spot: a wait"
        ),
        pytest.param(
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8},
            },
            "Invalid MaxWaitTimeInSeconds",
            id="spot: a wait that is long enough",
        ),
        pytest.param(
            {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
            "only with EnableManagedSpotTraining",
            id="a wait is for spot",
        ),
        pytest.param(
            {"StoppingCondition": {"MaxRuntimeInSeconds": 29 * 86400}}, "is over the maximum", id="28 days at most"
        ),
        pytest.param(
            {"StoppingCondition": {"MaxPendingTimeInSeconds": 1799}},
            "greater than or equal to 1800",
            id="half an hour of waiting at least",
        ),
        pytest.param({"ResourceConfig": {}}, "ResourceConfig needs InstanceType", id="an instance"),
        pytest.param({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved", id="tags of AWS"),
    ],
)
def test_training_requests(endpoint, name, change, words):
    request = {**training_request(endpoint, name), **change}
    assert words in refusal(endpoint, "create_training_job", {k: v for k, v in request.items() if v is not None})


def test_a_container_argument_has_no_line_break(endpoint, name):
    """Its pattern is ``.*``, and Java's dot is no line terminator."""
    request = training_request(endpoint, name, algorithm={"ContainerArguments": ["a\nb"]})
    assert "at 'algorithmSpecification.containerArguments.1.member'" in refusal(
        endpoint, "create_training_job", request
    )
    assert compiled(r"[\S\s]*").fullmatch("a\nb")
    assert compiled(r"a\.b").fullmatch("a.b")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"Environment": {"A": "x" * 257}}, "less than or equal to 256", id="values are shorter here"),
        pytest.param({"StoppingCondition": {"MaxRuntimeInSeconds": 777601}}, "777600", id="nine days at most"),
    ],
)
def test_processing_requests(endpoint, name, change, words):
    assert words in refusal(endpoint, "create_processing_job", {**processing_request(endpoint, name), **change})


def test_places_of_processing_inputs(endpoint, name):
    request = processing_request(endpoint, name)
    request["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/opt/ml/input"
    assert "must begin with /opt/ml/processing/" in refusal(endpoint, "create_processing_job", request)
    request["ProcessingInputs"] = processing_request(endpoint, name)["ProcessingInputs"] * 2
    request["ProcessingInputs"][1] = {**request["ProcessingInputs"][1], "InputName": "other"}
    assert "LocalPath must be unique" in refusal(endpoint, "create_processing_job", request)


def test_a_name_is_for_good(endpoint, train, process, name):
    told = train()
    again = training_request(endpoint, name)
    words = refusal(endpoint, "create_training_job", again)
    assert words.startswith("ResourceInUse: Training job names must be unique")
    assert told["TrainingJobArn"] in words
    client = endpoint.client("sagemaker")
    client.delete_training_job(TrainingJobName=name)
    assert "Requested resource not found" in refusal(endpoint, "describe_training_job", {"TrainingJobName": name})
    client.create_training_job(**again)
    endpoint.wait(name)
    process()  # the other kind has names of its own
    assert refusal(endpoint, "create_processing_job", processing_request(endpoint, name)).startswith("ResourceInUse")


def test_a_job_that_runs_is_not_deleted(endpoint, name):
    request = training_request(endpoint, name, "import time; time.sleep(60)")
    client = endpoint.client("sagemaker")
    client.create_training_job(**request)
    assert refusal(endpoint, "delete_training_job", {"TrainingJobName": name}).startswith("ResourceInUse")
    client.stop_training_job(TrainingJobName=name)
    endpoint.wait(name)


@pytest.mark.parametrize(
    ("operation", "member", "words"),
    [
        ("describe_training_job", "TrainingJobName", "ValidationException: Requested resource not found."),
        ("describe_processing_job", "ProcessingJobName", "ValidationException: Could not find requested job with name"),
    ],
)
def test_unknown_jobs(endpoint, operation, member, words):
    assert refusal(endpoint, operation, {member: "unknown"}).startswith(words)


def test_answers_are_checked_too():
    assert problems_of_answer("sagemaker", "CreateTrainingJob", {"TrainingJobArn": "arn", "Extra": 1})
    assert problems_of_answer("sagemaker", "DescribeTrainingJob", {"CreationTime": "today"})
    check_request("logs", "GetLogEvents", {"logStreamName": "a", "logGroupName": "b"})


def test_what_moto_has_it_answers(endpoint):
    client = endpoint.client("sagemaker")
    assert client.list_models()["Models"] == []
    assert endpoint.client("sts").get_caller_identity()["Account"] == endpoint.account


def test_what_is_beyond_it_is_a_problem(endpoint, name):
    request = training_request(endpoint, name)
    request["InputDataConfig"][0]["InputMode"] = "Pipe"
    assert refusal(endpoint, "create_training_job", request).startswith("NotImplemented")
    assert endpoint.problems
    endpoint.problems.clear()


def test_wrong_types(endpoint):
    body = json.dumps({"TrainingJobName": 3}).encode()
    headers = {"X-Amz-Target": "SageMaker.DescribeTrainingJob", "Content-Type": "application/x-amz-json-1.1"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(endpoint.url, body, headers))
    assert json.loads(refused.value.read())["__type"] == "SerializationException"
