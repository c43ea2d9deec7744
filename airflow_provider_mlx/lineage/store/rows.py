"""
What events say as rows of the tables: a row before, and one event more. Pure.

A run that has ended stays so whatever comes later; of two ends the later one counts. Its dates are the first and the
last that were told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .facts import Fact, Facts, facts_of, merged, read_facts, value_of, write_facts
from .tables import IN, OUT, key_of
from .told import TERMINAL, Data, Name, Told

_STATES: Final = {"START": "running", "RUNNING": "running", "OTHER": "running",
                  "COMPLETE": "complete", "FAIL": "failed", "ABORT": "aborted"}  # fmt: skip
_ENDED: Final = frozenset(_STATES[word] for word in TERMINAL)
AIRFLOW: Final = "airflow"
"""The source that is Airflow itself."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """
    Who sends, by its token.

    :param airflow: Airflow itself, which alone says which DAG a job is of, and which object is which dataset.
    :param namespaces: of the jobs that it may tell of; ``None`` for all.
    """

    name: str
    airflow: bool = False
    namespaces: frozenset[str] | None = None


# --- jobs ------------------------------------------------------------------------------------------------------------


def jobs_told(told: Told, source: Source) -> Iterator[tuple[Name, Facts]]:
    """The event's job, and the one above it: that one is there before it has said anything itself."""
    above = key_of(*told.parent) if told.parent else None
    own = {
        "named": True, "run": told.run, "parent": above, "integration": told.integration,
        "dag": told.airflow.dag if told.airflow and source.airflow else None,
    }  # fmt: skip
    yield told.job, facts_of(own, told.job_facets, at=told.at, trusted=source.airflow)
    if told.parent is not None:
        yield told.parent, facts_of({"above": True}, {}, at=told.at, trusted=source.airflow)


def job_row(name: Name, facts: Facts) -> Row:
    """A job with everything that was told of it."""
    named = facts.get("named")
    return {
        "key": key_of(*name), "namespace": name[0], "name": name[1], "parent": value_of(facts, "parent"),
        "dag": value_of(facts, "dag"), "trusted": named is not None and named.trusted,
        "integration": value_of(facts, "integration"), "latest_run": value_of(facts, "run"),
        "facts": write_facts(facts),
    }  # fmt: skip


# --- datasets --------------------------------------------------------------------------------------------------------


def data_of(told: Told) -> Iterator[tuple[str, Data]]:
    """What the event's run reads and writes, with the side."""
    yield from ((IN, one) for one in told.inputs)
    yield from ((OUT, one) for one in told.outputs)


def datasets_told(told: Told, source: Source) -> Iterator[tuple[Name, Facts]]:
    """The event's datasets, by the names that it gives them."""
    for _, one in data_of(told):
        yield one.name, facts_of({"named": True, "kind": one.kind}, one.facets, at=told.at, trusted=source.airflow)


def dataset_row(name: Name, facts: Facts) -> Row:
    """A dataset with everything that was told of it."""
    return {
        "key": key_of(*name), "namespace": name[0], "name": name[1], "kind": value_of(facts, "kind"),
        "facts": write_facts(facts),
    }  # fmt: skip


def is_there(facts: Facts) -> bool:
    """Whether anything still says that there is such a job or dataset."""
    return "named" in facts or "above" in facts


def io_rows(told: Told, before: Mapping[tuple[str, str], Row]) -> dict[tuple[str, str], Row]:
    """
    What the event's run read and wrote; under which dataset that counts is for others to fill in.

    :param before: what is known of the run, by side and key.
    """
    found: dict[tuple[str, str], Row] = {}
    for side, one in data_of(told):
        place = (side, key_of(*one.name))
        known = found.get(place) or before.get(place)
        if known is None or _version_rank(known) < (one.version is not None, told.at, one.version or ""):
            found[place] = {
                "run": told.run, "side": side, "told": place[1], "told_version": one.version, "at": told.at,
                "dataset": known["dataset"] if known else None, "version": known["version"] if known else None,
            }  # fmt: skip
    return found


def _version_rank(row: Row) -> tuple[bool, str, str]:
    """A version that was told counts before none, and the later before the earlier."""
    return row["told_version"] is not None, row["at"], row["told_version"] or ""


def alias_rows(told: Told, source: Source) -> Iterator[Row]:
    """Objects that the event's datasets are this time; believed of Airflow alone."""
    if not source.airflow:
        return
    for _, one in data_of(told):
        for name in one.aliases:
            if name != one.name:
                yield {
                    "key": key_of(*name), "run": told.run, "dataset": key_of(*one.name), "version": one.version,
                    "at": told.at,
                }  # fmt: skip


# --- runs ------------------------------------------------------------------------------------------------------------


def run_row(before: Row | None, told: Told, source: Source) -> Row:
    """A run with one event more."""
    airflow = told.airflow if source.airflow else None
    own = {
        "job": key_of(*told.job), "parent": told.parent_run, "backend": told.backend,
        "airflow": airflow.as_values() if airflow else None,
    }  # fmt: skip
    facts: Mapping[str, Fact] = facts_of(own, told.run_facets, at=told.at, trusted=source.airflow)
    if before is not None:
        facts = merged(read_facts(before["facts"]), facts)
    of: Mapping[str, Any] = value_of(facts, "airflow") or {}
    ended, state = _end(before, told)
    return {
        "id": told.run, "job": value_of(facts, "job"), "parent": value_of(facts, "parent"),
        "source": AIRFLOW if before and before["source"] == AIRFLOW else source.name, "state": state,
        "started": min(told.at, before["started"]) if before else told.at, "ended": ended,
        "at": max(told.at, before["at"]) if before else told.at,
        "dag": of.get("dag"), "dag_run": of.get("run"), "task": of.get("task"), "map_index": of.get("map_index"),
        "try": of.get("try"), "backend": value_of(facts, "backend"), "facts": write_facts(facts),
    }  # fmt: skip


def _end(before: Row | None, told: Told) -> tuple[str | None, str]:
    """When and how it ended, as far as it did."""
    ends = [(told.at, _STATES[told.type])] if told.is_end else []
    if before is not None and before["state"] in _ENDED:
        ends.append((before["ended"], before["state"]))
    return max(ends) if ends else (None, _STATES[told.type])
