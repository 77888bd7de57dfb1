"""The last evaluation of a run of minimize: what it finds belongs to the result."""

import math

import numpy as np
import pytest
from objectives import bowl
from reference_epochs import problem

from fastopt import RowSparse, minimize

VALUES = [math.nan, math.inf, -math.inf]
ONE_STEP = {"learning_rate": 0.6, "maxiter": 1}


def cliff(value):
    """Falls to 0.5, and is not finite from there on; one step from 1 leads beyond."""
    return lambda x: float(x[0]) if x[0] > 0.5 else value


def with_slope(fun):
    return lambda x, *batch: (fun(x), np.ones(1))


def over_samples(fun):
    return lambda x, index: fun(x)


FORMS = {
    "differences": lambda fun: dict(fun=fun),
    "central": lambda fun: dict(fun=fun, jac="3-point"),
    "combined": lambda fun: dict(fun=with_slope(fun), jac=True),
    "separate": lambda fun: dict(fun=fun, jac=lambda x: np.ones(1)),
    "spsa": lambda fun: dict(fun=fun, jac="spsa"),
    "samples": lambda fun: dict(fun=with_slope(fun), jac=True, n_samples=5, batch_size=2),
    "differences over samples": lambda fun: dict(fun=over_samples(fun), n_samples=5, batch_size=2),
}


@pytest.mark.parametrize("tol", [None, 0.1])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("form", FORMS)
def test_last_value_that_is_not_finite_is_a_failure(form, value, tol):
    res = minimize(x0=[1.0], method="sgd", rng=0, tol=tol, options=ONE_STEP, **FORMS[form](cliff(value)))
    assert (res.status, res.success, res.nit) == (2, False, 1)
    assert res.message.startswith("The objective became NaN or infinite in iteration 1. Try a smaller")
    assert res.x == pytest.approx([0.4])
    assert str(res.fun) == str(value)


def test_value_that_is_not_finite_beside_the_end_is_a_failure():
    """The value at the end itself is finite, but there is no slope."""
    res = minimize(lambda x: float(x[0]) if x[0] <= 0.4 or x[0] > 0.5 else math.nan, [1.0], method="sgd",
                   options={"learning_rate": 0.6, "maxiter": 1})  # fmt: skip
    assert (res.status, res.success, res.fun) == (2, False, pytest.approx(0.4))
    assert res.jac == pytest.approx([1.0])


def test_last_value_of_a_built_in_objective_that_is_not_finite_is_a_failure():
    """Poisson loss overflows with the exponential of a margin."""
    p = problem("poisson")
    res = minimize(p.objective, p.x0, method="sgd", batch_size=23, options={"learning_rate": 1e4, "maxiter": 1})
    assert (res.status, res.success, res.fun) == (2, False, math.inf)
    assert np.isfinite(res.x).all()


def test_end_by_the_callback_is_told_as_such():
    def stop(x):
        raise StopIteration

    for form in FORMS.values():
        res = minimize(x0=[1.0], method="sgd", callback=stop, options=ONE_STEP, **form(cliff(math.nan)))
        assert (res.status, res.success) == (99, False)
        assert math.isnan(res.fun)


def test_no_iteration_at_all():
    res = minimize(lambda x: math.nan, [1.0], options={"maxiter": 0})
    assert (res.status, res.nit, res.jac) == (2, 0, None)
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 0})
    assert (res.status, res.success) == (1, False)


# --- the gradient at the result ------------------------------------------------------------------------------


def filled(buffer):
    """The bowl; all gradients are in one array."""

    def fun(x):
        value, buffer[:] = bowl(x)
        return value, buffer

    return fun


def sample_at(buffer):
    """A sparse gradient that holds the same array each time."""

    def fun(x):
        buffer[:] = x[:1]
        return float(x @ x) / 2, RowSparse([0], buffer)

    return fun


@pytest.mark.parametrize("average", [None, "polyak", "ema"])
def test_gradient_of_the_result_is_its_own(average):
    options = {"maxiter": 20, "epoch_length": 5, "average": average}
    buffer = np.zeros(3)
    res = minimize(filled(buffer), np.zeros(3), jac=True, options=options)
    assert not np.shares_memory(res.jac, buffer)
    res = minimize(lambda x: (float(x @ x) / 2, x), np.ones(3), jac=True, options=options)
    assert not np.shares_memory(res.jac, res.x) and res.jac.flags.writeable
    assert res.jac.tolist() == res.x.tolist()
    buffer = np.zeros(1)
    res = minimize(sample_at(buffer), np.ones(3), jac=True, options=options)
    assert not np.shares_memory(res.jac.rows, buffer)


def test_last_gradient_over_samples_is_not_that_of_the_last_evaluation():
    """Which fills the same array again."""
    buffer = np.zeros(1)

    def fun(x, index):
        calls.append(float(x[0]))
        buffer[:] = x[:1]
        return float(x @ x) / 2, RowSparse([0], buffer)

    calls = []
    res = minimize(fun, np.ones(3), jac=True, n_samples=4, batch_size=2, options={"maxiter": 5})
    assert res.jac.rows.tolist() == [calls[5]] != [calls[6]]
