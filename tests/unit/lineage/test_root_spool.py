"""Events that wait in the artifact root, beside those on a disk."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.artifacts.store import ObjectStore
from airflow_provider_mlx.exceptions import BackendUnavailable
from airflow_provider_mlx.lineage import root_spool as module
from airflow_provider_mlx.lineage.replaying import replay
from airflow_provider_mlx.lineage.root_spool import RootSpool
from airflow_provider_mlx.lineage.spool import Spool

ROOT = "memory://bucket/mlx"
RUN = "018f0000-0000-7000-8000-00000000000"


def event(run, kind, second=0, **more):
    return json.dumps({
        "eventType": kind, "eventTime": f"2026-01-02T03:04:{second:02}+00:00", "run": {"runId": f"{RUN}{run}"}, **more,
    })  # fmt: skip


@pytest.fixture
def store():
    return ObjectStore()


@pytest.fixture
def spool(store):
    return RootSpool(store, ROOT, "prod")


def sent_by(*places, refuse=()):
    got = []

    def send(document):
        run = document["run"]["runId"][-1]
        if run in refuse:
            raise ConnectionError("refused")
        got.append((run, document["eventType"]))

    return got, replay(places, send)


def test_what_is_kept_is_sent_in_order_and_removed(store, spool):
    for one in (event("1", "COMPLETE", 9), event("2", "START", 1), event("1", "START", 1), event("2", "FAIL", 3)):
        spool.keep(one)
    got, report = sent_by(spool)
    assert (report.sent, report.left, report.problem) == (4, 0, "")
    assert [kind for run, kind in got if run == "1"] == ["START", "COMPLETE"]
    assert [kind for run, kind in got if run == "2"] == ["START", "FAIL"]
    assert list(store.list(ROOT)) == []


def test_the_disk_and_the_root_are_one_sequence(spool, tmp_path):
    disk = Spool(tmp_path)
    spool.keep(event("1", "START", 1))
    disk.keep(event("1", "RUNNING", 2))
    spool.keep(event("1", "COMPLETE", 3))
    got, report = sent_by(disk, spool)
    assert got == [("1", "START"), ("1", "RUNNING"), ("1", "COMPLETE")]
    assert (report.sent, report.left) == (3, 0)


def test_an_event_that_came_into_both_places_is_sent_once_and_leaves_both(store, spool, tmp_path):
    disk = Spool(tmp_path)
    for place in (disk, spool):
        place.keep(event("1", "COMPLETE"))
    got, report = sent_by(disk, spool)
    assert (got, report.sent, report.left) == ([("1", "COMPLETE")], 1, 0)
    assert sent_by(disk, spool)[1].sent == 0


def test_a_refused_run_stays_and_others_go(spool):
    for run in ("1", "2"):
        spool.keep(event(run, "COMPLETE"))
    got, report = sent_by(spool, refuse="1")
    assert (got, report.left, report.problem) == ([("2", "COMPLETE")], 1, "ConnectionError: refused")
    assert sent_by(spool)[0] == [("1", "COMPLETE")]


def test_what_another_replay_has_sent_meanwhile_is_not_sent_again(store, spool):
    spool.keep(event("1", "COMPLETE"))
    with spool.taken() as mine:
        sent_by(spool)
        assert mine.events[0].read() is None
        mine.events[0].sent()


def test_deployments_of_one_root_do_not_send_each_others(store, spool):
    spool.keep(event("1", "COMPLETE"))
    assert sent_by(RootSpool(store, ROOT, "test"))[0] == []


def test_other_objects_are_left_alone(store, spool):
    store.create(f"{spool.uri}/{RUN}1/readme.txt", b"x")
    store.create(f"{spool.uri}/{RUN}1/20260102T030405000000-NONSENSE-aaaaaaaa.json", b"{}")
    assert sent_by(spool)[1].left == 0
    assert len(list(store.list(ROOT))) == 2


def test_two_that_keep_the_same_event_keep_one(store, spool):
    for _ in range(2):
        spool.keep(event("1", "COMPLETE"))
    assert len(list(store.list(ROOT))) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(event("1", "COMPLETE", large="x" * module.EVENT_BYTES), id="too large"),
        pytest.param(event("/../../../x", "COMPLETE"), id="a name that leads out"),
        pytest.param(event("1", "complete/../x"), id="no type of an event"),
        pytest.param("nonsense", id="no JSON"),
    ],
)
def test_what_has_no_place_there_is_refused(store, spool, text):
    with pytest.raises(ValueError, match=r"."):
        spool.keep(text)
    assert list(store.list(ROOT)) == []


def test_one_process_does_not_fill_the_root(spool, monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENTS", 2)
    spool.keep(event("1", "START", 1))
    spool.keep(event("1", "COMPLETE", 2))
    with pytest.raises(ValueError, match="no more"):
        spool.keep(event("2", "START", 3))


def test_a_root_without_an_answer_says_so_and_the_disks_events_go(spool, tmp_path, monkeypatch):
    def away(self, uri):
        raise BackendUnavailable("503")

    monkeypatch.setattr(ObjectStore, "list", away)
    disk = Spool(tmp_path)
    disk.keep(event("1", "COMPLETE"))
    got, report = sent_by(disk, spool)
    assert got == [("1", "COMPLETE")]
    assert "cannot be read: 503" in report.problem
