"""Cold parse of ten steps in a fresh interpreter, over ``import airflow.sdk``: CPU seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .report import line

_MEASURE = """
import gc, json, runpy, sys, time
import airflow.sdk, airflow.providers.common.compat.sdk
from airflow.sdk import dag, task
gc.collect()  # else one of the subjects, by chance, pays 0.1 s for a full pass over Airflow's own objects
start = time.process_time()
runpy.run_path(sys.argv[1])
print(json.dumps(time.process_time() - start))
"""


def dag_file(decorator: str) -> str:
    """Ten steps under a decorator."""
    steps = "\n".join(
        f"    @{decorator}\n    def step_{index}(x: int) -> int:\n        return x + {index}\n    step_{index}(1)\n"
        for index in range(10)
    )
    head = (
        "from airflow.sdk import dag, task\nfrom airflow_provider_mlx import Resources\n" if "mlx" in decorator else ""
    )
    return f"{head or 'from airflow.sdk import dag, task'}\n@dag(schedule=None)\ndef ten():\n{steps}\nten()\n"


def run(work: Path, *, runs: int) -> None:
    """Measure ten ``@task.mlx`` beside ten ``@task.kubernetes`` and ten ``@task``."""
    env = {**os.environ, "AIRFLOW_HOME": str(work / "parse"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    times: dict[str, list[float]] = {}
    files = {
        "@task.mlx": 'task.mlx(resources=Resources(cpu=1, memory="1Gi"))',
        "@task.kubernetes": 'task.kubernetes(image="python:3.11")',
        "@task": "task",
    }
    for name, decorator in files.items():
        (work / "ten.py").write_text(dag_file(decorator))
        for turn in range(runs + 1):
            answer = subprocess.run(
                [sys.executable, "-c", _MEASURE, str(work / "ten.py")],
                cwd=work,
                env=env,
                capture_output=True,
                text=True,
                check=True,
            )
            if turn:  # the first one warms the disk's cache
                times.setdefault(name, []).append(json.loads(answer.stdout.splitlines()[-1]))
    line("cold parse of ten steps", times["@task.mlx"], "@task.kubernetes", times["@task.kubernetes"], unit="s CPU")
    line("cold parse of ten steps", times["@task.mlx"], "@task (no provider)", times["@task"], unit="s CPU")
