"""
A listener for marks: the API server calls it when somebody marks a task, and no trigger may have been there to see it.

From the deferral until the triggerer has read the new row (a second or two; as long as no triggerer lives) nobody
watches: a mark in that time removes the row, and no trigger ever learns of it. So the API server looks after the job
itself, later, and only if nobody else did. In other processes, and for tasks that are not deferred steps of ours, this
is one comparison.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 15.0
"""The trigger's own time to stop the job: it has the backend's client loaded already."""
TRIES: Final = 8
TRIGGER: Final = "airflow_provider_mlx.triggers.job.JobTrigger"


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """A task has failed, or was marked failed."""
    _marked(previous_state, task_instance)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """A task has succeeded, or was marked successful."""
    _marked(previous_state, task_instance)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """A task was skipped, or marked so."""
    _marked(previous_state, task_instance)


def _marked(previous_state: Any, task_instance: Any) -> None:
    # Only a mark has no previous state, and only the database's task instance knows of a trigger.
    if previous_state is not None or getattr(task_instance, "trigger_id", None) is None:
        return
    try:
        trigger = task_instance.trigger
        if trigger is None or trigger.classpath != TRIGGER:
            return
        order = dict(trigger.kwargs)["order"]
    except Exception:
        log.exception("a marked task's trigger cannot be read; `reap` finds its job")
        return
    threading.Thread(target=see_that_it_stops, args=(order,), name="mlx-mark", daemon=True).start()


def see_that_it_stops(order: Any) -> None:
    """Wait for the trigger to stop its job; if it does not, do it here. Never raises."""
    time.sleep(GRACE_SECONDS)
    from airflow.providers.common.compat.sdk import BaseHook

    from airflow_provider_mlx.exceptions import BackendUnavailable, first_line
    from airflow_provider_mlx.triggers.job import stop_job
    from airflow_provider_mlx.triggers.order import WatchOrder

    known = WatchOrder.from_wire(order)
    if known is None:
        return
    for attempt in range(TRIES):
        try:
            if stop_job(known, BaseHook.get_connection, "marked while nobody watched"):
                log.info("mlx: job %s is asked to stop: its task was marked", known.handle.name)
            return
        except BackendUnavailable as error:
            log.warning("mlx: job %s cannot be asked to stop yet: %s", known.handle.name, first_line(error))
            time.sleep(2.0**attempt)
        except Exception:
            log.exception("mlx: job %s cannot be stopped; `reap` does it later", known.handle.name)
            return
