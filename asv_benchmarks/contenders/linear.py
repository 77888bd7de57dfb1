"""Linear models: the data, the objective that judges everybody, and what runs in the process of a contender.

A contender is a function train(X, y, l2, ...) from the data to the weights, in the file of its library. It does what
its users wait for: its own checks of the data are part of it.
"""

import functools

import numpy as np
import scipy.optimize
import scipy.sparse

import fastopt

SEED = 0
ROWS_AT_ONCE = 10_000  # of float32 data converted to float64
MAX_EPOCHS = 256  # of a contender that does not get to the accuracy it should


# Data


def zipf_rows(n, d, per_row):
    """CSR data of unit rows whose columns are about Zipf-distributed, with noisy labels 0 and 1 of a linear model.

    The entries of a row come from different slices of the ranks, of equal probability, so that they are distinct. The
    most frequent columns are scattered, as hashing would do it.
    """
    rng = np.random.default_rng(SEED)
    offset = 10  # of the ranks: the first slice should not be narrower than a rank
    edges = np.round(np.geomspace(offset, offset + d, per_row + 1))
    ranks = (edges[:-1] * (edges[1:] / edges[:-1]) ** rng.random((n, per_row))).astype(np.int64) - offset
    columns = np.sort(rng.permutation(d).astype(np.int32)[ranks], axis=1)
    values = unit_rows(rng.standard_normal((n, per_row)))
    row_ends = np.arange(n + 1, dtype=np.int32) * per_row
    X = scipy.sparse.csr_array((values.ravel(), columns.ravel(), row_ends), shape=(n, d))
    return X, noisy_labels(X, rng)


def dense_rows(n, d, dtype):
    """Dense data of unit rows whose columns differ in size, with noisy labels 0 and 1 of a linear model."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((n, d), dtype=dtype)
    X /= np.sqrt(np.arange(1, d + 1, dtype=dtype))
    return unit_rows(X), noisy_labels(X, rng)


def unit_rows(X):
    """Scale rows in place to length 1, as one does with text."""
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def noisy_labels(X, rng):
    z = X @ rng.standard_normal(X.shape[1], dtype=X.dtype)
    return (z + 0.5 * z.std() * rng.standard_normal(len(z)) > 0).astype(X.dtype)


def with_classes(data, n_classes):
    """The rows of `data()` with class numbers: the largest of several noisy linear models."""
    X, _ = data()
    rng = np.random.default_rng(SEED)
    z = X @ rng.standard_normal((X.shape[1], n_classes))
    return X, np.argmax(z + 0.5 * z.std() * rng.standard_normal(z.shape), axis=1)


# The objective


def objective_value(w, X, y, l2):
    """Mean logistic loss plus l2/2 |w|^2 in float64: by this, and not by what they say, contenders are compared."""
    w = w.astype(np.float64)
    starts = range(0, len(y), ROWS_AT_ONCE)
    z = np.concatenate([X[start : start + ROWS_AT_ONCE].astype(np.float64, copy=False) @ w for start in starts])
    return float(np.mean(np.logaddexp(0, z) - y * z) + l2 / 2 * (w @ w))


def minimum(X, y, l2):
    """The smallest value of the objective, by L-BFGS-B, and a bound on its error from the strong convexity."""
    objective = fastopt.objectives.Logistic(X, y, l2=l2)
    options = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 30, "ftol": 0, "gtol": 1e-8}
    x0 = np.zeros(objective.n_parameters)
    res = scipy.optimize.minimize(objective.value_and_gradient, x0, jac=True, method="L-BFGS-B", options=options)
    return objective_value(res.x, X, y, l2), float(res.jac @ res.jac) / (2 * l2)


def fewest_epochs(train, X, y, l2, largest_value):
    """How many epochs `train` needs to get to a value of the objective, and the value then. 0 epochs, and the last
    value, if MAX_EPOCHS are not enough.

    Every number of epochs that is tried is a run of its own: some methods end in another point than they pass through.
    """

    @functools.cache
    def value(epochs):
        return objective_value(train(X, y, l2, epochs=epochs), X, y, l2)

    epochs = 1
    while value(epochs) > largest_value:
        if epochs >= MAX_EPOCHS:
            return 0, value(epochs)
        epochs *= 2
    too_few = epochs // 2
    while epochs - too_few > 1:
        middle = (epochs + too_few) // 2
        if value(middle) > largest_value:
            too_few = middle
        else:
            epochs = middle
    return epochs, value(epochs)


# What runs in the process of a contender: each sends an outcome down a pipe, and returns the callable to be timed


def training(outcome, data, l2, train):
    """Sends (None, final value of the objective)."""
    X, y = data()
    outcome.send((None, objective_value(train(X, y, l2), X, y, l2)))
    return lambda: train(X, y, l2)


def training_classes(outcome, data, l2, train):
    """Sends (None, share of the samples whose class the margins miss)."""
    X, y = data()
    outcome.send((None, float(np.mean(np.argmax(X @ train(X, y, l2), axis=1) != y))))
    return lambda: train(X, y, l2)


def training_to(outcome, data, l2, largest_value, train):
    """Sends (epochs it takes, value of the objective after them); with 0 epochs there is nothing to be timed."""
    X, y = data()
    epochs, value = fewest_epochs(train, X, y, l2, largest_value)
    outcome.send((epochs, value))
    return functools.partial(train, X, y, l2, epochs=epochs) if epochs else lambda: None


def value_and_gradient(outcome, data, l2):
    """Sends (None, value of the objective at some weights)."""
    X, y = data()
    objective = fastopt.objectives.Logistic(X, y, l2=l2)
    w = some_weights(X)
    outcome.send((None, objective.value_and_gradient(w)[0]))
    return lambda: objective.value_and_gradient(w)


def bare_products(outcome, data, l2):
    """Sends (None, value of the objective at the same weights). Timed are the products alone, without any loss."""
    X, y = data()
    w = some_weights(X)
    outcome.send((None, objective_value(w, X, y, l2)))
    return lambda: (X @ w, X.T @ y)


def some_weights(X):
    return np.random.default_rng(SEED).standard_normal(X.shape[1], dtype=X.dtype)
