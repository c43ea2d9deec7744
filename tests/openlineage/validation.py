"""
What is wrong with events: by OpenLineage's own JSON schemas, by ours, and by the rules of a run's life.

A facet's schema is found by its key and its place, as a consumer finds it; formats (uuid, date-time, uri) are checked,
which validators leave out by default.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jsonschema
from referencing import Registry, Resource

import airflow_provider_mlx.lineage as room

SPEC: Final = Path(__file__).parent / "spec"
OURS: Final = Path(room.__file__).parent / "schemas"
CORE: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
EVENT_LIMIT: Final = 250_000
"""Bytes; DataZone takes 300,000."""
TERMINAL: Final = frozenset({"COMPLETE", "FAIL", "ABORT"})
PLACES: Final = {
    "RunFacet": "run", "JobFacet": "job", "DatasetFacet": "dataset", "InputDatasetFacet": "input",
    "OutputDatasetFacet": "output",
}  # fmt: skip

Event = Mapping[str, Any]

formats: Final = jsonschema.FormatChecker(formats=())


@formats.checks("uuid", raises=ValueError)
def _is_uuid(text: object) -> bool:
    return not isinstance(text, str) or bool(uuid.UUID(text))


@formats.checks("date-time", raises=ValueError)
def _is_time(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


@formats.checks("uri", raises=ValueError)
def _is_uri(text: object) -> bool:
    return not isinstance(text, str) or bool(urlsplit(text).scheme)


@dataclass
class Told:
    """
    Events, and what is wrong with them.

    :ivar ours: how many of them are of our runs.
    """

    events: int = 0
    ours: int = 0
    problems: list[str] = field(default_factory=list)
    runs: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))

    def take(self, event: Event) -> None:
        """Look at one event."""
        self.events += 1
        self.problems += event_problems(event)
        if is_ours(event):
            self.ours += 1
            self.runs[event["run"]["runId"]].append(event)

    def unfinished(self) -> list[str]:
        """Our runs that began and did not end."""
        return [f"{run} of {_name(told[0])}" for run, told in self.runs.items() if not TERMINAL & set(_kinds(told))]

    def life_problems(self) -> list[str]:
        """Our runs that ended without a beginning, or twice, or that went on afterwards."""
        return [f"run {run} of {_name(told[0])}: {why}" for run, told in self.runs.items() for why in _broken(told)]


def events_in(folder: Path) -> Iterator[Event]:
    """All events that file transports have left below a folder."""
    for file in sorted(folder.rglob("openlineage-event*")):
        for line in file.read_text().splitlines():
            yield json.loads(line)


def is_ours(event: Event) -> bool:
    """Whether it is of a job of ours, and not of Airflow's task or DAG."""
    return "airflow-provider-mlx" in str(event.get("producer")) or "mlx_remoteJob" in event["run"].get("facets", {})


def event_problems(event: Event) -> list[str]:
    """What the schemas say of one event, and of its facets each in its place."""
    found = [f"{_where(error.absolute_path)}: {error.message}" for error in _core("RunEvent").iter_errors(event)]
    for place, key, facet in _facets(event):
        validator = _of_facet().get((place, key))
        if validator is None and key.startswith("mlx_"):
            found.append(f"{place} facet {key}: it has no schema at this place")
        elif validator is not None:
            found += [f"{place} facet {key}: {error.message}" for error in validator.iter_errors(facet)]
    size = len(json.dumps(event).encode())
    if is_ours(event) and size > EVENT_LIMIT:
        found.append(f"it has {size:,} bytes")
    return [f"{event.get('eventType')} of {_name(event)}: {problem[:500]}" for problem in found]


def _broken(told: Iterable[Event]) -> Iterator[str]:
    kinds = _kinds(told)
    ends = [index for index, kind in enumerate(kinds) if kind in TERMINAL]
    if "START" not in kinds:
        yield f"no START among {kinds}"
    if len(ends) > 1:
        yield f"ended {len(ends)} times: {kinds}"
    if ends and ends[0] != len(kinds) - 1:
        yield f"went on after its end: {kinds}"
    if len({json.dumps(event["run"]["facets"].get("parent"), sort_keys=True) for event in told}) > 1:
        yield "its events name several parents"


def _kinds(told: Iterable[Event]) -> list[str]:
    """Equal events count once: they may be sent again."""
    ordered = sorted(
        told, key=lambda event: (datetime.fromisoformat(event["eventTime"]), event["eventType"] != "START")
    )
    found: list[str] = []
    seen: set[str] = set()
    for event in ordered:
        text = json.dumps(event, sort_keys=True)
        if text not in seen:
            found.append(event["eventType"])
            seen.add(text)
    return found


def _facets(event: Event) -> Iterator[tuple[str, str, Any]]:
    for place in ("run", "job"):
        for key, facet in (event[place].get("facets") or {}).items():
            yield place, key, facet
    for side, place in (("inputs", "input"), ("outputs", "output")):
        for dataset in event.get(side) or ():
            for key, facet in (dataset.get("facets") or {}).items():
                yield "dataset", key, facet
            for key, facet in (dataset.get(f"{place}Facets") or {}).items():
                yield place, key, facet


@cache
def _registry() -> Registry[Any]:
    files = [SPEC / "OpenLineage.json", *sorted((SPEC / "facets").glob("*.json")), *sorted(OURS.glob("*.json"))]
    schemas = [json.loads(file.read_text()) for file in files]
    return Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)


@cache
def _core(name: str) -> jsonschema.Draft202012Validator:
    return validator({"$ref": f"{CORE}#/$defs/{name}"})


@cache
def _of_facet() -> Mapping[tuple[str, str], jsonschema.Draft202012Validator]:
    """Place and key → the schema; a facet's place is that of the base facet that it extends."""
    found = {}
    for file in (*sorted((SPEC / "facets").glob("*.json")), *sorted(OURS.glob("*.json"))):
        schema = json.loads(file.read_text())
        for key, told in schema.get("properties", {}).items():
            for name in _definitions(schema, told):
                for base in _bases(schema["$defs"][name]):
                    found[PLACES[base], key] = validator({"$ref": f"{schema['$id']}#/$defs/{name}"})
    return found


def _definitions(schema: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    """The definitions that a facet is one of."""
    for choice in told.get("anyOf") or told.get("oneOf") or (told,):
        if "$ref" in choice:
            name = choice["$ref"].rpartition("/")[2]
            inner = schema["$defs"][name]
            yield name
            yield from _definitions(schema, inner) if "oneOf" in inner else ()


def _bases(definition: Mapping[str, Any]) -> list[str]:
    refs = [part["$ref"].rpartition("/")[2] for part in definition.get("allOf", ()) if "$ref" in part]
    return [ref for ref in refs if ref in PLACES]


def validator(schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
    """Of a schema that may refer to OpenLineage's and ours."""
    return jsonschema.Draft202012Validator(dict(schema), registry=_registry(), format_checker=formats)


def _name(event: Event) -> str:
    return str((event.get("job") or {}).get("name"))


def _where(path: Iterable[Any]) -> str:
    return "/".join(map(str, path)) or "event"
