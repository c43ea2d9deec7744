"""The same events make the same tables: in any order, in any parts, again and again, and without what was removed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.rows import AIRFLOW, Source
from airflow_provider_mlx.lineage.store.tables import event, metadata
from airflow_provider_mlx.lineage.store.told import time_text
from tests.unit.lineage.store.conftest import OURS, at, data, told

few = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
SPARK = Source("spark")

NAMES = ["a", "b", "c"]
VERSIONS = ["", "1", "2"]


@st.composite
def datasets(draw: Any) -> dict[str, Any]:
    name = draw(st.sampled_from(NAMES))
    places = draw(st.lists(st.sampled_from([*NAMES, "x"]), max_size=2, unique=True))
    return data(name, draw(st.sampled_from(VERSIONS)), kind=draw(st.sampled_from(["", "MODEL"])), places=tuple(places))


@st.composite
def events(draw: Any) -> dict[str, Any]:
    run = draw(st.integers(1, 5))
    job = draw(st.sampled_from([f"job{run}", "job1"]))
    parent = draw(st.sampled_from([None, ("job1", 1), ("job2", 2)]))
    facets = {name: {"x": draw(st.integers(0, 2))} for name in draw(st.sets(st.sampled_from("pq")))}
    return told(
        job, run, draw(st.sampled_from(["START", "RUNNING", "COMPLETE", "FAIL"])), draw(st.integers(0, 9)),
        inputs=draw(st.lists(datasets(), max_size=2)), outputs=draw(st.lists(datasets(), max_size=2)), parent=parent,
        dag=draw(st.sampled_from(["", "churn", "fraud"])), dag_run="r", task=draw(st.sampled_from(["", "t"])),
        backend=draw(st.sampled_from(["", "kubernetes"])), **facets,
    )  # fmt: skip


def sent_in_parts(sent: list[dict[str, Any]], sizes: list[int]) -> list[list[dict[str, Any]]]:
    parts, first = [], 0
    for size in sizes:
        parts.append(sent[first : first + size])
        first += size
    return [*parts, sent[first:]]


def tables(store: Store) -> set[str]:
    """Every row of every table."""
    with store.reading() as connection:
        return {
            f"{table.name.removeprefix('mlx_lineage_')} {json.dumps(dict(row), sort_keys=True)}"
            for table in metadata.sorted_tables
            for row in connection.execute(select(table)).mappings()
        }


def filled(*parts: list[dict[str, Any]]) -> Store:
    store = Store.open("sqlite://")
    for part in parts:
        assert not store.ingest(part, OURS).refused
    return store


@few
@given(st.lists(events(), min_size=1, max_size=8), st.data())
def test_events_make_the_same_tables_in_any_order_in_any_parts_and_twice(sent: Any, more: Any) -> None:
    other = more.draw(st.permutations(sent)) + more.draw(st.lists(st.sampled_from(sent), max_size=3))
    sizes = more.draw(st.lists(st.integers(0, 4), max_size=4))
    assert tables(filled(*sent_in_parts(other, sizes))) == tables(filled(sent))


@few
@given(st.lists(events(), min_size=1, max_size=10), st.integers(0, 10))
def test_after_some_were_removed_the_tables_are_what_the_others_say(sent: Any, second: int) -> None:
    store = filled(sent)
    place: tuple[str, str] | None = ("", "")
    while place is not None:
        place = store.forget(moment(second), after=place)
    with store.reading() as connection:
        left = [json.loads(text) for text in connection.execute(select(event.c.document)).scalars()]
    assert tables(store) == tables(filled(left))


@few
@given(st.lists(st.tuples(events(), st.booleans()), min_size=1, max_size=8), st.integers(0, 10))
def test_that_holds_where_others_than_airflow_have_told_too(sent: Any, second: int) -> None:
    store = Store.open("sqlite://")
    for one, ours in sent:
        store.ingest([one], OURS if ours else SPARK)
    place: tuple[str, str] | None = ("", "")
    while place is not None:
        place = store.forget(moment(second), after=place)
    again = Store.open("sqlite://")
    with store.reading() as connection:
        for source, text in connection.execute(
            select(event.c.source, event.c.document).order_by(event.c.source.desc())
        ):
            assert not again.ingest([json.loads(text)], OURS if source == AIRFLOW else SPARK).refused
    assert tables(store) == tables(again)


def moment(second: int) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(at(second))


def test_times_sort_as_text() -> None:
    from datetime import UTC, datetime

    assert time_text(datetime(999, 1, 1, tzinfo=UTC)) < time_text(datetime(2026, 1, 1, tzinfo=UTC))
