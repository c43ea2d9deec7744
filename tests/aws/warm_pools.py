"""
Warm pools: instances that stay after a job, for the next one that is like it.

https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from .errors import validation
from .training import TrainingJob


def take_over(jobs: Iterable[TrainingJob], job: TrainingJob) -> bool:
    """Give a new job the instances of one that has left a pool which fits; was there any?"""
    wanted = _likeness(job)
    for other in jobs:
        with other.lock:
            if other is not job and other.pool_is_available and _likeness(other) == wanted:
                other.pool_reused_by = job.name
                other.modified = max(other.modified, job.created)
                return True
    return False


def update(job: TrainingJob, asked: Mapping[str, Any]) -> None:
    """
    Of UpdateTrainingJob: keep a pool for longer, or let it go with 0 seconds.

    :raises AwsError: the job has no pool.
    """
    with job.lock:
        if not job.pool_is_available:
            raise validation(f"Training job {job.name} has no warm pool that is Available")
        job.keep_alive = timedelta(seconds=asked["ResourceConfig"]["KeepAlivePeriodInSeconds"])


def _likeness(job: TrainingJob) -> tuple[Any, ...]:
    """The page's list of what must be "identical" of two jobs."""
    request, resources = job.request, job.request["ResourceConfig"]
    return (
        job.principal.role_arn,
        *(resources.get(name) for name in ("InstanceCount", "InstanceType", "VolumeKmsKeyId", "VolumeSizeInGB")),
        str(request.get("VpcConfig")),
        bool(request.get("EnableInterContainerTrafficEncryption")),
        bool(request.get("EnableNetworkIsolation")),
    )
