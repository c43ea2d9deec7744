"""One array."""

import numpy as np


def make():
    return np.arange(6, dtype=">i2").reshape(2, 3).T


def others():
    return {"one number": np.array(2.5), "text": np.array(["a", "bc"]), "no rows": np.zeros((0, 3), dtype="f4")}


def same(made, got):
    assert type(got) is type(made)
    assert got.dtype == made.dtype
    np.testing.assert_array_equal(got, made)


def refused():
    return {"Python objects": np.array([{}], dtype=object), "a mask": np.ma.array([1, 2], mask=[0, 1])}
