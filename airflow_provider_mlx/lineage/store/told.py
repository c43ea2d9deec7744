"""One event as the store takes it: checked, bounded, and without what nobody asks for. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

TERMINAL: Final = frozenset({"COMPLETE", "FAIL", "ABORT"})
TYPES: Final = TERMINAL | {"START", "RUNNING", "OTHER"}
MAX_DEPTH: Final = 24
MAX_DATASETS: Final = 5_000
"""Of one event, inputs and outputs together."""
MAX_NAME: Final = 2_000
MAX_VERSION: Final = 200
_RUN_ID: Final = re.compile(r"[0-9a-fA-F-]{32,36}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Name = tuple[str, str]
"""Namespace and name."""


class NotAnEvent(ValueError):
    """What was sent is no event that can be stored; the message says where."""


@dataclass(frozen=True)
class Data:
    """
    A dataset of an event.

    :param aliases: its other names, of the ``symlinks`` facet.
    """

    name: Name
    version: str | None = None
    kind: str | None = None
    facets: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Told:
    """
    One event.

    :param at: UTC, as text that sorts.
    :param parent: job and run above it.
    :param dag: Airflow's DAG, if the event is Airflow's own.
    """

    type: str
    at: str
    run: str
    job: Name
    parent: Name | None
    parent_run: str | None
    dag: str | None
    integration: str | None
    run_facets: Mapping[str, Any]
    job_facets: Mapping[str, Any]
    inputs: tuple[Data, ...]
    outputs: tuple[Data, ...]

    @property
    def is_end(self) -> bool:
        """Whether the run is over with it."""
        return self.type in TERMINAL


def parse_event(document: Any) -> Told | None:
    """
    An event as the store takes it; ``None`` for one that is about no run.

    :param document: plain JSON.
    :raises NotAnEvent: it is none, or is too deep or too wide.
    """
    event = _mapping(document, "the event")
    _refuse_depth(event, MAX_DEPTH)
    if "run" not in event:
        if "job" in event or "dataset" in event:
            return None
        raise NotAnEvent("it has neither `run`, nor `job`, nor `dataset`")
    type = str(event.get("eventType") or "OTHER").upper()
    if type not in TYPES:
        raise NotAnEvent(f"`eventType` is none of {', '.join(sorted(TYPES))}")
    run, job = _mapping(event["run"], "run"), _mapping(event.get("job"), "job")
    run_facets, job_facets = _facets(run, "run"), _facets(job, "job")
    inputs, outputs = _list(event.get("inputs"), "inputs"), _list(event.get("outputs"), "outputs")
    if len(inputs) + len(outputs) > MAX_DATASETS:
        raise NotAnEvent(f"it has {len(inputs) + len(outputs)} datasets, at most {MAX_DATASETS} are stored")
    above, above_run = _parent(run_facets)
    return Told(
        type=type, at=_time(event.get("eventTime")), run=_run_id(run.get("runId"), "run.runId"), job=_name(job, "job"),
        parent=above, parent_run=above_run, dag=_dag(run_facets), integration=_integration(job_facets),
        run_facets=run_facets, job_facets=job_facets,
        inputs=tuple(_data(one, f"inputs[{n}]") for n, one in enumerate(inputs)),
        outputs=tuple(_data(one, f"outputs[{n}]") for n, one in enumerate(outputs)),
    )  # fmt: skip


def canonical_text(document: Any) -> str:
    """The same text for the same event, whoever sends it again."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _data(given: Any, where: str) -> Data:
    one = _mapping(given, where)
    facets = _facets(one, where)
    version = _facet(facets, "version").get("datasetVersion")
    kind = _facet(facets, "datasetType").get("datasetType")
    return Data(
        _name(one, where), version=str(version)[:MAX_VERSION] if version else None,
        kind=str(kind)[:20] if kind else None, facets=facets, aliases=tuple(_aliases(facets)),
    )  # fmt: skip


def _aliases(facets: Mapping[str, Any]) -> Iterator[Name]:
    """Objects that are the dataset this time; a table's further names are names of many things, and join nothing."""
    for one in _list(_facet(facets, "symlinks").get("identifiers"), "symlinks"):
        if isinstance(one, Mapping) and str(one.get("type")).upper() in ("FILE", "MODEL"):
            yield _name(one, "symlinks")


def _parent(facets: Mapping[str, Any]) -> tuple[Name | None, str | None]:
    facet = _facet(facets, "parent")
    if not facet:
        return None, None
    job, run = _mapping(facet.get("job"), "parent.job"), _mapping(facet.get("run"), "parent.run")
    return _name(job, "parent.job"), _run_id(run.get("runId"), "parent.run.runId")


def _dag(facets: Mapping[str, Any]) -> str | None:
    """By the facet with which Airflow's provider says so, of a task and of a DAG run."""
    for key in ("airflow", "airflowDagRun"):
        dag = _facet(facets, key).get("dag")
        if isinstance(dag, Mapping) and isinstance(dag.get("dag_id"), str):
            return _text(dag["dag_id"], key)
    return None


def _integration(facets: Mapping[str, Any]) -> str | None:
    word = _facet(facets, "jobType").get("integration")
    return str(word)[:40] if word else None


def _facet(facets: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = facets.get(key)
    return found if isinstance(found, Mapping) else {}


def _facets(one: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    return _mapping(one.get("facets") or {}, f"{where}.facets")


def _name(one: Mapping[str, Any], where: str) -> Name:
    return _text(one.get("namespace"), f"{where}.namespace"), _text(one.get("name"), f"{where}.name")


def _text(given: Any, where: str) -> str:
    if not isinstance(given, str) or not given:
        raise NotAnEvent(f"`{where}` is no text")
    if len(given) > MAX_NAME:
        raise NotAnEvent(f"`{where}` has {len(given)} characters, at most {MAX_NAME} are stored")
    return _UNPRINTABLE.sub("", given)


def _run_id(given: Any, where: str) -> str:
    if not isinstance(given, str) or not _RUN_ID.fullmatch(given):
        raise NotAnEvent(f"`{where}` is no UUID")
    return given.lower()


def _time(given: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise NotAnEvent("`eventTime` is no time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _mapping(given: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise NotAnEvent(f"`{where}` is no object")
    return given


def _list(given: Any, where: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise NotAnEvent(f"`{where}` is no list")
    return given


def _refuse_depth(value: Any, left: int) -> None:
    if left < 0:
        raise NotAnEvent(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_depth(item, left - 1)
    elif isinstance(value, list):
        for item in value:
            _refuse_depth(item, left - 1)
