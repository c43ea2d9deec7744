"""
The step under test. ``case.py`` copies this file for every case, with other values in the lines that begin with
capitals; a case that changes the code changes MARKER.
"""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import dag, task

MARKER = "first"
DAG_ID = "template"
TASK: dict[str, Any] = {}
ARGUMENTS: dict[str, Any] = {"folder": "/nowhere"}
RUN_SECONDS: float | None = None

NAPS = {name: datetime.timedelta(seconds=value) for name, value in TASK.pop("seconds", {}).items()}


@dag(dag_id=DAG_ID, schedule=None, dagrun_timeout=RUN_SECONDS and datetime.timedelta(seconds=RUN_SECONDS))
def build() -> None:
    @task.mlx(**TASK, **NAPS)
    def step(
        folder: str,
        run_id: str,
        try_number: int,
        longest: float = 150,
        fails: int = 0,
        lines: int = 0,
        salt: str = "",
        fails_once: bool = False,
    ) -> dict[str, Any]:
        import json
        import os
        import socket
        import time

        # all hosts of SageMaker's jobs have the same names
        job = os.environ.get("MLX_REQUEST_DIGEST")

        def note(event: str) -> None:
            facts = {"event": event, "run": run_id, "pid": os.getpid(), "at": time.time(), "marker": MARKER}
            facts["host"] = job or socket.gethostname()
            with open(f"{folder}/record.jsonl", "ab", buffering=0) as record:
                record.write((json.dumps(facts) + "\n").encode())

        note("started")
        for number in range(lines):
            print(f"line {number:06d}", flush=True)
            time.sleep(0.004)
        until = time.monotonic() + longest
        while time.monotonic() < until and not os.path.exists(f"{folder}/{run_id}.finish"):
            time.sleep(0.05)
        if try_number <= fails:
            note("failed")
            raise ConnectionError("the first try fails")
        if fails_once and not os.path.exists(f"{folder}/{run_id}.failed"):
            open(f"{folder}/{run_id}.failed", "w").close()
            note("failed")
            raise ConnectionError("it fails once, whoever begins it")
        note("ended")
        return {"marker": MARKER, "pid": os.getpid(), "host": job or socket.gethostname()}

    step(**ARGUMENTS)


build()
