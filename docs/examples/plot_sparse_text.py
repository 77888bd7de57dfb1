"""
Hashed text: sparse against dense gradients
===========================================

A linear model of text may have a million weights, of which one mini-batch touches some two thousand. Its gradient is
zero everywhere else, and a step that knows this need not read the zeros, nor does anyone have to write them.

Here logistic regression tells whether a line of Python stands in a docstring. The lines come from the standard
library of the running interpreter; accuracies and times differ between versions of Python and between machines.
"""

import time
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from python_text import BUCKETS, design_matrix, labels, sample_lines
from scipy.special import expit

import fastopt

LINES, LINES_PER_FILE = 40_000, 100
BATCH_SIZE = 256
EPOCHS = 5
STEPS_PER_POINT = 25  # of the picture
SEED = 0

# %%
# Lines and hashes
# ----------------
# The label is what the syntax tree says: is the line part of the docstring of a module, class or function? Each token
# and each pair of neighbours adds 1 in one of 2**20 buckets, found by a hash; there is no dictionary to build or keep.
# Training and test lines come from different files, but for one at the border: lines of one file resemble each other.


def load():
    """Lines as (X_train, y_train), (X_test, y_test)."""
    lines = sample_lines(LINES, LINES_PER_FILE, np.random.default_rng(SEED))
    X, y = design_matrix(lines), labels(lines)
    n_train = len(y) * 4 // 5
    print(f"{n_train:,} training and {len(y) - n_train:,} test lines, {X.nnz / len(y):.1f} entries in a line")
    print(f"{len(np.unique(X.indices)):,} of {BUCKETS:,} buckets in use")
    return (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])


# %%
# Two gradients of one loss
# -------------------------
# The gradient of the mean log-loss is ``X_batch.T @ residual``. Sparse, it is a product for each entry of ``X_batch``
# and the column it belongs to. A column may stand there many times: ``step`` adds what belongs together before
# it updates, so no product of matrices is needed, and no vector of 2**20 entries is ever made.


def dense_gradient(X_batch, residual):
    """All 2**20 entries."""
    return X_batch.T @ residual


def sparse_gradient(X_batch, residual):
    """One value per entry of the mini-batch."""
    return fastopt.RowSparse(X_batch.indices, X_batch.data * np.repeat(residual, np.diff(X_batch.indptr)))


# %%
# Training
# --------
# The same mini-batches in the same order, twice. They are cut out beforehand; the clock runs while residuals and
# gradients are computed and weights updated, and stands still while the loss on the test lines is measured.


@dataclass
class Run:
    """What one training run gave."""

    weights: np.ndarray
    seconds: float = 0.0
    step_seconds: float = 0.0
    curve: list = field(default_factory=list)  # (seconds, loss on the test lines)


def mean_loss(weights, X, y):
    """Mean log-loss."""
    scores = X @ weights
    return float(np.mean(np.logaddexp(0, scores) - y * scores))


def accuracy(weights, X, y):
    """Share of lines on the right side."""
    return float(np.mean((X @ weights > 0) == y))


def mini_batches(X, y):
    """All rows, shuffled once, in pieces."""
    order = np.random.default_rng(SEED).permutation(len(y))
    cuts = (order[first : first + BATCH_SIZE] for first in range(0, len(y), BATCH_SIZE))
    return [(X[rows], y[rows]) for rows in cuts]


def timed_step(optimizer, run, gradient, X_batch, y_batch):
    """One step of training; the times are added to those of the run."""
    start = time.perf_counter()
    residual = (expit(X_batch @ run.weights) - y_batch) / np.float32(len(y_batch))
    grad = gradient(X_batch, residual)
    before_step = time.perf_counter()
    optimizer.step(grad)
    end = time.perf_counter()
    run.seconds += end - start
    run.step_seconds += end - before_step


def train(gradient, batches, test_set):
    """Train from zero weights with one of the two gradients."""
    run = Run(np.zeros(BUCKETS, np.float32))
    optimizer = fastopt.Adagrad(run.weights, learning_rate=0.1)
    for k, (X_batch, y_batch) in enumerate(batches * EPOCHS):
        if k % STEPS_PER_POINT == 0:
            run.curve.append((run.seconds, mean_loss(run.weights, *test_set)))
        timed_step(optimizer, run, gradient, X_batch, y_batch)
    run.curve.append((run.seconds, mean_loss(run.weights, *test_set)))
    return run


# %%
# The same weights, sooner
# ------------------------
# Adagrad leaves an entry alone whose gradient is zero, so the default ``sparse="lazy"`` is no approximation here.
# The bits are the same too where ``X_batch.T @ residual`` adds the products in the order in which they stand, which
# SciPy does on x86-64; elsewhere they may differ by rounding.


def report(runs, test_set):
    """Accuracy and times of both runs, and how far apart their weights are."""
    share = np.mean(test_set[1])
    print(f"test accuracy of always giving the more frequent answer: {max(share, 1 - share):.1%}")
    for name, run in runs.items():
        print(
            f"{name:>6} gradients: test accuracy {accuracy(run.weights, *test_set):.1%}, "
            f"{run.seconds:.3f} s in all, {run.step_seconds:.3f} s of it in step()"
        )
    dense, sparse = runs["dense"], runs["sparse"]
    print(
        f"speed-up: {dense.seconds / sparse.seconds:.1f} in all, "
        f"{dense.step_seconds / sparse.step_seconds:.1f} in step(); "
        f"largest difference of two weights: {np.abs(dense.weights - sparse.weights).max():.1g}"
    )


# %%
# The two curves pass through the same losses. The axis of time is logarithmic.


def draw(runs):
    """Loss on the test lines against seconds of training."""
    curves = {}
    for name, run in runs.items():
        seconds, losses = zip(*run.curve[1:], strict=True)  # the first is at 0 seconds
        curves[f"{name} gradients"] = {"time": seconds, "fun": losses}
    ax = fastopt.plot.compare(curves, x="time")
    ax.set(xscale="log", ylabel="log-loss on test lines", title=f"Adagrad, {BUCKETS:,} weights")
    plt.show()


def main():
    train_set, test_set = load()
    batches = mini_batches(*train_set)
    gradients = {"dense": dense_gradient, "sparse": sparse_gradient}
    runs = {name: train(gradient, batches, test_set) for name, gradient in gradients.items()}
    report(runs, test_set)
    draw(runs)


if __name__ == "__main__":
    main()
