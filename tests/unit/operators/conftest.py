"""Runs an operator as a task process does, with real local jobs and without Airflow's database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CLOCK = "2026-01-02T03:04:05+00:00"


class OutletEvents(dict[Any, Any]):
    """As Airflow's accessors: one for every outlet that is asked for."""

    def __missing__(self, key: Any) -> Any:
        self[key] = SimpleNamespace(extra={})
        return self[key]


class RunningTask(SimpleNamespace):
    """What ``context["ti"]`` is to a step."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def airflow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An Airflow home of its own, in which local steps are allowed."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__MLX__ALLOW_LOCAL", "true")
    monkeypatch.setenv("AIRFLOW__MLX__LOCAL_ROOT", str(tmp_path / "mlx"))
    return tmp_path


@pytest.fixture
def execute(airflow_home: Path) -> Callable[..., Any]:
    """Execute the task of a DAG; the task instance, with ``result`` and ``pushed``."""

    def run(task: Any, *, run_id: str = "run", params: dict[str, Any] | None = None, **facts: Any) -> RunningTask:
        from datetime import datetime

        started = datetime.fromisoformat(CLOCK)
        ti = RunningTask(
            dag_id=task.dag.dag_id, task_id=task.task_id, run_id=run_id, map_index=-1, try_number=1,
            max_tries=task.retries, id="ti", task=task, pushed={}, result=None, outlet_events=OutletEvents(),
            bundle_instance=SimpleNamespace(path=Path(task.dag.fileloc).parent),
        )  # fmt: skip
        vars(ti).update(facts)
        dag_run = SimpleNamespace(
            start_date=started, logical_date=started, run_after=started, clear_number=0, conf={}, run_id=run_id
        )
        context = {
            "ti": ti, "task": task, "dag": task.dag, "params": params or {}, "run_id": run_id, "dag_run": dag_run,
            "ds": "2026-01-02", "ds_nodash": "20260102", "ts": CLOCK, "ts_nodash": "20260102T030405",
            "outlet_events": ti.outlet_events, "logical_date": started, "data_interval_start": started, "data_interval_end": started,
        }  # fmt: skip
        ti.result = (
            task.execute.__wrapped__(task, context) if hasattr(task.execute, "__wrapped__") else task.execute(context)
        )
        return ti

    return run


@pytest.fixture
def load(airflow_home: Path) -> Callable[..., Any]:
    """Write a DAG file and import it; its tasks by id, with their DAG."""
    import importlib.util
    import itertools

    count = itertools.count()

    def write(
        body: str, *, stacks: str | None = None, dag_id: str = "dag", name: str = "dag_file.py"
    ) -> dict[str, Any]:
        folder = airflow_home / f"dags{next(count)}"
        folder.mkdir()
        if stacks is not None:
            (folder / "mlx_stacks.yaml").write_text(stacks)
        file = folder / name
        lines = "\n".join(f"    {line}" if line.strip() else "" for line in body.splitlines())
        file.write_text(
            "from __future__ import annotations\n"
            "from airflow.sdk import DAG, task\n"
            "from airflow_provider_mlx import Dataset, MlxStepOperator, Resources\n"
            f"with DAG({dag_id!r}, schedule=None) as dag:\n{lines}\n"
        )
        spec = importlib.util.spec_from_file_location(f"generated_{folder.name}", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.dag.fileloc = str(file)
        return {task.task_id: task for task in module.dag.tasks}

    return write
