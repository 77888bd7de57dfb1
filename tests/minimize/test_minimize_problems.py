"""minimize on problems with known solutions: every method, with learning rates as a user would choose them."""

import functools
import math

import numpy as np
import pytest
import reference
import scipy.optimize
from cases import OPTIMIZERS
from objectives import outcome
from scipy import sparse
from scipy.optimize import Bounds, rosen, rosen_der

from fastopt import RowSparse, minimize, schedules, scipy_method
from fastopt.data import load_digits

# --- Rosenbrock's function, without tuning -------------------------------------------------------------------


@pytest.mark.parametrize("x0", [[-1.2, 1.0], [0.0, 0.0], [2.0, 2.0], [1.3, 0.7, 0.8, 1.9, 1.2]], ids=str)
def test_rosenbrock_with_its_gradient(x0):
    res = minimize(rosen, x0, jac=rosen_der)
    assert res.success and res.nit == 10_000
    assert res.fun < 1e-9
    assert res.x == pytest.approx(np.ones(len(x0)), abs=1e-4)


def test_rosenbrock_without_a_gradient():
    res = minimize(rosen, [-1.2, 1.0])
    assert res.fun < 1e-9
    assert (res.nfev, res.njev) == (3 * 10_001 + 1, 10_001)  # one to see whether the function is noisy


def test_rosenbrock_with_central_differences():
    assert minimize(rosen, [-1.2, 1.0], jac="3-point", options={"maxiter": 4000}).fun < 1e-6


def test_rosenbrock_through_scipy():
    res = scipy.optimize.minimize(rosen, [-1.2, 1.0], jac=rosen_der, method=scipy_method())
    assert res.fun < 1e-9


def test_rosenbrock_in_bounds():
    """The minimum is outside; on the boundary it is where SciPy finds it."""
    bounds = Bounds([-2, -2], [0.8, 2])
    theirs = scipy.optimize.minimize(rosen, [-1.2, 1.0], jac=rosen_der, bounds=bounds, method="L-BFGS-B")
    res = minimize(rosen, [-1.2, 1.0], jac=rosen_der, bounds=bounds)
    assert res.x == pytest.approx(theirs.x, abs=1e-4)
    assert res.x[0] == 0.8
    assert res.fun <= theirs.fun + 1e-9


# --- a quadratic -----------------------------------------------------------------------------------------------

# At the start; they fall along half a cosine.
RATES = reference.learning_rates("quadratic")


@functools.cache
def hessian():
    """Twenty dimensions, eigenvalues from 1 to 10 along axes of no particular direction."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 20)))
    return axes @ np.diag(np.geomspace(1, 10, 20)) @ axes.T


def quadratic(x):
    slope = hessian().astype(x.dtype) @ x
    return float(x @ slope) / 2, slope


def test_every_method_has_a_rate_here():
    assert list(RATES) == list(OPTIMIZERS) == list(DIGITS_RATES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_every_method_minimizes_a_quadratic(method, dtype):
    start = np.random.default_rng(1).standard_normal(20).astype(dtype)
    options = {"maxiter": 500, "epoch_length": 100, "learning_rate": schedules.cosine_decay(RATES[method], 500)}
    res = minimize(quadratic, start, method=method, jac=True, options=options)
    assert res.success
    assert res.fun < 1e-3 * quadratic(start)[0]
    assert (np.diff(res.history["fun"]) <= 0).all()


@pytest.mark.parametrize("method", [each for each in OPTIMIZERS if each != "rprop"])  # which is for full gradients
def test_every_method_minimizes_a_noisy_quadratic(method):
    start = np.random.default_rng(1).standard_normal(20)
    noise = np.random.default_rng(2)

    def noisy(x):
        value, slope = quadratic(x)
        return value + 0.1 * noise.standard_normal(), slope + 0.1 * noise.standard_normal(20)

    options = {"maxiter": 2000, "learning_rate": schedules.cosine_decay(RATES[method], 2000)}
    res = minimize(noisy, start, method=method, jac=True, options=options)
    assert quadratic(res.x)[0] < 1e-3 * quadratic(start)[0]


# --- softmax regression on handwritten digits ------------------------------------------------------------------

DIGITS_RATES = reference.learning_rates("digits")


def softmax_loss(params, X, y):
    """Mean cross-entropy of a linear classifier, weights first and then the ten biases; and its gradient."""
    weights, bias = params[:640].reshape(64, 10), params[640:]
    scores = X @ weights + bias
    scores -= scores.max(axis=1, keepdims=True)
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    residual = np.exp(log_probabilities)
    residual[rows, y] -= 1
    residual /= params.dtype.type(len(y))
    gradient = np.concatenate([(X.T @ residual).ravel(), residual.sum(axis=0)])
    return -float(log_probabilities[rows, y].mean()), gradient


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_every_method_learns_digits(method):
    """From a loss of log 10 = 2.30; Rprop, which is for full gradients, takes all samples at once.

    The steps of Muon have the same norm for all of a vector, which its weight decay would soon balance.
    """
    X, y = load_digits()
    size, epochs = (len(y), 100) if method == "rprop" else (32, 8)
    decay = {"weight_decay": 0.0} if method == "muon" else {}
    res = minimize(
        softmax_loss, np.zeros(650, np.float32), method=method, jac=True, data=(X, y), batch_size=size, rng=0,
        options={"epochs": epochs, "learning_rate": DIGITS_RATES[method], **decay},
    )  # fmt: skip
    assert res.success and res.x.dtype == np.float32
    assert res.nepoch == epochs
    assert res.fun < 0.15
    accuracy = np.mean((X @ res.x[:640].reshape(64, 10) + res.x[640:]).argmax(axis=1) == y)
    assert accuracy > 0.95


def test_digits_stop_by_themselves():
    X, y = load_digits()
    res = minimize(
        softmax_loss, np.zeros(650, np.float32), method="adam", jac=True, data=(X, y), batch_size=64, rng=0, tol=0.003,
        options={"epochs": 500, "learning_rate": 0.01, "patience": 3},
    )  # fmt: skip
    assert (res.status, res.success) == (0, True)
    assert res.nepoch < 200 and res.fun < 0.1


# --- logistic regression to its optimum ------------------------------------------------------------------------

RIDGE = 0.01


@functools.cache
def two_classes(n, n_features, density=1.0):
    rng = np.random.default_rng(n + n_features)
    X = rng.standard_normal((n, n_features)) * (rng.random((n, n_features)) < density)
    truth = rng.standard_normal(n_features)
    return X, np.where(X @ truth + 0.5 * rng.logistic(size=n) > 0, 1.0, -1.0)


def logistic_loss(w, X, y):
    margin = y * (X @ w)
    slope = -y * np.exp(-np.logaddexp(0, margin)) / len(y)
    return float(np.logaddexp(0, -margin).mean() + RIDGE / 2 * (w @ w)), X.T @ slope + RIDGE * w


def optimum(X, y):
    """What SciPy's L-BFGS-B finds."""
    found = scipy.optimize.minimize(logistic_loss, np.zeros(X.shape[1]), (X, y), method="L-BFGS-B", jac=True,
                                    options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000})  # fmt: skip
    return found.fun, found.x


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    ("method", "rate", "options"),
    [
        ("sgd", schedules.cosine_decay(0.5, 8000), {}),
        ("sgd", schedules.inverse_time_decay(1.0, 200, 1.0), {}),
        ("sgd", schedules.inverse_time_decay(1.0, 400, 1.0), {"average": "polyak", "average_start": 60}),
        ("adam", schedules.cosine_decay(0.02, 8000), {}),
        ("adagrad", schedules.cosine_decay(0.3, 8000), {}),
    ],
    ids=str,
)
def test_logistic_regression_reaches_the_optimum_that_scipy_finds(method, rate, options, form):
    X, y = two_classes(2000, 10)
    best, best_w = optimum(X, y)
    res = minimize(
        logistic_loss, np.zeros(10), method=method, jac=True, data=(form(X), y), batch_size=50, rng=0,
        options={"epochs": 200, "learning_rate": rate, **options},
    )  # fmt: skip
    assert -1e-12 < res.fun / best - 1 < 1e-6
    assert res.x == pytest.approx(best_w, abs=3e-3)


def test_logistic_regression_with_differences():
    X, y = two_classes(300, 4)
    best, _ = optimum(X, y)
    res = minimize(
        lambda w, X, y: logistic_loss(w, X, y)[0], np.zeros(4), method="sgd", data=(X, y), batch_size=50, rng=0,
        options={"epochs": 200, "learning_rate": schedules.inverse_time_decay(1.0, 40, 1.0)},
    )  # fmt: skip
    assert -1e-12 < res.fun / best - 1 < 1e-4


def test_full_gradients_reach_the_optimum_to_rounding():
    X, y = two_classes(300, 4)
    best, best_w = optimum(X, y)
    res = minimize(
        logistic_loss, np.zeros(4), method="sgd", jac=True, data=(X, y), batch_size=300,
        options={"epochs": 2000, "learning_rate": 1.0, "momentum": 0.9},
    )  # fmt: skip
    assert res.fun == pytest.approx(best, rel=1e-14)
    assert res.x == pytest.approx(best_w, abs=1e-8)


# --- sparse gradients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["adagrad", "adam", "sgd"])
def test_sparse_and_dense_gradients_solve_the_same_problem(method, dtype):
    """Least squares with rows of a few features out of 200, whose gradient touches only theirs."""
    rng = np.random.default_rng(3)
    A = sparse.random_array((1000, 200), density=0.02, format="csr", random_state=rng, dtype=dtype)
    truth = rng.standard_normal(200).astype(dtype)
    b = A @ truth
    rate = {"adagrad": 0.5, "adam": 0.05, "sgd": 2.0}[method]
    options = {"epochs": 40, "learning_rate": schedules.cosine_decay(rate, 40 * 50)}

    def dense(w, A, b):
        residual = A @ w - b
        return float(residual @ residual) / (2 * len(b)), A.T @ residual / w.dtype.type(len(b))

    def by_rows(w, A, b):
        value, gradient = dense(w, A, b)
        touched = np.unique(A.indices)
        return value, RowSparse(touched, gradient[touched], unique=True)

    results = [
        minimize(
            fun, np.zeros(200, dtype), method=method, jac=True, data=(A, b), batch_size=20, rng=0,
            options=options | {"sparse": mode},
        )
        for fun, mode in [(dense, "lazy"), (by_rows, "exact"), (by_rows, "lazy")]
    ]  # fmt: skip
    start = dense(np.zeros(200, dtype), A, b)[0]
    assert all(res.fun < 1e-3 * start for res in results)
    if method != "adam":  # whose state decays without being touched
        assert results[2].x == pytest.approx(results[0].x, abs=1e-12 if dtype == "float64" else 1e-5)
    assert results[1].x == pytest.approx(results[0].x, abs=1e-9 if dtype == "float64" else 1e-3)


# --- objectives that draw their own noise ----------------------------------------------------------------------


def test_mean_of_a_distribution_by_simulation():
    """E (x - Z)^2 for Z around 3 with a variance of 4: the minimum is 4, at 3; every evaluation draws 32 numbers."""
    draws = np.random.default_rng(0)

    def simulated(x):
        gaps = x[0] - draws.normal(3.0, 2.0, 32)
        return float((gaps**2).mean()), np.array([2 * gaps.mean()])

    options = {"learning_rate": 0.05, "maxiter": 4000, "average": "polyak"}
    res = minimize(simulated, 0.0, method="sgd", jac=True, options=options)
    assert res.x[0] == pytest.approx(3.0, abs=0.03)
    assert np.mean(res.history["fun"][5:]) == pytest.approx(4.0, rel=0.05)


def test_simulation_without_a_gradient():
    draws = np.random.default_rng(0)

    def simulated(x):
        return float(((x - np.array([1.0, -1.0, 0.5])) ** 2).sum() + 0.01 * draws.standard_normal())

    options = {"maxiter": 4000, "learning_rate": schedules.cosine_decay(0.05, 4000), "spsa_step": 0.1}
    res = minimize(simulated, np.zeros(3), jac="spsa", rng=0, options=options)
    assert res.x == pytest.approx([1.0, -1.0, 0.5], abs=0.02)


def test_nested_runs_do_not_disturb_each_other():
    """The objective of one run is itself found by another."""

    def inner(y, x):
        return float((y[0] - x) ** 2 + y[0] ** 2), np.array([4 * y[0] - 2 * x])

    def outer(x):
        res = minimize(inner, 0.0, (x[0],), "sgd", True, options={"maxiter": 60, "learning_rate": 0.2})
        return (x[0] - 2) ** 2 + res.fun, np.array([2 * (x[0] - 2) + x[0]])

    results = [
        minimize(outer, 5.0, method="sgd", jac=True, options={"maxiter": 60, "learning_rate": 0.2}) for _ in "ab"
    ]
    assert outcome(results[0]) == outcome(results[1])
    assert results[0].x[0] == pytest.approx(4 / 3, rel=1e-9)
    assert math.isclose(results[0].fun, 4 / 3, rel_tol=1e-9)
