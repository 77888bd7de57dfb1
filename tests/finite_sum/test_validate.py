"""What is asked of samples once: every single fault is seen, wherever it is, and the longest row is found."""

import finite_sums
import numpy as np
import pytest
import scipy.sparse
from cases import ISAS
from finite_sums import DTYPES

import fastopt
from fastopt import objectives
from fastopt._finite_sum import objective

# More samples than are validated in one block, samples longer than the widest registers, and empty ones.
N_ROWS, N_COLUMNS = 300, 90
THREADS = [1, 2]


@pytest.fixture(params=ISAS)
def every_isa(request, use_isa):
    use_isa(request.param)


def matrix(layout, dtype):
    rng = np.random.default_rng(50)
    X = rng.standard_normal((N_ROWS, N_COLUMNS)) * (rng.random((N_ROWS, N_COLUMNS)) < 0.4)
    X[[0, 7, 8, N_ROWS - 1]] = 0
    X[5] = 1
    return finite_sums.as_layout(X.astype(dtype), layout)


def faults(X):
    """What is wrong with the columns of CSR: by the row that each entry is in."""
    row, column = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices
    descends = (column[1:] <= column[:-1]) & (row[1:] == row[:-1])
    found = {"not ascending": descends.any(), "out of range": ((column < 0) | (column >= N_COLUMNS)).any()}
    return {fault for fault, there in found.items() if there}


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", finite_sums.LAYOUTS)
def test_a_bad_value_anywhere(layout, dtype, threads, every_isa):
    X, rng = matrix(layout, dtype), np.random.default_rng(51)
    values = (X if layout == "dense" else X.data).reshape(-1)
    assert not objective.faults(X, threads)
    for at in {0, values.size - 1, *rng.integers(0, values.size, 60)}:
        before = values[at]
        for value in (np.nan, np.inf, -np.inf):
            values[at] = value
            assert objective.faults(X, threads) == {"not finite"}, at
        values[at] = before


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_and_the_smallest_values_are_finite(dtype, every_isa):
    info = np.finfo(dtype)
    X = np.resize(np.array([info.max, -info.max, info.tiny, info.smallest_subnormal, 0, -0.0], dtype), (50, 7))
    assert not objective.faults(X, 1)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("layout", ["csr32", "csr64"])
def test_a_bad_column_anywhere(layout, threads, every_isa):
    X, rng = matrix(layout, "float64"), np.random.default_rng(52)
    far = np.iinfo(X.indices.dtype)
    choices = [-1, 0, N_COLUMNS - 1, N_COLUMNS, far.min, far.max, *rng.integers(-1, N_COLUMNS + 1, 4)]
    seen = set()
    for at in {0, X.nnz - 1, *rng.integers(0, X.nnz, 60)}:
        before = X.indices[at]
        for column in choices:
            X.indices[at] = column
            expected = faults(X)
            assert objective.faults(X, threads) == expected, (at, column)
            seen.add(frozenset(expected))
        X.indices[at] = before
    both = {"not ascending", "out of range"}
    assert seen == {frozenset(faults) for faults in ((), {"not ascending"}, {"out of range"}, both)}


@pytest.mark.parametrize("shape", [(9, 1), (1, 9), (40, 5)])
@pytest.mark.parametrize("take", [np.s_[::2, :], np.s_[:, :3], np.s_[1:, 1:]], ids=["rows", "columns", "corner"])
def test_dense_slices(shape, take, every_isa):
    """What lies between the rows of a slice is not looked at."""
    whole = np.full((2 * shape[0] + 1, shape[1] + 3), np.nan)
    X = whole[take]
    X[...] = 1.0
    assert not objective.faults(X, 1)
    X[-1, -1] = np.inf
    assert objective.faults(X, 1) == {"not finite"}


def test_entries_behind_the_last_row_are_not_looked_at():
    arrays = np.array([1.0, 2.0, np.nan]), np.array([0, 1, 77], np.int32), np.array([0, 1, 2], np.int32)
    X = scipy.sparse.csr_array((2, 2))
    X.data, X.indices, X.indptr = arrays
    assert not objective.faults(X, 1)
    assert objectives.LeastSquares(X, [0.0, 0.0])(np.zeros(2)) == 0


@pytest.mark.parametrize("layout", finite_sums.LAYOUTS)
def test_shared_work(layout):
    """Large enough for several threads; the fault is in the share of the last one."""
    X = finite_sums.as_layout(np.ones((3000, 60)), layout)
    values = X if layout == "dense" else X.data
    assert not objective.faults(X, 2)
    values.reshape(-1)[-1] = np.nan
    assert objective.faults(X, 2) == {"not finite"}


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", finite_sums.LAYOUTS)
def test_the_longest_row_anywhere(layout, dtype, fit_intercept, use_isa):
    """By weight, in float64, and the same bits for every instruction set and number of threads."""
    rng = np.random.default_rng(53)
    X = np.tile(matrix("dense", "float64"), (20, 1)).astype(dtype)
    for row in [0, 1, len(X) - 1, *rng.integers(0, len(X), 5)]:
        X[row, : rng.integers(1, N_COLUMNS)] += 3
        weight = rng.uniform(0.5, 1.5, len(X))
        weight[row] = 10.0
        kept = (weight / weight.mean()).astype(dtype).astype(np.float64)
        samples = finite_sums.as_layout(X, layout)
        objective = objectives.LeastSquares(
            samples, np.zeros(len(X)), fit_intercept=fit_intercept, sample_weight=weight
        )
        seen = set()
        for isa in ISAS:
            use_isa(isa)
            for threads in THREADS:
                with fastopt.threads(threads):
                    seen.add(objective.max_smoothness)
        expected = np.max(kept * ((X.astype(np.float64) ** 2).sum(axis=1) + fit_intercept))
        np.testing.assert_allclose(seen.pop(), expected, rtol=1e-6 if dtype == "float32" else 1e-13)
        assert not seen
        X[row] = 0


def test_a_norm_beyond_float64():
    X = np.array([[1.0, 2.0], [1e200, 0.0]])
    assert objectives.LeastSquares(X, [0.0, 0.0]).max_smoothness == np.inf
