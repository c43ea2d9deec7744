"""The keys of a ``backend: sagemaker`` target of a stack file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_mlx.backends.base import TargetSettings
from airflow_provider_mlx.stacks.model import Span

Kind = Literal["training", "processing"]
_ROLE: Final = r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(_Part):
    """
    The VPC that a job is connected to.

    :param subnets: ids of subnets.
    :param security_groups: ids of security groups.
    """

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


class Keys(_Part):
    """
    KMS keys, by id, ARN or alias; empty for the account's own.

    :param volume: of the job's disks.
    :param output: of what SageMaker writes to S3 for the job.
    """

    volume: str = ""
    output: str = ""


class SageMakerSettings(TargetSettings):
    """
    :param role_arn: the IAM role that the job runs as; ``init sagemaker`` writes its policy.
    :param submit_role_arn: a role that Airflow assumes for each training job, with session tags that name its attempt,
        so that a policy of ``role_arn`` can bind the job to its own folder.
    :param kind: ``training`` jobs have spot instances, warm pools, and checkpoints that SageMaker itself keeps;
        ``processing`` jobs have none of these.
    :param region: empty for the connection's.
    :param instances: the instance types that a step may run on, in the order of preference, as ``ml.g5.xlarge`` or
        ``ml.g5.*``; empty for all that SageMaker has for this kind of job.
    :param prices: USD per hour by instance type: the cheapest that fits is taken instead of the first.
    :param volume_gb: size of the disk where a step asks for none, in GB.
    :param keys: KMS keys.
    :param vpc: subnets and security groups.
    :param network_isolation: the job reaches no network, S3 included: SageMaker alone brings and takes its files.
    :param traffic_encryption: between the instances of one job.
    :param transfer: ``auto``: by a client of S3 if the image has one, else by SageMaker; ``channels``: by SageMaker
        alone, when the job is over.
    :param input_mode: how SageMaker brings inputs: ``File`` copies before the start, ``FastFile`` while they are read.
    :param datasets: how datasets on S3 among a step's arguments reach it: ``client``: by a client of its own; ``File``,
        ``FastFile``: as files that SageMaker brings before the start, or while they are read.
    :param shard_datasets: each node gets a part of the objects of such a dataset, if it is a folder.
    :param keep_alive: how long the instances of a finished training job wait for the next one (a warm pool).
    :param max_wait: with spot, how long a job may wait and run altogether; without it, twice the step's limit.
    :param retries: how often SageMaker starts a training job again that failed by an ``InternalServerError``.
    :param metrics: name of a metric → regular expression whose first group finds it in the log of a training job.
    :param request_override: merged into the request, as the API reference of ``CreateTrainingJob`` or
        ``CreateProcessingJob`` has it.
    :param job_tags: further tags of the job.
    :param keep: what becomes of the record of a job that was collected: SageMaker keeps it for good unless asked.
    """

    role_arn: Annotated[str, Field(pattern=_ROLE)]
    submit_role_arn: Annotated[str, Field(pattern=_ROLE)] | None = None
    kind: Kind = "training"
    region: str = ""
    instances: tuple[str, ...] = ()
    prices: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})
    volume_gb: Annotated[int, Field(ge=1, le=16_384)] = 30
    keys: Keys = Keys()
    vpc: Network | None = None
    network_isolation: bool = False
    traffic_encryption: bool = False
    transfer: Literal["auto", "channels"] = "auto"
    input_mode: Literal["File", "FastFile"] = "File"
    datasets: Literal["client", "File", "FastFile"] = "client"
    shard_datasets: bool = False
    keep_alive: Span | None = None
    max_wait: Span | None = None
    retries: Annotated[int, Field(ge=0, le=30)] = 1
    metrics: dict[str, str] = Field(default={})
    request_override: dict[str, Any] = Field(default={})
    job_tags: dict[str, str] = Field(default={})
    keep: Literal["always", "on_failure", "never"] = "always"

    @property
    def by_channels_alone(self) -> bool:
        """Whether the job may reach S3 by SageMaker alone."""
        return self.network_isolation or self.transfer == "channels"

    def seconds(self, name: str) -> int | None:
        """A duration of these settings in whole seconds."""
        span: timedelta | None = getattr(self, name)
        return None if span is None else int(span.total_seconds())
