"""Stops, limits, and spot instances that are taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import boto3
import psutil
import pytest

from .endpoint import Endpoint
from .job_requests import processing_request, training_request
from .waiting import until

WAIT = """
import pathlib, signal, sys, time

def leave(*_):
    pathlib.Path("/opt/ml/model/half").write_text("x")
    print("leaving", flush=True)
    sys.exit(int({code}))

signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(600)
"""
DEAF = "import time; print('ready', flush=True); time.sleep(600)"
SPOT = {
    "EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
}  # fmt: skip


def begin(endpoint: Endpoint, name: str, script: str, **changes) -> None:
    """Create a training job and return when it has printed its first line."""
    endpoint.client("sagemaker").create_training_job(**training_request(endpoint, name, script, **changes))
    printed(endpoint, name)


def printed(endpoint: Endpoint, name: str, streams: int = 1) -> None:
    job = endpoint.job(name)
    until(
        lambda: (
            job.log_group in dict(endpoint.logs.groups())
            and sum(stream.events[0].message == "ready" for stream in endpoint.logs.streams(job.log_group, f"{name}/"))
            >= streams
        )
    )


@pytest.mark.parametrize("code", [0, 1])
def test_a_stopped_job_may_save_what_it_has(endpoint, objects, name, lines, code):
    client = endpoint.client("sagemaker")
    begin(endpoint, name, WAIT.format(code=code))
    client.stop_training_job(TrainingJobName=name)
    told = endpoint.wait(name)
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]][-3:] == ["Stopping", "Uploading", "Stopped"]
    assert lines(name) == ["ready", "leaving"]
    assert list(objects(f"out/{name}/output/")) == ["model.tar.gz"]
    assert "FailureReason" not in told


def test_who_does_not_listen_is_killed(endpoint, name):
    """Process 1 of a container ignores a SIGTERM that it has no handler for."""
    client = endpoint.client("sagemaker")
    begin(endpoint, name, DEAF)
    client.stop_training_job(TrainingJobName=name)
    assert client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopping"
    client.stop_training_job(TrainingJobName=name)
    assert endpoint.wait(name)["TrainingJobStatus"] == "Stopped"


def test_who_is_over_cannot_be_stopped(endpoint, train, process, name):
    train()
    process(name=f"{name}-p")
    client = endpoint.client("sagemaker")
    with pytest.raises(client.exceptions.ClientError, match="rejected because the training job is in status Completed"):
        client.stop_training_job(TrainingJobName=name)
    with pytest.raises(client.exceptions.ClientError, match="rejected because the processing job is in status"):
        client.stop_processing_job(ProcessingJobName=f"{name}-p")
    with pytest.raises(client.exceptions.ClientError, match="Requested resource not found"):
        client.stop_training_job(TrainingJobName="unknown")


def test_a_job_that_waits_for_instances_stops_at_once(name):
    with Endpoint(start_seconds=60) as waiting:
        client = waiting.client("sagemaker")
        client.create_training_job(**training_request(waiting, name))
        waiting.wait(name, "Pending")
        client.stop_training_job(TrainingJobName=name)
        told = waiting.wait(name)
    assert told["TrainingJobStatus"] == "Stopped"
    assert "TrainingStartTime" not in told
    assert "BillableTimeInSeconds" not in told


def test_a_job_without_a_place_stops_at_once(name):
    with Endpoint(workers=1, stop_grace_seconds=0.1) as busy:
        client = busy.client("sagemaker")
        begin(busy, "first", DEAF)
        client.create_training_job(**training_request(busy, name))
        client.stop_training_job(TrainingJobName=name)
        assert client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopped"


def test_max_runtime(endpoint, train, objects, name):
    told = train(WAIT.format(code=0), StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert list(objects(f"out/{name}/output/")) == ["model.tar.gz"]


def test_max_runtime_of_a_processing_job(process):
    told = process(WAIT.format(code=0), StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert told["ProcessingJobStatus"] == "Stopped"
    assert "FailureReason" not in told


@pytest.mark.parametrize(
    ("instance", "status"),
    [
        pytest.param("ml.g5.xlarge", "Stopped", id="an accelerated instance"),
        pytest.param("ml.m5.large", "Completed", id="of others it is no limit"),
    ],
)
def test_max_pending_time(name, instance, status):
    with Endpoint(start_seconds=1.5, limit_scale=0.0005) as waiting:
        request = training_request(waiting, name)
        request["ResourceConfig"]["InstanceType"] = instance
        request["StoppingCondition"] = {"MaxRuntimeInSeconds": 86400, "MaxPendingTimeInSeconds": 1800}
        waiting.client("sagemaker").create_training_job(**request)
        assert waiting.wait(name)["TrainingJobStatus"] == status


CHECKPOINTED = """
import json, pathlib, signal, sys, time
folder = pathlib.Path("/opt/ml/checkpoints")
state = folder / "state.json"
seen = json.loads(state.read_text()) if state.exists() else []
assert not pathlib.Path("/opt/ml/model/mine").exists()
pathlib.Path("/opt/ml/model/mine").touch()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
state.write_text(json.dumps([*seen, "x"]))
print("ready", flush=True)
if len(seen) < 1:
    time.sleep(600)
print(seen)
"""


def test_an_interrupted_job_resumes_from_its_checkpoints(endpoint, name, lines, objects):
    begin(
        endpoint, name, CHECKPOINTED, CheckpointConfig={"S3Uri": f"s3://artifacts/{name}/checkpoints"}, **SPOT,
    )  # fmt: skip
    endpoint.interrupt(name)
    told = endpoint.wait(name)
    assert told["TrainingJobStatus"] == "Completed"
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Training", "Interrupted",
        "Starting", "Downloading", "Training", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert lines(name)[-1] == "['x']"
    assert objects(f"{name}/checkpoints/") == {"state.json": b'["x", "x"]'}
    assert told["BillableTimeInSeconds"] <= told["TrainingTimeInSeconds"]


def test_checkpoints_are_uploaded_while_it_runs(endpoint, name, objects):
    begin(endpoint, name, CHECKPOINTED, CheckpointConfig={"S3Uri": f"s3://artifacts/{name}/checkpoints"})
    until(lambda: objects(f"{name}/checkpoints/") == {"state.json": b'["x"]'})
    endpoint.client("sagemaker").stop_training_job(TrainingJobName=name)
    endpoint.wait(name)


def test_no_spot_instance_in_time(endpoint, name):
    begin(
        endpoint, name, WAIT.format(code=0), EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 4, "MaxWaitTimeInSeconds": 4},
    )  # fmt: skip
    endpoint.interrupt(name, wait_seconds=60)
    told = endpoint.wait(name)
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]][-2] == "Stopping"


def test_an_interrupted_job_can_be_stopped(endpoint, name):
    begin(endpoint, name, WAIT.format(code=0), **SPOT)
    endpoint.interrupt(name, wait_seconds=60)
    endpoint.wait(name, "Pending")
    endpoint.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert endpoint.wait(name)["SecondaryStatus"] == "Stopped"


def test_only_spot_instances_are_taken_away(endpoint, train, name):
    train()
    with pytest.raises(ValueError, match="not on spot"):
        endpoint.interrupt(name)


def test_a_stopped_processing_job_has_no_outputs_of_the_end(endpoint, name, objects):
    script = WAIT.format(code=0).replace("/opt/ml/model/", "/opt/ml/processing/out/").replace("SIGTERM", "SIGINT")
    request = processing_request(
        endpoint, name, script,
        outputs={"out": f"s3://artifacts/{name}/out"},
    )  # fmt: skip
    client = endpoint.client("sagemaker")
    client.create_processing_job(**request)
    printed(endpoint, name)
    client.stop_processing_job(ProcessingJobName=name)
    assert endpoint.wait(name)["ProcessingJobStatus"] == "Stopped"
    assert objects(f"{name}/out/") == {}


def test_a_processing_job_is_interrupted(endpoint, name, lines):
    """The page says SIGINT, which Python makes a KeyboardInterrupt of; a training job gets SIGTERM."""
    client = endpoint.client("sagemaker")
    client.create_processing_job(**processing_request(endpoint, name, DEAF))
    printed(endpoint, name)
    client.stop_processing_job(ProcessingJobName=name)
    assert endpoint.wait(name)["ProcessingJobStatus"] == "Stopped"
    assert lines(name)[-1] == "KeyboardInterrupt"


def test_nothing_outlives_the_endpoint(name):
    with Endpoint(stop_grace_seconds=60) as short:
        begin(short, name, DEAF)
        inside = [one for one in psutil.Process().children(recursive=True) if "mlx-code" in " ".join(one.cmdline())]
        assert inside
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in inside)


def test_nothing_outlives_a_killed_endpoint(name, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.aws"], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    url = process.stdout.readline().split()[1]
    s3, sagemaker = (
        boto3.client(
            one, endpoint_url=url, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        for one in ("s3", "sagemaker")
    )
    s3.put_object(Bucket="artifacts", Key="main.py", Body=DEAF.encode())
    sagemaker.create_processing_job(
        ProcessingJobName=name, RoleArn="arn:aws:iam::123456789012:role/mlx-job",
        ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
        AppSpecification={"ImageUri": "x", "ContainerEntrypoint": ["sleep", "601"]},
    )  # fmt: skip
    inside: list[psutil.Process] = []

    def sleeps() -> bool:
        inside[:] = [one for one in psutil.Process(process.pid).children(recursive=True) if one.name() == "sleep"]
        return bool(inside)

    until(sleeps)
    process.kill()
    process.wait()
    until(lambda: not inside[0].is_running() or inside[0].status() == psutil.STATUS_ZOMBIE)
