"""The facets of a child run and its job; pure. Only what is listed here leaves, and every text is scrubbed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    error_message_run,
    execution_parameters_run,
    external_query_run,
    job_type_job,
    parent_run,
)

from airflow_provider_mlx.runtime.values import TAG
from airflow_provider_mlx.runtime.wire import DATETIME_TAG, FLOAT_TAG
from airflow_provider_mlx.scrub import MASK, is_sensitive, scrub

from .code import CodeFacts, source_facet
from .cost import gpu_seconds
from .custom_facets import (
    PRODUCER,
    MlxCacheRunFacet,
    MlxMetricsRunFacet,
    MlxRemoteJobRunFacet,
    MlxResourcesRunFacet,
)
from .names import RunName
from .pages import page_address

VALUE_LIMIT: Final = 1024
"""Bytes of one parameter's value in an event."""

_LOCATION: Final = ("cluster", "host", "namespace", "project", "region", "server", "workspace")
_TIMINGS: Final = ("queued", "pull", "install", "download", "compute", "upload")
_INTEGRATIONS: Final[Mapping[str, str]] = {
    "sagemaker": "SAGEMAKER", "sagemaker_pipeline": "SAGEMAKER",
    "kubeflow_pipelines": "KUBEFLOW", "kubeflow_pipeline_run": "KUBEFLOW",
    "kubernetes": "KUBERNETES", "trainer": "KUBERNETES",
}  # fmt: skip
_NUMBERS: Final = (int, float)

Mask = Callable[[str], str]


def unmasked(text: str) -> str:
    """Where Airflow's own masking of known secrets is not at hand."""
    return text


@dataclass(frozen=True)
class StepFacts:
    """
    What is known of a step besides its job.

    :param resources: ``Resources.to_wire()`` of the step, as resolved.
    :param arguments: in wire form (``context.json``).
    :param code: where the code comes from, as far as it is known.
    :param code_sha256: of the files that went to the job.
    :param requirements_sha256: of the step's requirement lines.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None
    code: CodeFacts = field(default_factory=CodeFacts)
    code_sha256: str | None = None
    requirements_sha256: str | None = None


def parent_facet(parent: RunName, root: RunName | None) -> parent_run.ParentRunFacet:
    """The Airflow task run, and the DAG run (or what started it) at the top."""
    top = None
    if root is not None:
        top = parent_run.Root(
            run=parent_run.RootRun(runId=root.run_id),
            job=parent_run.RootJob(namespace=root.namespace, name=root.job),
        )
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent.run_id), job=parent_run.Job(namespace=parent.namespace, name=parent.job),
        root=top, producer=PRODUCER,
    )  # fmt: skip


def job_facets(backend: str, code: CodeFacts) -> dict[str, JobFacet]:
    """What kind of job it is, and where its code lies if that is known."""
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration=_INTEGRATIONS.get(backend, backend.upper()), jobType="JOB",
            producer=PRODUCER,
        )
    }  # fmt: skip
    if source := source_facet(code):
        facets["sourceCodeLocation"] = source
    return facets


def parameters_facet(
    arguments: Mapping[str, Any], mask: Mask = unmasked
) -> execution_parameters_run.ExecutionParametersRunFacet | None:
    """The plain scalar arguments; a dict, a list or a reference is none, and ``None`` stands for no parameter."""
    positional = enumerate(arguments.get("args") or (), start=1)
    named = [*((f"argument {index}", value) for index, value in positional), *(arguments.get("kwargs") or {}).items()]
    found = [(name, text) for name, value in named if (text := _scalar(name, value, mask)) is not None]
    if not found:
        return None
    parameters = [execution_parameters_run.ExecutionParameter(key=name, value=text) for name, text in found]
    return execution_parameters_run.ExecutionParametersRunFacet(parameters=parameters, producer=PRODUCER)


def _scalar(name: str, value: Any, mask: Mask) -> str | None:
    if isinstance(value, Mapping) and value.get(TAG) in (FLOAT_TAG, DATETIME_TAG):
        value = str(value.get("value"))
    if not isinstance(value, (str, bool, int, float)):
        return None
    if is_sensitive(name):
        return MASK
    if isinstance(value, str):
        return cut(scrub(mask(value), limit=VALUE_LIMIT), VALUE_LIMIT)
    return str(value).lower() if isinstance(value, bool) else cut(str(value), VALUE_LIMIT)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8, ended by ``…`` where something is missing."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"


def error_facet(reason: str, message: str, mask: Mask = unmasked) -> error_message_run.ErrorMessageRunFacet:
    """What happened, in one sentence: no log lines and no stack trace of the job's."""
    text = f"{reason}: {scrub(mask(message))}" if message else reason
    return error_message_run.ErrorMessageRunFacet(message=text, programmingLanguage="PYTHON", producer=PRODUCER)


def query_facet(backend: str, native_id: str) -> external_query_run.ExternalQueryRunFacet:
    """The backend's own id of the job."""
    return external_query_run.ExternalQueryRunFacet(externalQueryId=native_id, source=backend, producer=PRODUCER)


def job_facet(
    *, backend: str, name: str, id: str, url: str | None, state: str, reason: str | None, stack: str, target: str,
    location: Mapping[str, str], attempt: int, submitted_by: int, reported_by: int | None, mask: Mask = unmasked,
) -> MlxRemoteJobRunFacet:  # fmt: skip
    """The job on its backend."""
    places = {key: scrub(mask(str(location[key])), limit=200) for key in _LOCATION if location.get(key)}
    return MlxRemoteJobRunFacet(
        backend=backend, name=name, id=id or None, url=page_address(mask(url)) if url else None, state=state,
        reason=scrub(mask(reason)) if reason else None, stack=stack or None, target=target or None,
        location=places or None, attempt=attempt, submittedByTry=submitted_by, reportedByTry=reported_by,
        producer=PRODUCER,
    )  # fmt: skip


def cache_facet(source: str) -> MlxCacheRunFacet:
    """
    It was not run.

    :param source: the run whose result counts instead; empty where that is not known.
    """
    return MlxCacheRunFacet(cached=True, source=source or None, producer=PRODUCER)


def metrics_facet(metrics: Mapping[str, Any]) -> MlxMetricsRunFacet | None:
    """
    The numbers that the step logged.

    :param metrics: as in ``result.json``: numbers, or the wire form of one that JSON does not have.
    """
    rows = [row for name, value in metrics.items() if (row := _metric(str(name), value)) is not None]
    return MlxMetricsRunFacet(metrics=rows, producer=PRODUCER) if rows else None


def _metric(name: str, value: Any) -> dict[str, Any] | None:
    if isinstance(value, Mapping) and value.get(TAG) == FLOAT_TAG:
        return {"name": name, "special": str(value.get("value"))}
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    if not math.isfinite(value):
        return {"name": name, "special": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    return {"name": name, "value": value}


def resources_facet(
    requested: Mapping[str, Any], image: str | None, said: Mapping[str, Any], *, billable: float | None = None,
    mask: Mask = unmasked,
) -> MlxResourcesRunFacet | None:  # fmt: skip
    """
    What was asked for, and what was used.

    :param said: ``result.json`` or ``error.json``; empty where there is none.
    :param billable: seconds of each machine, where the backend tells them.
    """
    asked = {key: value for key, value in requested.items() if isinstance(value, (str, bool, int, float))}
    given = said.get("timings")
    timings: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    seconds = {key: timings[key] for key in _TIMINGS if _is_number(timings.get(key))}
    peak = said.get("peak_memory_bytes")
    whole = peak if isinstance(peak, int) and not isinstance(peak, bool) else None
    if not (asked or image or seconds or whole or billable):
        return None
    return MlxResourcesRunFacet(
        requested=asked or None, image=scrub(mask(image), limit=500) if image else None, seconds=seconds or None,
        peakMemoryBytes=whole, gpuSeconds=gpu_seconds(asked, seconds.get("compute")), billableSeconds=billable,
        producer=PRODUCER,
    )  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool) and math.isfinite(value)


def present(facets: Iterable[tuple[str, RunFacet | None]]) -> dict[str, RunFacet]:
    """The facets that there are."""
    return {key: facet for key, facet in facets if facet is not None}
