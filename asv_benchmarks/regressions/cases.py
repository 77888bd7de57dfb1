"""What is timed in both builds: a name for each case, and a function that makes its callable.

The functions run in a process that imports the fastopt of one build, and use public names only, so that old commits can
be measured. A case that needs a name which a build lacks is not offered by it.
"""

import importlib
import math
import operator
import sys
from pathlib import Path

import numpy as np

SIZES = (100, 10_000, 1_000_000)
ITERATIONS = 500  # of minimize, whose start and end are not what is looked at


def use(folder):
    """Import the fastopt of a build, and no other."""
    sys.path.insert(0, str(folder))
    fastopt = importlib.import_module("fastopt")
    if not Path(fastopt.__file__).is_relative_to(folder):
        raise ImportError(f"fastopt was imported from {fastopt.__file__} instead of {folder}.")
    return fastopt


def available(fastopt):
    """Name -> function of the number of threads that makes the callable to be timed."""
    cases = {}
    for name in fastopt.OPTIMIZERS:
        for n in SIZES:
            cases[f"dense/{name}/{n}"] = lambda threads, name=name, n=n: dense(fastopt, name, n, threads)
    for name, needs, make in OTHERS:
        if has(fastopt, needs):
            cases[name] = lambda threads, make=make: make(fastopt, threads)
    return cases


def has(fastopt, needs):
    try:
        operator.attrgetter(*needs)(fastopt)
    except AttributeError:
        return False
    return True


def names(folder):
    """The cases of a build. Runs in a process of its own."""
    return list(available(use(folder)))


def make(folder, name, threads):
    """The callable of one case with the fastopt of a build. Runs in a process of its own."""
    return available(use(folder))[name](threads)


# Steps


def dense(fastopt, name, n, threads):
    rng = np.random.default_rng(0)
    shape = n // math.gcd(n, 64), math.gcd(n, 64)  # a matrix: some rules look at rows or columns
    x, g = rng.standard_normal(shape, dtype=np.float32), rng.standard_normal(shape, dtype=np.float32)
    opt = fastopt.OPTIMIZERS[name](x, num_threads=threads)
    value = [1.0] if getattr(opt, "_uses_value", False) else []
    return lambda: opt.step(g, *value)


def sparse(optimizer, shape, k, unique):
    """A case: a step with k random rows (or entries, of a vector), distinct ones or with repeats as words have them."""

    def make(fastopt, threads):
        rng = np.random.default_rng(0)
        n = shape[0]
        index = rng.choice(n, k, replace=False)
        if not unique:
            index = index[(k * rng.random(k) ** 4).astype(np.int64)]
        opt = fastopt.OPTIMIZERS[optimizer](np.zeros(shape, np.float32), num_threads=threads)
        values = rng.standard_normal((k, *shape[1:]), dtype=np.float32)
        grad = fastopt.RowSparse(index, values, unique=unique)
        return lambda: opt.step(grad)

    return make


def compiled(fastopt, threads):
    """A thousand small steps that are called from C."""
    import compiled_loop  # imports the fastopt in use

    rng = np.random.default_rng(0)
    opt = fastopt.Adagrad(np.zeros(100, np.float32), num_threads=threads)
    grad = rng.standard_normal(100, dtype=np.float32)
    return lambda: compiled_loop.steps(opt, [grad], 1000)


def csr_row(fastopt, threads):
    import scipy.sparse

    n, k = 1_000_000, 100
    rng = np.random.default_rng(0)
    opt = fastopt.Adagrad(np.zeros(n, np.float32), num_threads=threads)
    index, values = np.sort(rng.choice(n, k, replace=False)), rng.standard_normal(k, dtype=np.float32)
    grad = scipy.sparse.csr_array((values, index, [0, k]), shape=(1, n))
    return lambda: opt.step(grad)


# Loops


def minimize_overhead(fastopt, threads):
    gradient = np.ones(100)

    def fun(x):
        return 1.0, gradient

    options = {"maxiter": ITERATIONS}
    return lambda: fastopt.minimize(fun, np.zeros(100), jac=True, options=options)


def csr_samples():
    """Rows of 40 entries and labels of a random linear model."""
    import scipy.sparse

    n, d, per_row = 20_000, 20_000, 40
    rng = np.random.default_rng(0)
    columns = rng.integers(0, d // per_row, (n, per_row)) + np.arange(per_row) * (d // per_row)
    values = rng.standard_normal((n, per_row))
    X = scipy.sparse.csr_array((values.ravel(), columns.ravel(), np.arange(n + 1) * per_row), shape=(n, d))
    return X, (X @ rng.standard_normal(d) > 0).astype(float)


def dense_samples():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 128), dtype=np.float32)
    return X, (X @ rng.standard_normal(128, dtype=np.float32) > 0).astype(np.float32)


def epoch(samples, method, batch_size):
    """A case: an epoch of logistic regression by `minimize`."""

    def make(fastopt, threads):
        objective = fastopt.objectives.Logistic(*samples(), l2=1e-5)
        x0, options = np.zeros(objective.n_parameters, objective.dtype), {"epochs": 1, "learning_rate": 0.01}
        return lambda: fastopt.minimize(
            objective, x0, method=method, batch_size=batch_size, rng=0, options=options | {"num_threads": threads}
        )

    return make


def gradient(samples):
    """A case: value and gradient of logistic regression over all samples."""

    def make(fastopt, threads):
        objective = fastopt.objectives.Logistic(*samples(), l2=1e-5)
        w = np.full(objective.n_parameters, 0.01, objective.dtype)
        return lambda: objective.value_and_gradient(w)

    return make


OBJECTIVES = ("minimize", "objectives.Logistic")

#: Name, public names that it needs, and the function that makes the callable.
OTHERS = (
    ("rows/adagrad", ("RowSparse",), sparse("adagrad", (200_000, 64), 8192, True)),
    ("rows/adam", ("RowSparse",), sparse("adam", (200_000, 64), 8192, True)),
    ("elements/adagrad", ("RowSparse",), sparse("adagrad", (5_000_000,), 100_000, True)),
    ("elements/adam", ("RowSparse",), sparse("adam", (5_000_000,), 100_000, True)),
    ("coalesce/adagrad", ("RowSparse",), sparse("adagrad", (5_000_000,), 100_000, False)),
    ("csr/adagrad", ("Adagrad",), csr_row),
    ("compiled/adagrad", ("get_include",), compiled),
    ("minimize/overhead", ("minimize",), minimize_overhead),
    ("epoch/sgd/csr", OBJECTIVES, epoch(csr_samples, "sgd", 1)),
    ("epoch/sgd/dense", OBJECTIVES, epoch(dense_samples, "sgd", 1)),
    ("epoch/adam/csr", OBJECTIVES, epoch(csr_samples, "adam", 256)),
    ("epoch/saga/csr", (*OBJECTIVES, "SAGA"), epoch(csr_samples, "saga", 1)),
    ("gradient/csr", OBJECTIVES, gradient(csr_samples)),
    ("gradient/dense", OBJECTIVES, gradient(dense_samples)),
)
