"""A step that does nothing but return a value: task start to end, under ``dag.test()``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .report import line

_DAG = """
import json, sys
from airflow.sdk import dag, task

@dag(schedule=None)
def overhead():
    @task.mlx
    def ours() -> dict:
        return {"ok": 1}

    @task.external_python(python=sys.executable)
    def external() -> dict:
        return {"ok": 1}

    @task.virtualenv(requirements=[], system_site_packages=False)
    def virtualenv() -> dict:
        return {"ok": 1}

    last = None
    for turn in range(RUNS):
        for step in (ours, external, virtualenv):
            task_ = step.override(task_id=f"{step.function.__name__}_{turn}")()
            if last is not None:
                last >> task_
            last = task_

overhead_dag = overhead()
if __name__ == "__main__":
    run = overhead_dag.test()
    done = [ti for ti in run.get_task_instances() if ti.state == "success"]
    rows = {ti.task_id: (ti.end_date - ti.start_date).total_seconds() for ti in done}
    print("RESULT " + json.dumps(rows))
"""


def run(work: Path, *, runs: int) -> None:
    """Measure ours beside ``@task.external_python`` and ``@task.virtualenv``, in turns."""
    folder = work / "overhead"
    folder.mkdir()
    file = folder / "overhead_dag.py"
    file.write_text(_DAG.replace("RUNS", str(runs + 1)))
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run(
        [str(Path(sys.executable).parent / "airflow"), "db", "migrate"],
        cwd=folder,
        env=env,
        check=True,
        capture_output=True,
    )
    answer = subprocess.run(
        [sys.executable, str(file)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    results = [text for text in answer.stdout.splitlines() if text.startswith("RESULT ")]
    if not results:
        raise SystemExit(f"the overhead DAG did not run:\n{answer.stdout[-3000:]}\n{answer.stderr[-3000:]}")
    rows = json.loads(results[0].removeprefix("RESULT "))
    times = {
        name: [seconds for task, seconds in rows.items() if task.startswith(name) and not task.endswith("_0")]
        for name in ("ours", "external", "virtualenv")
    }
    line("a no-op step with a returned value", times["ours"], "@task.external_python", times["external"], unit="s")
    line("a no-op step with a returned value", times["ours"], "@task.virtualenv", times["virtualenv"], unit="s")
