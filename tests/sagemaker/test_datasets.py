"""Datasets that SageMaker brings as files, in jobs that really run: in an image that has no client of S3."""

from __future__ import annotations

import itertools

import pytest

from airflow_provider_mlx.exceptions import ArtifactError
from tests.sagemaker.conftest import CONN_ID

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/python:3"
STACKS = """
stacks:
  aws:
    artifacts: {{root: "s3://artifacts/datasets-{number}", conn_id: {conn_id}, allowed: ["s3://artifacts/lake/"]}}
    targets:
      default:
        {{backend: sagemaker, conn_id: {conn_id}, image: "{image}", role_arn: "{role}", {settings}}}
"""
STEP = """
from pathlib import Path

@task.mlx(stack="aws", deferrable=False, {more})
def count(folder: Path, file: Path):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {{"names": names, "text": file.read_text()}}

count(folder=Dataset("s3://artifacts/lake/rows/"), file=Dataset("s3://artifacts/lake/notes.txt"))
"""
_numbers = itertools.count()


@pytest.fixture
def lake(endpoint):
    client = endpoint.client("s3")
    for key in ("rows/a.csv", "rows/deep/b.csv", "notes.txt"):
        client.put_object(Bucket="artifacts", Key=f"lake/{key}", Body=b"1\n")


@pytest.fixture
def count(endpoint, connected, load, lake):
    """The step's task, on a target with these settings."""

    def make(settings, more=""):
        stacks = STACKS.format(
            number=next(_numbers), conn_id=CONN_ID, image=IMAGE, role=endpoint.role_arn, settings=settings
        )
        (task,) = load(STEP.format(more=more), stacks=stacks, dag_id=f"datasets{next(_numbers)}").values()
        return task

    return make


def channels(endpoint):
    client = endpoint.client("sagemaker")
    newest = client.list_training_jobs(SortBy="CreationTime", SortOrder="Descending")["TrainingJobSummaries"][0]
    job = client.describe_training_job(TrainingJobName=newest["TrainingJobName"])
    return {one["ChannelName"]: one for one in job["InputDataConfig"]}


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_a_dataset_is_a_folder_or_a_file_of_a_training_job(endpoint, count, execute, mode):
    result = execute(count(f"datasets: {mode}")).result
    assert result == {"names": ["a.csv", "deep/b.csv"], "text": "1\n"}
    brought = channels(endpoint)
    assert {brought[name]["InputMode"] for name in ("mlx-data-1", "mlx-data-2")} == {mode}
    assert brought["mlx-code"]["InputMode"] == "File"


def test_a_dataset_is_a_folder_or_a_file_of_a_processing_job(count, execute):
    assert execute(count("kind: processing, datasets: File")).result == {
        "names": ["a.csv", "deep/b.csv"],
        "text": "1\n",
    }


def test_a_job_without_a_network_has_them_too(count, execute):
    assert execute(count("datasets: FastFile, network_isolation: true")).result["text"] == "1\n"


def test_each_node_gets_its_part(endpoint, count, execute):
    settings = "datasets: File, shard_datasets: true"
    result = execute(count(settings, more="resources=Resources(nodes=2)")).result
    assert len(result["names"]) == 1
    data = channels(endpoint)["mlx-data-1"]["DataSource"]["S3DataSource"]
    assert data["S3DataDistributionType"] == "ShardedByS3Key"


def test_without_the_setting_a_dataset_is_no_file(count, execute):
    with pytest.raises(ArtifactError, match=r"which is no file of this job"):
        execute(count("keep: always"))
