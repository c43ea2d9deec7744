"""
Processing jobs: what is asked, what is told.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html and API_DescribeProcessingJob.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .errors import Unsupported, validation
from .jobs import Job
from .service_model import operation_model

LOCAL_ROOT: Final = "/opt/ml/processing/"
"""Of inputs and outputs: build-your-own-processing-container.html, "the path … must begin with"."""
DAY_SECONDS: Final = 24 * 3600
"""The default of MaxRuntimeInSeconds, as the example of processingjobconfig.json has it."""


class ProcessingJob(Job):
    """One processing job."""

    kind, noun, prefix, log_group = "processing-job", "processing", "Processing", "/aws/sagemaker/ProcessingJobs"

    def __init__(self, request: Mapping[str, Any], arn: str) -> None:
        super().__init__(request, arn)
        self.exit_message = ""

    @property
    def max_runtime_seconds(self) -> int:
        """With the default that AWS fills in."""
        seconds: int = self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DAY_SECONDS)
        return seconds

    def describe(self) -> dict[str, Any]:
        """What it was created with, and what became of it."""
        model = operation_model("sagemaker", "DescribeProcessingJob")
        assert model is not None
        with self.lock:
            told = {name: value for name, value in self.request.items() if name in model.output_shape.members}
            told |= {
                "ProcessingJobArn": self.arn, "ProcessingJobStatus": self.status, "CreationTime": self.created,
                "LastModifiedTime": self.modified,
                "StoppingCondition": {"MaxRuntimeInSeconds": self.max_runtime_seconds},
            }  # fmt: skip
            if self.started:
                told["ProcessingStartTime"] = self.started
            return told | self._end()

    def summary(self) -> dict[str, Any]:
        """A row of the list."""
        with self.lock:
            return {
                "ProcessingJobName": self.name, "ProcessingJobArn": self.arn, "CreationTime": self.created,
                "LastModifiedTime": self.modified, "ProcessingJobStatus": self.status, **self._end(),
            }  # fmt: skip

    def _end(self) -> dict[str, Any]:
        if not self.is_over:
            return {}
        facts = {"ProcessingEndTime": self.ended, "FailureReason": self.reason, "ExitMessage": self.exit_message}
        return {name: value for name, value in facts.items() if value}


def check_processing_request(request: Mapping[str, Any]) -> None:
    """
    Refuse what the service model allows and the documentation does not.

    :raises AwsError: ``ValidationException``.
    :raises Unsupported: the endpoint cannot run it honestly.
    """
    if "InstanceType" not in request["ProcessingResources"]["ClusterConfig"]:
        raise Unsupported("a cluster without InstanceType")
    inputs = request.get("ProcessingInputs", [])
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    _unique("InputName", [given["InputName"] for given in inputs])
    _unique("OutputName", [given["OutputName"] for given in outputs])
    for given in inputs:
        _check_input(given)
    for given in outputs:
        if given.get("AppManaged") or "FeatureStoreOutput" in given:
            raise Unsupported("outputs that the application manages")
        if not given.get("S3Output", {}).get("LocalPath", "").startswith(LOCAL_ROOT):
            raise validation(f"LocalPath of an output must begin with {LOCAL_ROOT}")
    # undocumented; users report an empty ValidationException: https://github.com/aws/sagemaker-python-sdk/issues/4939
    _unique("LocalPath", [given["S3Input"]["LocalPath"] for given in inputs])


def _check_input(given: Mapping[str, Any]) -> None:
    if given.get("AppManaged") or "DatasetDefinition" in given:
        raise Unsupported("inputs that the application manages, and dataset definitions")
    source = given.get("S3Input")
    if source is None:
        raise validation("The processing input must specify exactly one of either S3Input or DatasetDefinition types")
    if not source.get("LocalPath", "").startswith(LOCAL_ROOT):
        raise validation(f"LocalPath of an input must begin with {LOCAL_ROOT}")
    if source.get("S3InputMode", "File") == "Pipe":
        raise Unsupported("Pipe mode")


def _unique(what: str, values: list[str]) -> None:
    if len(set(values)) < len(values):
        raise validation(f"{what} must be unique: {', '.join(values)}")
