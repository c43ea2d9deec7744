"""An operator in a DAG of a test's own, and what it logs; ``connected`` is the test folder's own Airflow home."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class Heard(list[str]):
    """What an operator logs."""

    def info(self, message: str, *values: object) -> None:
        self.append(message % values if values else message)

    warning = debug = error = info


@pytest.fixture
def heard() -> Heard:
    """What the tasks of ``in_a_dag`` log."""
    return Heard()


@pytest.fixture
def in_a_dag(connected, heard, monkeypatch, request) -> Callable[..., Any]:
    """Makes a task of an operator in a DAG of the test's own."""
    from airflow.sdk import DAG

    def make(kind: type, /, *, task_id: str = "task", **fields: Any) -> Any:
        monkeypatch.setattr(kind, "log", heard)
        with DAG(f"dag{abs(hash(request.node.nodeid)):x}", schedule=None) as dag:
            task = kind(task_id=task_id, **fields)
        file = connected / "dags.py"
        file.touch()
        dag.fileloc = str(file)
        return task

    return make
