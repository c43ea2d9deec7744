"""A training job really runs, with the container's contract."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from .container import LineSplitter
from .job_requests import channel, training_request
from .logs import EVENT_BYTES
from .training_member import FAILURE_LENGTH


def put(endpoint, key: str, body: bytes = b"x") -> str:
    endpoint.client("s3").put_object(Bucket=endpoint.bucket, Key=key, Body=body)
    return f"s3://{endpoint.bucket}/{key}"


def printed(lines: list[str]):
    return json.loads(lines[-1])


def test_a_job_runs_logs_and_finishes(train, lines, name):
    told = train("print('hello'); print('world')")
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Completed", "Completed")
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert all("EndTime" in step for step in told["SecondaryStatusTransitions"])
    assert told["CreationTime"] <= told["TrainingStartTime"] <= told["TrainingEndTime"] == told["LastModifiedTime"]
    assert told["TrainingTimeInSeconds"] == told["BillableTimeInSeconds"] >= 1
    assert lines(name) == ["hello", "world"]


def test_describe_returns_what_was_created(endpoint, train, name):
    asked = {
        "Environment": {"COLOUR": "blue"}, "HyperParameters": {"depth": "3"}, "RetryStrategy": {"MaximumRetryAttempts": 2},
        "CheckpointConfig": {"S3Uri": "s3://artifacts/checkpoints"}, "Tags": [{"Key": "a", "Value": "b"}],
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 3, "KeepAlivePeriodInSeconds": 60},
    }  # fmt: skip
    told = train(**asked)
    for member in ("Environment", "HyperParameters", "RetryStrategy", "CheckpointConfig", "ResourceConfig"):
        assert told[member] == asked[member]
    assert told["AlgorithmSpecification"]["ContainerEntrypoint"][0] == "python"
    assert told["EnableManagedSpotTraining"] is False
    assert told["WarmPoolStatus"]["Status"] == "Available"
    client = endpoint.client("sagemaker")
    client.add_tags(ResourceArn=told["TrainingJobArn"], Tags=[{"Key": "c", "Value": "d"}])
    tags = client.list_tags(ResourceArn=told["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]


def test_opt_ml_is_laid_out_as_documented(train, lines, name):
    train(
        """
        import json, pathlib
        config = pathlib.Path("/opt/ml/input/config")
        print(json.dumps({file.stem: json.loads(file.read_text()) for file in config.iterdir()}))
        """,
        HyperParameters={"depth": "3"},
    )
    found = printed(lines(name))
    assert found["hyperparameters"] == {"depth": "3"}
    assert found["resourceconfig"]["current_host"] == "algo-1"
    assert found["resourceconfig"]["hosts"] == ["algo-1"]
    assert found["inputdataconfig"]["mlx-code"] == {
        "TrainingInputMode": "File", "RecordWrapperType": "None", "S3DistributionType": "FullyReplicated",
    }  # fmt: skip


def test_the_environment_is_the_platforms_and_the_requests(train, lines, name):
    told = train("import os, json; print(json.dumps(dict(os.environ)))", Environment={"COLOUR": "blue"})
    found = printed(lines(name))
    assert found["TRAINING_JOB_NAME"] == name
    assert found["TRAINING_JOB_ARN"] == told["TrainingJobArn"]
    assert found["COLOUR"] == "blue"
    assert found["AWS_REGION"] == "eu-central-1"
    assert not [key for key in found if key.startswith("SM_")]
    assert "VIRTUAL_ENV" not in found


def test_an_image_has_python_and_pip_and_nothing_else(train, lines, name):
    train(
        """
        import importlib.util, json, pathlib
        names = ["boto3", "airflow", "pip"]
        print(json.dumps([bool(importlib.util.find_spec(name)) for name in names]))
        pathlib.Path("/tmp/mine").write_text("x")
        """
    )
    assert printed(lines(name)) == [False, False, True]


def test_an_image_with_boto3_reaches_the_endpoint(endpoint, train, lines, name):
    put(endpoint, f"{name}/greeting", b"hello")
    train(
        f"""
        import boto3, obstore.store
        print(boto3.client("s3").get_object(Bucket="artifacts", Key="{name}/greeting")["Body"].read().decode())
        print(bytes(obstore.store.S3Store("artifacts").get("{name}/greeting").bytes()).decode())
        """,
        image="python:boto3",
    )
    assert lines(name) == ["hello", "hello"]
    assert endpoint.calls.counts(principal=name)["GetObject"] == 2


@pytest.mark.parametrize(
    ("mode", "uri", "files"),
    [
        pytest.param("File", "data/train/", ["a.csv", "deep/b.csv"], id="a prefix that ends in a slash is a folder"),
        pytest.param("File", "data/train", ["a.csv", "deep/b.csv", "training.csv"], id="a prefix is one of names"),
        pytest.param("File", "data/train/a.csv", ["a.csv"], id="a whole key is a file with its base name"),
        pytest.param("FastFile", "data/train/", ["a.csv", "deep/b.csv"], id="FastFile: a folder"),
        pytest.param("FastFile", "data/train/a.csv", ["a.csv"], id="FastFile: a whole key"),
        pytest.param("FastFile", "data/train", None, id="FastFile: no partial folder name"),
    ],
)
def test_channels_from_a_prefix(endpoint, train, lines, name, uri, files, mode):
    for key in ("train/a.csv", "train/deep/b.csv", "training.csv", "train/empty/"):
        put(endpoint, f"{name}/data/{key}")
    told = train(LIST_FILES, channels=[{**channel("train", f"s3://artifacts/{name}/{uri}"), "InputMode": mode}])
    if files is None:
        assert "partial folder name" in told["FailureReason"]
    else:
        assert printed(lines(name)) == files


def test_fast_file_is_read_only_and_called_file(endpoint, train, lines, name):
    put(endpoint, f"{name}/data/a.csv")
    train(
        """
        import json, pathlib
        config = json.loads(pathlib.Path("/opt/ml/input/config/inputdataconfig.json").read_text())
        print(config["train"]["TrainingInputMode"])
        try:
            pathlib.Path("/opt/ml/input/data/train/b.csv").touch()
        except OSError as error:
            print(error.strerror)
        """,
        channels=[{**channel("train", f"s3://artifacts/{name}/data/"), "InputMode": "FastFile"}],
    )
    assert lines(name) == ["File", "Read-only file system"]


LIST_FILES = """
import json, pathlib
root = pathlib.Path("/opt/ml/input/data/train")
print(json.dumps(sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())))
"""


def test_a_channel_from_a_manifest(endpoint, train, lines, name):
    for key in ("a.csv", "deep/b.csv", "c.csv"):
        put(endpoint, f"{name}/data/{key}")
    manifest = [{"prefix": f"s3://artifacts/{name}/data/"}, "a.csv", "deep/b.csv"]
    uri = put(endpoint, f"{name}/the.manifest", json.dumps(manifest).encode())
    train(LIST_FILES, channels=[channel("train", uri, S3DataType="ManifestFile")])
    assert printed(lines(name)) == ["a.csv", "deep/b.csv"]


def test_several_instances_share_shards_and_know_each_other(endpoint, train, lines, name):
    for number in range(5):
        put(endpoint, f"{name}/data/{number}.csv")
    told = train(
        """
        import json, pathlib, socket
        config = json.loads(pathlib.Path("/opt/ml/input/config/resourceconfig.json").read_text())
        me = config["current_host"]
        files = [file.name for file in sorted(pathlib.Path("/opt/ml/input/data/train").iterdir())]
        addresses = [socket.gethostbyname(host) for host in config["hosts"]]
        pathlib.Path("/opt/ml/model", me).write_text(me)
        print(json.dumps([me, socket.gethostname(), files, len(set(addresses))]))
        """,
        channels=[channel("train", f"s3://artifacts/{name}/data/", S3DataDistributionType="ShardedByS3Key")],
        instances=2,
    )
    assert [json.loads(line) for line in lines(name)] == [
        ["algo-1", "algo-1", ["0.csv", "2.csv", "4.csv"], 2],
        ["algo-2", "algo-2", ["1.csv", "3.csv"], 2],
    ]
    assert names_in(endpoint, f"out/{name}/output/model.tar.gz") == ["algo-1", "algo-2"]
    assert told["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://artifacts/out/{name}/output/model.tar.gz"


def names_in(endpoint, key: str) -> list[str]:
    data = endpoint.client("s3").get_object(Bucket="artifacts", Key=key)["Body"].read()
    return tarfile.open(fileobj=io.BytesIO(data)).getnames()


def test_the_first_failure_stops_the_other_instances(train, lines, name):
    told = train(
        """
        import socket, sys, time
        sys.exit(7) if socket.gethostname() == "algo-2" else time.sleep(60)
        """,
        instances=2,
    )
    assert (told["TrainingJobStatus"], told["FailureReason"]) == ("Failed", "AlgorithmError: , exit code: 7")


WRITE_RESULTS = """
import pathlib
pathlib.Path("/opt/ml/model/weights").write_text("w")
pathlib.Path("/opt/ml/output/data/deep").mkdir()
pathlib.Path("/opt/ml/output/data/deep/table").write_text("t")
"""


def test_results_are_two_archives(endpoint, train, objects, name):
    train(WRITE_RESULTS)
    assert sorted(objects(f"out/{name}/")) == ["output/model.tar.gz", "output/output.tar.gz"]
    assert names_in(endpoint, f"out/{name}/output/output.tar.gz") == ["deep", "deep/table"]


def test_results_without_compression_are_files(train, objects, name):
    told = train(WRITE_RESULTS, OutputDataConfig={"S3OutputPath": "s3://artifacts/out/", "CompressionType": "NONE"})
    assert objects(f"out/{name}/output/") == {"model/weights": b"w", "data/deep/table": b"t"}
    assert told["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://artifacts/out/{name}/output/model/"


def test_no_model_no_artifact(train, objects, name):
    assert "ModelArtifacts" not in train()
    assert objects(f"out/{name}/") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("no data", "AlgorithmError: no data, exit code: 3", id="the failure file"),
        pytest.param("é" * 2000, None, id="a long one is cut"),
    ],
)
def test_a_failure_says_why(train, name, text, reason):
    told = train(
        f"""
        import pathlib, sys
        pathlib.Path("/opt/ml/output/failure").write_text({text!r})
        pathlib.Path("/opt/ml/model/half").write_text("x")
        sys.exit(3)
        """
    )
    assert told["TrainingJobStatus"] == told["SecondaryStatus"] == "Failed"
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]][-2:] == ["Uploading", "Failed"]
    assert told["FailureReason"] == reason if reason else len(told["FailureReason"]) == FAILURE_LENGTH
    assert told["FailureReason"].endswith(", exit code: 3")
    assert "ModelArtifacts" not in told


def test_an_image_that_is_missing(train):
    told = train(image="registry/thing:missing")
    assert told["FailureReason"].startswith("ClientError: Cannot pull algorithm container.")


def test_objects_that_vanish_before_the_download(endpoint, name):
    """Create looks for them (issue 2489 of amazon-sagemaker-examples), and so does the download."""
    client = endpoint.client("sagemaker")
    gone = channel("train", f"s3://artifacts/{name}/nothing/")
    with pytest.raises(client.exceptions.ClientError, match=r"ValidationException.*No S3 objects found under S3 URL"):
        client.create_training_job(**training_request(endpoint, name, channels=[gone]))
    manifest = [{"prefix": f"s3://artifacts/{name}/"}, "nothing"]
    uri = put(endpoint, f"{name}/the.manifest", json.dumps(manifest).encode())
    listed = channel("train", uri, S3DataType="ManifestFile")
    client.create_training_job(**training_request(endpoint, name, channels=[listed]))
    assert endpoint.wait(name)["FailureReason"].startswith("ClientError: Data download failed:NoSuchKey")


def test_metrics_come_from_the_log(train):
    told = train(
        "print('epoch 1 loss=0.5;'); print('epoch 2 loss=0.25;')",
        algorithm={
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}, {"Name": "none", "Regex": "x=(.*)"}]
        },
    )
    assert [(one["MetricName"], one["Value"]) for one in told["FinalMetricDataList"]] == [("loss", 0.25)]


def test_script_mode(endpoint, train, lines, name):
    buffer = io.BytesIO()
    source = b"import os, sys; print(sys.argv[1:], os.environ['SM_CHANNELS'], os.environ['SM_HOSTS']); sys.exit(2)"
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("train.py")
        entry.size = len(source)
        tar.addfile(entry, io.BytesIO(source))
    uri = put(endpoint, f"{name}/sourcedir.tar.gz", buffer.getvalue())
    request = training_request(endpoint, name)
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    request["HyperParameters"] = {
        "sagemaker_program": '"train.py"', "sagemaker_submit_directory": json.dumps(uri), "depth": "3",
    }  # fmt: skip
    endpoint.client("sagemaker").create_training_job(**request)
    told = endpoint.wait(name)
    assert lines(name) == ["""['--depth', '3'] ["mlx-code"] ["algo-1"]"""]
    assert told["FailureReason"].startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 2")


def test_jobs_side_by_side_do_not_see_each_other(endpoint, lines):
    script = """
        import os, pathlib, time
        folder = pathlib.Path("/opt/ml/model")
        folder.joinpath(os.environ["TRAINING_JOB_NAME"]).touch()
        time.sleep(0.3)
        print([file.name for file in folder.iterdir()])
    """
    names = [f"beside-{number}" for number in range(3)]
    for one in names:
        endpoint.client("sagemaker").create_training_job(**training_request(endpoint, one, script))
    for one in names:
        endpoint.wait(one)
        assert lines(one) == [f"['{one}']"]


def test_what_a_job_leaves_behind_ends_with_it(train, lines, name):
    """Its main process is process 1 of its namespace."""
    told = train("import os, subprocess; subprocess.Popen(['sleep', '600']); print(os.getpid() < 20)")
    assert told["TrainingJobStatus"] == "Completed"
    assert lines(name) == ["True"]


def test_network_isolation(train, lines, name):
    train(
        """
        import os, socket
        print("AWS_ACCESS_KEY_ID" in os.environ)
        try:
            socket.create_connection(("127.0.0.1", 22 if "AWS_ENDPOINT_URL" not in os.environ else 0), 1)
        except OSError as error:
            print("refused")
        """,
        EnableNetworkIsolation=True,
    )
    assert lines(name) == ["False", "refused"]


def test_lines_are_split_as_a_log_driver_does():
    splitter = LineSplitter()
    assert splitter.feed(b"a\n\nb\xff") == ["a"]
    assert splitter.feed(b"c\n") == ["b\ufffdc"]
    assert splitter.rest() == []
    long = "é" * EVENT_BYTES
    events = splitter.feed(long.encode()) + splitter.rest()
    assert "".join(events) == long
    assert max(len(event.encode()) for event in events) <= EVENT_BYTES
