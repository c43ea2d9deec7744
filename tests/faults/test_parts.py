"""The fault table's own parts: points hold once and only their run, the gate cuts, the log check can fail."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.faults.airflow import Airflow
from tests.faults.gate import Gate
from tests.faults.points import HELD_AT, Point, Points
from tests.faults.printed import GOES_ON, numbered, repeated_without_marker
from tests.faults.records import Job, most_at_once
from tests.faults.rows import ROWS
from tests.faults.subjects import SUBJECTS

SITE = Path(__file__).parent / "site"


@pytest.fixture
def worker(monkeypatch):
    """The worker's side, with signals counted instead of sent."""
    spec = importlib.util.spec_from_file_location("mlx_fault_points", SITE / "mlx_fault_points.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.sent = []
    monkeypatch.setattr(module.os, "kill", lambda pid, number: module.sent.append((pid, number)))
    return module


class Store:
    def __init__(self):
        self.made = []

    def create(self, uri, data):
        self.made.append(uri)
        return True

    read = facts = write = replace = upload = download = lambda self, uri: uri


def wrapped(worker, folder):
    kind = type("Wrapped", (Store,), {verb: getattr(Store, verb) for verb in worker.VERBS})
    worker.wrap(kind, folder)
    return kind()


@pytest.mark.parametrize("point", HELD_AT, ids=lambda point: point.value)
def test_a_point_holds_its_run_once(worker, tmp_path, point):
    points, name = Points(tmp_path), HELD_AT[point][0]
    store = wrapped(worker, tmp_path)
    points.arm("mine", point)

    assert store.create(f"file:///root/runs/d/g/other/step/-1/attempt-1/{name}", b"")
    assert worker.sent == []
    assert store.create(f"file:///root/runs/d/g/mine/step/-1/attempt-1/{name}", b"")
    assert store.create(f"file:///root/runs/d/g/mine/step/-1/attempt-2/{name}", b"")
    assert worker.sent == [(os.getpid(), signal.SIGSTOP)]
    assert points.held("mine") == os.getpid()


def test_a_run_is_cut_off_from_the_store_and_others_are_not(worker, tmp_path):
    from airflow_provider_mlx.exceptions import BackendUnavailable

    points, store = Points(tmp_path), wrapped(worker, tmp_path)
    points.cut_off("mine")

    assert store.read("file:///root/runs/d/g/other/step/x") == "file:///root/runs/d/g/other/step/x"
    with pytest.raises(BackendUnavailable):
        store.read("file:///root/runs/d/g/mine/step/x")
    points.reconnect("mine")
    store.read("file:///root/runs/d/g/mine/step/x")


def test_a_gate_relays_until_it_is_shut():
    with socket.create_server(("127.0.0.1", 0)) as service:
        threading.Thread(target=lambda: service.accept()[0].sendall(b"here"), daemon=True).start()
        gate = Gate(service.getsockname()[1])
        with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as client:
            assert client.recv(4) == b"here"
            gate.shut()
            with pytest.raises(ConnectionError):
                client.recv(4) or (_ for _ in ()).throw(ConnectionError)
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", gate.port), timeout=5)
        gate.close()


def test_a_silent_gate_keeps_what_comes_until_it_speaks():
    with socket.create_server(("127.0.0.1", 0)) as service:
        gate = Gate(service.getsockname()[1])
        with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as client:
            server, _ = service.accept()
            gate.fall_silent()
            server.sendall(b"late")
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.recv(4)
            gate.speak()
            client.settimeout(5)
            assert client.recv(4) == b"late"
        server.close()
        gate.close()


def test_jobs_that_follow_each_other_are_not_at_once():
    first, second = (Job("r", 1, "host", "m", begun, None, over) for begun, over in ((1.0, 2.0), (2.0, None)))
    beside = Job("r", 2, "host", "m", 1.5, None)

    assert most_at_once([]) == 0
    assert most_at_once([first, second]) == 1
    assert most_at_once([first, second, beside]) == 2


def test_repeated_lines_need_the_marker():
    once, again = "line 000001\nline 000002\n", "line 000002\nline 000003\n"

    assert numbered(once) == ["line 000001", "line 000002"]
    assert not repeated_without_marker(once)
    assert repeated_without_marker(once + again)
    assert not repeated_without_marker(f"{once}mlx: {GOES_ON} from line 2\n{again}")


def test_every_row_is_for_somebody_and_has_a_name_of_its_own():
    names = [row.name for row in ROWS]

    assert len(names) == len(set(names))
    assert all(any(row.is_for(subject) for subject in SUBJECTS.values()) for row in ROWS)
    assert {row.at for row in ROWS} == set(Point)


def test_the_log_of_a_task_is_read_in_the_order_of_its_time(tmp_path):
    """A worker shows the last lines into its own file, after the triggerer's: they are no repetition."""
    folder = tmp_path / "logs" / "dag_id=d" / "run_id=r" / "task_id=step"
    folder.mkdir(parents=True)
    parts = {"attempt=1.log": (1, 4), "attempt=1.log.trigger.7.log": (2, 3)}
    for name, seconds in parts.items():
        lines = [json.dumps({"timestamp": f"2026-11-26T00:00:0{at}Z", "event": f"line 00000{at}"}) for at in seconds]
        (folder / name).write_text("\n".join(lines) + "\n")
    text = Airflow.logs(cast("Airflow", SimpleNamespace(home=tmp_path)), "d", "r")
    assert numbered(text) == [f"line 00000{at}" for at in (1, 2, 3, 4)]
    assert not repeated_without_marker(text)
