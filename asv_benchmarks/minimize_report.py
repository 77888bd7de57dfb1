"""Speed of minimize(): what its loop adds to an iteration, and logistic regression on sparse mini-batches.

    python asv_benchmarks/minimize_report.py            (a minute; alone on the machine)

Compares with the same loops written by hand. Results are compared first; what is compared runs in turns, and figures
are medians.
"""

import argparse

import numpy as np
import scipy.sparse
from numpy_updates import NumpyAdagrad
from scipy.special import expit
from timing import interleaved

import fastopt

EMPTY_ITERATIONS = 5000
EPOCHS = 5


def empty_objective(n=100):
    """An objective that costs next to nothing, and the loop around it by hand."""
    gradient = np.ones(n)

    def fun(x):
        return 1.0, gradient

    def by_hand():
        opt = fastopt.Adam(np.zeros(n))
        for _ in range(EMPTY_ITERATIONS):
            _, g = fun(opt.params)
            opt.step(g)

    def ours():
        fastopt.minimize(fun, np.zeros(n), jac=True, options={"maxiter": EMPTY_ITERATIONS})

    return {"by hand": by_hand, "minimize": ours}


def sparse_rows(n, d, per_row):
    """CSR data with distinct uniform columns in each row and labels of a random model."""
    rng = np.random.default_rng(0)
    columns = (rng.integers(0, d // per_row, (n, per_row)) + np.arange(per_row) * (d // per_row)).astype(np.int32)
    values = rng.standard_normal((n, per_row))
    X = scipy.sparse.csr_array((values.ravel(), columns.ravel(), np.arange(n + 1) * per_row), shape=(n, d))
    y = (X @ rng.standard_normal(d) > 0).astype(float)
    return X, y


def loss_and_residual(w, X, y):
    z = X @ w
    return np.mean(np.logaddexp(0, z) - y * z), (expit(z) - y) / len(y)


def dense_logistic(w, X, y):
    loss, residual = loss_and_residual(w, X, y)
    return loss, X.T @ residual


def sparse_logistic(w, X, y):
    loss, residual = loss_and_residual(w, X, y)
    return loss, fastopt.RowSparse(X.indices, X.data * np.repeat(residual, np.diff(X.indptr)))


def by_hand(w, X, y, batch_size):
    """Some epochs of Adagrad in NumPy and SciPy, and the objective over all samples."""
    opt, rng = NumpyAdagrad(w), np.random.default_rng(0)
    for _ in range(EPOCHS):
        order = rng.permutation(len(y))
        for start in range(0, len(y), batch_size):
            index = order[start : start + batch_size]
            _, gradient = dense_logistic(w, X[index], y[index])
            opt.step(gradient)
    return loss_and_residual(w, X, y)[0]


def epochs(fun, X, y, batch_size):
    return fastopt.minimize(
        fun, np.zeros(X.shape[1]), method="adagrad", jac=True, data=(X, y), batch_size=batch_size, rng=0,
        options={"epochs": EPOCHS},
    )  # fmt: skip


def logistic(n, d, per_row, batch_size):
    X, y = sparse_rows(n, d, per_row)
    w = np.zeros(d)
    by_hand(w, X, y, batch_size)
    for fun in (dense_logistic, sparse_logistic):
        np.testing.assert_allclose(epochs(fun, X, y, batch_size).x, w, rtol=1e-7, atol=1e-9)
    return {
        "NumPy and SciPy by hand": lambda: by_hand(np.zeros(d), X, y, batch_size),
        "minimize, dense gradients": lambda: epochs(dense_logistic, X, y, batch_size),
        "minimize, sparse gradients": lambda: epochs(sparse_logistic, X, y, batch_size),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=200_000)
    n = parser.parse_args().samples
    times = interleaved(empty_objective())
    print(f"an iteration of Adam at n = 100 with an objective that costs nothing, {EMPTY_ITERATIONS:,} iterations")
    for name, seconds in times.items():
        print(f"  {name:<28}{seconds / EMPTY_ITERATIONS * 1e6:8.2f} us")
    times = interleaved(logistic(n, 200_000, 40, 256), rounds=5)
    print(f"{EPOCHS} epochs of logistic regression, {n:,} x 200,000, 40 nonzeros a row, batches of 256, Adagrad")
    for name, seconds in times.items():
        print(f"  {name:<28}{seconds:8.3f} s   {times['NumPy and SciPy by hand'] / seconds:5.2f}x")


if __name__ == "__main__":
    main()
