"""The endpoint is strict where AWS is: a name is given once, a stop is seen, a failure has its reason."""

from __future__ import annotations

import time

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.faults.peers.lab import SageMaker, described
from tests.faults.peers.sagemaker import LOG_GROUP
from tests.faults.peers.subjects import EQUIVALENT, PEER_ROWS, PEERS
from tests.faults.points import HELD_AT


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    endpoint = SageMaker(tmp_path_factory.mktemp("endpoint") / "sagemaker")
    yield endpoint
    endpoint.close()


def client(endpoint, service):
    return boto3.client(
        service, endpoint_url=f"http://127.0.0.1:{endpoint.port}", region_name="us-east-1", aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )  # fmt: skip


def create(endpoint, name, code):
    client(endpoint, "sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::123456789012:role/faults",
        AlgorithmSpecification={
            "TrainingImage": "none", "TrainingInputMode": "File", "ContainerEntrypoint": ["python", "-c"],
            "ContainerArguments": [code], "MetricDefinitions": [{"Name": "pid", "Regex": r"^pid=(\d+)"}],
        },
        HyperParameters={"marker": "first"},
        Tags=[{"Key": "run_id", "Value": f"run of {name}"}],
        OutputDataConfig={"S3OutputPath": "s3://faults/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )  # fmt: skip


def describe(endpoint, name):
    return client(endpoint, "sagemaker").describe_training_job(TrainingJobName=name)


def wait(endpoint, name, *statuses):
    until = time.monotonic() + 20
    while (seen := describe(endpoint, name))["TrainingJobStatus"] not in statuses:
        assert time.monotonic() < until, seen
        time.sleep(0.05)
    return seen


def test_a_job_runs_and_is_told_of(endpoint):
    create(endpoint, "good", "import os; print('pid=%d' % os.getpid())")
    seen = wait(endpoint, "good", "Completed", "Failed")

    (job,) = endpoint.record().created(run_id="run of good")
    marker, pid = described({"Training": seen})
    assert (seen["TrainingJobStatus"], job.status, marker) == ("Completed", "succeeded", "first")
    assert seen["TrainingStartTime"] <= seen["TrainingEndTime"]
    logs = client(endpoint, "logs")
    stream = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix="good/")["logStreams"][0]
    events = logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream["logStreamName"])["events"]
    assert [event["message"] for event in events] == [f"pid={pid}"]


def test_a_name_is_given_once(endpoint):
    create(endpoint, "once", "")
    with pytest.raises(ClientError, match="ResourceInUse"):
        create(endpoint, "once", "")

    assert len(endpoint.record().created("once")) == 1


def test_a_failure_has_its_exit_status(endpoint):
    create(endpoint, "bad", "raise SystemExit(3)")

    assert "exit code: 3" in wait(endpoint, "bad", "Failed")["FailureReason"]
    assert endpoint.record().created("bad")[0].exit_code == 3


def test_a_stop_is_recorded_and_ends_the_job(endpoint):
    create(endpoint, "long", "import time; time.sleep(60)")
    assert describe(endpoint, "long")["TrainingJobStatus"] == "InProgress"
    client(endpoint, "sagemaker").stop_training_job(TrainingJobName="long")

    wait(endpoint, "long", "Stopped")
    assert [job.name for job in endpoint.record().stops("long")] == ["long"]
    with pytest.raises(ClientError, match="is in status Stopped"):
        client(endpoint, "sagemaker").stop_training_job(TrainingJobName="long")
    with pytest.raises(ClientError, match="ValidationException"):
        client(endpoint, "sagemaker").stop_training_job(TrainingJobName="unknown")


def test_the_rows_of_peers_are_there_and_need_no_ledger():
    assert {row.name for row in PEER_ROWS} == set(EQUIVALENT)
    assert all(row.at not in HELD_AT and not row.bounded for row in PEER_ROWS)
    assert all(any(row.is_for(subject) for subject in PEERS.values()) for row in PEER_ROWS)
