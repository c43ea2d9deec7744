"""A mark that no trigger saw."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from airflow.listeners.listener import get_listener_manager

from airflow_provider_mlx.plugins import MlxPlugin, marks
from airflow_provider_mlx.testing.fake import RUNNING, SUCCEEDED, Script
from tests.unit.triggers.conftest import scene  # noqa: F401  (a fixture)


@pytest.fixture
def started(monkeypatch):
    """Orders that a thread would look after."""
    orders = []
    monkeypatch.setattr(
        marks.threading, "Thread", lambda target, args, **_: SimpleNamespace(start=lambda: orders.append(args[0]))
    )
    return orders


def deferred(classpath=marks.TRIGGER, **facts):
    trigger = SimpleNamespace(classpath=classpath, kwargs={"order": {"version": 1}})
    return SimpleNamespace(**{"trigger_id": 7, "trigger": trigger, **facts})


HOOKS = [marks.on_task_instance_failed, marks.on_task_instance_success, marks.on_task_instance_skipped]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_mark_of_a_deferred_step_is_looked_after(hook, started):
    hook(previous_state=None, task_instance=deferred())
    assert started == [{"version": 1}]


@pytest.mark.parametrize(
    ("previous", "task_instance"),
    [
        ("running", deferred()),
        (None, deferred(trigger_id=None)),
        (None, deferred(classpath="other.Trigger")),
        (None, deferred(trigger=None)),
        (None, SimpleNamespace()),
    ],
    ids=["the scheduler's own failure", "not deferred", "another's trigger", "a row that is gone", "a worker's"],
)
def test_anything_else_is_none_of_ours(previous, task_instance, started):
    for hook in HOOKS:
        hook(previous_state=previous, task_instance=task_instance)
    assert started == []


def test_a_row_that_cannot_be_read_does_not_break_the_mark(started, caplog):
    with caplog.at_level(logging.ERROR):
        marks.on_task_instance_failed(None, deferred(trigger=SimpleNamespace(classpath=marks.TRIGGER, kwargs=None)))
    assert started == []
    assert "cannot be read" in caplog.text


def test_the_job_is_stopped_if_nobody_else_did(scene, monkeypatch):  # noqa: F811
    monkeypatch.setattr(marks, "GRACE_SECONDS", 0)
    here = scene(Script(sees=(RUNNING,), cancel_fails=1))
    order = here.submit()
    monkeypatch.setattr(marks.time, "sleep", lambda seconds: None)
    marks.see_that_it_stops(order.to_wire())
    assert here.cluster.stops == [here.step.identity.job_name(1)]
    assert here.ledger.read_stop_request()["reason"] == "marked while nobody watched"


def test_a_job_that_is_over_is_left_alone(scene, monkeypatch):  # noqa: F811
    monkeypatch.setattr(marks, "GRACE_SECONDS", 0)
    here = scene(Script(sees=(SUCCEEDED,)))
    marks.see_that_it_stops(here.submit().to_wire())
    assert here.ledger.read_stop_request() is None


def test_airflow_takes_the_listener():
    manager = get_listener_manager()
    manager.add_listener(MlxPlugin.listeners[0])
    manager.pm.check_pending()
    assert manager.pm.is_registered(marks)
