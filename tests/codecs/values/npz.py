"""A dict of arrays."""

import numpy as np


def make():
    return {"weights": np.arange(6.0).reshape(2, 3).T, "file": np.array([True]), "a/b ä": np.array(3)}


def others():
    return {"one array": {"": np.zeros((0, 2))}, "dates": {"t": np.array(["2026-11-23"], dtype="M8[D]")}}


def same(made, got):
    assert list(got) == list(made)
    for name, array in made.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def refused():
    return {
        "Python objects": {"a": np.array([{}], dtype=object)},
        "a mask": {"a": np.ma.array([1, 2], mask=[0, 1])},
        "a name with a NUL": {"a\0b": np.zeros(1)},
        "something else beside an array": {"a": np.zeros(1), "b": object()},
    }
