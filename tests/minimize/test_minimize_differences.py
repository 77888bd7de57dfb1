"""minimize without a gradient: steps of differences, and what shows how exactly an objective is computed."""

import numpy as np
import pytest
import scipy.optimize
from minimizing import STEPS
from objectives import CENTRE, Counted, Recorded, bowl_slope, bowl_value, outcome
from scipy.optimize import approx_fprime, rosen, rosen_der

from fastopt import minimize

X0 = np.array([1.5, -0.7, 2.0])
ONE_STEP = {"maxiter": 1, "learning_rate": 1.0}  # with SGD: the gradient at x0 is x0 - x


def gradient_at(x0, fun, jac=None, **options):
    return x0 - minimize(fun, x0, method="sgd", jac=jac, options=ONE_STEP | options).x


# --- the dtype that the objective computes in --------------------------------------------------------------


def computed_in(dtype, returned):
    """The bowl in another dtype; what it returns may be of yet another type."""

    def fun(x, *batch):
        away = np.asarray(x, dtype) - CENTRE.astype(dtype)
        return returned((away * away).sum(dtype=dtype) / dtype(2))

    return fun


RETURNED = {
    "scalar": lambda value: value,
    "float": float,
    "float64": np.float64,
    "array": lambda value: np.array([value]),
}


@pytest.mark.parametrize("returned", RETURNED)
@pytest.mark.parametrize(("jac", "tolerance"), [(None, 3e-3), ("2-point", 3e-3), ("3-point", 1e-4)])
def test_objective_computed_in_float32(jac, tolerance, returned):
    fun = computed_in(np.float32, RETURNED[returned])
    for x0 in (X0, X0.astype(np.float32), 100 * X0):
        assert gradient_at(x0, fun, jac) == pytest.approx(bowl_slope(x0), abs=tolerance * float(np.abs(x0).max()))
    res = minimize(fun, X0, method="sgd", jac=jac, options={"maxiter": 200, "learning_rate": 0.2})
    assert res.x == pytest.approx(CENTRE, abs=2e-3)


@pytest.mark.parametrize("returned", RETURNED)
@pytest.mark.parametrize(("jac", "tolerance"), [(None, 0.2), ("3-point", 0.03)])
def test_objective_computed_in_float16(jac, tolerance, returned):
    assert gradient_at(X0, computed_in(np.float16, RETURNED[returned]), jac) == pytest.approx(
        bowl_slope(X0), abs=tolerance
    )


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_steps_are_those_of_float64_where_the_objective_is(jac):
    """Also where float32 holds its first values: those of steps of 2**-26 squared."""
    usual = np.finfo(np.float64).eps ** (1 / 3 if jac == "3-point" else 1 / 2)
    for x0, fun in [(np.ones(3), bowl_value), (np.zeros(3), lambda x: float(x @ x)), (X0, lambda x: 3.0 * x.sum())]:
        recorded = Recorded(fun)
        minimize(recorded, x0, method="sgd", jac=jac, options=ONE_STEP)
        moves = [np.abs(x - x0) for (x,) in recorded.calls if not np.array_equal(x, x0)][:3]  # at the start
        assert sum(moves) == pytest.approx(usual * np.maximum(1, np.abs(x0)), rel=1e-6)


def test_precision_is_found_in_samples_too():
    expected = gradient_at(X0, computed_in(np.float32, float), None)
    options = ONE_STEP | {"finite_diff_rel_step": None}
    fun = computed_in(np.float32, float)
    res = minimize(fun, X0, method="sgd", n_samples=4, options=options)
    assert X0 - res.x == pytest.approx(expected, abs=0)


def test_constant_objective_has_no_precision():
    fun = Counted(lambda x: 1.0)
    res = minimize(fun, X0, method="sgd", options=STEPS)
    assert res.x.tolist() == X0.tolist() and not res.jac.any()
    assert (res.nit, res.nfev) == (0, fun.calls) and res.success  # after a second look at the start


# --- finite_diff_rel_step ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1e-3, [1e-3, 2e-3, 1e-4], np.float32(1e-3), np.array([1e-3])], ids=repr)
def test_relative_step_is_that_of_scipy(step):
    """Times the parameter itself, as in scipy.optimize, not times the larger of it and 1."""
    found = gradient_at(X0, rosen, "2-point", finite_diff_rel_step=step)
    assert found == pytest.approx(approx_fprime(X0, rosen, X0 * step), rel=1e-9)
    central = gradient_at(X0, rosen, "3-point", finite_diff_rel_step=step)
    h = np.abs(X0) * step * np.eye(3)
    assert central == pytest.approx([(rosen(X0 + e) - rosen(X0 - e)) / (2 * e.sum()) for e in h], rel=1e-9)
    assert np.array_equal(gradient_at(X0, rosen, None, finite_diff_rel_step=step), found)


def test_relative_step_moves_what_scipy_moves():
    ours, theirs = Recorded(rosen), Recorded(rosen)
    minimize(ours, X0, jac="2-point", options={"maxiter": 1, "finite_diff_rel_step": 1e-2})
    options = {"maxiter": 1, "finite_diff_rel_step": 1e-2}
    scipy.optimize.minimize(theirs, X0, jac="2-point", method="BFGS", options=options)
    for mine, other in zip(ours.calls[:4], theirs.calls[:4], strict=True):
        assert mine[0] == pytest.approx(other[0], rel=1e-14)


def test_relative_step_of_a_zero_is_the_usual_one():
    x0 = np.array([0.0, 2.0, -4.0])
    fun = Recorded(bowl_value)
    minimize(fun, x0, jac="2-point", options={"maxiter": 1, "finite_diff_rel_step": 0.25})
    steps = sum(x - x0 for (x,) in fun.calls[:4])
    assert steps == pytest.approx([np.finfo(float).eps ** 0.5, 0.5, -1.0], rel=1e-6)


def test_negative_relative_step_goes_the_other_way():
    fun = Recorded(bowl_value)
    minimize(fun, X0, jac="2-point", options={"maxiter": 1, "finite_diff_rel_step": -0.5})
    assert sum(x - X0 for (x,) in fun.calls[:4]) == pytest.approx(-0.5 * X0)


def test_relative_step_keeps_bounds():
    fun = Recorded(bowl_value)
    bounds = scipy.optimize.Bounds([1.0, -1.0, 0.0], [1.6, 0.0, 2.0])
    for jac in ("2-point", "3-point"):
        minimize(fun, X0, jac=jac, bounds=bounds, options=STEPS | {"finite_diff_rel_step": 0.3})
    assert all((x >= bounds.lb).all() and (x <= bounds.ub).all() for (x,) in fun.calls)


# --- complex steps -----------------------------------------------------------------------------------------


def test_complex_steps_are_exact_to_rounding():
    for x0 in (X0, X0.astype(np.float32), 1e3 * X0):
        fun = Recorded(rosen)
        res = minimize(fun, x0, jac="cs", options=STEPS)
        exact = minimize(rosen, x0, jac=rosen_der, options=STEPS)
        assert res.x == pytest.approx(exact.x, rel=1e-5 if x0.dtype == np.float32 else 1e-13)
        assert res.jac == pytest.approx(rosen_der(res.x.astype(float)), rel=1e-5 if x0.dtype == np.float32 else 1e-13)
        assert (res.nfev, res.njev, len(fun.calls)) == (6 * 4, 6, 6 * 4)
        assert [x.dtype.name for (x,) in fun.calls[:4]] == ["float64"] + 3 * ["complex128"]


def test_complex_steps_over_samples():
    A = np.random.default_rng(1).standard_normal((20, 3))

    def fun(x, A):
        return ((A @ x - 1) ** 2).mean()

    def slope(x, A):
        return 2 * A.T @ (A @ x - 1) / len(A)

    arguments = dict(data=A, batch_size=6, rng=0, options=STEPS)
    expected = minimize(fun, X0, jac=slope, **arguments)
    assert minimize(fun, X0, jac="cs", **arguments).x == pytest.approx(expected.x, rel=1e-12)


@pytest.mark.parametrize("returned", [float, np.float64, lambda value: np.array([value, value])], ids=["1", "2", "3"])
def test_complex_steps_of_a_real_function_are_refused(returned):
    def fun(x):
        return returned(np.abs(x).sum()) if np.iscomplexobj(x) else 1.0

    with pytest.raises(TypeError, match=r'complex number for complex `x` with jac="cs", got .*; pass jac="3-point"'):
        minimize(fun, X0, jac="cs")


# --- checkpoints -------------------------------------------------------------------------------------------


def test_relative_step_and_precision_are_resumed(tmp_path):
    path = tmp_path / "run.npz"
    fun = computed_in(np.float32, float)
    for own in ({}, {"finite_diff_rel_step": 1e-2}):
        options = {"learning_rate": 0.1, "epoch_length": 2} | own
        expected = minimize(fun, X0, options=options | {"maxiter": 9})
        minimize(fun, X0, options=options | {"maxiter": 5, "checkpoint": path})
        res = minimize(fun, X0, resume=path, options=options | {"maxiter": 9})
        assert outcome(res) == outcome(expected)
        assert res.nfev == expected.nfev
