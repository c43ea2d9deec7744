"""A frame through two steps: throughput and peak memory, beside Airflow's XCom object-storage backend."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.local.backend import LocalBackend, LocalSettings
from airflow_provider_mlx.runtime.protocol import PROTOCOL
from airflow_provider_mlx.step.bundle import build_bundle, runtime_files
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from airflow_provider_mlx.step.spec import JobSpec, ObjectReference

from .report import line

_STEPS = """
import numpy as np
import pandas as pd

def make(mebibytes: int) -> pd.DataFrame:
    rows = mebibytes * 1024 * 1024 // 64
    random = np.random.default_rng(7)
    numbers = {f"f{i}": random.normal(size=rows) for i in range(6)}
    return pd.DataFrame({**numbers, "a": np.arange(rows), "b": random.integers(0, 1000, rows)})

def use(table: pd.DataFrame) -> int:
    return len(table)
"""

_PEER = """
import json, resource, sys, time
import numpy as np, pandas as pd
from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend as Backend

mode, path, mebibytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if mode == "write":
    rows = mebibytes * 1024 * 1024 // 64
    random = np.random.default_rng(7)
    numbers = {f"f{i}": random.normal(size=rows) for i in range(6)}
    frame = pd.DataFrame({**numbers, "a": np.arange(rows), "b": random.integers(0, 1000, rows)})
    start = time.perf_counter()
    stored = Backend.serialize_value(frame, key="return_value", task_id="make", dag_id="d", run_id="r")
    seconds = time.perf_counter() - start
    open(path, "w").write(stored if isinstance(stored, str) else stored.decode())
else:
    class Row:
        value = open(path).read()
        key, task_id, dag_id, run_id, map_index = "return_value", "make", "d", "r", -1
    start = time.perf_counter()
    frame = Backend.deserialize_value(Row())
    seconds = time.perf_counter() - start
    assert len(frame) == mebibytes * 1024 * 1024 // 64
print("RESULT " + json.dumps({"seconds": seconds, "peak": peak()}))
"""


def run(work: Path, *, sizes: list[int], runs: int) -> None:
    """Measure writing and reading for each size."""
    for mebibytes in sizes:
        ours = [_ours(work / f"ours-{mebibytes}-{turn}", mebibytes) for turn in range(runs)]
        peer = [_peer(work / f"peer-{mebibytes}-{turn}", mebibytes) for turn in range(runs)]
        for index, verb in enumerate(("write", "read")):
            line(
                f"{mebibytes} MiB frame, {verb}",
                [mebibytes / pair[index]["seconds"] for pair in ours], "XCom object storage",
                [mebibytes / pair[index]["seconds"] for pair in peer], unit="MiB/s", less_is_better=False,
            )  # fmt: skip
            line(
                f"{mebibytes} MiB frame, {verb}, peak memory",
                [pair[index]["peak"] / 2**30 for pair in ours], "XCom object storage",
                [pair[index]["peak"] / 2**30 for pair in peer], unit="GiB",
            )  # fmt: skip


def _ours(folder: Path, mebibytes: int) -> tuple[dict[str, float], dict[str, float]]:
    """Two real local jobs; seconds are the runtime's own split timings, which include hashing and verification."""
    made = _job(folder, "make", [mebibytes], ())
    artifact = made["outputs"]["return_value"]["artifact"]
    used = _job(folder, "use", [artifact], (artifact,))
    shutil.rmtree(folder)
    write = {"seconds": made["timings"]["upload"], "peak": made["peak_memory_bytes"]}
    return write, {"seconds": used["timings"]["download"], "peak": used["peak_memory_bytes"]}


def _job(folder: Path, function: str, arguments: list[Any], inputs: tuple[Any, ...]) -> dict[str, Any]:
    identity = TaskInstanceIdentity("bench", "frames", "run", function)
    root = folder.as_uri()
    outputs = f"{root}/{identity.attempt_folder(1)}"
    bundle = build_bundle({**runtime_files(), "source/steps.py": _STEPS.encode()})
    context = json.dumps(
        {
            "protocol": PROTOCOL, "nonce": "bench", "step": identity.step(try_number=1, attempt=1),
            "payload": {"kind": "function", "module": "steps", "function": function},
            "arguments": {"args": arguments, "kwargs": {}},
            "outputs": {"uri": outputs, "inline_bytes": 1024, "multiple": False},
            "store": {"mounts": [], "allowed": [root]}, "environment": {"requirements": []},
        }
    ).encode()  # fmt: skip
    home = folder / identity.attempt_folder(1)
    home.mkdir(parents=True)
    (folder / "bundle.zip").write_bytes(bundle.data)
    (home / "context.json").write_bytes(context)
    backend = LocalBackend(LocalSettings(work_dir=str(folder / "work")))
    spec = JobSpec(
        identity=identity, attempt=1, name=identity.job_name(1), outputs_uri=outputs,
        bundle=ObjectReference(f"{root}/bundle.zip", bundle.sha256, bundle.size),
        context=ObjectReference(f"{outputs}/context.json", hashlib.sha256(context).hexdigest(), len(context)),
        inputs=tuple(ObjectReference(item["uri"], item["sha256"], item["size"]) for item in inputs),
    )  # fmt: skip
    handle = backend.submit(backend.plan(spec))
    while (found := backend.find(spec.name)) and found.status.state is State.ACTIVE:
        time.sleep(0.05)
    result = home / "result.json"
    if not result.exists():
        raise SystemExit("\n".join(backend.read_log(handle).lines))
    loaded: dict[str, Any] = json.loads(result.read_text())
    return loaded


def _peer(folder: Path, mebibytes: int) -> tuple[dict[str, float], dict[str, float]]:
    folder.mkdir()
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": (folder / "xcom").as_uri(),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
    }
    (folder / "xcom").mkdir()
    script = folder / "peer.py"
    script.write_text(_PEER)
    answers = []
    for mode in ("write", "read"):
        command = [sys.executable, str(script), mode, str(folder / "reference"), str(mebibytes)]
        answer = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        found = [text for text in answer.stdout.splitlines() if text.startswith("RESULT ")]
        if not found:
            raise SystemExit(f"the peer did not {mode}:\n{answer.stdout[-2000:]}\n{answer.stderr[-4000:]}")
        answers.append(json.loads(found[0].removeprefix("RESULT ")))
    shutil.rmtree(folder)
    return answers[0], answers[1]
