"""Operators on the tests' endpoint of AWS: executed as a task process does, without Airflow's database."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlx-tests-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

import pytest

from tests.aws.endpoint import Endpoint
from tests.aws.job_requests import processing_request, training_request
from tests.operator_fixtures import heard, in_a_dag
from tests.unit.operators.conftest import airflow_home, execute, load

__all__ = ["airflow_home", "execute", "heard", "in_a_dag", "load"]

CONN_ID = "mlx_sagemaker_operator_tests"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """With a grace that suits tests; whatever it got wrong fails the module."""
    with Endpoint(stop_grace_seconds=0.5) as running:
        yield running
    assert running.problems == []


@pytest.fixture(autouse=True)
def _behave_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "endpoint" in request.fixturenames:
        request.getfixturevalue("endpoint").faults.clear()


@pytest.fixture
def connected(endpoint, airflow_home, monkeypatch):
    """An Airflow home that knows the endpoint."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(endpoint.connection()))
    monkeypatch.setenv("AIRFLOW__MLX__DEPLOYMENT_ID", "tests")
    return airflow_home


Pipeline = Callable[..., str]

PREPARE = """
import os, pathlib, sys, time
time.sleep(float(os.environ.get("SECONDS", "0")))
if os.environ["WORD"] == "wrong":
    print("this is what went wrong")
    sys.exit(3)
pathlib.Path("/opt/ml/processing/out/word").write_text(os.environ["WORD"])
"""
TRAIN = """
import pathlib
word = pathlib.Path("/opt/ml/input/data/words/word").read_text()
print("trains on", word)
pathlib.Path("/opt/ml/model/model.txt").write_text(word)
"""
PARAMETERS = (
    {"Name": "Word", "Type": "String"},
    {"Name": "Seconds", "Type": "Integer", "DefaultValue": 0},
    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5, "EnumValues": [0.5, 0.25]},
)


@pytest.fixture
def pipeline(endpoint) -> Pipeline:
    """
    Makes a pipeline: ``Prepare`` writes the parameter ``Word`` after ``Seconds``, and ``Train`` reads it.

    Its name is returned.
    """

    def make(name: str = "", **changes: Any) -> str:
        name = name or f"pipeline-{next(_numbers)}"
        definition = {"Version": "2020-12-01", "Parameters": [*PARAMETERS], "Steps": _steps(endpoint, name), **changes}
        client = endpoint.client("sagemaker")
        client.create_pipeline(PipelineName=name, RoleArn=endpoint.role_arn, PipelineDefinition=json.dumps(definition))
        return name

    return make


def _steps(endpoint: Endpoint, name: str) -> list[Mapping[str, Any]]:
    prepare = processing_request(endpoint, f"{name}-a", PREPARE, outputs={"out": f"s3://artifacts/{name}/out"})
    seconds = {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Seconds"}]}}
    prepare["Environment"] = {"WORD": {"Get": "Parameters.Word"}, "SECONDS": seconds}
    train = training_request(endpoint, f"{name}-b", TRAIN)
    words = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    train["InputDataConfig"].append({
        "ChannelName": "words", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": words}},
    })  # fmt: skip
    del prepare["ProcessingJobName"], train["TrainingJobName"]
    return [
        {"Name": "Prepare", "Type": "Processing", "Arguments": prepare},
        {"Name": "Train", "Type": "Training", "Arguments": train},
    ]


async def first_event(trigger: Any) -> Any:
    """The payload of what a trigger fires, within a minute."""
    async with asyncio.timeout(60):
        return (await anext(trigger.run())).payload
