"""NumPy and SciPy by hand: in place, and over touched columns or rows alone where that is possible."""

import numpy as np
from scipy.special import expit

from fastopt._cli.bench_numpy import NUMPY_UPDATES, NumpyAdagrad

from .linear import SEED

REQUIRES = "numpy"


class NumpyAdagradRows:
    """Adagrad of some rows by fancy indexing; the rows must be distinct."""

    def __init__(self, p, learning_rate=0.01, initial_accumulator_value=0.1, epsilon=1e-7):
        self.p, self.accumulator = p, np.full_like(p, initial_accumulator_value)
        self.rate, self.epsilon = p.dtype.type(learning_rate), p.dtype.type(epsilon)

    def step(self, indices, rows):
        accumulator = self.accumulator[indices]
        accumulator += rows * rows
        self.accumulator[indices] = accumulator
        np.sqrt(accumulator, out=accumulator)
        accumulator += self.epsilon
        self.p[indices] -= self.rate * rows / accumulator


def step(problem, threads):
    """NumPy has one thread for this, however many are allowed."""
    p, g = problem.arrays()
    if problem.rows is None:
        if problem.method not in NUMPY_UPDATES:
            return None
        update = NUMPY_UPDATES[problem.method](p, **problem.hyper)
        return lambda: update.step(g), lambda: p
    if problem.method != "adagrad":
        return None
    update = NumpyAdagradRows(p, **problem.hyper)
    rows = problem.rows
    return lambda: update.step(rows, g), lambda: p


STEPS = {"NumPy": step}


def dense_by_hand_weights(X, y, l2, batch_size, **hyper):
    """An epoch of Adagrad whose every step is over all columns."""
    n, d = X.shape
    w = np.zeros(d)
    opt = NumpyAdagrad(w, **hyper)
    order = np.random.default_rng(SEED).permutation(n)
    for start in range(0, n, batch_size):
        index = order[start : start + batch_size]
        batch = X[index]
        residual = expit(batch @ w)
        residual -= y[index]
        residual /= len(index)
        gradient = batch.T @ residual
        if l2:
            gradient += l2 * w
        opt.step(gradient)
    return w


def sparse_by_hand_weights(X, y, l2, batch_size, learning_rate, initial_accumulator_value, epsilon=1e-7):
    """The same over the columns of each batch alone, as fast as they go in NumPy. `l2` must be 0, and no row empty.

    The rows are put in the order of the epoch once. Columns that occur twice in a batch are computed and written
    twice, with the same result: finding them takes longer.
    """
    n, d = X.shape
    w, accumulator, sums = np.zeros(d), np.full(d, initial_accumulator_value), np.zeros(d)
    order = np.random.default_rng(SEED).permutation(n)
    X, y = X[order], y[order]
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        row_ends = X.indptr[start : stop + 1]
        entries = slice(row_ends[0], row_ends[-1])
        columns, values = X.indices[entries], X.data[entries]
        weights = w[columns]
        residual = expit(np.add.reduceat(values * weights, row_ends[:-1] - row_ends[0]))
        residual -= y[start:stop]
        residual /= stop - start
        np.add.at(sums, columns, values * np.repeat(residual, np.diff(row_ends)))
        gradient = sums[columns]
        sums[columns] = 0
        squares = gradient * gradient
        squares += accumulator[columns]
        accumulator[columns] = squares
        np.sqrt(squares, out=squares)
        squares += epsilon
        gradient *= learning_rate
        gradient /= squares
        weights -= gradient
        w[columns] = weights
    return w
