"""
What SageMaker tells of a finished job's machines: pure.

``BillableTimeInSeconds`` is wall-clock time of one machine, and less than the training took where managed spot saved
something. Source: API reference, DescribeTrainingJob. Processing jobs have no such field: they are billed while they
run, so the time between their start and end stands for it. Neither answer names the image's digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_mlx.backends.base import Usage

from .settings import Kind


def usage_of(kind: Kind, job: Mapping[str, Any], prices: Mapping[str, float]) -> Usage:
    """
    From what ``DescribeTrainingJob`` or ``DescribeProcessingJob`` answered.

    :param prices: USD per hour by instance type; the target's.
    """
    training = kind == "training"
    where = (job if training else job.get("ProcessingResources") or {}).get(
        "ResourceConfig" if training else "ClusterConfig"
    ) or {}
    machine, billed = str(where.get("InstanceType") or ""), job.get("BillableTimeInSeconds")
    return Usage(
        machine=machine,
        machines=int(where.get("InstanceCount") or 1),
        seconds=float(billed) if isinstance(billed, int) else None if training else _between(job),
        billable=isinstance(billed, int),
        hourly_usd=prices.get(machine),
    )


def _between(job: Mapping[str, Any]) -> float | None:
    began, ended = job.get("ProcessingStartTime"), job.get("ProcessingEndTime")
    if not isinstance(began, datetime) or not isinstance(ended, datetime):
        return None
    return max(0.0, (ended - began).total_seconds())
