"""Lineage never fails a step and never takes more of its time than it may."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.lineage import emitter as module
from airflow_provider_mlx.lineage.emitter import Breaker, SafeEmitter
from airflow_provider_mlx.lineage.spool import Spool
from tests.unit.lineage.conftest import CANARY
from tests.unit.lineage.test_events import end


def make_emitter(send, spool=None, **limits):
    said = []
    given = {"event_seconds": 0.3, "task_seconds": 5.0, **limits}
    return SafeEmitter(send, spool=spool, say=said.append, breaker=Breaker(), root_breaker=Breaker(), **given), said


def kept(folder):
    return sum(len(file.read_text().splitlines()) for file in folder.glob("*.ndjson"))


def test_a_delivered_event_leaves_nothing_behind(tmp_path):
    sent, marks = [], []
    emitter, said = make_emitter(sent.append, Spool(tmp_path))
    emitter.emit(end, then=lambda: marks.append(1))
    assert (len(sent), marks, said, kept(tmp_path)) == (1, [1], [], 0)


def test_after_a_failure_nothing_is_sent_any_more_and_all_is_kept(tmp_path):
    asked = []

    def send(event):
        asked.append(event)
        raise ConnectionError(f"https://u:{CANARY}@h refused")

    emitter, said = make_emitter(send, Spool(tmp_path))
    marks = []
    for _ in range(3):
        emitter.emit(end, then=lambda: marks.append(1))
    assert (len(asked), kept(tmp_path), len(marks)) == (1, 3, 3)
    assert CANARY not in " ".join(said)
    assert "lineage-replay" in said[0]


def test_a_black_hole_costs_its_time_once(tmp_path):
    release = threading.Event()
    emitter, _ = make_emitter(lambda event: release.wait(20), Spool(tmp_path))
    began = time.perf_counter()
    for _ in range(3):
        emitter.emit(end)
    assert time.perf_counter() - began < 1.0
    assert kept(tmp_path) == 3
    release.set()


def test_the_time_of_a_task_is_bounded_too(tmp_path):
    emitter, _ = make_emitter(lambda event: time.sleep(0.2), Spool(tmp_path), task_seconds=0.8)
    began = time.perf_counter()
    for _ in range(12):
        emitter.emit(end)
    assert time.perf_counter() - began < 1.5
    assert 0 < kept(tmp_path) < 12


@pytest.mark.parametrize("step", ["make", "then"])
def test_whatever_raises_the_step_goes_on(tmp_path, step):
    def boom():
        raise RuntimeError(CANARY)

    sent = []
    emitter, _ = make_emitter(sent.append, Spool(tmp_path))
    emitter.emit(boom if step == "make" else end, then=boom if step == "then" else lambda: None)
    assert len(sent) == (step == "then")
    assert kept(tmp_path) == 0


def test_a_spool_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")

    def refuse(event):
        raise ConnectionError

    emitter, said = make_emitter(refuse, Spool(tmp_path / "file" / "spool"))
    emitter.emit(end)
    assert "lineage failed" in said[-1]


def test_no_event_is_no_work(tmp_path):
    emitter, said = make_emitter(pytest.fail, Spool(tmp_path))
    emitter.emit(lambda: None)
    assert said == []


def test_airflows_own_timeout_is_not_swallowed(tmp_path, monkeypatch):
    class Timeout(BaseException):
        pass

    def interrupt(*args):
        raise Timeout

    emitter, _ = make_emitter(lambda event: time.sleep(1), Spool(tmp_path))
    monkeypatch.setattr(
        module,
        "_Work",
        lambda *_: SimpleNamespace(
            finished=SimpleNamespace(wait=interrupt, set=lambda: None), left=deque(), made=False, may_send=False
        ),
    )
    with pytest.raises(Timeout):
        emitter.emit(end)


def test_several_events_go_out_in_their_order(tmp_path):
    sent = []
    emitter, said = make_emitter(sent.append, Spool(tmp_path))
    events = [end(), end(), end()]
    emitter.emit_all(lambda: events)
    assert (sent, said, kept(tmp_path)) == (events, [], 0)


def test_what_has_no_time_of_several_events_is_kept_and_the_next_one_is_sent(tmp_path):
    sent = []

    def send(event):
        time.sleep(0.1)
        sent.append(event)

    emitter, said = make_emitter(send, Spool(tmp_path), task_seconds=4.0)
    emitter.emit_all(lambda: [end() for _ in range(40)])
    before = len(sent)
    assert 0 < before < 40
    assert kept(tmp_path) == 40 - before
    assert len(said) == 1 and "more was not delivered" in said[0]
    emitter.emit(end)
    assert len(sent) == before + 1


def test_of_several_events_the_first_that_is_refused_and_all_after_it_are_kept(tmp_path):
    sent = []

    def send(event):
        if len(sent) == 2:
            raise ConnectionError("refused")
        sent.append(event)

    emitter, _ = make_emitter(send, Spool(tmp_path))
    emitter.emit_all(lambda: [end() for _ in range(5)])
    assert (len(sent), kept(tmp_path)) == (2, 3)


# --- kept in the artifact root -----------------------------------------------------------------------------------


class Root:
    """An artifact root that takes events, or does something else."""

    def __init__(self, act=lambda: None):
        self.asked = 0
        self.kept = []
        self._act = act

    def keep(self, event):
        self.asked += 1
        self._act()
        self.kept.append(event)


def refuse(*_):
    raise ConnectionError("refused")


def test_what_is_not_delivered_is_kept_in_the_artifact_root(tmp_path):
    root, marks = Root(), []
    emitter, said = make_emitter(refuse, Spool(tmp_path / "spool"), root=root)
    for _ in range(2):
        emitter.emit(end, then=lambda: marks.append(1))
    assert (len(root.kept), len(marks)) == (2, 2)
    assert not (tmp_path / "spool").exists()
    assert "lineage-replay" in said[0]


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_root_that_gives_no_answer_is_asked_once_and_the_disk_has_the_events(tmp_path, how):
    release = threading.Event()
    root = Root(refuse if how == "refuses" else lambda: release.wait(20))
    emitter, _ = make_emitter(refuse, Spool(tmp_path), root=root)
    began = time.perf_counter()
    for _ in range(3):
        emitter.emit(end)
    assert time.perf_counter() - began < 2.0
    assert (root.asked, kept(tmp_path)) == (1, 3)
    release.set()


def test_a_black_hole_leaves_time_to_keep_the_event_and_to_note_it():
    release, root, marks = threading.Event(), Root(), []
    emitter, _ = make_emitter(lambda event: release.wait(20), None, root=root)
    emitter.emit(end, then=lambda: marks.append(1))
    assert (len(root.kept), marks) == (1, [1])
    release.set()


def test_without_any_place_it_says_that_it_is_lost():
    emitter, said = make_emitter(refuse, None, root=Root(refuse))
    emitter.emit(end)
    assert "there is no spool" in said[0]
