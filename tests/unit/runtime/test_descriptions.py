"""What the task's log may say about a value: short, and quick for any size."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_provider_mlx import Markdown, Table
from airflow_provider_mlx.runtime.codecs import codec_for
from airflow_provider_mlx.runtime.shown import Series

FRAME = {"n": [1, 2, 3, 4], "name": ["a", "b", None, "d" * 200]}


def described(value) -> list[str]:
    return list(codec_for(value).describe(value))


@pytest.mark.parametrize(
    ("value", "first", "lines"),
    [
        pytest.param(pd.DataFrame(FRAME), "4 rows × 2 columns: n int64, name str", 5, id="a pandas frame"),
        pytest.param(pl.DataFrame(FRAME), "4 rows × 2 columns: n Int64, name String", 4, id="a polars frame"),
        pytest.param(pa.table(FRAME), "4 rows × 2 columns: n int64, name string", 4, id="an Arrow table"),
        pytest.param(pd.Series([1.5], name="x"), "1 row × 1 column: x float64", 3, id="a Series"),
        pytest.param(np.array([[1, 5], [2, 3]]), "2 × 2, int64, from 1 to 5", 1, id="an array"),
        pytest.param(np.array([1, np.nan]), "2, float64, holds NaN", 1, id="an array with NaN"),
        pytest.param(np.array(["a"]), "1, <U1", 1, id="an array of text"),
        pytest.param({"a": np.zeros(3), "b": np.ones(1)}, "2 arrays", 3, id="arrays by name"),
        pytest.param({"a": 1, "b": [1, 2]}, "2 members", 2, id="JSON"),
        pytest.param("one\ntwo", "one", 2, id="text"),
        pytest.param(Markdown("# Report"), "# Report", 1, id="Markdown"),
        pytest.param(Table([{"a": 1}, {"b": 2}]), "2 rows: a, b", 3, id="a table"),
        pytest.param(b"abc", "3 bytes", 1, id="bytes"),
    ],
)
def test_the_description_of_a_value(value, first, lines):
    told = described(value)
    assert told[0] == first
    assert len(told) == lines


def test_files_folders_and_series_are_described_by_what_they_hold(tmp_path: Path):
    (tmp_path / "b.bin").write_bytes(b"12")
    (tmp_path / "a").mkdir()
    assert described(tmp_path / "b.bin") == ["b.bin, 2 bytes"]
    assert described(tmp_path) == [f"{tmp_path.name}: a, b.bin"]
    series = Series(tmp_path / "points.jsonl")
    series.append({"name": "loss", "step": 1, "value": 0.5, "at": "2026-11-23T08:00:00+00:00"})
    assert described(series)[0].endswith("of points: loss")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda folder: np.memmap(folder / "big", dtype="f8", mode="w+", shape=(1 << 30,)), id="8 GiB"),
        pytest.param(lambda folder: np.broadcast_to(np.zeros(1), (1 << 20, 1 << 20)), id="8 TiB by strides"),
        pytest.param(lambda folder: {str(number): number for number in range(1_000_000)}, id="a million keys"),
        pytest.param(lambda folder: "x" * 200_000_000, id="200 MB in one line"),
        pytest.param(lambda folder: "x\n" * 20_000_000, id="20 million lines"),
        pytest.param(lambda folder: pd.DataFrame(np.zeros((3, 20_000))), id="20,000 columns"),
        pytest.param(lambda folder: pa.table({"a": ["x" * 1_000_000] * 9}), id="cells of a megabyte"),
        pytest.param(lambda folder: Table([{"a": "x" * 1_000_000}] * 9), id="a table of them"),
    ],
)
def test_no_value_is_too_large_for_a_description(make, tmp_path):
    value = make(tmp_path)
    codec = codec_for(value)
    started = time.monotonic()
    told = list(codec.describe(value))
    assert time.monotonic() - started < 1
    assert told
    assert max(map(len, told)) < 400
    assert len(told) <= 15
