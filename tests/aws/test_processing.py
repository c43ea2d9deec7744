"""A processing job really runs, with the container's contract."""

from __future__ import annotations

import json

import pytest

from .job_requests import processing_request
from .waiting import until


def test_a_job_reads_inputs_and_uploads_outputs(endpoint, process, lines, objects, name):
    endpoint.client("s3").put_object(Bucket="artifacts", Key=f"{name}/in/a.csv", Body=b"1\n2\n")
    told = process(
        """
        import pathlib
        root = pathlib.Path("/opt/ml/processing")
        text = (root / "table/a.csv").read_text()
        (root / "counts/deep").mkdir()
        (root / "counts/deep/n").write_text(str(len(text.splitlines())))
        print("counted")
        """,
        inputs={"table": f"s3://artifacts/{name}/in/"},
        outputs={"counts": f"s3://artifacts/{name}/out"},
    )
    assert told["ProcessingJobStatus"] == "Completed"
    assert told["CreationTime"] <= told["ProcessingStartTime"] <= told["ProcessingEndTime"]
    assert objects(f"{name}/out/") == {"deep/n": b"2"}
    assert lines(name) == ["counted"]
    assert endpoint.logs.streams("/aws/sagemaker/ProcessingJobs", f"{name}/algo-1-")


def test_its_configuration_is_in_two_files(process, lines, name):
    told = process(
        """
        import json, os, pathlib
        read = lambda name: json.loads(pathlib.Path("/opt/ml/config", name).read_text())
        print(json.dumps([read("processingjobconfig.json"), read("resourceconfig.json"), os.environ["COLOUR"]]))
        """,
        Environment={"COLOUR": "blue"},
    )
    job, resources, colour = json.loads(lines(name)[0])
    assert (job["ProcessingJobArn"], job["ProcessingJobName"]) == (told["ProcessingJobArn"], name)
    assert job["Environment"] == told["Environment"] == {"COLOUR": "blue"}
    assert job["AppSpecification"]["ContainerArguments"] is None
    assert job["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] == "FullyReplicated"
    assert (resources, colour) == ({"current_host": "algo-1", "hosts": ["algo-1"]}, "blue")


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_message(process, code):
    told = process(
        f"""
        import pathlib, sys
        pathlib.Path("/opt/ml/output/message").write_text("bye" * 1000)
        sys.exit({code})
        """
    )
    assert told["ExitMessage"] == ("bye" * 1000)[:1024]
    assert told.get("FailureReason") == ("AlgorithmError: See job logs for more information" if code else None)
    assert told["ProcessingJobStatus"] == ("Failed" if code else "Completed")


def test_an_exit_message_that_is_not_text_fails_the_job(process):
    told = process("open('/opt/ml/output/message', 'wb').write(bytes([255]))")
    assert told["FailureReason"].startswith("ClientError")


@pytest.mark.parametrize(("code", "found"), [(0, {"a": b"x"}), (1, {})])
def test_outputs_of_the_end_come_with_success(process, objects, name, code, found):
    process(
        f"import sys; open('/opt/ml/processing/out/a', 'w').write('x'); sys.exit({code})",
        outputs={"out": f"s3://artifacts/{name}/out"},
    )
    assert objects(f"{name}/out/") == found


def test_continuous_outputs_come_while_it_runs(endpoint, objects, name):
    request = processing_request(
        endpoint, name,
        """
        import pathlib, time, urllib.request
        pathlib.Path("/opt/ml/processing/out/a").write_text("first")
        while not pathlib.Path("/opt/ml/processing/never").exists():
            time.sleep(0.05)
        """,
        outputs={"out": (f"s3://artifacts/{name}/out", "Continuous")},
    )  # fmt: skip
    client = endpoint.client("sagemaker")
    client.create_processing_job(**request)
    until(lambda: objects(f"{name}/out/") == {"a": b"first"})
    client.stop_processing_job(ProcessingJobName=name)
    assert endpoint.wait(name)["ProcessingJobStatus"] == "Stopped"


def test_links_are_not_followed_when_outputs_are_uploaded(process, objects, name):
    process(
        """
        import pathlib
        folder = pathlib.Path("/opt/ml/processing/out")
        (folder / "a").write_text("x")
        (folder / "b").symlink_to("a")
        """,
        outputs={"out": f"s3://artifacts/{name}/out"},
    )
    assert objects(f"{name}/out/") == {"a": b"x"}


def test_several_instances(process, lines, name):
    process(
        """
        import json, pathlib
        print(json.loads(pathlib.Path("/opt/ml/config/resourceconfig.json").read_text()))
        """,
        instances=2,
    )
    assert [json.loads(line.replace("'", '"'))["current_host"] for line in lines(name)] == ["algo-1", "algo-2"]


def test_an_input_that_is_not_there(process, name):
    told = process(inputs={"nothing": f"s3://artifacts/{name}/nothing"})
    assert told["FailureReason"].startswith("ClientError: Data download failed:NoSuchKey")
    assert "ProcessingStartTime" in told
