"""A pandas frame through two steps: throughput and peak memory, beside Parquet itself and two others that store one."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from .jobs import there_and_back
from .peers import ZENML_ENV, ZENML_PYTHON, ZENML_STORE, Peer
from .report import compare, turns

_FRAME = """
import numpy as np
import pandas as pd

def make(mebibytes: int) -> pd.DataFrame:
    rows = mebibytes * 1024 * 1024 // 64
    random = np.random.default_rng(7)
    numbers = {f"f{i}": random.normal(size=rows) for i in range(6)}
    return pd.DataFrame({**numbers, "a": np.arange(rows), "b": random.integers(0, 1000, rows)}, copy=False)

def use(table: pd.DataFrame) -> int:
    assert len(table.columns) == 8
    return len(table)
"""

PEERS = (
    # Without a hash, without a copy: what the same disk and the same library give.
    Peer(
        "pandas.to_parquet",
        """
def save(value):
    value.to_parquet(folder / "frame.parquet")
def load():
    return pd.read_parquet(folder / "frame.parquet")
""",
    ),
    Peer(
        "XCom object storage",
        """
from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend as Backend
(folder / "xcom").mkdir(exist_ok=True)
def save(value):
    stored = Backend.serialize_value(value, key="return_value", task_id="make", dag_id="d", run_id="r")
    (folder / "reference").write_text(stored if isinstance(stored, str) else stored.decode())
def load():
    class Row:
        value = (folder / "reference").read_text()
        key, task_id, dag_id, run_id, map_index = "return_value", "make", "d", "r", -1
    return Backend.deserialize_value(Row())
""",
        env={
            "AIRFLOW_HOME": "{folder}", "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "file://{folder}/xcom",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        },
        largest=1024,  # it needs eight times the frame to read it
    ),
    Peer(
        "ZenML",
        ZENML_STORE
        + """
from zenml.integrations.pandas.materializers.pandas_materializer import PandasMaterializer
materializer = PandasMaterializer(str(folder / "artifact"), artifact_store=store)
def save(value):
    materializer.save(value)
def load():
    return materializer.load(pd.DataFrame)
""",
        python=str(ZENML_PYTHON.absolute()), env=ZENML_ENV,
        largest=1024,  # its gzip takes ten minutes for four gibibytes
    ),
)  # fmt: skip


def run(work: Path, *, sizes: list[int], runs: int) -> None:
    """Measure writing and reading for each size that memory and disk have room for."""
    for mebibytes in sizes:
        if missing := _no_room(work, mebibytes):
            print(f"a frame of {mebibytes} MiB is left out: {missing}", flush=True)
            continue
        times = runs if mebibytes < 4096 else 1
        ours = turns(partial(there_and_back, work / "ours", _FRAME, mebibytes), work / "ours", times)
        for peer in PEERS:
            if peer.here and mebibytes <= peer.largest:
                theirs = turns(partial(peer.there_and_back, work / "peer", _FRAME, mebibytes), work / "peer", times)
                compare(f"{mebibytes} MiB frame", mebibytes, ours, peer.name, theirs)


def _no_room(work: Path, mebibytes: int) -> str:
    disk = shutil.disk_usage(work).free // 2**20
    if (memory := _available_memory() // 2**20) < 3 * mebibytes:
        return f"{memory} MiB of memory are free, and others take three times its size to read it"
    return f"{disk} MiB of disk are free" if disk < 4 * mebibytes else ""


def _available_memory() -> int:
    """Bytes that processes could have, the disk's cache included. Source: proc_meminfo(5); all there is elsewhere."""
    facts = Path("/proc/meminfo")
    if facts.exists():
        (line,) = (line for line in facts.read_text().splitlines() if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
