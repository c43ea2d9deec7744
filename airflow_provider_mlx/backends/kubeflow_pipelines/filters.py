"""
The ``filter`` of a list: predicates that are all true, as JSON. Source: ``backend/api/v2beta1/filter.proto``.

Runs can be asked for by ``run_id``, ``display_name``, ``description``, ``state``, ``storage_state``, ``experiment_id``
and their times; the server refuses any other key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Predicate = Mapping[str, Any]


def equals(key: str, value: str) -> Predicate:
    """The field has this value."""
    return {"key": key, "operation": "EQUALS", "string_value": value}


def one_of(key: str, values: Sequence[str]) -> Predicate:
    """The field has one of these values."""
    return {"key": key, "operation": "IN", "string_values": {"values": list(values)}}


def contains(key: str, text: str) -> Predicate:
    """The field has this text somewhere in it."""
    return {"key": key, "operation": "IS_SUBSTRING", "string_value": text}


def filter_text(predicates: Sequence[Predicate]) -> str:
    """The query's value; empty for no predicate."""
    return json.dumps({"predicates": list(predicates)}, separators=(",", ":")) if predicates else ""
