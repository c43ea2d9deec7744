"""
The facets that the OpenLineage standard does not have; ``schemas/`` holds their JSON schemas, version 1-0-0.

A schema's URL names a tag, so it never changes what it says: a changed facet gets a new version and a new tag.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import attr
from openlineage.client.generated.base import DatasetFacet, RunFacet

PROJECT: Final = "https://github.com/airflow-provider-mlx/airflow-provider-mlx"
_DISTRIBUTION: Final = "airflow-provider-mlx"


def _producer() -> str:
    """Where the code that made an event lies: this release's tag, or the project where nothing is installed."""
    try:
        return f"{PROJECT}/tree/v{version(_DISTRIBUTION)}"
    except PackageNotFoundError:
        return PROJECT


PRODUCER: Final = _producer()
VERSION: Final = "1-0-0"
SCHEMA_FOLDER: Final = f"{PROJECT}/raw/lineage-{VERSION}/airflow_provider_mlx/lineage/schemas"


def schema_url(name: str) -> str:
    """Where the schema of the facet class of this name is published."""
    return f"{SCHEMA_FOLDER}/{name}.json#/$defs/{name}"


@attr.define
class MlxRemoteJobRunFacet(RunFacet):
    """
    ``mlx_remoteJob``: the job on its backend.

    :param state: ``active``, ``succeeded``, ``failed``, ``stopped`` or ``skipped``.
    :param reason: the name of the failure's class, or why the step skipped itself.
    :param location: namespace, region, cluster; never a credential.
    :param submittedByTry: Airflow's try that submitted it, which the parent run belongs to.
    :param reportedByTry: Airflow's try that says so; a later one when it adopted the job, none where all were over.
    :param omitted: what an event over the size limit had to leave out.
    """

    backend: str
    name: str
    attempt: int
    submittedByTry: int  # noqa: N815  (as facets spell their fields)
    state: str
    id: str | None = None
    url: str | None = None
    reason: str | None = None
    stack: str | None = None
    target: str | None = None
    location: dict[str, str] | None = None
    reportedByTry: int | None = None  # noqa: N815
    omitted: list[str] | None = None

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxRemoteJobRunFacet")


@attr.define
class MlxMetricsRunFacet(RunFacet):
    """
    ``mlx_metrics``: the last value of each metric that the step logged.

    :param metrics: ``name`` with ``value``, or with ``special`` (``NaN``, ``Infinity``, ``-Infinity``), which JSON has
        no number for.
    """

    metrics: list[dict[str, Any]]

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxMetricsRunFacet")


@attr.define
class MlxResourcesRunFacet(RunFacet):
    """
    ``mlx_resources``: what was asked for and what was used.

    :param requested: as in ``Resources``: ``cpu``, ``memory``, ``gpu``, ``nodes``, …
    :param seconds: of each part of the job: ``install``, ``download``, ``compute``, ``upload``.
    :param peakMemoryBytes: of the job's main process and its children.
    :param gpuSeconds: GPUs that were asked for, on all nodes, times the seconds of ``compute``.
    :param billableSeconds: of each machine, where the backend tells them.
    """

    requested: dict[str, Any] | None = None
    image: str | None = None
    seconds: dict[str, float] | None = None
    peakMemoryBytes: int | None = None  # noqa: N815
    gpuSeconds: float | None = None  # noqa: N815
    billableSeconds: float | None = None  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxResourcesRunFacet")


@attr.define
class MlxCodeRunFacet(RunFacet):
    """
    ``mlx_code``: the code that ran, as it was when its job was submitted.

    :param dirty: whether a tracked file differed from the commit; not there where nobody could say.
    :param bundle: Airflow's DAG bundle: ``name``, and ``version`` where it has one.
    :param codeDigest: ``sha256:`` and hex digits, of the files that went to the job.
    :param requirementsDigest: of the step's requirement lines.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    bundle: dict[str, str] | None = None
    codeDigest: str | None = None  # noqa: N815
    requirementsDigest: str | None = None  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxCodeRunFacet")


@attr.define
class MlxEnvironmentRunFacet(RunFacet):
    """
    ``mlx_environment``: what the job ran in.

    :param imageDigest: of the image as it ran, ``sha256:`` and hex digits, with the repository where that is known.
    :param packagesDigest: of the names and versions of all installed distributions.
    :param versions: of what the step requires and of well-known frameworks.
    """

    python: str | None = None
    implementation: str | None = None
    platform: str | None = None
    imageDigest: str | None = None  # noqa: N815
    packagesDigest: str | None = None  # noqa: N815
    versions: dict[str, str] | None = None

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxEnvironmentRunFacet")


@attr.define
class MlxCostRunFacet(RunFacet):
    """
    ``mlx_cost``: what the job cost, by a price of the stack's.

    :param estimated: always true: a bill says more.
    :param basis: how it was counted, for people.
    """

    amount: float
    currency: str
    basis: str
    estimated: bool = True

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxCostRunFacet")


@attr.define
class MlxTrackerRunFacet(RunFacet):
    """
    ``mlx_tracker``: the runs of experiment trackers that the step's code has logged to.

    :param runs: ``kind`` (``mlflow``, ``wandb``), ``id``, and ``url`` where its page is known.
    """

    runs: list[dict[str, str]]

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxTrackerRunFacet")


@attr.define
class MlxCacheRunFacet(RunFacet):
    """
    ``mlx_cache``: the task was not run, since the same was run before.

    :param source: the run whose result counts instead, where the backend says it.
    """

    cached: bool
    source: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxCacheRunFacet")


@attr.define
class MlxModelDatasetFacet(DatasetFacet):
    """
    ``mlx_model``: the model that a dataset is.

    :param format: the codec that wrote it.
    :param digest: ``sha256:`` and hex digits, of the object's bytes.
    :param size: bytes.
    """

    framework: str
    format: str
    name: str
    version: str
    digest: str
    size: int
    type: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return schema_url("MlxModelDatasetFacet")
