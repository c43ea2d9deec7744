"""One event as the store takes it: checked, bounded, and without what nobody asks for. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_mlx.scrub import scrub

from .facts import text_of

TERMINAL: Final = frozenset({"COMPLETE", "FAIL", "ABORT"})
TYPES: Final = TERMINAL | {"START", "RUNNING", "OTHER"}
MAX_BYTES: Final = 250_000
"""Of one event: what we send at most."""
_LEFT_OUT: Final = (("job", "airflow"), ("job", "sourceCode"), ("run", "airflow_debug"))
"""Of one that is larger: all tasks of a DAG, which Airflow's events of its runs have, and the like; unused here."""
_UNKEPT: Final = (("airflow", "dagRun", "conf"), ("airflowDagRun", "dagRun", "conf"), ("errorMessage", "stackTrace"))
"""
Of a run's facets: what whoever triggered a DAG run gave it, and the values in a traceback. Airflow masks in its events
what it knows as a secret, and no more.
"""
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
class AirflowRun:
    """
    The DAG run, or the task instance, that a run is.

    :param try_number: of the task instance.
    """

    dag: str
    run: str | None = None
    task: str | None = None
    map_index: int | None = None
    try_number: int | None = None

    def as_values(self) -> dict[str, Any]:
        """By the names of the run's columns."""
        every = {"dag": self.dag, "run": self.run, "task": self.task, "map_index": self.map_index,
                 "try": self.try_number}  # fmt: skip
        return {name: value for name, value in every.items() if value is not None}


@dataclass(frozen=True)
class Told:
    """
    One event.

    :param at: UTC, as text that sorts.
    :param parent: job and run above it.
    :param airflow: what of Airflow's it is, if the event is Airflow's own.
    :param backend: where the job runs, if it is a step's.
    """

    type: str
    at: str
    run: str
    job: Name
    parent: Name | None
    parent_run: str | None
    airflow: AirflowRun | None
    backend: str | None
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
        parent=above, parent_run=above_run, airflow=_airflow(run_facets), backend=_backend(run_facets),
        integration=_integration(job_facets), run_facets=run_facets, job_facets=job_facets,
        inputs=tuple(_data(one, f"inputs[{n}]") for n, one in enumerate(inputs)),
        outputs=tuple(_data(one, f"outputs[{n}]") for n, one in enumerate(outputs)),
    )  # fmt: skip


def read_json(text: str | bytes) -> Any:
    """
    What was sent; a number that JSON has no word for is ``None``, since nobody could read it in an answer.

    :raises ValueError: it is no JSON; also ``RecursionError``.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def fitted(document: Any) -> tuple[Any, str]:
    """
    An event as it is kept, and its text: the same for the same event, whoever sends it again.

    :param document: one that :func:`parse_event` has taken.
    :raises NotAnEvent: it is too large.
    """
    document = _discreet(document)
    text = text_of(document)
    for part, facet in _LEFT_OUT:
        if len(text) <= MAX_BYTES:
            break
        one = document.get(part) or {}
        facets = {name: value for name, value in (one.get("facets") or {}).items() if name != facet}
        document = {**document, part: {**one, "facets": facets}}
        text = text_of(document)
    if len(text) > MAX_BYTES:
        raise NotAnEvent(f"it has {len(text):,} bytes, at most {MAX_BYTES:,} are stored → send fewer facets")
    return document, text


def _discreet(document: Any) -> Any:
    """The event without what may hold a secret; itself, if it has none of it."""
    facets = dict(document["run"].get("facets") or {})
    found = [path for path in _UNKEPT if _holds(facets, path)]
    for path in found:
        facets = _without(facets, path)
    message = _facet(facets, "errorMessage").get("message")
    if isinstance(message, str) and (scrubbed := scrub(message, limit=len(message))) != message:
        found.append(("errorMessage", "message"))
        facets["errorMessage"] = {**facets["errorMessage"], "message": scrubbed}
    return {**document, "run": {**document["run"], "facets": facets}} if found else document


def _holds(value: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _without(value: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    name, *further = path
    if not further:
        return {key: one for key, one in value.items() if key != name}
    return {**value, name: _without(value[name], further)}


def _data(given: Any, where: str) -> Data:
    one = _mapping(given, where)
    facets = _facets(one, where)
    version = _facet(facets, "version").get("datasetVersion")
    kind = _facet(facets, "datasetType").get("datasetType")
    return Data(
        _name(one, where), version=_word(version, MAX_VERSION), kind=_word(kind, 20), facets=facets,
        aliases=tuple(_aliases(facets)),
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


def _airflow(facets: Mapping[str, Any]) -> AirflowRun | None:
    """By the facets with which Airflow's provider says so: ``airflow`` of a task, ``airflowDagRun`` of a DAG run."""
    for key in ("airflow", "airflowDagRun"):
        facet = _facet(facets, key)
        dag, dag_run = _facet(facet, "dag").get("dag_id"), _facet(facet, "dagRun").get("run_id")
        if not isinstance(dag, str):
            continue
        task, instance = _facet(facet, "task").get("task_id"), _facet(facet, "taskInstance")
        return AirflowRun(
            _text(dag, key), _text(dag_run, key) if isinstance(dag_run, str) else None,
            _text(task, key) if isinstance(task, str) else None, _whole(instance.get("map_index")),
            _whole(instance.get("try_number")),
        )  # fmt: skip
    return None


def _backend(facets: Mapping[str, Any]) -> str | None:
    return _word(_facet(facets, "mlx_remoteJob").get("backend"), 40)


def _whole(given: Any) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) and abs(given) < 2**31 else None


def _integration(facets: Mapping[str, Any]) -> str | None:
    return _word(_facet(facets, "jobType").get("integration"), 40)


def _facet(facets: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = facets.get(key)
    return found if isinstance(found, Mapping) else {}


def _facets(one: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    return _mapping(one.get("facets") or {}, f"{where}.facets")


def _name(one: Mapping[str, Any], where: str) -> Name:
    return _text(one.get("namespace"), f"{where}.namespace"), _text(one.get("name"), f"{where}.name")


def _word(given: Any, limit: int) -> str | None:
    return _UNPRINTABLE.sub("", str(given))[:limit] or None if given else None


def _text(given: Any, where: str) -> str:
    if not isinstance(given, str):
        raise NotAnEvent(f"`{where}` is no text")
    if len(given) > MAX_NAME:
        raise NotAnEvent(f"`{where}` has {len(given)} characters, at most {MAX_NAME} are stored")
    if not (text := _UNPRINTABLE.sub("", given)):
        raise NotAnEvent(f"`{where}` is no text")
    return text


def _run_id(given: Any, where: str) -> str:
    if not isinstance(given, str) or not _RUN_ID.fullmatch(given):
        raise NotAnEvent(f"`{where}` is no UUID")
    return given.lower()


def _time(given: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(given))
        return time_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise NotAnEvent("`eventTime` is no time") from None


def time_text(moment: datetime) -> str:
    """A time as rows hold it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


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
    if isinstance(value, (dict, list)):  # as JSON is read; abstract classes take half of the time that an event takes
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (dict, list)):
                _refuse_depth(item, left - 1)
