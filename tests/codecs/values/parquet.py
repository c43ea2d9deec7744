"""Frames: pandas', polars' and Arrow's, and a Series."""

import pandas as pd


def make():
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 3)], names=["k", None])
    return pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int64"), "f": [0.5, float("nan"), 2.0], "s": ["x", None, "ä"],
            "c": pd.Categorical(["u", "v", "u"], categories=["v", "u", "w"], ordered=True),
            "t": pd.to_datetime(["2026-01-01", None, "2026-03-01"], utc=True),
        },
        index=index,
    )  # fmt: skip


def others():
    import polars as pl
    import pyarrow as pa

    return {
        "a polars frame": pl.DataFrame({"a": [1, 2], "b": [["x"], []]}),
        "an Arrow table": pa.table({"a": pa.array([1], pa.int8())}, metadata={"k": "v"}),
        "an empty frame": pd.DataFrame({"a": pd.Series([], dtype="int32")}),
        "a wide frame": pd.DataFrame([range(100)] * 50),
        "a Series": pd.Series([1.5, None], index=["x", "y"], name="n"),
        "a Series without a name": pd.Series([1, 2], dtype="int16"),
        "a Series of dates": pd.Series(pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin"), name="ä"),
    }


def same(made, got):
    assert type(got) is type(made)
    if isinstance(made, pd.Series):
        pd.testing.assert_series_equal(got, made)
    elif isinstance(made, pd.DataFrame):
        pd.testing.assert_frame_equal(got, made)
    else:
        assert got.equals(made)
        assert got.schema == made.schema


def refused():
    return {
        "columns of one name": pd.DataFrame([[1, 2]], columns=["a", "a"]),
        "a column of mixed types": pd.DataFrame({"a": [1, "x"]}),
        "a Series with a number for a name": pd.Series([1], name=7),
    }
