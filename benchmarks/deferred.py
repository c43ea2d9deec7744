"""
Puts waiting tasks into an Airflow database, as a scheduler and workers would have left them.

Run in an environment with Airflow, ``AIRFLOW_HOME`` set: ``python -m benchmarks.deferred FILE``. The file has a list of
triggers, each ``{"path": "module:callable", "arguments": {…}}``; the DAG ``waiting`` must have one run with one task.
"""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy import delete, insert, select

DAG_ID = "waiting"
DAG = f"""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag

@dag(dag_id="{DAG_ID}", schedule=None)
def waiting():
    EmptyOperator(task_id="step")

waiting()
"""


def pod_trigger(*, trigger_start_time: str, **arguments: Any) -> Any:
    """KubernetesPodOperator's trigger, from plain JSON."""
    from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger

    return KubernetesPodTrigger(trigger_start_time=datetime.fromisoformat(trigger_start_time), **arguments)


def defer_all(wanted: list[dict[str, Any]]) -> None:
    """One mapped task instance per trigger, deferred to it."""
    with create_session() as session:
        first = dict(session.execute(select(TaskInstance.__table__)).mappings().one())
        rows = []
        for index, one in enumerate(wanted):
            module, _, name = one["path"].partition(":")
            row = Trigger.from_object(getattr(importlib.import_module(module), name)(**one["arguments"]))
            session.add(row)
            session.flush()
            rows.append(
                first
                | {
                    "id": uuid.uuid4(), "map_index": index, "state": "deferred", "trigger_id": row.id,
                    "next_method": "execute_complete", "updated_at": None,
                }
            )  # fmt: skip
        session.execute(delete(TaskInstance))
        session.execute(insert(TaskInstance.__table__), rows)


if __name__ == "__main__":
    defer_all(json.loads(Path(sys.argv[1]).read_text()))
