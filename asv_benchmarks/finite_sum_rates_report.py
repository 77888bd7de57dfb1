"""Gaps that SAGA and SVRG leave at rates around the inverse of the smoothness, from which their defaults were chosen.

    python asv_benchmarks/finite_sum_rates_report.py      (prints the table of docs/objectives.md; needs scikit-learn)

Linear models on the data sets that come with scikit-learn, in three scales, and on random rows of length 1, for which
the smoothness is no larger than it must be. The figures do not depend on the speed of the machine.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process has one core; before NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import itertools
import multiprocessing
from typing import NamedTuple

import numpy as np
import scipy.optimize
from untuned_page import table
from untuned_problems import LBFGS, data_sets, nonzero, smooth_minimum, standardised

import fastopt
from fastopt import objectives

RATES = {"1/3": 1 / 3, "1/2": 1 / 2, "3/4": 3 / 4, "1": 1.0, "3/2": 3 / 2}
LEAST_GAP = 1e-12
EPOCHS, EPOCHS_RANDOM = (10, 100), 30
CLASSIFIERS = ("Logistic", "SquaredHinge")


class Case(NamedTuple):
    """A linear model with l2, with an intercept or without, and the numbers of epochs after which its gap is taken."""

    loss: str
    X: np.ndarray
    y: np.ndarray
    l2: float
    intercept: bool
    epochs: tuple


def scaled(X):
    """In columns of variance 1, between 0 and 1, and in rows of length 1."""
    low = X.min(axis=0)
    yield standardised(X)
    yield (X - low) / nonzero(X.max(axis=0) - low)
    yield X / nonzero(np.linalg.norm(X, axis=1))[:, None]


def data_set_cases():
    """Each loss on the data that suit it; Softmax where there are more than two classes."""
    (diabetes, diabetes_y), (exercise, body), (cancer, cancer_y), (digits, digits_y), (wine, wine_y), (iris, iris_y) = (
        data_sets()
    )
    regressions = [(diabetes, diabetes_y), (exercise, body[:, 0]), (digits, digits_y)]
    regressions += [(each[:, 1:], each[:, 0]) for each in (wine, iris)]
    for X, y in regressions:
        yield from of_samples(X, standardised(np.asarray(y, np.float64)), ("LeastSquares", "Huber"))
    for X, y in ((cancer, cancer_y), (wine, wine_y == 1), (iris, iris_y == 1), (digits, digits_y % 2)):
        yield from of_samples(X, np.asarray(y, np.float64), CLASSIFIERS)
    for X, y in ((wine, wine_y), (iris, iris_y), (digits, digits_y)):
        yield from of_samples(X, y, ("Softmax",))


def of_samples(X, y, losses):
    for Z, loss, l2 in itertools.product(scaled(X), losses, (1e-4, 1e-2, 1 / len(y))):
        yield Case(loss, Z, y, l2, True, EPOCHS)


def random_cases():
    """Rows of length 1 in directions that are random, corners of a cube, or nearly the same; with and without noise."""
    shapes = itertools.product((10, 100, 1000), (1, 2, 5, 30, 200))
    for (n, d), kind, noise in itertools.product(shapes, ("any", "corners", "one"), (0.0, 1.0)):
        rng = np.random.default_rng(n + d)
        X = rng.standard_normal((n, d))
        X = {"any": X, "corners": np.sign(X), "one": 0.1 * X + rng.standard_normal(d)}[kind]
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        y = X @ rng.standard_normal(d) + noise * rng.standard_normal(n)
        for loss, l2 in itertools.product(("LeastSquares", *CLASSIFIERS), (1e-4, 1e-2)):
            yield Case(loss, X, np.float64(y > 0) if loss in CLASSIFIERS else y, l2, False, (EPOCHS_RANDOM,))


def gaps(case):
    """(method, rate) -> gaps relative to that of the start, after each number of epochs."""
    objective = getattr(objectives, case.loss)(case.X, case.y, l2=case.l2, fit_intercept=case.intercept)
    x0 = np.zeros(objective.n_parameters)
    reached = {
        (method, name): [value_after(objective, x0, method, share, epochs) for epochs in case.epochs]
        for method in fastopt.FINITE_SUM_METHODS
        for name, share in RATES.items()
    }
    start = objective(x0)
    least = min([minimum(objective), *(value for values in reached.values() for value in values)])
    return {key: [max((value - least) / (start - least), LEAST_GAP) for value in each] for key, each in reached.items()}


def minimum(objective):
    if objective.fit_intercept:
        return smooth_minimum(objective)
    x0 = np.zeros(objective.n_parameters)
    return scipy.optimize.minimize(objective.value_and_gradient, x0, jac=True, method="L-BFGS-B", options=LBFGS).fun


def value_after(objective, x0, method, share, epochs):
    options = {"epochs": epochs, "learning_rate": share / objective.max_smoothness}
    return fastopt.minimize(objective, x0, method=method, rng=0, options=options).fun


def report(of_data_sets, of_random_rows):
    """Geometric means over the data sets, and how many runs of both kinds ended above their start."""
    rows = []
    for name in RATES:
        row = [name]
        for method in fastopt.FINITE_SUM_METHODS:
            found = np.array([each[method, name] for each in of_data_sets])
            diverged = np.sum(found[:, -1] > 1) + sum(each[method, name][-1] > 1 for each in of_random_rows)
            row += [*(f"{value:.1e}" for value in np.exp(np.log(found).mean(axis=0))), diverged]
        rows.append(row)
    columns = [*(f"{epochs} epochs" for epochs in EPOCHS), "diverged"]
    return table(
        ["rate times L", *(f"{method}, {each}" for method in fastopt.FINITE_SUM_METHODS for each in columns)], rows
    )


def main():
    groups = [*data_set_cases()], [*random_cases()]
    with multiprocessing.get_context("spawn").Pool() as pool:
        found = [pool.map(gaps, group, chunksize=4) for group in groups]
    print(f"{len(groups[0])} problems of data sets, {len(groups[1])} of random rows")
    print(report(*found))


if __name__ == "__main__":
    main()
