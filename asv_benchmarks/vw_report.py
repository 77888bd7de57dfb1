"""`minimize(method="vw")` against Vowpal Wabbit: the loss of one pass, and the time of a sample.

    python asv_benchmarks/vw_report.py      (needs vowpalwabbit and scikit-learn; alone on the machine, two minutes)

Prints two Markdown tables. *Losses*: the mean loss of the predictions of one pass over the data sets of scikit-learn,
each made before its step, raw and with standardised columns, and that of Adagrad over single samples with the best of
seven learning rates. *Times*: nanoseconds for each entry of a sample, of ten passes over samples that are in memory
here, and over Vowpal Wabbit's binary cache file there, which a second thread reads; medians of interleaved turns.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse
import vowpalwabbit
from peers_page import table
from sklearn import datasets
from timing import interleaved

import fastopt
from fastopt import minimize, objectives

RATES = 10.0 ** np.arange(-4, 3)
OPTIONS = "--quiet --bit_precision 20 --min_prediction -1e9 --max_prediction 1e9"
LOSSES = {objectives.Logistic: "logistic", objectives.LeastSquares: "squared"}
HALF = {objectives.Logistic: 1.0, objectives.LeastSquares: 0.5}  # of VW's losses
ROUNDS, EPOCHS = 5, 10


def standardised(X):
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def problems():
    """Name, class, samples and labels."""
    for name, label in (("breast_cancer", None), ("wine", 1), ("digits", 8), ("iris", 1)):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, objectives.Logistic, X, np.where(y == label if label else y > 0, 1.0, -1.0)
    X, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    yield "diabetes", objectives.LeastSquares, X, y / 100
    X, y = datasets.load_linnerud(return_X_y=True)
    yield "linnerud", objectives.LeastSquares, X, y[:, 0] / 100


def lines_of(X, y):
    """The samples as Vowpal Wabbit's text."""
    rows = scipy.sparse.csr_array(X)
    for i, label in enumerate(y):
        own = slice(rows.indptr[i], rows.indptr[i + 1])
        features = " ".join(f"{j}:{x:.9g}" for j, x in zip(rows.indices[own], rows.data[own], strict=True))
        yield f"{label:.9g} | {features}"


def loss_of_vw(cls, X, y):
    """Vowpal Wabbit's, with its constant, which is the intercept."""
    workspace = vowpalwabbit.Workspace(f"{OPTIONS} --loss_function {LOSSES[cls]}")
    for line in lines_of(X, y):
        workspace.learn(line)
    loss = workspace.get_sum_loss() / len(y) * HALF[cls]
    workspace.finish()
    return loss


def loss_of_ours(cls, X, y, method, rate):
    objective = cls(X, y, fit_intercept=True)
    options = {"epochs": 1, "learning_rate": rate}
    res = minimize(objective, np.zeros(objective.n_parameters), method=method, rng=0, options=options, batch_size=1)
    return res.history["fun"][0] if len(res.history["fun"]) and np.isfinite(res.history["fun"][0]) else np.inf


def losses():
    """The rows of the first table: samples are in the order of `rng` for all."""
    for name, cls, X, y in problems():
        order = np.random.default_rng(0).permutation(len(y))
        for kind, samples in (("raw", X), ("standardised", standardised(X))):
            adagrad = min(loss_of_ours(cls, samples, y, "adagrad", rate) for rate in RATES)
            ours, theirs = loss_of_ours(cls, samples, y, "vw", 0.5), loss_of_vw(cls, samples[order], y[order])
            yield [name, kind, *(f"{each:.4f}" for each in (ours, theirs, adagrad))]


def timed_problems():
    """Name and samples: many columns, few of them in a sample; and few columns."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        sparse = scipy.sparse.random_array((20_000, 200_000), density=2e-4, format="csr", rng=rng, dtype=np.float64)
        yield f"CSR, 40 of 200,000 columns, {dtype.__name__}", sparse.astype(dtype)
        yield f"dense, 100 columns, {dtype.__name__}", rng.standard_normal((20_000, 100)).astype(dtype)


def passes_of_vw(X, y, folder):
    """A function that makes all passes over a cache file."""
    text, cache = Path(folder) / "samples.txt", Path(folder) / "samples.cache"
    text.write_text("\n".join(lines_of(X, y)) + "\n")
    cache.unlink(missing_ok=True)
    command = f"{OPTIONS} --loss_function logistic --data {text} --cache_file {cache}"
    vowpalwabbit.Workspace(command).finish()  # makes the cache
    return lambda: vowpalwabbit.Workspace(f"{command} --passes {EPOCHS} --holdout_off").finish()


def passes_of_ours(X, y, method):
    objective = objectives.Logistic(X, y, fit_intercept=True)
    x0 = np.zeros(objective.n_parameters, X.dtype)
    options = {"epochs": EPOCHS, "num_threads": 1}
    return lambda: minimize(objective, x0, method=method, rng=0, options=options, batch_size=1)


def times():
    """The rows of the second table."""
    for name, X in timed_problems():
        y = np.sign(X @ np.random.default_rng(1).standard_normal(X.shape[1]) + 1e-9)
        entries = EPOCHS * (X.nnz if scipy.sparse.issparse(X) else X.size)
        with tempfile.TemporaryDirectory() as folder:
            runs = {method: passes_of_ours(X, y, method) for method in ("vw", "sgd")}
            runs["theirs"] = passes_of_vw(X, y, folder)
            seconds = interleaved(runs, ROUNDS, 0.2)
        cost = {each: 1e9 * value / entries for each, value in seconds.items()}
        ratio = seconds["theirs"] / seconds["vw"]
        yield [name, *(f"{cost[each]:.2f}" for each in ("vw", "theirs", "sgd")), f"{ratio:.2f}"]


def main():
    print(table(["data", "columns", '`method="vw"`', "Vowpal Wabbit", "Adagrad, best rate"], losses()))
    print()
    with fastopt.threads(1):
        print(table(["samples", '`method="vw"`, ns', "Vowpal Wabbit, ns", "`sgd`, ns", "times as fast"], times()))


if __name__ == "__main__":
    main()
