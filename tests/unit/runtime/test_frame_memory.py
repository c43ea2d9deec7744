"""A frame is never held twice: what writing and reading one add to a process's memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MIB = 1024 * 1024
FRAME_MIB = 256
CHILD = """
import json, sys
from pathlib import Path
import numpy, pandas, polars, pyarrow, pyarrow.dataset, pyarrow.parquet
from airflow_provider_mlx.runtime.codec import HashingWriter
from airflow_provider_mlx.runtime.codecs import CODECS, type_name
from airflow_provider_mlx.runtime.memory import peak_memory_bytes
verb, kind, mebibytes, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
CODECS["parquet"]._home()
def columns():
    rows = mebibytes * 1024 * 1024 // 64
    random = numpy.random.default_rng(7)
    return {**{f"f{i}": random.normal(size=rows) for i in range(6)}, "a": numpy.arange(rows), "b": random.integers(0, 9, rows)}
if verb == "write":
    make = {"pandas.DataFrame": lambda: pandas.DataFrame(columns(), copy=False),
            "polars.DataFrame": lambda: polars.DataFrame(columns()), "pyarrow.Table": lambda: pyarrow.table(columns())}
    frame = make[kind]()
    before = peak_memory_bytes()
    with path.open("wb") as sink:
        CODECS["parquet"].save(frame, HashingWriter(sink))
else:
    before = peak_memory_bytes()
    frame = CODECS["parquet"].load(path, kind)
    assert type_name(type(frame)) == kind, type(frame)
print(json.dumps((peak_memory_bytes() - before) // 1024 // 1024))
"""


def grown(verb: str, kind: str, path) -> int:
    """MiB that the verb adds to a process that has the frame already (writing) or not yet (reading)."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, verb, kind, str(FRAME_MIB), str(path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout))


@pytest.mark.parametrize("kind", ["pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"])
def test_a_frame_is_written_in_pieces_and_read_without_a_second_copy(kind, tmp_path):
    assert grown("write", kind, tmp_path / "frame.parquet") < 0.8 * FRAME_MIB
    assert grown("read", kind, tmp_path / "frame.parquet") < 1.7 * FRAME_MIB


@pytest.mark.parametrize("kind", ["pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"])
def test_a_folder_of_parts_is_read_without_a_second_copy(kind, tmp_path):
    import pyarrow.parquet

    grown("write", "pyarrow.Table", tmp_path / "frame.parquet")
    file = pyarrow.parquet.ParquetFile(tmp_path / "frame.parquet")
    for number in range(file.num_row_groups):
        folder = tmp_path / f"set/part={number}"
        folder.mkdir(parents=True)
        pyarrow.parquet.write_table(file.read_row_group(number), folder / "0.parquet")
    assert file.num_row_groups > 3
    assert grown("read", kind, tmp_path / "set") < 1.9 * FRAME_MIB
