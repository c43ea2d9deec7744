"""What a finished attempt brings back: outputs checked against the ledger's own folder, ready for XCom."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from airflow_provider_mlx.exceptions import ResultMissing
from airflow_provider_mlx.runtime.protocol import RESULT_FILE
from airflow_provider_mlx.runtime.uris import is_within, join
from airflow_provider_mlx.runtime.values import ArtifactReference

from .ledger import AttemptLedger, AttemptRecord

INLINE_LIMIT: Final = 4 * 1024 * 1024
"""Of one value that goes into Airflow's database: far above what `[mlx] inline_kilobytes` should say."""


@dataclass(frozen=True)
class CollectedOutput:
    """One output: its reference (``None`` for ``None``), and its wire value when it travelled in ``result.json``."""

    artifact: ArtifactReference | None
    inline: bool
    value: Any = None


@dataclass(frozen=True)
class Collected:
    """A finished attempt's result."""

    outputs: Mapping[str, CollectedOutput]
    metrics: Mapping[str, Any]
    skipped: str | None
    result: Mapping[str, Any]
    result_sha256: str
    record: AttemptRecord
    uri: str


def collect(ledger: AttemptLedger, record: AttemptRecord) -> Collected:
    """
    Read and check ``result.json``.

    :raises ResultMissing: it is missing, malformed, or refers to objects that are not this attempt's.
    """
    result = ledger.read_result()
    if result is None:
        raise ResultMissing(f"there is no {RESULT_FILE} under {ledger.uri}")
    try:
        outputs = {str(name): _output(name, value, ledger) for name, value in dict(result.get("outputs") or {}).items()}
        metrics = dict(result.get("metrics") or {})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ResultMissing(
            f"{RESULT_FILE} is not one that the runtime writes: {error}",
            where=join(ledger.uri, RESULT_FILE),
            remedy="something other than the job wrote there; clear the task to run the step again",
        ) from error
    skipped = result.get("skipped")
    return Collected(
        outputs=outputs, metrics=metrics, skipped=None if skipped is None else str(skipped), result=result,
        result_sha256=ledger.sha256_read[RESULT_FILE], record=record, uri=ledger.uri,
    )  # fmt: skip


def time_spent(planned: datetime, timings: Any) -> str:
    """
    Where a job's time went, as far as it says: ``queued 2.1 s · compute 61.0 s``. Empty: it says nothing.

    Queued is from the plan to the runtime's start, so by two clocks. Parts under a tenth of a second are left out.

    :param planned: when the attempt was planned.
    :param timings: of ``result.json``, which a job may write as it likes.
    """
    if not isinstance(timings, Mapping):
        return ""
    seconds = {"queued": _queued(planned, timings.get("started_at"))}
    seconds |= {part: timings.get(part) for part in ("install", "download", "compute", "upload")}
    return " · ".join(f"{part} {value:.1f} s" for part, value in seconds.items() if _counts(value))


def _queued(planned: datetime, begun: Any) -> float | None:
    try:
        return (datetime.fromisoformat(str(begun)) - planned).total_seconds()
    except (ValueError, TypeError):  # no time, or one without its zone
        return None


def _counts(seconds: Any) -> bool:
    return type(seconds) in (int, float) and math.isfinite(seconds) and seconds >= 0.05


def _output(name: str, value: Mapping[str, Any], ledger: AttemptLedger) -> CollectedOutput:
    artifact = value["artifact"]
    reference = None if artifact is None else ArtifactReference.from_wire(artifact)
    if reference is not None and _is_producer(ledger, reference) and not is_within(reference.uri, (ledger.uri,)):
        raise ValueError(f"output `{name}` lies at {reference.uri}, outside the attempt's folder")
    inline = value.get("inline", False)
    if not isinstance(inline, bool):
        raise TypeError(f"output `{name}`: `inline` is {inline!r}")
    if inline and len(json.dumps(value.get("value"))) > INLINE_LIMIT:
        raise ValueError(f"output `{name}` is larger than {INLINE_LIMIT} bytes and claims to be inline")
    return CollectedOutput(reference, inline, value.get("value") if inline else None)


def _is_producer(ledger: AttemptLedger, reference: ArtifactReference) -> bool:
    """Whether a reference says that this task instance wrote it; a step may also hand on another's artifact."""
    step = ledger.identity
    said = tuple(reference.producer.get(key) for key in ("deployment_id", "dag_id", "run_id", "task_id", "map_index"))
    return said == (step.deployment_id, step.dag_id, step.run_id, step.task_id, step.map_index)
