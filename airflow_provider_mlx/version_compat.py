"""Every switch between Airflow's versions, in one module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowTaskTimeout,
    DecoratedOperator,
    task_decorator_factory,
)

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import _TaskDecorator
    from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS
else:
    try:
        from airflow.sdk.bases.decorator import _TaskDecorator
    except ImportError:  # Airflow 2.11
        from airflow.decorators.base import _TaskDecorator
    try:
        from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS
    except ImportError:  # Airflow 2.11 and 3.0
        from airflow.utils.context import KNOWN_CONTEXT_KEYS

__all__ = [
    "KNOWN_CONTEXT_KEYS",
    "AirflowTaskTimeout",
    "DecoratedOperator",
    "TaskDecorator",
    "bundle_root",
    "can_defer",
    "find_dag",
    "has_mapped_dependants",
    "is_dag_test",
    "state_of_task",
    "state_word",
    "states_of_run",
    "task_decorator_factory",
    "task_instance_key",
    "task_state",
]

TaskDecorator = _TaskDecorator


def task_state(ti: Any) -> str | None:
    """Airflow's own word for the state of this task instance now; see :func:`state_of_task`."""
    if hasattr(ti, "get_task_states"):
        index = -1 if ti.map_index is None else ti.map_index
        return state_of_task(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=index)
    try:  # Airflow 2.11
        ti.refresh_from_db()
    except Exception:
        return None
    return state_word(ti.state)


def state_of_task(*, dag_id: str, run_id: str, task_id: str, map_index: int) -> str | None:
    """
    Airflow's own word for the state of a task instance now, asked through the supervisor of this process (Airflow 3).

    :returns: ``"removed"`` if there is no such task instance, ``"none"`` if it has no state, ``None`` when it cannot
        be asked.
    """
    states = states_of_run(dag_id=dag_id, run_id=run_id, task_ids=[task_id])
    return None if states is None else states.get(task_instance_key(task_id, map_index), "removed")


def states_of_run(*, dag_id: str, run_id: str, task_ids: list[str] | None = None) -> dict[str, str] | None:
    """
    The states of a run's task instances by :func:`task_instance_key`, as :func:`state_of_task` asks for one.

    :param task_ids: only these tasks.
    """
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=task_ids, run_ids=[run_id])
        return {key: state_word(state) for key, state in found.get(run_id, {}).items()}
    except Exception:  # any failure to ask is "cannot be asked": this runs while the process is being ended
        return None


def task_instance_key(task_id: str, map_index: int) -> str:
    """A task instance's key within its run, as Airflow's own API writes it."""
    return task_id if map_index < 0 else f"{task_id}_{map_index}"


def state_word(state: Any) -> str:
    """Airflow's word for a state; ``"none"`` for a task instance that has none (yet, or after a clear)."""
    return "none" if state is None else str(getattr(state, "value", state))


def can_defer() -> bool:
    """Whether a deferred step keeps its promises here: Airflow 2's triggers are told of no kill."""
    return importlib.util.find_spec("airflow.sdk") is not None


def log_about(log: Any, **fields: Any) -> Any:
    """A logger whose lines carry fields, where Airflow's logs are structured (Airflow 3)."""
    return log.bind(**fields) if hasattr(log, "bind") else log


def bundle_root(ti: Any) -> str | None:
    """The folder of the DAG bundle that this task's file comes from."""
    instance = getattr(ti, "bundle_instance", None)
    if instance is not None:
        return str(instance.path)
    try:
        from airflow.settings import DAGS_FOLDER
    except ImportError:
        return None
    return str(DAGS_FOLDER)


def has_mapped_dependants(task: Any) -> bool:
    """Whether a task downstream is mapped over this task's result."""
    return next(iter(task.iter_mapped_dependants()), None) is not None


def is_dag_test() -> bool:
    """Whether this is ``dag.test()`` or ``airflow dags test``: everything runs in one process of the user's own."""
    try:
        from airflow.sdk.execution_time import task_runner
    except ImportError:  # Airflow 2.11
        import sys

        return any(
            frame.f_code.co_name == "test" and frame.f_code.co_filename.endswith("models/dag.py")
            for frame in _frames(sys._getframe())
        )
    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return type(comms).__name__ == "InProcessSupervisorComms"


def find_dag(dag_id: str) -> tuple[Any, list[str]]:
    """
    A DAG from the deployment's DAG files, without a look at the metadata database.

    :returns: the DAG, or ``None``, and what could not be imported on the way.
    """
    errors: list[str] = []
    for bag in _dag_bags():
        errors += [f"{file}: {text.strip().splitlines()[-1]}" for file, text in bag.import_errors.items()]
        if dag_id in bag.dags:
            return bag.dags[dag_id], errors
    return None, errors


def _dag_bags() -> Iterator[Any]:
    if importlib.util.find_spec("airflow.dag_processing.bundles") is None:  # Airflow 2.11
        old: Any = importlib.import_module("airflow.models.dagbag")
        yield old.DagBag(include_examples=False, read_dags_from_db=False)
        return
    manager: Any = importlib.import_module("airflow.dag_processing.bundles.manager")
    if importlib.util.find_spec("airflow.dag_processing.dagbag"):
        dag_bag: Any = importlib.import_module("airflow.dag_processing.dagbag").BundleDagBag
    else:  # Airflow 3.0 and 3.1
        dag_bag = importlib.import_module("airflow.models.dagbag").DagBag
    for bundle in manager.DagBundlesManager().get_all_dag_bundles():
        bundle.initialize()
        given = {"bundle_path": bundle.path, "bundle_name": bundle.name}
        known = inspect.signature(dag_bag).parameters  # Airflow 3.0 knows no names of bundles here
        yield dag_bag(dag_folder=str(bundle.path), **{name: given[name] for name in given if name in known})


def _frames(frame: Any) -> Any:
    while frame is not None:
        yield frame
        frame = frame.f_back
