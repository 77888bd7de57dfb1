"""Speed of minimize(): what its loop adds to an iteration, and logistic regression on sparse mini-batches.

    python asv_benchmarks/minimize_report.py            (a minute; alone on the machine)

Compares with the same loops written by hand. Results are compared first; what is compared runs in turns, and figures
are medians.
"""

import argparse

import numpy as np
from problems import LOGISTIC, csr_samples, dense_logistic, loss_and_residual, minimize_epochs
from timing import interleaved

import fastopt
from fastopt._cli.bench_numpy import NumpyAdagrad

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


def logistic(n, d, per_row, batch_size):
    X, y = csr_samples(n, d, per_row)
    w = np.zeros(d)
    by_hand(w, X, y, batch_size)
    for fun in LOGISTIC.values():
        np.testing.assert_allclose(minimize_epochs(fun, X, y, batch_size, EPOCHS).x, w, rtol=1e-7, atol=1e-9)
    return {
        "NumPy and SciPy by hand": lambda: by_hand(np.zeros(d), X, y, batch_size),
        "minimize, dense gradients": lambda: minimize_epochs(LOGISTIC["dense"], X, y, batch_size, EPOCHS),
        "minimize, sparse gradients": lambda: minimize_epochs(LOGISTIC["RowSparse"], X, y, batch_size, EPOCHS),
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
