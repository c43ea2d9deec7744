"""The endpoint itself: alone, one after another, and as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import boto3

from .endpoint import Endpoint
from .job_requests import training_request


def test_one_after_another_begins_anew():
    for _ in range(2):
        with Endpoint(execute=False, bucket="again") as one:
            client = one.client("s3")
            assert client.list_objects_v2(Bucket="again")["KeyCount"] == 0
            client.put_object(Bucket="again", Key="x", Body=b"x")
            client.create_bucket(Bucket="second", CreateBucketConfiguration={"LocationConstraint": one.region})
            one.client("sagemaker").create_training_job(**training_request(one, "same"))


def test_buckets_of_others_are_left_alone():
    with Endpoint(execute=False, bucket="mine") as outer:
        outer.client("s3").put_object(Bucket="mine", Key="x", Body=b"x")
        with Endpoint(execute=False, bucket="mine"):
            pass
        assert outer.client("s3").list_objects_v2(Bucket="mine")["KeyCount"] == 1


def test_a_connection_of_airflow():
    with Endpoint(execute=False) as one:
        connection = one.connection(config_kwargs={"read_timeout": 3})
        assert connection["extra"]["endpoint_url"] == one.url
        assert connection["extra"]["config_kwargs"] == {"read_timeout": 3}


def test_shared_folders_and_the_images_environment(tmp_path):
    """A container sees of ``/tmp`` what it is given."""
    given = tmp_path / "given"
    given.mkdir()
    with Endpoint(shared=[given], image_environment={"INDEX": "there"}) as one:
        script = f"""
            import os, pathlib
            pathlib.Path({str(given)!r}, "found").write_text(os.environ["INDEX"] + str(len(os.listdir("/tmp"))))
        """
        one.client("sagemaker").create_training_job(**training_request(one, "shares", script))
        one.wait("shares")
        assert one.problems == []
    assert (given / "found").read_text() == "there2"


def test_as_a_process(tmp_path):
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.aws", "--no-execute"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        word, url = process.stdout.readline().split()
        assert word == "ready"
        ask(url, "mlx-faults", operation="ListTrainingJobs", kind="throttle", times=1)
        client = boto3.client(
            "sagemaker", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        client.list_training_jobs()
        assert [call["operation"] for call in ask(url, "mlx-calls")] == ["ListTrainingJobs"] * 2
        assert ask(url, "mlx-problems") == []
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def ask(url: str, order: str, **given):
    body = json.dumps(given).encode() if given else None
    with urllib.request.urlopen(urllib.request.Request(f"{url}/{order}", body)) as answer:
        return json.loads(answer.read())
