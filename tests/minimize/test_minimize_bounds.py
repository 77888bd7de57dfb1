"""minimize against the contract of scipy.optimize.minimize: bounds."""

import math

import numpy as np
import pytest
import scipy.optimize
from cases import AVERAGING, OPTIMIZERS
from hypothesis import given
from hypothesis import strategies as st
from minimizing import STEPS
from objectives import Counted, Recorded, bowl, bowl_slope, bowl_value, outcome
from scipy.optimize import Bounds, OptimizeWarning, rosen, rosen_der

from fastopt import minimize, objectives

INSIDE = np.full(3, 0.25)
BOUNDS = {
    "Bounds": Bounds([0, 0, 0.0], [0.5, 2, 0.5]),
    "arrays of one": Bounds([0.0], [0.5]),
    "scalars": Bounds(0, 0.5),
    "infinite": Bounds(-np.inf, [0.5, np.inf, 0.5]),
    "pairs": [(0, 0.5), (0.0, 2), (None, 0.5)],
    "tuple": ((0, 0.5), (0, None), (None, None)),
    "array": np.array([[0, 0.5], [0, 2], [0, 0.5]]),
    "no bounds": [(None, None)] * 3,
    "zip": zip([0, 0, 0], [0.5, 2, 0.5], strict=True),
}


@pytest.mark.parametrize("form", [form for form in BOUNDS if form != "zip"])
def test_forms_of_bounds(form):
    options = {"maxiter": 100, "learning_rate": 0.1}
    res = minimize(bowl, INSIDE, method="sgd", jac=True, bounds=BOUNDS[form], options=options)
    theirs = scipy.optimize.minimize(bowl, INSIDE, method="L-BFGS-B", jac=True, bounds=BOUNDS[form])
    assert res.x == pytest.approx(theirs.x, abs=1e-4)


def test_bounds_from_an_iterator():
    assert minimize(bowl, INSIDE, jac=True, bounds=BOUNDS["zip"], options=STEPS).success


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1)], "The length of `bounds` must be that of `x0`, 3, got 1."),
        ([(0, 1)] * 4, "The length of `bounds` must be that of `x0`, 3, got 4."),
        ([(0, 1, 2)] * 3, "`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got"),
        (3, "`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got 3."),
        ("abc", "`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got 'abc'."),
        ([(0, "b")] * 3, "`bounds` must give a lower and an upper end for each of the 3 parameters, got"),
        ([(0, 1j)] * 3, "`bounds` must give a lower and an upper end for each of the 3 parameters, got"),
        (Bounds([0, 0], [1, 1]), "`bounds` must give a lower and an upper end for each of the 3 parameters, got"),
        ([(0, 1), (0, math.nan), (0, 1)], "`bounds` must not be NaN; None or infinity stands for no bound."),
        ([(0, 1), (0, 1), (2, 1)], "`bounds` must not have a lower end above the upper one, got (2.0, 1.0) at 2."),
        (Bounds(1, 0), "`bounds` must not have a lower end above the upper one, got (1.0, 0.0) at 0."),
    ],
    ids=repr,
)
def test_malformed_and_infeasible_bounds_are_refused(bounds, message):
    fun = Counted(bowl)
    with pytest.raises(ValueError) as caught:
        minimize(fun, INSIDE, jac=True, bounds=bounds)
    assert str(caught.value).startswith(message)
    assert fun.calls == 0


def test_starting_point_outside_is_moved_with_a_warning_at_the_callers_line():
    fun = Recorded(bowl)
    x0 = np.array([-3.0, 0.5, 9.0])
    with pytest.warns(OptimizeWarning, match="^Initial guess is not within the specified bounds") as warned:
        minimize(fun, x0, jac=True, bounds=[(0, 1)] * 3, options=STEPS)
    assert [each.filename for each in warned] == [__file__]
    assert fun.calls[0][0].tolist() == [0.0, 0.5, 1.0]
    assert x0.tolist() == [-3.0, 0.5, 9.0]


@pytest.mark.filterwarnings("ignore:Initial guess is not within")
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_run_from_a_point_that_is_moved_is_that_from_where_it_is_moved_to(method):
    """State that an optimizer makes of the parameters is made of those."""
    runs = [
        minimize(bowl, x0, jac=True, method=method, bounds=BOUNDS["Bounds"], options=STEPS)
        for x0 in ([-3.0, 0.5, 9.0], [0.0, 0.5, 0.5])
    ]
    assert outcome(runs[0]) == outcome(runs[1])


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_iterate_is_inside(method, dtype):
    """The minimum is outside on both sides, and the steps are large."""
    low, high = np.array([-0.5, -1.0, -np.inf]), np.array([0.5, np.inf, 0.25])
    fun, heard = Recorded(bowl), []
    average = None if method in AVERAGING else "polyak"
    options = {"maxiter": 30, "learning_rate": 0.5, "average": average, "epoch_length": 10}
    x0 = np.zeros(3, dtype)
    res = minimize(fun, x0, method=method, jac=True, bounds=Bounds(low, high), callback=heard.append, options=options)
    points = [x for (x,) in fun.calls] + heard + [res.x]
    assert all((low <= x).all() and (x <= high).all() for x in points)
    assert len(points) == 62


def test_iterates_in_single_precision_are_inside_bounds_that_it_cannot_hold():
    """The float32 next to 0.1 is above 0.1."""
    fun = Recorded(lambda x: (0.0, np.ones_like(x)))
    minimize(fun, np.zeros(2, np.float32), method="sgd", jac=True, bounds=Bounds([-0.7, -np.inf], [0.1, 0.1]),
             options={"learning_rate": 10.0, "maxiter": 2})  # fmt: skip
    fun = Recorded(lambda x: (0.0, -np.ones_like(x)))
    minimize(fun, np.zeros(2, np.float32), method="sgd", jac=True, bounds=Bounds([-0.7, -np.inf], [0.1, 0.1]),
             options={"learning_rate": 10.0, "maxiter": 2})  # fmt: skip
    assert all(float(x[0]) >= -0.7 and float(x.max()) <= 0.1 for (x,) in fun.calls)


def test_bounds_beyond_single_precision_are_none():
    res = minimize(bowl, np.zeros(3, np.float32), jac=True, bounds=[(-1e300, 1e300)] * 3, options=STEPS)
    assert res.x.tobytes() == minimize(bowl, np.zeros(3, np.float32), jac=True, options=STEPS).x.tobytes()


@pytest.mark.parametrize("jac", [None, "3-point", "spsa"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_evaluation_is_outside_the_bounds(jac, dtype, rng):
    low, high = np.array([-0.5, -1.0, 0.25]), np.array([0.5, np.inf, 0.5])
    for _ in range(5):
        fun = Recorded(bowl_value)
        x0 = np.clip(rng.uniform(-1, 1, 3), low, high).astype(dtype)
        minimize(fun, x0, jac=jac, bounds=Bounds(low, high), rng=rng, options=STEPS | {"spsa_step": 0.4})
        assert all((low <= x).all() and (x <= high).all() for (x,) in fun.calls)


@pytest.mark.parametrize("average", [None, "polyak"])
@pytest.mark.parametrize("jac", [None, "3-point", "spsa", True, bowl_slope], ids=str)
def test_bounds_that_leave_one_point_end_the_run_after_one_evaluation(jac, average):
    """As SciPy does; the budget would have been 10,000 iterations."""
    fun = Counted(bowl if jac is True else bowl_value)
    res = minimize(fun, np.full(3, 0.5), jac=jac, bounds=[(0.5, 0.5)] * 3, tol=1e-3, options={"average": average})
    assert (fun.calls, res.nfev, res.nit, res.success, res.status) == (1, 1, 0, True, 5)
    assert res.x.tolist() == [0.5] * 3 and res.fun == bowl_value(res.x)
    assert res.message == "All parameters are fixed by `bounds`."


@pytest.mark.parametrize("method", ["adam", "saga", "svrg"])
def test_bounds_that_leave_one_point_to_a_built_in_objective(method):
    objective = objectives.LeastSquares(np.eye(3), [1.0, 2.0, 3.0])
    with pytest.warns(OptimizeWarning, match="Initial guess"):
        res = minimize(objective, np.zeros(3), method=method, bounds=[(1, 1)] * 3)
    assert (res.nfev, res.nit, res.success, res.status) == (1, 0, True, 5)
    assert res.x.tolist() == [1.0] * 3 and res.fun == objective(np.ones(3))


def test_one_point_at_which_the_objective_is_not_finite_is_no_success():
    res = minimize(lambda x: math.nan, np.zeros(3), bounds=[(0, 0)] * 3)
    assert (res.success, res.status) == (False, 2)


@pytest.mark.parametrize("jac", [None, "3-point", "spsa"])
@pytest.mark.parametrize("width", [0.0, 1e-10, 1e-6], ids=str)
def test_no_evaluation_is_outside_narrow_bounds(jac, width):
    """A parameter that is fixed, or has less room than a step of the differences."""
    low = np.array([-1.0, 0.5, -1.0])
    high = np.array([1.0, 0.5 + width, 1.0])
    fun = Recorded(bowl_value)
    res = minimize(fun, np.array([0.0, 0.5 + width / 3, 0.0]), jac=jac, bounds=Bounds(low, high), options=STEPS)
    assert all((low <= x).all() and (x <= high).all() for (x,) in fun.calls)
    assert np.isfinite(res.x).all() and np.isfinite(res.jac).all()


@pytest.mark.parametrize("jac", [None, "3-point"])
def test_no_evaluation_is_outside_bounds_that_are_close_to_each_other_and_to_zero(jac):
    """It is 1e-9 - 1e-20 to the lower one, which is rounded to 1e-9; a step of that length takes the log of 0."""
    fun = Recorded(lambda x: float(np.log(x[0])))
    res = minimize(fun, 1e-9, jac=jac, bounds=[(1e-20, 1e-9)], options={"maxiter": 2, "learning_rate": 1e-12})
    assert all(1e-20 <= x[0] <= 1e-9 for (x,) in fun.calls)
    assert res.success


@given(
    jac=st.sampled_from([None, "3-point", "spsa"]),
    low=st.floats(-1e3, 1e3),
    width=st.sampled_from([0.0, 1e-14, 1e-9, 1e-8, 1.5e-8, 1e-6, 1e-5, 1.0]),
    position=st.floats(0, 1),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_no_evaluation_is_outside_any_bounds(jac, low, width, position, dtype):
    """Sums of a parameter and a step are rounded, too."""
    low = np.array([low, -1.0])
    high = low + width * np.maximum(1, np.abs(low))
    if dtype == "float32" and (low.astype(dtype) != high.astype(dtype)).any():
        low, high = low.astype(dtype).astype(float), high.astype(dtype).astype(float)
    elif dtype == "float32":
        low = high = low.astype(dtype).astype(float)
    fun = Recorded(lambda x: float(np.sin(x).sum()))
    x0 = np.clip(low + position * (high - low), low, high).astype(dtype)
    options = {"maxiter": 2, "learning_rate": 0.1}
    res = minimize(fun, x0, method="adam", jac=jac, bounds=Bounds(low, high), options=options)
    assert all((low <= x).all() and (x <= high).all() for (x,) in fun.calls)
    if res.jac is None:  # both parameters are fixed: nothing was shifted
        assert (low == high).all() and jac == "spsa" and res.nfev == 1
    else:
        assert np.isfinite(res.jac).all()


def test_gradients_at_the_bounds():
    """Differences are taken to the other side there, and are still right."""
    x0 = np.array([1.0, -1.0, 0.0])
    for jac in (None, "3-point"):
        res = minimize(
            rosen, x0, method="sgd", jac=jac, bounds=Bounds(-1, 1), options={"learning_rate": 0.0, "maxiter": 1}
        )
        assert res.jac == pytest.approx(rosen_der(x0), rel=1e-5)
