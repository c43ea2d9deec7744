"""Sparse arrays and matrices of the five forms."""

import numpy as np
import scipy.sparse as sparse


def make():
    return sparse.csr_array(_dense())


def _dense():
    dense = np.zeros((6, 4))
    dense[1, 2], dense[5, 0] = 1.5, -2
    return dense


def others():
    kinds = (sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.bsr_matrix, sparse.dia_array)
    return {kind.__name__: kind(_dense()) for kind in kinds}


def same(made, got):
    assert type(got) is type(made)
    np.testing.assert_array_equal(got.toarray(), made.toarray())


def refused():
    return {"a form that has no file": sparse.lil_matrix(_dense())}
