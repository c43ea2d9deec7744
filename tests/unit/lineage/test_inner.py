"""The tasks of a pipeline's run, as runs below the child run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.inner import MAX_TASKS, TASKS_FILE, InnerTask, parse_tasks, record_tasks
from airflow_provider_mlx.exceptions import JobCancelled, ResultMissing, StepFailed
from airflow_provider_mlx.lineage.inner import inner_events
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.runtime.values import Dataset
from tests.unit.lineage.conftest import CANARY, NOW, make_active, make_collected
from tests.unit.lineage.test_events import CHILD, JOB, document, facet_validator
from tests.unit.lineage.test_port import Teller, types


def at(seconds):
    return NOW + timedelta(seconds=seconds)


TRAIN = InnerTask(
    "loop-1[2]/train", State.SUCCEEDED, at(10), at(30), kind="Training", id="pod-2", url="https://console/pod-2",
    parameters={"rate": 0.1, "hf_token": CANARY, "grid": {"a": CANARY}}, metrics={"auc": 0.9},
    read=(Dataset("s3://lake/raw/"),), written=(Dataset("s3://root/model", "v1"),),
)  # fmt: skip
PREPARE = InnerTask(
    "prepare", State.SUCCEEDED, at(1), at(1), cached=True, cached_from="run-6", written=(Dataset("s3://root/clean"),)
)
DEPLOY = InnerTask("deploy", State.FAILED, at(31), at(32), reason=f"it said password={CANARY}")
LATE = InnerTask("watch", State.STOPPED, at(31))


def test_a_task_survives_its_way_through_the_ledger_without_what_may_be_a_secret(store):
    active = make_active(store)
    record_tasks(store, active.ledger.uri, [TRAIN, PREPARE, DEPLOY, LATE])
    train, *others = active.ledger.read_tasks()
    assert others[0] == PREPARE and others[2] == LATE
    assert train.parameters == {"rate": 0.1, "hf_token": "***"}
    assert (train.read, train.written, train.ended) == (TRAIN.read, TRAIN.written, TRAIN.ended)
    assert CANARY not in str(store.read(join(active.ledger.uri, TASKS_FILE)))


def test_what_is_there_stays(store):
    active = make_active(store)
    record_tasks(store, active.ledger.uri, [TRAIN])
    record_tasks(store, active.ledger.uri, [PREPARE])
    assert [task.name for task in active.ledger.read_tasks()] == [TRAIN.name]


def test_of_a_great_many_the_first_are_kept(store):
    active = make_active(store)
    record_tasks(store, active.ledger.uri, [PREPARE] * (MAX_TASKS + 3))
    assert len(active.ledger.read_tasks()) == MAX_TASKS


@pytest.mark.parametrize("body", [b"{}", b'{"tasks": [{"name": "x"}]}', b'{"tasks": [{"state": "?"}]}', b"no"])
def test_a_file_that_is_something_else_is_said_to_be(store, body):
    active = make_active(store)
    store.create(join(active.ledger.uri, TASKS_FILE), body)
    with pytest.raises(ResultMissing, match=r"tasks\.json"):
        active.ledger.read_tasks()


def test_each_task_is_a_run_below_the_child_run():
    events = [document(event) for event in inner_events(CHILD, JOB, [TRAIN, PREPARE, DEPLOY, LATE], at(40))]
    said = [(event["job"]["name"].removeprefix("churn.train.fit."), event["eventType"]) for event in events]
    assert said == [
        ("prepare", "START"), ("prepare", "COMPLETE"), ("loop-1.train", "START"), ("loop-1.train", "COMPLETE"),
        ("deploy", "START"), ("watch", "START"), ("deploy", "FAIL"), ("watch", "ABORT"),
    ]  # fmt: skip
    assert len({event["run"]["runId"] for event in events}) == 4
    for event in events:
        parent = event["run"]["facets"]["parent"]
        assert (parent["run"]["runId"], parent["job"]["name"]) == (CHILD.run.run_id, CHILD.run.job)
        assert parent["root"]["run"]["runId"] == CHILD.root.run_id
    train = events[3]
    assert [one["name"] for one in train["inputs"]] == ["raw"]
    assert [one["name"] for one in train["outputs"]] == ["model"]
    facets = train["run"]["facets"]
    assert facets["mlx_metrics"]["metrics"] == [{"name": "auc", "value": 0.9}]
    assert facets["externalQuery"]["externalQueryId"] == "pod-2"
    assert facets["mlx_remoteJob"]["name"] == "loop-1[2]/train"
    assert {one["key"]: one["value"] for one in facets["executionParameters"]["parameters"]}["rate"] == "0.1"
    assert events[7]["eventTime"] == at(40).isoformat(), "it was stopped with the whole"
    assert "password=***" in events[6]["run"]["facets"]["errorMessage"]["message"]
    assert CANARY not in str(events)


def test_of_one_moment_what_ends_is_told_before_what_begins():
    tasks = [
        InnerTask("a", State.SUCCEEDED, at(1), at(2)),
        InnerTask("b", State.SUCCEEDED, at(2), at(2)),
        InnerTask("c", State.SUCCEEDED, at(2), at(3)),
    ]
    events = inner_events(CHILD, JOB, tasks, at(9))
    said = [f"{event.eventType.value} {event.job.name[-1]}" for event in events]
    assert said == ["START a", "COMPLETE a", "START b", "START c", "COMPLETE b", "COMPLETE c"]


def test_a_cached_task_says_so():
    facet = document(inner_events(CHILD, JOB, [PREPARE], at(40))[1])["run"]["facets"]["mlx_cache"]
    facet_validator("MlxCacheRunFacet").validate({"mlx_cache": facet})
    assert (facet["cached"], facet["source"]) == (True, "run-6")


def test_a_round_of_a_loop_is_a_run_of_the_loops_one_job():
    rounds = [InnerTask(f"loop-1[{number}]/train", State.SUCCEEDED, at(1), at(2)) for number in range(2)]
    events = inner_events(CHILD, JOB, rounds, at(9))
    assert len({event.job.name for event in events}) == 1
    assert len({event.run.runId for event in events}) == 2


def test_tasks_are_told_before_the_end_of_the_whole_and_once(store):
    sent, active = [], make_active(store, has_tasks=True)
    record_tasks(store, active.ledger.uri, [PREPARE, TRAIN])
    worker = Teller(store, sent).lineage
    worker.started(active)
    worker.ended(active, make_collected(active))
    Teller(store, sent, try_number=2).lineage.ended(active, make_collected(active))
    assert types(sent) == ["START", "START", "COMPLETE", "START", "COMPLETE", "COMPLETE"]
    assert sent[-1].job.name == "churn.train.fit"


@pytest.mark.parametrize("end", [StepFailed("boom"), JobCancelled("stopped")])
def test_tasks_of_a_run_that_failed_or_was_stopped_are_told_too(store, end):
    sent, active = [], make_active(store, has_tasks=True)
    record_tasks(store, active.ledger.uri, [DEPLOY])
    Teller(store, sent).lineage.ended(active, end)
    assert types(sent)[:3] == ["START", "START", "FAIL"]
    assert len(sent) == 4


def test_a_damaged_list_of_tasks_costs_only_the_tasks(store):
    sent, active = [], make_active(store, has_tasks=True)
    store.create(join(active.ledger.uri, TASKS_FILE), b"no")
    teller = Teller(store, sent)
    teller.lineage.ended(active, make_collected(active))
    assert types(sent) == ["START", "COMPLETE"]
    assert "tasks.json" in teller.said[0]


def test_nothing_else_can_be_parsed_than_what_was_written():
    with pytest.raises(KeyError):
        parse_tasks({})
