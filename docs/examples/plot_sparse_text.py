"""
Hashed text: sparse against dense gradients
===========================================

A linear model of text may have a million weights, of which one mini-batch touches some two thousand. Its gradient is
zero everywhere else, and a step that knows this need not read the zeros, nor does anyone have to write them.

Here logistic regression tells whether a line of Python stands in a docstring. The lines come from the standard
library of the running interpreter, so there is nothing to download; accuracies and times differ between versions
of Python and between machines.
"""

import ast
import itertools
import os
import re
import sysconfig
import time
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse
from scipy.special import expit

import fastopt

LINES = int(os.environ.get("FASTOPT_EXAMPLE_LINES", "40000"))
LINES_PER_FILE = 100  # few from each, to see many authors
BUCKETS = 2**20
BATCH_SIZE = 256
EPOCHS = 5
STEPS_PER_POINT = 25  # of the picture
SEED = 0

# %%
# Lines and labels
# ----------------
# The label is what the syntax tree says: is the line part of the docstring of a module, class or function? Tests are
# left out, as not every installation has them.

TOKEN = re.compile(r"\w+|[^\w\s]")  # a word or number, or one punctuation mark
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages"}
MAY_HAVE_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def source_files():
    """Python files of the standard library, in the same order everywhere."""
    library = Path(sysconfig.get_path("stdlib"))
    found = (path.relative_to(library) for path in library.rglob("*.py"))
    return [library / path for path in sorted(found) if not LEFT_OUT.intersection(path.parts)]


def docstring_lines(tree):
    """Numbers, from 1, of the lines of all docstrings."""
    documented = (node for node in ast.walk(tree) if isinstance(node, MAY_HAVE_DOCSTRING))
    first = [node.body[0] for node in documented if ast.get_docstring(node, clean=False) is not None]
    return {number for node in first for number in range(node.lineno, node.end_lineno + 1)}


def labelled_lines(path):
    """Pairs (tokens, is it in a docstring) of the lines of a file that have two tokens or more."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about somebody else's escapes
            inside = docstring_lines(ast.parse(text))
    except SyntaxError:  # a file in an old encoding, or a template
        return []
    pairs = ((TOKEN.findall(line), number in inside) for number, line in enumerate(text.split("\n"), 1))
    return [(tokens, label) for tokens, label in pairs if len(tokens) >= 2]


def sample_lines(rng):
    """Up to LINES labelled lines, file after file in random order."""
    files, sample = source_files(), []
    for k in rng.permutation(len(files)):
        lines = labelled_lines(files[k])
        sample += [lines[i] for i in rng.permutation(len(lines))[:LINES_PER_FILE]]
        if len(sample) >= LINES:
            break
    return sample[:LINES]


# %%
# Hashing
# -------
# Each token and each pair of neighbours adds 1 in one of 2**20 buckets, found by a hash that is the same in every run,
# which Python's own is not. There is no dictionary to build or keep. Training and test lines come from different
# files, but for one at the border: lines of one file resemble each other.


def buckets(tokens):
    """Buckets of the tokens of a line and of its pairs of neighbours."""
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(tokens)]
    return [zlib.crc32(each.encode()) % BUCKETS for each in tokens + pairs]


def design_matrix(lines):
    """One row per line, in CSR format."""
    columns = [buckets(tokens) for tokens, _ in lines]
    indptr = np.cumsum([0, *map(len, columns)], dtype=np.int32)
    indices = np.concatenate(columns).astype(np.int32)
    return scipy.sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=(len(lines), BUCKETS))


lines = sample_lines(np.random.default_rng(SEED))
X, y = design_matrix(lines), np.array([label for _, label in lines], np.float32)
n_train = len(y) * 4 // 5
train_set, test_set = (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])
print(f"{n_train:,} training and {len(y) - n_train:,} test lines, {X.nnz / len(y):.1f} entries in a line")
print(f"{len(np.unique(X.indices)):,} of {BUCKETS:,} buckets in use")

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


def train(gradient, batches):
    """Train from zero weights with one of the two gradients."""
    run = Run(np.zeros(BUCKETS, np.float32))
    optimizer = fastopt.Adagrad(run.weights, learning_rate=0.1)
    for X_batch, y_batch in batches * EPOCHS:
        timed_step(optimizer, run, gradient, X_batch, y_batch)
        if optimizer.step_count % STEPS_PER_POINT == 0:
            run.curve.append((run.seconds, mean_loss(run.weights, *test_set)))
    return run


batches = mini_batches(*train_set)
runs = {"dense": train(dense_gradient, batches), "sparse": train(sparse_gradient, batches)}

# %%
# The same weights, sooner
# ------------------------
# Adagrad leaves an entry alone whose gradient is zero, so the default ``sparse="lazy"`` is no approximation here.
# The bits are the same too where ``X_batch.T @ residual`` adds the products in the order in which they stand, which
# SciPy does on x86-64; elsewhere they may differ by rounding.

always_the_majority = max(np.mean(test_set[1]), 1 - np.mean(test_set[1]))
print(f"test accuracy of always giving the more frequent answer: {always_the_majority:.1%}")
for name, run in runs.items():
    print(
        f"{name:>6} gradients: test accuracy {accuracy(run.weights, *test_set):.1%}, "
        f"{run.seconds:.3f} s in all, {run.step_seconds:.3f} s of it in step()"
    )
dense, sparse = runs["dense"], runs["sparse"]
print(
    f"speed-up: {dense.seconds / sparse.seconds:.1f} in all, {dense.step_seconds / sparse.step_seconds:.1f} in step(); "
    f"largest difference of two weights: {np.abs(dense.weights - sparse.weights).max():.1g}"
)

# %%
# The two curves pass through the same losses. The axis of time is logarithmic.


def draw(runs):
    """Loss against seconds."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, run in runs.items():
        seconds, losses = zip(*run.curve, strict=True)
        axes.semilogx(seconds, losses, ".-", label=f"{name} gradients")
    axes.set(xlabel="seconds of training", ylabel="log-loss on test lines", title=f"Adagrad, {BUCKETS:,} weights")
    axes.grid(alpha=0.3)
    axes.legend()
    plt.show()


draw(runs)
