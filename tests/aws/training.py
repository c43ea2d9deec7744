"""
Training jobs: what is asked, what is told.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html and API_DescribeTrainingJob.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from .errors import Unsupported, validation
from .jobs import Job, utcnow
from .service_model import operation_model

DAY_SECONDS: Final = 24 * 3600
"""API_StoppingCondition: "The default value is 1 day. The maximum value is 28 days"."""
SPOT_SHARE: Final = 0.3
"""Of a spot instance's seconds that are billed. Invented: AWS gives only the formula of the savings."""

_MESSAGES: Final = {
    # API_SecondaryStatusTransition lists these (and asks not to depend on them); the last rows are as users see them
    "Starting": "Starting the training job",
    "Pending": "Training job waiting for capacity",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job runtime exceeded MaxWaitTimeInSeconds provided",
    "Restarting": "Restarting the training job",
}


class TrainingJob(Job):
    """One training job, with its secondary status and how it came to it."""

    kind, noun, prefix, log_group = "training-job", "training", "Training", "/aws/sagemaker/TrainingJobs"

    def __init__(self, request: Mapping[str, Any], arn: str) -> None:
        super().__init__(request, arn)
        self.secondary = ""
        self.transitions: list[dict[str, Any]] = []
        self.metrics: dict[str, dict[str, Any]] = {}
        self.has_model = False
        self.seconds_run = 0.0
        """On instances, in all attempts."""
        self.keep_alive = timedelta(seconds=request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0))
        self.pool_reused_by = ""
        """The job that its warm pool has gone to."""
        self.show(None, "Starting")

    @property
    def stopping_condition(self) -> Mapping[str, int]:
        """With the default that AWS fills in."""
        return {"MaxRuntimeInSeconds": DAY_SECONDS, **self.request.get("StoppingCondition", {})}

    @property
    def is_spot(self) -> bool:
        """On instances that may be taken away."""
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def model_uri(self) -> str:
        """Where the model goes: a tar archive, or a prefix if it is not to be compressed."""
        output = self.request["OutputDataConfig"]
        leaf = "model/" if output.get("CompressionType") == "NONE" else "model.tar.gz"
        return f"{output['S3OutputPath'].rstrip('/')}/{self.name}/output/{leaf}"

    def measured(self, name: str, value: float) -> None:
        """A line of the log had a metric in it; the last value is the final one."""
        with self.lock:
            self.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": utcnow()}

    def describe(self) -> dict[str, Any]:
        """What it was created with, AWS's defaults, and what became of it."""
        with self.lock:
            told: dict[str, Any] = {
                **_echo(self.request),
                "TrainingJobName": self.name, "TrainingJobArn": self.arn, "TrainingJobStatus": self.status,
                "SecondaryStatus": self.secondary, "StoppingCondition": dict(self.stopping_condition),
                "CreationTime": self.created, "LastModifiedTime": self.modified,
                "SecondaryStatusTransitions": [dict(transition) for transition in self.transitions],
            }  # fmt: skip
            if self.started:
                told["TrainingStartTime"] = self.started
            if self.has_model:  # (the model of the API calls it required; a job that has none has none)
                told["ModelArtifacts"] = {"S3ModelArtifacts": self.model_uri}
            if self.metrics:
                told["FinalMetricDataList"] = list(self.metrics.values())
            if self.is_over:
                told |= self._end()
            if warm := self.warm_pool():
                told["WarmPoolStatus"] = warm
            return told

    def summary(self) -> dict[str, Any]:
        """A row of the list."""
        with self.lock:
            row: dict[str, Any] = {
                "TrainingJobName": self.name, "TrainingJobArn": self.arn, "CreationTime": self.created,
                "LastModifiedTime": self.modified, "TrainingJobStatus": self.status,
                "SecondaryStatus": self.secondary,
            }  # fmt: skip
            if self.is_over:
                row["TrainingEndTime"] = self.ended
            if warm := self.warm_pool():
                row["WarmPoolStatus"] = warm
            return row

    def has_been(self, secondary: str) -> bool:
        """Has it, or has it had, a secondary status?"""
        return any(step["Status"] == secondary for step in self.transitions)

    @property
    def pool_is_available(self) -> bool:
        """Are its instances kept for another job?"""
        return (self.warm_pool() or {}).get("Status") == "Available"

    def warm_pool(self) -> dict[str, Any] | None:
        """
        Of its instances (train-warm-pools.html): kept when it completes, when it was stopped with them, and when it
        failed "due to an algorithm or client error".
        """
        asked = self.request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
        if not asked:
            return None
        if not self.is_over or self.ended is None:
            return {"Status": "InUse"}
        sound = self.started is not None and not self.reason.startswith("InternalServerError")
        kept = min(utcnow() - self.ended, self.keep_alive)
        told: dict[str, Any] = {"Status": "Available" if sound and kept < self.keep_alive else "Terminated"}
        if self.pool_reused_by:
            told = {"Status": "Reused", "ReusedByJob": self.pool_reused_by}
        return {**told, "ResourceRetainedBillableTimeInSeconds": int(kept.total_seconds())}

    def _end(self) -> dict[str, Any]:
        end: dict[str, Any] = {"FailureReason": self.reason} if self.reason else {}
        if self.started and self.ended:
            seconds = max(1, math.ceil((self.ended - self.started).total_seconds()))
            billed = max(1, math.ceil(self.seconds_run * SPOT_SHARE)) if self.is_spot else seconds
            end |= {
                "TrainingEndTime": self.ended,
                "TrainingTimeInSeconds": seconds,
                "BillableTimeInSeconds": min(billed, seconds),
            }
        return end

    def _show_secondary(self, secondary: str | None, message: str) -> None:
        if not secondary:
            return
        text = message or _MESSAGES[secondary]
        if self.transitions:
            self.transitions[-1]["EndTime"] = self.modified
        self.transitions.append({"Status": secondary, "StartTime": self.modified, "StatusMessage": text})
        self.secondary = secondary

    def _on_end(self) -> None:
        self.transitions[-1]["EndTime"] = self.modified


def _echo(request: Mapping[str, Any]) -> dict[str, Any]:
    """What Describe repeats of a request, with the defaults of members that were left out."""
    model = operation_model("sagemaker", "DescribeTrainingJob")
    assert model is not None
    known = {name: value for name, value in request.items() if name in model.output_shape.members}
    known["OutputDataConfig"] = {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]}
    for flag in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"):
        known.setdefault(flag, False)
    if "InputDataConfig" in request:
        unset = {"CompressionType": "None", "RecordWrapperType": "None"}
        known["InputDataConfig"] = [{**unset, **channel} for channel in request["InputDataConfig"]]
    profiled = not request.get("ProfilerConfig", {}).get("DisableProfiler", False)
    known["ProfilingStatus"] = "Enabled" if profiled else "Disabled"
    return known


def check_training_request(request: Mapping[str, Any]) -> None:
    """
    Refuse what the service model allows and the documentation does not.

    :raises AwsError: ``ValidationException``.
    :raises Unsupported: the endpoint cannot run it honestly.
    """
    if "ServerlessJobConfig" in request:
        raise Unsupported("serverless training jobs")
    algorithm = request.get("AlgorithmSpecification")
    if algorithm is None or "ResourceConfig" not in request:
        raise validation("AlgorithmSpecification and ResourceConfig are required")
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise validation(
            "You must specify exactly one of AlgorithmName and TrainingImage"
        )  # API_AlgorithmSpecification
    if "AlgorithmName" in algorithm:
        raise Unsupported("AlgorithmName: the endpoint has no algorithms")
    _check_resources(request["ResourceConfig"])
    _check_limits(request)
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(names)) < len(names):
        raise validation("Channel names must be unique")
    for channel in request.get("InputDataConfig", []):
        _check_channel(channel, channel.get("InputMode", algorithm["TrainingInputMode"]))


def _check_resources(resources: Mapping[str, Any]) -> None:
    if "InstanceGroups" in resources or "InstancePreferences" in resources:
        raise Unsupported("InstanceGroups and InstancePreferences")
    missing = [name for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if not resources.get(name)]
    if missing:  # API_ResourceConfig; since serverless jobs came, the model asks for none of them
        raise validation(f"ResourceConfig needs {', '.join(missing)}")


def _check_limits(request: Mapping[str, Any]) -> None:
    """API_StoppingCondition, and https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html"""
    limits = request.get("StoppingCondition", {})
    runtime, wait = limits.get("MaxRuntimeInSeconds", DAY_SECONDS), limits.get("MaxWaitTimeInSeconds")
    if runtime > 28 * DAY_SECONDS:
        raise validation(f"MaxRuntimeInSeconds {runtime} is over the maximum of {28 * DAY_SECONDS}")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            raise validation(
                f"Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds: "
                f"{wait} < {runtime}"
            )
        if request["ResourceConfig"].get("KeepAlivePeriodInSeconds"):  # train-warm-pools: "Considerations"
            raise validation("Managed spot training is not supported with KeepAlivePeriodInSeconds")
    elif wait is not None:
        raise validation("MaxWaitTimeInSeconds can be used only with EnableManagedSpotTraining")


def _check_channel(channel: Mapping[str, Any], mode: str) -> None:
    """API_Channel, API_S3DataSource."""
    sources = [name for name, value in channel["DataSource"].items() if value is not None]
    if len(sources) != 1:
        raise validation(f"Channel {channel['ChannelName']} needs exactly one data source")
    if sources != ["S3DataSource"]:
        raise Unsupported(f"channels from {sources[0]}")
    if mode == "Pipe":
        raise Unsupported("Pipe mode")
    kind = channel["DataSource"]["S3DataSource"]["S3DataType"]
    if mode == "FastFile" and kind != "S3Prefix":  # your-algorithms-training-algo-running-container.html
        raise validation("Channels that use FastFile mode must use a S3DataType of S3Prefix")
    if kind not in ("S3Prefix", "ManifestFile"):
        raise validation("AugmentedManifestFile can only be used if the channel's input mode is Pipe")
    if channel.get("CompressionType", "None") != "None" or channel.get("RecordWrapperType", "None") != "None":
        raise validation("In File mode, leave CompressionType and RecordWrapperType unset or set to None")
