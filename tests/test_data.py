"""The digits that come with the package."""

import numpy as np

from fastopt.data import load_digits


def test_load_digits():
    X, y = load_digits()
    assert X.shape == (1797, 64) and X.dtype == np.float32 and X.flags.c_contiguous
    assert y.shape == (1797,) and y.dtype == np.int64
    assert X.min() == 0 and X.max() == 1
    np.testing.assert_array_equal(X * 16, np.round(X * 16))
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_images_are_stored_row_by_row():
    X, y = load_digits()
    assert y[0] == 0
    assert (X[0].reshape(8, 8)[0] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_every_call_returns_new_arrays():
    load_digits()[0][:] = -1
    assert load_digits()[0].min() == 0
