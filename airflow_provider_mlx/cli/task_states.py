"""
What Airflow says about the task instances of a run: asked inside a task, or in its database.

A run that Airflow does not know is an empty mapping: an answer. ``None`` is no answer, and nothing follows from it.
The words are Airflow's own, and ``"none"`` for a task instance that has no state (yet, or after a clear).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from airflow_provider_mlx.version_compat import state_word, states_of_run, task_instance_key

RunStates = Callable[[str, str], Mapping[str, str] | None]
"""DAG id and run id → state by task id (``task_3`` for an index of a mapped one); ``None`` without an answer."""

GONE: Final = "removed"
"""A task instance that a known or unknown run does not have: the word of ``jobs/decision.py``."""


def state_of(states: Mapping[str, str] | None, task_id: str, map_index: int) -> str | None:
    """One task instance's state; ``None`` where Airflow gave no answer."""
    return None if states is None else states.get(task_instance_key(task_id, map_index), GONE)


def run_states() -> RunStates:
    """The way to ask that there is here: the task's supervisor inside a task, else the database; each run once."""
    return cache(_from_supervisor if _is_inside_task() else _from_database)


def _is_inside_task() -> bool:
    """Whether this process runs a task of Airflow 3, which may not open the database."""
    try:
        from airflow.sdk.execution_time import task_runner
    except ImportError:  # Airflow 2.11
        return False
    return getattr(task_runner, "SUPERVISOR_COMMS", None) is not None


def _from_supervisor(dag_id: str, run_id: str) -> Mapping[str, str] | None:
    return states_of_run(dag_id=dag_id, run_id=run_id)


def _from_database(dag_id: str, run_id: str) -> Mapping[str, str] | None:
    try:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        model: Any = TaskInstance
        wanted = select(model.task_id, model.map_index, model.state).where(
            model.dag_id == dag_id, model.run_id == run_id
        )
        with create_session() as session:
            rows = session.execute(wanted).all()
        return {task_instance_key(task_id, map_index): state_word(state) for task_id, map_index, state in rows}
    except Exception:  # no database, no tables, no right to open it: no answer
        return None
