"""Retention: what is old leaves, what young runs need stays, and one process does it once an hour."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from airflow_provider_mlx.lineage.server import housekeeping
from airflow_provider_mlx.lineage.server.housekeeping import Housekeeping
from airflow_provider_mlx.lineage.store.graph import nodes_of, origin, search
from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.tables import metadata, run
from tests.unit.lineage.store.conftest import OURS, data, data_key, job_key, run_id, told

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(housekeeping, "_PAUSE", 0)


def aged(days: int, *events):
    moment = (NOW - timedelta(days=days)).isoformat()
    return [{**event, "eventTime": moment} for event in events]


def sweep(store, days: int = 30) -> bool:
    return Housekeeping(store, days).sweep(datetime.now(UTC) + timedelta(hours=2))


def runs(store):
    with store.reading() as connection:
        return set(connection.execute(select(run.c.id)).scalars())


def names(store, text="a"):
    with store.reading() as connection:
        return {node.name for node in search(connection, text)}


def forget_all(store, days: int = 30) -> None:
    place = ("", "")
    while place is not None:
        place = store.forget(NOW - timedelta(days=days), after=place)


def test_what_only_old_runs_told_is_gone_and_the_rest_is_there(store):
    store.ingest(aged(90, told("dag.old", 1, inputs=[data("raw", "1")], outputs=[data("made", "1")])), OURS)
    store.ingest(aged(1, told("dag.new", 2, inputs=[data("raw", "2")])), OURS)
    forget_all(store)
    assert runs(store) == {run_id(2)}
    assert names(store) == {"raw", "dag.new"}
    assert store.count() == 1


def test_who_made_what_is_in_use_stays_with_the_runs_around_it(store):
    old = [
        told("churn", 100, dag="churn", dag_run="r1"),
        told("churn.train", 20, parent=("churn", 100), dag="churn", dag_run="r1", task="train"),
        told("churn.train.fit", 21, parent=("churn.train", 20), outputs=[data("model", "m1")]),
        told("churn.prepare", 10, parent=("churn", 100), outputs=[data("clean", "c1")]),
    ]
    store.ingest(aged(400, *old), OURS)
    store.ingest(aged(1, told("churn.score", 30, inputs=[data("model", "m1")])), OURS)
    forget_all(store)
    assert runs(store) == {run_id(number) for number in (100, 20, 21, 30)}
    with store.reading() as connection:
        assert [one.run for one in origin(connection, data_key("model"), "m1")] == [run_id(21)]
        (fit,) = nodes_of(connection, [job_key("churn.train.fit")])
    assert fit.dag == "churn", "and who may see it is still known"


def test_a_fact_that_only_old_runs_told_is_gone(store):
    store.ingest(aged(90, told("dag.task", 1, parent=("dag.before", 9), dag="dag", task="t")), OURS)
    store.ingest(aged(1, told("dag.task", 2)), OURS)
    forget_all(store)
    with store.reading() as connection:
        (node,) = nodes_of(connection, [job_key("dag.task"), job_key("dag.before")])
    assert (node.name, node.parent, node.dag, node.latest_run) == ("dag.task", None, None, run_id(2))


def test_everything_may_go(store):
    store.ingest(
        aged(90, *(told(f"dag.{number}", number, outputs=[data("x", str(number))]) for number in range(120))), OURS
    )
    forget_all(store)
    with store.reading() as connection:
        for table in metadata.sorted_tables:
            assert connection.execute(select(table)).first() is None, table.name


def test_one_of_several_api_servers_sweeps_once_an_hour(store, url):
    other, now = Store.open(url), datetime.now(UTC)
    later = [now + timedelta(minutes=minutes) for minutes in (10, 61, 62, 122)]
    swept = [one.begin_sweep(moment) for moment in later for one in (store, other)]
    other.close()
    assert swept == [False, False, True, False, False, False, True, False]


def test_a_request_does_not_wait_for_the_sweep(store, monkeypatch):
    started, go_on = threading.Event(), threading.Event()
    keeper = Housekeeping(store, 30)

    def slow(now):
        started.set()
        assert go_on.wait(30)

    monkeypatch.setattr(keeper, "sweep", slow)
    keeper.nudge()
    assert started.wait(30)
    keeper.nudge()
    go_on.set()


def test_without_retention_nothing_is_removed(store):
    store.ingest(aged(9000, told("dag.old", 1)), OURS)
    keeper = Housekeeping(store, 0)
    keeper.nudge()
    assert runs(store) == {run_id(1)}


def test_a_sweep_removes(store):
    store.ingest(aged(9000, told("dag.old", 1)), OURS)
    assert sweep(store)
    assert not runs(store)
