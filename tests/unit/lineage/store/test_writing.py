"""Events into the store: each once, in any order, and from nobody else than who may."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select

from airflow_provider_mlx.lineage.store.graph import nodes_of
from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.rows import AIRFLOW, Source
from airflow_provider_mlx.lineage.store.runs import runs_of
from airflow_provider_mlx.lineage.store.tables import edge, run, run_io
from airflow_provider_mlx.lineage.store.tables import event as event_table
from airflow_provider_mlx.lineage.store.told import MAX_DATASETS, NotAnEvent, parse_event
from tests.unit.lineage.store.conftest import OURS, STRANGER, data, data_key, job_key, run_id, told


def rows(store, table):
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def test_an_event_that_comes_twice_is_stored_once(store):
    event = told("dag.task", 1)
    assert store.ingest([event, event], OURS).known == 1
    assert store.ingest([{key: event[key] for key in reversed(event)}], OURS).known == 1, "whatever its fields' order"
    assert len(rows(store, run)) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whatever_order_they_come_the_end_is_the_end(store, order):
    events = [
        told("dag.task", 1, "START", 1, inputs=[data("raw")]),
        told("dag.task", 1, "RUNNING", 2),
        told("dag.task", 1, "COMPLETE", 3, inputs=[data("raw", "v1")], outputs=[data("model", "m1")]),
    ]
    for number in order:
        store.ingest([events[number]], OURS)
    (one,) = rows(store, run)
    assert (one["state"], one["started"][-10:-7], one["ended"][-10:-7]) == ("complete", "01.", "03.")
    assert {(row["side"], row["version"]) for row in rows(store, run_io)} == {("in", "v1"), ("out", "m1")}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_ends_the_later_one_counts(store, order):
    events = [told("dag.task", 1, "FAIL", 1), told("dag.task", 1, "COMPLETE", 2)]
    store.ingest([events[number] for number in order], OURS)
    assert rows(store, run)[0]["state"] == "complete"


@pytest.mark.parametrize("first", ["the reader", "the writer"])
def test_who_knows_only_the_object_of_a_run_meets_the_dataset_that_it_was(store, first):
    place = "runs/7/model.pkl"
    write = told("dag.train", 1, outputs=[data("outputs/model", "m1", places=(place,))])
    read = told("dag.score", 2, seconds=5, inputs=[data(place)])
    store.ingest([read, write] if first == "the reader" else [write, read], OURS)
    assert {(row["job"], row["side"], row["dataset"]) for row in rows(store, edge)} == {
        (job_key("dag.train"), "out", data_key("outputs/model")), (job_key("dag.score"), "in", data_key("outputs/model")),
    }  # fmt: skip
    assert {row["version"] for row in rows(store, run_io)} == {"m1"}, "and in which version"
    with store.reading() as connection:
        assert not list(nodes_of(connection, [data_key(place)]))


def test_two_names_that_are_each_others_are_one_dataset_that_is_shown(store):
    one, other = data("a", "1", places=("b",)), data("b", places=("a",))
    store.ingest([told("dag.write", 1, outputs=[one]), told("dag.read", 2, seconds=1, inputs=[other])], OURS)
    (shown,) = {row["dataset"] for row in rows(store, edge)}
    with store.reading() as connection:
        assert [node.key for node in nodes_of(connection, [data_key("a"), data_key("b")])] == [shown]


def test_facets_of_a_later_event_take_the_place_of_an_earlier_ones(store):
    store.ingest(
        [told("dag.task", 1, "COMPLETE", 2, a={"x": 2}), told("dag.task", 1, "START", 1, a={"x": 1}, b={})], OURS
    )
    with store.reading() as connection:
        (one,) = runs_of(connection, job_key("dag.task"))
    assert one["facets"]["a"] == {"x": 2}
    assert "b" in one["facets"]


def test_a_token_tells_of_its_own_namespaces(store):
    report = store.ingest([told("dag.task", 1)], Source("other", namespaces=frozenset({"elsewhere"})))
    assert report.stored == 0
    assert [number for number, _ in report.refused] == [0]
    assert "none of those of the token `other`" in report.refused[0][1]


def test_a_token_changes_no_run_of_airflows(store):
    store.ingest([told("dag.task", 1, "START", 1)], OURS)
    report = store.ingest([told("dag.task", 1, "FAIL", 2), told("dag.other", 2)], STRANGER)
    assert (report.stored, [number for number, _ in report.refused]) == (1, [0])
    assert {row["id"]: row["state"] for row in rows(store, run)}[run_id(1)] == "running"


def test_only_airflow_says_which_dag_a_job_is_of_and_which_object_a_dataset(store):
    forged = told("mine", 1, dag="payroll", outputs=[data("mine", places=("payroll/secret",))])
    store.ingest([told("payroll.task", 2, inputs=[data("payroll/secret")], dag="payroll"), forged], STRANGER)
    with store.reading() as connection:
        dags = {node.name: node.dag for node in nodes_of(connection, [job_key("mine"), job_key("payroll.task")])}
        kept = list(nodes_of(connection, [data_key("payroll/secret")]))
    assert set(dags.values()) == {None}
    assert kept


def test_events_about_no_run_are_taken_and_left_out(store):
    without = {
        "eventTime": "2026-11-26T10:00:00Z",
        "producer": "p",
        "schemaURL": "s",
        "dataset": {"namespace": "a", "name": "b"},
    }
    assert store.ingest([without], OURS).ignored == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": {"runId": "x"}}, "`run.runId` is no UUID"),
        ({"run": "x"}, "`run` is no object"),
        ({"job": {"namespace": "a"}}, "`job.name` is no text"),
        ({"job": {"namespace": "a", "name": "x" * 3000}}, "at most 2000 are stored"),
        ({"eventTime": "soon"}, "`eventTime` is no time"),
        ({"eventType": "BOOM"}, "`eventType` is none of"),
        ({"inputs": {}}, "`inputs` is no list"),
        ({"inputs": [{}] * (MAX_DATASETS + 1)}, "at most 5000 are stored"),
        ({"inputs": [{"namespace": "a", "name": 1}]}, "`inputs[0].name` is no text"),
    ],
)
def test_what_is_no_event_is_refused_and_says_where(change, said):
    with pytest.raises(NotAnEvent) as refused:
        parse_event({**told("dag.task", 1), **change})
    assert said in str(refused.value)


def test_what_is_nested_too_deep_is_refused():
    deep: object = {}
    for _ in range(100):
        deep = {"x": deep}
    with pytest.raises(NotAnEvent, match="levels deep"):
        parse_event(told("dag.task", 1, deep=deep))


def test_of_airflows_largest_events_the_dags_tasks_are_left_out(store):
    large = told("dag", 1, dag="dag", dag_run="r1")
    large["job"]["facets"]["airflow"] = {"tasks": {str(number): "x" * 100 for number in range(10_000)}}
    assert store.ingest([large], OURS).stored == 1
    with store.reading() as connection:
        (node,) = nodes_of(connection, [job_key("dag")])
    assert (node.dag, set(node.facets)) == ("dag", {"jobType"})
    assert store.ingest([large], OURS).known == 1


def test_a_token_moves_no_job_of_airflows_below_a_job_of_its_own(store):
    store.ingest([told("payroll.pay.sum", 1, parent=("payroll.pay", 2))], OURS)
    store.ingest([told("payroll.pay.sum", 3, seconds=9, parent=("churn.task", 4), note={"x": 1})], STRANGER)
    with store.reading() as connection:
        (node,) = nodes_of(connection, [job_key("payroll.pay.sum")])
    assert node.parent == job_key("payroll.pay")


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_a_time_that_no_clock_shows_is_refused(time):
    with pytest.raises(NotAnEvent, match="no time"):
        parse_event({**told("dag.task", 1), "eventTime": time})


def test_what_no_database_stores_is_left_out_of_names(store):
    strange = told("dag.\x00task\ud800", 1, outputs=[data("a", "1\x00")], note={"x": "\x00\ud800"})
    assert store.ingest([strange], OURS).stored == 1
    with store.reading() as connection:
        assert [node.name for node in nodes_of(connection, [job_key("dag.task")])] == ["dag.task"]


def test_one_bad_event_keeps_no_other_from_the_store(store):
    report = store.ingest([told("dag.a", 1), {"x": 1}, told("dag.b", 2)], OURS)
    assert (report.stored, [number for number, _ in report.refused]) == (2, [1])


def test_tables_of_another_generation_are_filled_again_from_the_events(store, url, monkeypatch):
    store.ingest([told("dag.task", 1, dag="dag", outputs=[data("model", "m1")])], OURS)
    store.close()
    monkeypatch.setattr("airflow_provider_mlx.lineage.store.opening.GENERATION", 99)
    again = Store.open(url)
    with again.reading() as connection:
        (node,) = nodes_of(connection, [job_key("dag.task")])
    assert node.dag == "dag"
    assert rows(again, run)[0]["source"] == AIRFLOW
    again.close()


def test_what_a_run_was_given_and_what_a_traceback_shows_is_not_kept(store):
    conf = {
        "dagRun": {"run_id": "r", "dag_id": "dag", "conf": {"url": "https://x/?sig=tr0ub4dor"}},
        "dag": {"dag_id": "dag"},
    }
    said = {"message": "no login: password=tr0ub4dor", "stackTrace": "x = 'tr0ub4dor'", "programmingLanguage": "PYTHON"}
    event = told("dag.task", 1, "FAIL")
    event["run"]["facets"] = {
        **event["run"].get("facets", {}),
        "airflow": conf,
        "airflowDagRun": conf,
        "errorMessage": said,
    }
    store.ingest([event], OURS)
    kept = [row["document"] for row in rows(store, event_table)] + [str(rows(store, run))]
    assert not [text for text in kept if "tr0ub4dor" in text]
    assert "no login: password=***" in kept[0]
    assert event["run"]["facets"]["airflow"]["dagRun"]["conf"], "the sender's own document stays as it is"
    assert store.ingest([event], OURS).known == 1
