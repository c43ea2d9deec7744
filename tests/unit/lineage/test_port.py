"""What the life of a job tells, and that it is told once."""

from __future__ import annotations

import json
import threading

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import BackendUnavailable, JobCancelled, JobTimeout, OutOfMemory, StepFailed
from airflow_provider_mlx.lineage import port
from airflow_provider_mlx.lineage.code import CodeFacts
from airflow_provider_mlx.lineage.emitter import Breaker, SafeEmitter
from airflow_provider_mlx.lineage.events import ChildRun
from airflow_provider_mlx.lineage.names import RunName
from airflow_provider_mlx.lineage.port import StepLineage
from airflow_provider_mlx.lineage.told import Told
from airflow_provider_mlx.runtime.uris import join
from tests.unit.lineage.conftest import CANARY, NOW, make_active, make_collected
from tests.unit.lineage.test_events import document

RUN = "018f0000-0000-7000-8000-0000000000"


def child(attempt, try_number, step):
    return ChildRun(
        RunName("ns", f"churn.train.{step}", f"{RUN}0{attempt}"), RunName("ns", "churn.train", f"{RUN}1{try_number}"), None
    )  # fmt: skip


class Teller:
    """One worker's lineage; ``sent`` is everybody's."""

    def __init__(self, store, sent, *, try_number=1, send=None, code=CodeFacts, **limits):
        self.said = []
        emitter = SafeEmitter(send or sent.append, spool=None, say=self.said.append, breaker=Breaker(), **limits)
        self.lineage = StepLineage(
            emitter=emitter, marks=store, child=child, task=("churn", "train"), try_number=try_number, now=lambda: NOW,
            resources={"cpu": 2}, code=code,
        )  # fmt: skip


def types(sent):
    return [event.eventType.value for event in sent]


def test_a_start_and_an_end(store):
    sent = []
    worker, active = Teller(store, sent).lineage, make_active(store)
    worker.started(active)
    worker.ended(active, make_collected(active))
    assert types(sent) == ["START", "COMPLETE"]
    start, end = map(document, sent)
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["run"]["facets"]["parent"] == end["run"]["facets"]["parent"]
    assert start["outputs"] == []
    assert {item["name"] for item in start["inputs"]} < {item["name"] for item in end["inputs"]}
    assert {item["name"] for item in end["outputs"]} == {"mlx/outputs/prod/churn/train/return_value", "scores"}
    assert start["eventTime"] == NOW.isoformat()
    assert end["eventTime"] == "2026-01-02T03:10:00+00:00", "the job's own time"
    assert end["job"]["name"] == "churn.train.fit"


def test_an_adopted_or_resumed_attempt_is_the_run_that_it_was(store):
    sent = []
    Teller(store, sent).lineage.started(make_active(store))
    later, active = Teller(store, sent, try_number=2).lineage, make_active(store)
    later.started(active)
    later.ended(active, make_collected(active))
    later.ended(active, make_collected(active))
    assert types(sent) == ["START", "COMPLETE"]
    facets = document(sent[1])["run"]["facets"]
    assert facets["parent"]["run"]["runId"] == f"{RUN}11", "of the submitting try"
    assert (facets["mlx_remoteJob"]["submittedByTry"], facets["mlx_remoteJob"]["reportedByTry"]) == (1, 2)


def test_no_start_follows_an_end(store):
    sent = []
    worker, active = Teller(store, sent).lineage, make_active(store)
    worker.ended(active, StepFailed("boom"))
    worker.started(active)
    assert types(sent) == ["START", "FAIL"]


def test_a_job_that_ended_before_anybody_told_of_its_start_has_one(store):
    """Its worker was killed behind the submission, and the next try finds it finished."""
    sent = []
    later, active = Teller(store, sent, try_number=2).lineage, make_active(store)
    later.ended(active, make_collected(active))
    later.ended(active, make_collected(active))
    assert types(sent) == ["START", "COMPLETE"]
    start, end = map(document, sent)
    assert start["run"]["facets"]["parent"] == end["run"]["facets"]["parent"]
    assert start["eventTime"] <= end["eventTime"]


def test_a_new_attempt_is_a_new_run(store):
    sent = []
    worker = Teller(store, sent).lineage
    for attempt in (1, 2):
        worker.started(make_active(store, attempt))
    assert len({event.run.runId for event in sent}) == 2


@pytest.mark.parametrize(
    ("error", "kind", "state", "message"),
    [
        (StepFailed(f"it said password={CANARY}"), "FAIL", "failed", "StepFailed: it said password=***"),
        (OutOfMemory("too much"), "FAIL", "failed", "OutOfMemory: too much"),
        (JobTimeout("late"), "ABORT", "stopped", "JobTimeout: late"),
        (JobCancelled("stopped"), "ABORT", "stopped", "JobCancelled: stopped"),
        (KeyboardInterrupt(CANARY), "ABORT", "stopped", "KeyboardInterrupt"),
    ],
)
def test_how_an_attempt_ends(store, error, kind, state, message):
    sent = []
    Teller(store, sent).lineage.ended(make_active(store), error)
    event = document(sent[-1])
    assert event["eventType"] == kind
    assert event["run"]["facets"]["mlx_remoteJob"]["state"] == state
    assert event["run"]["facets"]["errorMessage"]["message"] == message
    assert "stackTrace" not in event["run"]["facets"]["errorMessage"]
    assert event["inputs"] and not event["outputs"]


def test_a_skipped_step_is_complete(store):
    sent, active = [], make_active(store)
    Teller(store, sent).lineage.ended(active, make_collected(active, skipped="no data", outputs={}))
    facet = document(sent[-1])["run"]["facets"]["mlx_remoteJob"]
    assert (facet["state"], facet["reason"]) == ("skipped", "no data")


def test_no_canary_in_any_event(store):
    sent, active = [], make_active(store)
    worker = Teller(store, sent).lineage
    worker.started(active)
    worker.ended(active, make_collected(active))
    assert len(sent) == 2
    assert CANARY not in str([document(event) for event in sent])


def test_an_end_that_died_on_its_way_is_told_again(store):
    sent, active, never = [], make_active(store), threading.Event()
    Teller(store, sent).lineage.started(active)
    dying = Teller(store, sent, send=lambda event: never.wait(5), event_seconds=0.1)
    dying.lineage.ended(active, StepFailed("x"))
    Teller(store, sent).lineage.ended(active, StepFailed("x"))
    assert types(sent) == ["START", "FAIL"]
    never.set()


def test_an_end_is_told_though_the_store_gives_no_answer(store):
    class Silent:
        def create(self, uri, data):
            raise BackendUnavailable("no answer")

        def facts(self, uri):
            raise BackendUnavailable("no answer")

        def read(self, uri, *, limit=None):
            raise BackendUnavailable("no answer")

    sent, active = [], make_active(store)
    worker = Teller(Silent(), sent)
    worker.lineage.started(active)
    worker.lineage.ended(active, StepFailed("x"))
    assert types(sent) == ["FAIL"]


def test_whoever_tells_the_end_says_what_was_told_at_the_start(store):
    sent, active = [], make_active(store)
    first = Teller(store, sent, code=lambda: CodeFacts(commit="a" * 40, branch="main"))
    first.lineage.started(active)
    later = Teller(store, sent, try_number=2, code=lambda: CodeFacts(commit="b" * 40))
    later.lineage.ended(active, make_collected(active))
    start, end = map(document, sent)
    assert start["run"]["facets"]["mlx_code"] == end["run"]["facets"]["mlx_code"]
    assert end["run"]["facets"]["mlx_code"]["commit"] == "a" * 40


def test_what_was_told_is_kept_and_read(store):
    told = Told(child(1, 2, "fit"), {"gpu": 1}, "img:1", CodeFacts(commit="a" * 40, dirty=False))
    assert Told.from_bytes(told.to_bytes()) == told
    for other in (b"2026-01-02T03:04:05+00:00", b"[]", b"{}"):
        with pytest.raises(ValueError, match=r"."):
            Told.from_bytes(other)


def test_a_failed_job_says_what_it_ran_in(store):
    sent, active = [], make_active(store)
    error = {
        "protocol": 1, "step": {"job": active.record.job}, "environment": {"python": "3.11.9"},
        "timings": {"finished_at": "2026-01-02T03:10:00+00:00"},
    }  # fmt: skip
    store.create(join(active.ledger.uri, "error.json"), json.dumps(error).encode())
    Teller(store, sent).lineage.ended(active, StepFailed("x"))
    event = document(sent[-1])
    assert event["run"]["facets"]["mlx_environment"]["python"] == "3.11.9"
    assert event["eventTime"] == "2026-01-02T03:10:00+00:00"


def test_a_backend_that_does_not_answer_costs_no_event(store, monkeypatch):
    monkeypatch.setattr(port, "USAGE_SECONDS", 0.05)
    never = threading.Event()
    for usage in (lambda handle: never.wait(5), lambda handle: 1 / 0):
        sent, active = [], make_active(ObjectStore())
        active.backend.usage = usage
        Teller(active.ledger._store, sent).lineage.ended(active, make_collected(active))
        assert types(sent) == ["START", "COMPLETE"]
    never.set()


def test_code_that_cannot_be_read_costs_no_event(store):
    def unreadable():
        raise PermissionError("no")

    sent, active = [], make_active(store)
    Teller(store, sent, code=unreadable).lineage.started(active)
    assert types(sent) == ["START"]
