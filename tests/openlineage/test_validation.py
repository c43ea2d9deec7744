"""That the judge of events finds what is wrong with them."""

from __future__ import annotations

import copy
import json

import pytest

from .validation import Told, event_problems

RUN = "018f0000-0000-7000-8000-000000000001"
FACET = {"_producer": "https://example.com/p", "_schemaURL": "https://example.com/s.json"}
GOOD = {
    "eventType": "COMPLETE", "eventTime": "2026-01-02T03:04:05.000006Z",
    "producer": "https://github.com/airflow-provider-mlx/airflow-provider-mlx/tree/v1",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    "run": {
        "runId": RUN,
        "facets": {
            "parent": {**FACET, "run": {"runId": RUN}, "job": {"namespace": "n", "name": "dag.task"}},
            "mlx_metrics": {**FACET, "metrics": [{"name": "auc", "value": 0.9}]},
        },
    },
    "job": {"namespace": "n", "name": "dag.task.step", "facets": {}},
    "inputs": [{"namespace": "s3://b", "name": "k", "facets": {"version": {**FACET, "datasetVersion": "v"}}}],
    "outputs": [],
}  # fmt: skip


def changed(path: str, value: object) -> dict:
    event = copy.deepcopy(GOOD)
    *above, last = path.split("/")
    where = event
    for name in above:
        where = where[int(name)] if isinstance(where, list) else where[name]
    where[last] = value
    return event


def test_a_good_event_has_no_problem():
    assert event_problems(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("eventType", "DONE"),
        ("eventTime", "yesterday"),
        ("eventTime", "2026-01-02T03:04:05"),
        ("producer", "me"),
        ("run/runId", "7"),
        ("run/facets/parent", {**FACET, "run": {"runId": RUN}}),
        ("run/facets/mlx_metrics", {**FACET, "metrics": [{"name": "auc", "value": "high"}]}),
        ("run/facets/mlx_unheard", FACET),
        ("job/facets/mlx_metrics", {**FACET, "metrics": []}),
        ("inputs/0/facets/version", FACET),
        ("inputs/0/name", 7),
        ("job/description", "x" * 300_000),
    ],
)
def test_a_broken_event_has_one(path, value):
    assert event_problems(changed(path, value))


@pytest.mark.parametrize(
    ("kinds", "right"),
    [
        (["START", "COMPLETE"], True),
        (["START", "RUNNING", "FAIL"], True),
        (["START"], True),
        (["COMPLETE"], False),
        (["START", "COMPLETE", "FAIL"], False),
        (["START", "COMPLETE", "RUNNING"], False),
    ],
)
def test_a_run_begins_once_and_ends_once(kinds, right):
    told = Told()
    for second, kind in enumerate(kinds):
        told.take(changed("eventType", kind) | {"eventTime": f"2026-01-02T03:04:0{second}Z"})
    assert (told.life_problems() == []) is right
    assert (told.unfinished() == []) is (set(kinds) != {"START"})


def test_an_event_that_is_sent_again_counts_once():
    told = Told()
    begun = changed("eventType", "START") | {"eventTime": "2026-01-02T03:04:04Z"}
    for event in (begun, GOOD, json.loads(json.dumps(GOOD))):
        told.take(event)
    assert told.life_problems() == []
