"""
Why SageMaker says that a job failed: a table of the words that ``FailureReason`` begins with, or holds.

Sources: docs.aws.amazon.com/sagemaker/latest/dg/common-errors-and-troubleshooting.html, the page "Troubleshoot" of
training jobs, and the API reference of ``DescribeTrainingJob``. The words are for people, and change: what is not known
is the step's own failure, with the whole sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_mlx.backends.fault_rows import reason_and_failure, row


@dataclass(frozen=True)
class Fault:
    """
    Why a job failed.

    :param reason: a sentence; what to do about it may follow behind an arrow.
    :param failure: the name of a class of ``exceptions``; ``None``: the step's own failure.
    """

    reason: str
    failure: str | None = None


# The first that is found counts.
ROWS: Final = (
    row(r"^AlgorithmError.*(exit code: 137|out of memory|OutOfMemory|SIGKILL)", "OutOfMemory",
        "ask for more with `Resources(memory=…)`, or load less at once"),
    row(r"^AlgorithmError", None),
    row(r"CapacityError|insufficient capacity|InsufficientInstanceCapacity|Unable to provision", "CapacityUnavailable",
        "add instance types or a further target to the list, or try again later"),
    row(r"ResourceLimitExceeded|account-level service limit", "CapacityUnavailable",
        "ask for more of this quota in the console's Service Quotas, or add a further target to the list"),
    row(r"InternalServerError|Please try again|internal error", "Preempted"),
    row(r"MaxWaitTimeExceeded|spot", "CapacityUnavailable"),
    row(r"(cannot|failed to|unable to|error).{0,40}(pull|download).{0,40}image|image.{0,80}(not found|does not exist)"
        r"|CannotPullContainer|ImagePull|repository.{0,60}not (found|exist)|no such image|denied.{0,60}ecr|"
        r"Cannot find docker image", "ImageUnavailable",
        "check the image's name and region, and that the job's role may pull it (ecr:BatchGetImage)"),
    row(r"No S3 objects found|NoSuchKey|NoSuchBucket|404.{0,30}(Not Found)", "ArtifactError",
        "the object is not there any more: was it removed by a clean-up or a lifecycle rule?"),
    row(r"AccessDenied|Access ?Denied|is not authorized|403|Forbidden", "JobMisconfigured",
        "give the job's role (`role_arn` of the target) the right that is named here; `init sagemaker` writes its "
        "policy"),
    row(r"no space left|disk.{0,20}full|not enough disk", "JobMisconfigured",
        "ask for more with `Resources(disk=…)`, or set `volume_gb` in the target"),
    row(r"^ClientError", "JobMisconfigured"),
)  # fmt: skip


def fault_of(reason: str) -> Fault:
    """What a ``FailureReason`` means."""
    return Fault(*reason_and_failure(ROWS, reason))
