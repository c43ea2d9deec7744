"""Events that wait: kept, sent in order, once, and across deaths."""

from __future__ import annotations

import json
import stat

import pytest

from airflow_provider_mlx.lineage import spool as module
from airflow_provider_mlx.lineage.replaying import replay as replay_places
from airflow_provider_mlx.lineage.spool import Spool


def replay(folder, send):
    return replay_places([Spool(folder)], send)


def event(run, kind, second=0):
    return json.dumps({
        "eventType": kind, "eventTime": f"2026-01-02T03:04:{second:02}+00:00", "run": {"runId": run}, "job": {"name": "j"},
    })  # fmt: skip


def sink(refuse=()):
    got = []

    def send(found):
        if found["run"]["runId"] in refuse:
            raise ConnectionError("refused")
        got.append((found["run"]["runId"], found["eventType"]))

    return got, send


def test_what_is_kept_is_sent_in_order_and_removed(tmp_path):
    folder = tmp_path / "spool"
    Spool(folder).keep(event("a", "COMPLETE", 9))  # another worker's file, and older than the START's
    one = Spool(folder)
    one.keep(event("a", "START", 1))
    one.keep(event("b", "START", 2))
    one.keep(event("b", "FAIL", 3))
    got, send = sink()
    report = replay(folder, send)
    assert (report.sent, report.left, report.damaged, report.problem) == (4, 0, 0, "")
    assert [kind for run, kind in got if run == "a"] == ["START", "COMPLETE"]
    assert [kind for run, kind in got if run == "b"] == ["START", "FAIL"]
    assert {file.name for file in folder.iterdir()} == {"lock", "replay.lock"}
    assert replay(folder, send).sent == 0


def test_a_start_alone_cannot_open_a_run_that_was_closed_elsewhere(tmp_path):
    Spool(tmp_path).keep(event("a", "START"))
    got, send = sink()
    replay(tmp_path, send)
    assert got == [("a", "OTHER")]


def test_only_its_owner_may_read_it(tmp_path):
    Spool(tmp_path / "s").keep(event("a", "START"))
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "s").iterdir()} == {0o600}


def test_a_refused_run_waits_and_others_go_on(tmp_path):
    spool = Spool(tmp_path)
    for run in ("bad", "good"):
        spool.keep(event(run, "START", 1))
        spool.keep(event(run, "COMPLETE", 2))
    got, send = sink(refuse={"bad"})
    report = replay(tmp_path, send)
    assert (report.sent, report.left, report.problem) == (2, 2, "ConnectionError: refused")
    spool.keep(event("new", "COMPLETE"))
    got, send = sink()
    assert replay(tmp_path, send).sent == 3
    assert got == [("bad", "START"), ("bad", "COMPLETE"), ("new", "COMPLETE")] or set(got) == {
        ("bad", "START"),
        ("bad", "COMPLETE"),
        ("new", "COMPLETE"),
    }


def test_an_endpoint_that_is_down_is_not_asked_for_ever(tmp_path):
    spool = Spool(tmp_path)
    for index in range(20):
        spool.keep(event(f"run-{index}", "COMPLETE"))
    asked = []

    def send(found):
        asked.append(found)
        raise ConnectionError

    assert replay(tmp_path, send).left == 20
    assert len(asked) == 3


def test_a_replay_that_dies_goes_on_where_it_was(tmp_path):
    spool = Spool(tmp_path)
    for index in range(5):
        spool.keep(event("a", "RUNNING", index))

    class Killed(BaseException):
        pass

    first = []

    def dies(found):
        if len(first) == 3:
            raise Killed
        first.append(found["eventTime"])

    with pytest.raises(Killed):
        replay(tmp_path, dies)
    rest = []
    report = replay(tmp_path, lambda found: rest.append(found["eventTime"]))
    assert (report.sent, report.left) == (2, 0)
    assert [*first, *rest] == sorted({*first, *rest}), "each once, in order"


def test_a_line_that_is_no_event_is_counted_and_dropped(tmp_path):
    spool = Spool(tmp_path)
    spool.keep(event("a", "COMPLETE"))
    (file,) = tmp_path.glob("*.ndjson")
    with file.open("a") as out:
        out.write('{"eventType": "COM')
    report = replay(tmp_path, lambda found: None)
    assert (report.sent, report.damaged) == (1, 1)
    assert not list(tmp_path.glob("*.claimed*"))


def test_a_file_grows_to_its_limit_and_the_oldest_gives_way(tmp_path):
    line = len(event("r-00", "COMPLETE")) + 1
    spool = Spool(tmp_path, file_bytes=2 * line, total_bytes=6 * line)
    for index in range(10):
        spool.keep(event(f"r-{index:02}", "COMPLETE"))
    got, send = sink()
    replay(tmp_path, send)
    assert 4 <= len(got) <= 6
    assert got[-1][0] == "r-09"


def test_a_spool_that_is_full_of_what_cannot_be_sent_says_so(tmp_path):
    line = len(event("a", "COMPLETE")) + 1
    spool = Spool(tmp_path, total_bytes=line)
    spool.keep(event("a", "COMPLETE"))
    replay(tmp_path, sink(refuse={"a"})[1])
    with pytest.raises(OSError, match="full"):
        spool.keep(event("b", "COMPLETE"))


def test_two_replays_do_not_meet(tmp_path):
    Spool(tmp_path).keep(event("a", "COMPLETE"))
    inner = []

    def send(found):
        inner.append(replay(tmp_path, lambda again: None).problem)

    assert replay(tmp_path, send).sent == 1
    assert inner == ["another replay is at work"]


def test_a_held_lock_does_not_hold_up_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.05)
    with module._locked(tmp_path / "lock", wait=0) as held:
        assert held
        Spool(tmp_path).keep(event("a", "COMPLETE"))
    assert replay(tmp_path, lambda found: None).sent == 1


def test_there_is_no_spool(tmp_path):
    assert replay(tmp_path / "none", lambda found: None).sent == 0
