"""The problems of untuned_report.py, which an optimizer has to solve without having its learning rate tuned.

Linear models on the data sets that come with scikit-learn, in the units of the data and standardised; networks; a
matrix factorization; text; and functions with and without noise. Nothing is downloaded.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse
from sklearn import datasets
from untuned_functions import Factorization, Network, NoisyQuadratic, beale, distant_bowl, powell, rosenbrock

from fastopt import objectives

SEED = 0
SHORT = 100  # iterations of a short budget
L2 = 1e-4  # of classifiers: many of the data sets can be separated, and would have no minimum without it
TEXT_LINES, TEXT_LEAST_COUNT = 4000, 5
LBFGS = {"maxiter": 20_000, "maxfun": 20_000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-12}


class Problem(NamedTuple):
    """What to minimize, with which budget, and the value that cannot be improved.

    `fun` is an objective of fastopt, or a function of x, or of x and an array of sample numbers, that returns value and
    gradient. `minimum` is a function without arguments: for what is not convex it may be a good value only.
    """

    name: str
    fun: Callable
    x0: np.ndarray
    iterations: int
    minimum: Callable
    n_samples: int | None = None
    batch_size: int | None = None

    @property
    def built_in(self):
        return type(self.fun).__name__ in objectives.__all__

    def value(self, x):
        """The objective over all samples."""
        if self.built_in:
            return float(self.fun(x))
        return float(self.fun(x, *([] if self.n_samples is None else [np.arange(self.n_samples)]))[0])

    def shortened(self):
        return self._replace(name=f"{self.name}, {SHORT} steps", iterations=SHORT)


# Linear models


def nonzero(scales):
    """Scales to divide by: 1 for columns that do not vary."""
    return np.where(scales > 0, scales, 1.0)


def standardised(A):
    return (A - A.mean(axis=0)) / nonzero(A.std(axis=0))


def linear(loss, title, unit, samples, budget, **penalty):
    """A linear model with an intercept. Regression on standardised data has standardised targets, but not of counts."""
    X, y = samples
    X = X if unit == "raw" else standardised(X)
    if unit == "scaled" and loss in ("LeastSquares", "Huber"):
        y = standardised(y)
    return of_objective(f"{loss}, {title}, {unit}", loss, (X, y), budget, **penalty)


def of_objective(name, loss, samples, budget, **penalty):
    """A built-in objective from zero weights. A budget is a number of epochs and the size of a batch."""
    X, y = samples
    objective = getattr(objectives, loss)(X, np.asarray(y, np.float64), fit_intercept=True, **penalty)
    minimum = (
        functools.partial(hinge_minimum, X, y) if loss == "Hinge" else functools.partial(smooth_minimum, objective)
    )
    return sampled(name, objective, np.zeros(objective.n_parameters), X.shape[0], budget, minimum)


def sampled(name, fun, x0, n, budget, minimum):
    epochs, batch_size = budget
    return Problem(name, fun, x0, epochs * -(-n // batch_size), minimum, n, batch_size)


def smooth_minimum(objective):
    """By L-BFGS-B, in coordinates in which the columns of X are orthonormal."""
    X, k = objective.X, objective.n_outputs
    back = np.eye(X.shape[1] + 1) if scipy.sparse.issparse(X) else orthonormal_columns(X)

    def transformed(u):
        value, gradient = objective.value_and_gradient((back @ u.reshape(-1, k)).ravel())
        return value, (back.T @ gradient.reshape(-1, k)).ravel()

    u = np.zeros(back.shape[1] * k)
    for _ in range(3):  # from where rounding stopped the line search
        found = scipy.optimize.minimize(transformed, u, jac=True, method="L-BFGS-B", options=LBFGS)
        u = found.x
    return float(found.fun)


def orthonormal_columns(X):
    """The matrix that takes coordinates in an orthonormal basis of [X, 1], times sqrt(n), to weights."""
    A = np.column_stack([X, np.ones(len(X))])
    scales = nonzero(np.linalg.norm(A, axis=0))
    _, singular, Vt = np.linalg.svd(A / scales, full_matrices=False)
    kept = singular > 1e-10 * singular[0]
    return np.sqrt(len(X)) * Vt[kept].T / singular[kept] / scales[:, None]


def hinge_minimum(X, y):
    """By a linear program: the mean of slack variables, which are at least 0 and at least the margin's loss."""
    n, d = X.shape
    scales = nonzero(np.abs(X).max(axis=0))
    margins = np.where(y > 0, 1.0, -1.0)[:, None] * np.column_stack([X / scales, np.ones(n)])
    cost = np.concatenate([np.zeros(d + 1), np.full(n, 1 / n)])
    bounds = [(None, None)] * (d + 1) + [(0, None)] * n
    constraints = {"A_ub": -np.column_stack([margins, np.eye(n)]), "b_ub": -np.ones(n)}
    return float(scipy.optimize.linprog(cost, **constraints, bounds=bounds).fun)


def data_sets():
    """Samples and targets of what scikit-learn ships, raw: diabetes, linnerud, breast cancer, digits, wine, iris."""
    yield datasets.load_diabetes(return_X_y=True, scaled=False)
    for load in ("linnerud", "breast_cancer", "digits", "wine", "iris"):
        yield getattr(datasets, f"load_{load}")(return_X_y=True)


def linear_problems():
    """Each loss on the data that suit it."""
    (diabetes, diabetes_y), (exercise, body), (cancer, cancer_y), (digits, digits_y), (wine, wine_y), (iris, iris_y) = (
        data_sets()
    )
    for unit in ("scaled", "raw"):
        yield linear("LeastSquares", "diabetes", unit, (diabetes, diabetes_y), (30, 32))
        yield linear("LeastSquares", "linnerud", unit, (exercise, body[:, 0]), (100, 5))
        yield linear("Huber", "diabetes", unit, (diabetes, diabetes_y), (30, 32))
        yield linear("Huber", "wine", unit, (wine[:, 1:], wine[:, 0]), (50, 32))
        yield linear("Logistic", "breast cancer", unit, (cancer, cancer_y), (30, 32), l2=L2)
        yield linear("Softmax", "iris", unit, (iris, iris_y), (50, 32), l2=L2)
        yield linear("Softmax", "wine", unit, (wine, wine_y), (50, 32), l2=L2)
        yield linear("Softmax", "digits", unit, (digits, digits_y), (20, 64), l2=L2)
        yield linear("Hinge", "breast cancer", unit, (cancer, cancer_y), (30, 32))
        yield linear("SquaredHinge", "breast cancer", unit, (cancer, cancer_y), (30, 32), l2=L2)
        yield linear("Poisson", "diabetes", unit, (diabetes, diabetes_y), (30, 32))
        yield linear("Poisson", "linnerud", unit, (body, exercise[:, 0]), (100, 5))
    yield linear("LeastSquares", "digits", "raw", (digits, digits_y), (20, 64))
    yield linear("Logistic", "wine", "scaled", (wine, wine_y == 1), (50, 32), l2=L2)
    yield linear("SquaredHinge", "digits, odd or even", "scaled", (digits, digits_y % 2), (20, 64), l2=L2)


def text_problems():
    """Logistic regression on hashed tokens: is a line of Python part of a docstring?"""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "docs" / "examples"))
    import python_text

    lines = python_text.sample_lines(TEXT_LINES, TEXT_LINES, np.random.default_rng(SEED))
    X, y = python_text.design_matrix(lines).tocsc().astype(np.float64), python_text.labels(lines)
    X.sum_duplicates()
    X = X[:, np.diff(X.indptr) >= TEXT_LEAST_COUNT].tocsr()
    unit = scipy.sparse.diags_array(1 / np.maximum(np.sqrt(X.multiply(X).sum(axis=1)), 1)) @ X
    yield of_objective("Logistic, text, counts", "Logistic", (X, y), (5, 64), l2=1e-5)
    yield of_objective(
        "Logistic, text, rows of length 1", "Logistic", (scipy.sparse.csr_array(unit), y), (5, 64), l2=1e-5
    )


# Functions of samples, in Python


def network(name, net, budget):
    """The minimum is a good value that L-BFGS-B finds."""
    n = len(net.X)
    minimum = functools.partial(reached_by_lbfgs, lambda x: net(x, np.arange(n)), net.initial())
    return sampled(name, net, net.initial(), n, budget, minimum)


def reached_by_lbfgs(fun, x0, iterations=1000):
    return float(scipy.optimize.minimize(fun, x0, jac=True, method="L-BFGS-B", options={"maxiter": iterations}).fun)


def network_problems():
    digits, digits_y = datasets.load_digits(return_X_y=True)
    iris, iris_y = datasets.load_iris(return_X_y=True)
    diabetes, target = datasets.load_diabetes(return_X_y=True, scaled=False)
    target = standardised(target)[:, None]
    yield network("Network 64-32-10, relu, digits", Network(digits / 16, digits_y, (64, 32, 10), relu=True), (15, 64))
    yield network("Network 64-32-16-10, tanh, digits", Network(digits / 16, digits_y, (64, 32, 16, 10)), (15, 64))
    yield network("Network 4-8-3, tanh, iris, raw", Network(iris, iris_y, (4, 8, 3)), (60, 32))
    yield network("Network 10-16-1, tanh, diabetes", Network(standardised(diabetes), target, (10, 16, 1)), (40, 32))
    yield network("Autoencoder 64-8-64, tanh, digits", Network(digits / 16, digits / 16, (64, 8, 64)), (15, 64))


def factorization_problem():
    images = datasets.load_digits().data[:200] / 16
    it = Factorization(images, 4)
    return sampled("Matrix factorization, digits", it, it.initial(), images.size, (20, 256), it.minimum)


def quadratic(name, condition, centre):
    it = NoisyQuadratic(condition, centre)
    n, d = it.places.shape
    return sampled(name, it, np.zeros(d), n, (30, 32), it.minimum)


def function_problems():
    zero = float  # the minimum of these is 0
    for n in (2, 10, 100):
        x0 = np.resize([-1.2, 1.0], n)
        yield Problem(f"Rosenbrock, {n} dimensions", rosenbrock, x0, 2000, zero)
    yield Problem("Beale", beale, np.array([1.0, 1.0]), 1000, zero)
    yield Problem("Powell's singular function", powell, np.array([3.0, -1.0, 0.0, 1.0]), 1000, zero)
    yield Problem("Sum of (x - 1000)^2", distant_bowl, np.zeros(3), 2000, zero)
    for power in (0, 2, 4, 6):
        yield quadratic(f"Noisy quadratic, condition 1e{power}", 10.0**power, 1.0)
    yield quadratic("Noisy quadratic, 1000 away", 10.0, 1000.0)


# All of them

SHORTENED = (
    "LeastSquares, diabetes, scaled",
    "Logistic, breast cancer, scaled",
    "Softmax, digits, scaled",
    "Poisson, diabetes, scaled",
    "Logistic, text, counts",
    "Network 64-32-10, relu, digits",
    "Rosenbrock, 10 dimensions",
    "Noisy quadratic, condition 1e2",
)


def all_problems():
    """In the order of the table."""
    found = [*linear_problems(), *text_problems(), *network_problems(), factorization_problem(), *function_problems()]
    by_name = {each.name: each for each in found}
    return [*found, *(by_name[name].shortened() for name in SHORTENED)]
