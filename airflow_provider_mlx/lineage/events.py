"""
The events of a child run: START, and the one that ends it, which says everything again.

Consumers may see only the terminal event, or only that kind; so it carries the parent, all inputs and outputs and all
facets. An event over :data:`EVENT_LIMIT` loses, in this order and no more than it must:

1. ``executionParameters``
2. ``mlx_metrics``
3. ``mlx_environment``
4. ``mlx_resources``
5. all but a message's beginning
6. what describes datasets, but for what joins them (``dataSource``, ``symlinks``, ``version``, ``datasetType``)
7. inputs, then outputs, from the end of the list

and ``mlx_remoteJob.omitted`` says so. Names, ids, parent and root are never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.serde import Serde

from airflow_provider_mlx.backends.base import Usage

from .code import code_facet
from .cost import cost_facet
from .custom_facets import PRODUCER, MlxRemoteJobRunFacet
from .datasets import Traffic
from .environment import environment_facet, tracker_facet
from .facets import (
    Mask,
    StepFacts,
    cache_facet,
    error_facet,
    job_facet,
    job_facets,
    metrics_facet,
    parameters_facet,
    parent_facet,
    present,
    query_facet,
    resources_facet,
    unmasked,
)
from .names import RunName

if TYPE_CHECKING:
    from openlineage.client.facet_v2 import RunFacet

EVENT_LIMIT: Final = 250_000
"""Bytes of one event: under the 300,000 of Amazon DataZone, the smallest limit among the consumers."""

_SHORT_MESSAGE: Final = 500
_ROOM_FOR_NOTES: Final = 200
_JOINING: Final = ("dataSource", "symlinks", "version", "datasetType")


@dataclass(frozen=True)
class ChildRun:
    """The run of one attempt, and where it belongs."""

    run: RunName
    parent: RunName
    root: RunName | None


@dataclass(frozen=True)
class JobFacts:
    """
    The job of one attempt.

    :param id: the backend's own, empty if the name is all there is.
    :param submitted_by: Airflow's try that submitted it.
    :param reported_by: Airflow's try that tells; ``None`` where none does.
    """

    backend: str
    name: str
    id: str
    location: Mapping[str, str]
    url: str | None
    stack: str
    target: str
    attempt: int
    submitted_by: int
    reported_by: int | None


@dataclass(frozen=True)
class Outcome:
    """
    How an attempt ended.

    :param type: ``COMPLETE``, ``FAIL`` or ``ABORT``.
    :param state: the word in ``mlx_remoteJob``.
    :param reason: the failure's class, or why the step skipped itself.
    :param said: ``result.json`` or ``error.json``, empty where there is neither.
    :param usage: what the backend tells of how it ran.
    :param cached: it was not run, since the same was run before.
    :param cached_from: the run whose result counts instead.
    """

    type: str
    state: str
    reason: str | None = None
    message: str = ""
    metrics: Mapping[str, Any] | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cached: bool = False
    cached_from: str = ""


def start_event(
    child: ChildRun, job: JobFacts, step: StepFacts, traffic: Traffic, at: datetime, *, mask: Mask = unmasked
) -> RunEvent:
    """The job was accepted. Its inputs are those among the arguments; what its code reads is known at the end."""
    facets = _run_facets(child, job, step, Outcome("START", "active"), mask)
    return fit(_event(child, job, step, "START", facets, Traffic(traffic.inputs), at))


def end_event(
    child: ChildRun, job: JobFacts, step: StepFacts, traffic: Traffic, outcome: Outcome, at: datetime, *,
    mask: Mask = unmasked,
) -> RunEvent:  # fmt: skip
    """The attempt is over; everything that is known of it."""
    facets = _run_facets(child, job, step, outcome, mask)
    return fit(_event(child, job, step, outcome.type, facets, traffic, at))


def _run_facets(
    child: ChildRun, job: JobFacts, step: StepFacts, outcome: Outcome, mask: Mask
) -> dict[str, RunFacet]:  # fmt: skip
    failed, used = outcome.type in ("FAIL", "ABORT"), outcome.usage
    said = outcome.said.get("environment")
    environment: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    return present(
        (
            ("parent", parent_facet(child.parent, child.root)),
            ("externalQuery", query_facet(job.backend, job.id or job.name)),
            ("errorMessage", error_facet(outcome.reason or "failed", outcome.message, mask) if failed else None),
            ("executionParameters", parameters_facet(step.arguments, mask)),
            ("mlx_remoteJob", job_facet(
                backend=job.backend, name=job.name, id=job.id, url=job.url, state=outcome.state, reason=outcome.reason,
                stack=job.stack, target=job.target, location=job.location, attempt=job.attempt,
                submitted_by=job.submitted_by, reported_by=job.reported_by, mask=mask,
            )),
            ("mlx_cache", cache_facet(outcome.cached_from) if outcome.cached else None),
            ("mlx_metrics", metrics_facet(outcome.metrics or {})),
            ("mlx_code", code_facet(
                step.code, code_sha256=step.code_sha256, requirements_sha256=step.requirements_sha256
            )),
            ("mlx_environment", environment_facet(environment, used.image_digest)),
            ("mlx_resources", resources_facet(
                step.resources, step.image, outcome.said, billable=used.seconds if used.billable else None, mask=mask
            )),
            ("mlx_cost", cost_facet(used)),
            ("mlx_tracker", tracker_facet(outcome.said.get("trackers"), mask)),
        )
    )  # fmt: skip


def _event(
    child: ChildRun, job: JobFacts, step: StepFacts, type: str, facets: dict[str, RunFacet], traffic: Traffic,
    at: datetime,
) -> RunEvent:  # fmt: skip
    return RunEvent(
        eventType=RunState[type],
        eventTime=at.astimezone(UTC).isoformat(),
        run=Run(child.run.run_id, facets),
        job=Job(child.run.namespace, child.run.job, job_facets(job.backend, step.code)),
        inputs=list(traffic.inputs),
        outputs=list(traffic.outputs),
        producer=PRODUCER,
    )


def size_of(event: RunEvent) -> int:
    """Bytes of an event on its way."""
    return len(Serde.to_json(event).encode())


def fit(event: RunEvent, limit: int = EVENT_LIMIT) -> RunEvent:
    """The event, made small enough by the rule above; it is changed in place."""
    if size_of(event) <= limit:
        return event
    for what in _reductions(event, limit):
        _note(event, what)
        if size_of(event) <= limit:
            break
    return event


def _reductions(event: RunEvent, limit: int) -> Iterator[str]:
    """Makes the event smaller, step by step; yields what was left out."""
    facets = event.run.facets or {}
    for key in ("executionParameters", "mlx_metrics", "mlx_environment", "mlx_resources"):
        if facets.pop(key, None) is not None:
            yield key
    error: Any = facets.get("errorMessage")
    if error is not None and len(error.message) > _SHORT_MESSAGE:
        error.message = error.message[:_SHORT_MESSAGE] + "…"
        yield "errorMessage"
    if event.inputs or event.outputs:
        for dataset in (*(event.inputs or ()), *(event.outputs or ())):
            dataset.facets = {key: value for key, value in (dataset.facets or {}).items() if key in _JOINING}
        yield "dataset facets"
    for name in ("inputs", "outputs"):
        every = list(getattr(event, name) or [])
        kept = _most(len(every), partial(_fits, event, name, every, limit - _ROOM_FOR_NOTES))
        setattr(event, name, every[:kept])
        if kept < len(every):
            yield f"{name}: {len(every) - kept} of {len(every)}"


def _fits(event: RunEvent, name: str, every: list[Any], limit: int, count: int) -> bool:
    setattr(event, name, every[:count])
    return size_of(event) <= limit


def _most(count: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to ``count`` that fits, by bisection; 0 if none does."""
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _note(event: RunEvent, what: str) -> None:
    facet = (event.run.facets or {}).get("mlx_remoteJob")
    if isinstance(facet, MlxRemoteJobRunFacet):
        facet.omitted = [*(facet.omitted or []), what]
