"""
What was told of one thing, each fact with its time: the same events in any order make the same facts. Pure.

Of two tellings of one fact Airflow's counts before anybody else's, then the later, then the one whose text is greater:
an order without ties, so merging is the same whatever comes first, and however often.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_FACET: Final = "facet:"

Facts = Mapping[str, "Fact"]


@dataclass(frozen=True)
class Fact:
    """
    One fact.

    :param trusted: Airflow told it.
    """

    trusted: bool
    at: str
    value: Any

    def rank(self) -> tuple[bool, str, str]:
        """What decides between two."""
        return self.trusted, self.at, text_of(self.value)


def facts_of(values: Mapping[str, Any], facets: Mapping[str, Any], *, at: str, trusted: bool) -> dict[str, Fact]:
    """What one event tells; ``None`` is nothing told."""
    every = {**values, **{_FACET + name: facet for name, facet in facets.items()}}
    return {name: Fact(trusted, at, value) for name, value in every.items() if value is not None}


def merged(one: Facts, other: Facts) -> dict[str, Fact]:
    """The facts of both."""
    found = dict(one)
    for name, fact in other.items():
        before = found.get(name)
        if before is None or (before.trusted, before.at) < (fact.trusted, fact.at) or before.rank() < fact.rank():
            found[name] = fact
    return found


def value_of(facts: Facts, name: str) -> Any:
    """What counts; ``None`` where nothing was told."""
    fact = facts.get(name)
    return None if fact is None else fact.value


def facets_in(text: str) -> dict[str, Any]:
    """The facets among stored facts; one that was told to be deleted is none."""
    return {name: facet for name, facet in _facets(read_facts(text)) if not _is_deleted(facet)}


def read_facts(text: str) -> dict[str, Fact]:
    """As :func:`write_facts` has written them."""
    return {name: Fact(bool(trusted), at, value) for name, (trusted, at, value) in json.loads(text).items()}


def write_facts(facts: Facts) -> str:
    """For one column."""
    return text_of({name: [int(fact.trusted), fact.at, fact.value] for name, fact in facts.items()})


def text_of(value: Any) -> str:
    """The same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _facets(facts: Facts) -> Iterator[tuple[str, Any]]:
    for name, fact in facts.items():
        if name.startswith(_FACET):
            yield name.removeprefix(_FACET), fact.value


def _is_deleted(facet: Any) -> bool:
    return isinstance(facet, Mapping) and facet.get("_deleted") is True
