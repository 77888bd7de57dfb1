"""What SciPy's tests ask of its methods and of the global optimizers that use them, asked of ours.

Contract by contract, with functions of our own. Where the contract is another one here, the test says so.
"""

import functools
import itertools

import numpy as np
import pytest
import scipy
import scipy.optimize
from cases import OPTIMIZERS
from objectives import Counted, Recorded
from scipy.optimize import (
    Bounds,
    OptimizeResult,
    basinhopping,
    differential_evolution,
    dual_annealing,
    rosen,
    rosen_der,
)

from fastopt import minimize, schedules, scipy_method

SCIPY = tuple(map(int, scipy.__version__.split(".")[:2]))


def seeded(seed):
    """The argument of global optimizers that makes them reproducible."""
    return {"rng" if SCIPY >= (1, 15) else "seed": seed}


# --- a function with many minima ---------------------------------------------------------------------------------


def waves(x):
    """The lowest of its minima is near 0; the others are 0.6 apart."""
    return float(np.sum(0.5 * x**2 - 0.3 * np.cos(10 * x - 0.4)))


def waves_slope(x):
    return x + 3.0 * np.sin(10 * x - 0.4)


def waves_and_slope(x):
    return waves(x), waves_slope(x)


LOWEST = np.full(2, scipy.optimize.brentq(waves_slope, 0.0, 0.1))
START = np.array([1.2, -1.3])


def fixed_budget(maxiter):
    return scipy_method("adam", jac=None, learning_rate=schedules.cosine_decay(0.02, maxiter), maxiter=maxiter)


METHODS = {
    "L-BFGS-B": "L-BFGS-B",
    "adam": fixed_budget(300),
    "short": fixed_budget(120),
    "tol": scipy_method("adam", jac=None, learning_rate=0.01, tol=1e-9, maxiter=1000),
    "momentum": scipy_method("sgd", jac=None, learning_rate=0.01, momentum=0.8, maxiter=150, tol=1e-7),
}
each_method = pytest.mark.parametrize("method", METHODS)
each_jac = pytest.mark.parametrize("jac", [True, "separate", None])


def function_and_jac(jac):
    if jac is True:
        return waves_and_slope, True
    return waves, waves_slope if jac == "separate" else None


# --- basinhopping ------------------------------------------------------------------------------------------------


@each_jac
@each_method
def test_basinhopping_finds_the_lowest_minimum_without_a_failure(method, jac):
    fun, jac = function_and_jac(jac)
    res = basinhopping(fun, START, minimizer_kwargs={"method": METHODS[method], "jac": jac}, niter=40, **seeded(1))
    assert res.minimization_failures == 0
    assert res.success and res.lowest_optimization_result.success
    assert res.x == pytest.approx(LOWEST, abs=1e-3)
    assert res.fun == waves(res.x) == res.lowest_optimization_result.fun
    assert res.nfev > 40 and res.njev > 40


@each_method
def test_basinhopping_counts_minimizations_that_fail(method):
    kwargs = {"method": METHODS[method], "jac": True, "options": {"maxiter": 0}}
    res = basinhopping(waves_and_slope, START, minimizer_kwargs=kwargs, niter=5, **seeded(1))
    assert res.minimization_failures == res.nit + 1 == 6


@each_method
def test_basinhopping_counts_runs_to_nowhere(method):
    """A slope that leads uphill."""
    kwargs = {"method": METHODS[method], "jac": lambda x: -waves_slope(x)}
    res = basinhopping(waves, START, minimizer_kwargs=kwargs, niter=5, **seeded(1))
    assert res.minimization_failures == 6
    assert not res.success


@each_method
def test_basinhopping_that_starts_in_a_minimum_has_no_failure(method):
    kwargs = {"method": METHODS[method], "jac": True}
    res = basinhopping(lambda x: (float(x @ x), 2 * x), np.zeros(2), minimizer_kwargs=kwargs, niter=3, **seeded(1))
    assert res.minimization_failures == 0
    assert res.x.tolist() == [0.0, 0.0]


@each_method
def test_basinhopping_is_reproducible_and_takes_a_callback(method):
    def run():
        heard = []
        kwargs = {"method": METHODS[method], "jac": True}
        basinhopping(
            waves_and_slope, START, minimizer_kwargs=kwargs, niter=5, **seeded(3),
            callback=lambda x, value, accepted: heard.append((x.tolist(), value, accepted)),
        )  # fmt: skip
        return heard

    assert len(run()) == 6 and run() == run()


def test_basinhopping_without_steps_is_one_minimization():
    res = basinhopping(waves, START, minimizer_kwargs={"method": METHODS["adam"]}, niter=0)
    expected = scipy.optimize.minimize(waves, START, method=METHODS["adam"])
    assert res.x.tolist() == expected.x.tolist()


# --- dual_annealing -----------------------------------------------------------------------------------------------

BOX = [(-5.0, 5.0), (-5.0, 5.0)]


@each_method
@pytest.mark.parametrize("jac", ["separate", None])
def test_dual_annealing_ends_in_the_lowest_minimum(method, jac):
    fun, jac = function_and_jac(jac)
    fun = Counted(fun)
    kwargs = {"method": METHODS[method], "jac": jac, "bounds": BOX}
    res = dual_annealing(fun, BOX, maxiter=150, minimizer_kwargs=kwargs, **seeded(1))
    assert res.success
    assert res.x == pytest.approx(LOWEST, abs=1e-3)
    assert res.fun == waves(res.x)
    assert res.nfev == fun.calls


@each_method
def test_dual_annealing_is_reproducible(method):
    kwargs = {"method": METHODS[method], "jac": waves_slope, "bounds": BOX}
    first, second = (dual_annealing(waves, BOX, maxiter=20, minimizer_kwargs=kwargs, **seeded(5)) for _ in range(2))
    assert (first.x.tolist(), first.fun, first.nfev) == (second.x.tolist(), second.fun, second.nfev)


@each_method
def test_dual_annealing_stays_in_its_bounds(method):
    """The lowest point is in a corner."""
    bounds, fun = [(1.0, 2.0), (-2.0, -1.0)], Recorded(lambda x: float(x @ x))
    kwargs = {"method": METHODS[method], "jac": lambda x: 2 * x, "bounds": bounds}
    res = dual_annealing(fun, bounds, maxiter=20, minimizer_kwargs=kwargs, **seeded(1))
    assert res.x == pytest.approx([1.0, -1.0], abs=1e-6)
    assert all(1 <= x[0] <= 2 and -2 <= x[1] <= -1 for (x,) in fun.calls)


# --- differential_evolution ------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def needs_a_function_that_polishes(request):
    if SCIPY < (1, 15) and "differential_evolution" in request.function.__name__:
        pytest.skip("`polish` is no function in this SciPy")


def evolved(polish):
    return differential_evolution(waves, BOX, maxiter=12, popsize=6, tol=0, **seeded(2), polish=polish)


@each_method
def test_differential_evolution_takes_the_polished_point(method):
    rough = evolved(False)
    res = evolved(functools.partial(scipy.optimize.minimize, method=METHODS[method]))
    assert waves(rough.x) > waves(LOWEST) + 1e-7
    assert res.fun == waves(res.x) < rough.fun
    assert res.x == pytest.approx(LOWEST, abs=2e-4)
    assert res.nfev > rough.nfev


def test_differential_evolution_does_not_take_a_point_that_is_no_better():
    rough = evolved(False)
    diverging = scipy_method("sgd", jac=None, learning_rate=10.0, maxiter=20)
    res = evolved(functools.partial(scipy.optimize.minimize, method=diverging))
    assert (res.x.tolist(), res.fun) == (rough.x.tolist(), rough.fun)


# --- minimize ---------------------------------------------------------------------------------------------------------


def descent(method="adam", **options):
    """The options of a run that finds the minimum of the parabola."""
    return {"learning_rate": schedules.cosine_decay(0.5, 500), "maxiter": 500, **options}


def parabola(x):
    return float(np.sum((x - 1.0) ** 2))


def parabola_slope(x):
    return 2.0 * (x - 1.0)


@pytest.mark.parametrize("jac", ["2-point", "3-point", None, parabola_slope])
def test_every_gradient_leads_to_the_minimum(jac):
    res = minimize(parabola, [3.0, -2.0], jac=jac, options=descent())
    assert res.success and res.x == pytest.approx(np.ones(2), abs=1e-6)


def test_smaller_tolerance_ends_nearer_to_the_minimum():
    ends = [
        minimize(rosen, [0.3, 0.2], jac=rosen_der, tol=tol, method="adam", options={"maxiter": 100_000})
        for tol in (1e-1, 1e-6)
    ]
    assert ends[1].fun < ends[0].fun
    assert ends[1].nit > ends[0].nit


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_maxiter_is_respected(method):
    fun, jac = Counted(rosen), Counted(rosen_der)
    res = minimize(fun, np.zeros(10), method=method, jac=jac, options={"maxiter": 4})
    assert res.nit == 4
    assert (res.nfev, res.njev) == (fun.calls, jac.calls)


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_worse_point_than_the_start_is_never_a_success(method):
    """SciPy's methods do not return one; ours may, and say so. The slope is that of another function."""
    x0 = np.array([2.0])
    res = minimize(parabola, x0, method=method, jac=lambda x: -2.0 * (x - 1.0) - 2.0, options={"maxiter": 20})
    assert res.fun == parabola(res.x)
    assert res.success == (res.fun < parabola(x0))


@pytest.mark.parametrize("jac", [lambda x: np.ones(1), "2-point"])
def test_not_a_number_is_a_failure(jac):
    def soon(x):
        calls.append(x)
        return float("nan") if len(calls) > 2 else 1.0 / len(calls)

    for fun in (lambda x: float("nan"), soon):
        calls = []
        res = minimize(fun, [1.0], jac=jac, options={"maxiter": 20})
        assert not res.success and res.status == 2


def test_starting_point_that_is_not_a_number_is_a_failure():
    res = minimize(parabola, [np.nan], jac=parabola_slope)
    assert not res.success and np.isnan(res.fun)


def test_no_point_is_evaluated_twice_in_a_row():
    fun = Recorded(lambda x: (parabola(x), parabola_slope(x)))
    minimize(fun, [3.0, -2.0], jac=True, options={"maxiter": 50, "learning_rate": 0.1})
    points = [x.tolist() for (x,) in fun.calls]
    assert all(one != other for one, other in itertools.pairwise(points))


@pytest.mark.parametrize("wants_result", [False, True])
def test_stop_iteration_gives_what_the_budget_would_have_given(wants_result):
    def stop_after(n):
        calls = itertools.count(1)

        def with_x(xk, *args):
            if next(calls) == n:
                raise StopIteration

        def with_result(*, intermediate_result):
            with_x(intermediate_result.x)

        return with_result if wants_result else with_x

    arguments = dict(fun=rosen, x0=[1.1] * 5, method="adam", jac=rosen_der)
    res = minimize(**arguments, callback=stop_after(5))
    expected = minimize(**arguments, options={"maxiter": 5})
    assert (res.status, res.success) == (99, False) and res.message.startswith("`callback` raised `StopIteration`")
    assert (res.nit, res.fun, res.x.tolist()) == (5, expected.fun, expected.x.tolist())


def test_callback_is_given_copies():
    heard = []
    minimize(rosen, [1.1] * 5, jac=rosen_der, options={"maxiter": 6}, callback=lambda x: heard.append((x, x.copy())))
    assert all((x == copy).all() for x, copy in heard)
    assert not any(np.may_share_memory(one, other) for (one, _), (other, _) in itertools.combinations(heard, 2))


def test_scalar_as_starting_point():
    res = minimize(parabola, 17, bounds=[(-100, 100)], jac=parabola_slope, options=descent())
    assert res.success and res.x.shape == (1,) and res.x == pytest.approx([1.0], abs=1e-6)
    assert minimize(lambda x: x * x, np.array([0.1])).x.shape == (1,)


@pytest.mark.parametrize("form", ["separate", "combined", "differences"])
@pytest.mark.parametrize("bounds", [Bounds([0, 2, -1, -1], [3, 2, 2, -1]), [(0, 3), (2, 2), (-1, 2), (-1, -1)]])
def test_parameters_that_equal_bounds_fix(form, bounds):
    def seen(x):
        assert x.shape == (4,) and x[1] == 2 and x[3] == -1
        return rosen(x)

    fun, jac = {
        "separate": (seen, rosen_der),
        "combined": (lambda x: (seen(x), rosen_der(x)), True),
        "differences": (seen, None),
    }[form]
    options = {"learning_rate": schedules.cosine_decay(0.1, 2000), "maxiter": 2000}
    res = minimize(fun, [0.5, 2.0, 0.3, -1.0], jac=jac, bounds=bounds, options=options)
    expected = scipy.optimize.minimize(
        rosen, [0.5, 2.0, 0.3, -1.0], method="L-BFGS-B", jac=rosen_der, bounds=[(0, 3), (2, 2), (-1, 2), (-1, -1)]
    )
    assert res.success and expected.success
    assert res.fun == pytest.approx(expected.fun, rel=5e-6)
    assert res.x == pytest.approx(expected.x, rel=5e-4)
    assert res.jac.shape == (4,)


@pytest.mark.parametrize("args", [(), (2.0,)])
def test_parameters_that_are_all_fixed(args):
    fun = Counted(lambda x, more=1.0: float(np.linalg.norm(x)) + more)
    with pytest.warns(scipy.optimize.OptimizeWarning, match="is moved there"):
        res = minimize(fun, [1.0, 3.0], args, bounds=[(1, 1), (2, 2)])
    assert (res.success, res.nfev, fun.calls, res.x.tolist()) == (True, 1, 1, [1.0, 2.0])
    assert res.fun == fun.fun(res.x, *args)


def test_one_argument_need_not_be_in_a_tuple():
    centre = np.arange(4.0)
    fun = lambda x, c: float(np.sum((x - c) ** 2))  # noqa: E731
    res = minimize(fun, np.zeros(4), centre, jac=lambda x, c: 2 * (x - c), options=descent())
    assert res.x == pytest.approx(centre, abs=1e-6)


@pytest.mark.parametrize("value", [lambda x: x, lambda x: [1.0, 2.0], lambda x: "one", lambda x: None])
def test_objective_must_return_a_number(value):
    with pytest.raises(ValueError, match="must return a scalar value"):
        minimize(value, [0.0, 1.0])


def test_attributes_of_the_result():
    res = minimize(rosen, [0.3, 0.2], jac=rosen_der, options={"maxiter": 50})
    assert isinstance(res, OptimizeResult)
    for name in ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message"):
        assert name in res and name in dir(res)
    assert res.success is True and type(res.status) is int and type(res.message) is str


def test_objective_that_falls_for_ever_ends_with_its_budget():
    fun = lambda x: (-2.0 * float(np.exp(-x[0])), 2.0 * np.exp(-x))  # noqa: E731
    res = minimize(fun, [1.0], jac=True, options={"maxiter": 100})
    assert np.isfinite(res.fun) and res.success


def test_wall_at_the_end_of_the_domain_is_told():
    """A large number that is finite is an ordinary value; the result beyond is above the start."""
    fun = lambda x: 1.79769313e308 if x[0] < 0 else float(x[0] + 1 / x[0])  # noqa: E731
    slope = lambda x: 1 - 1 / x**2  # noqa: E731
    res = minimize(fun, [10.0], method="adam", jac=slope, options={"maxiter": 3000, "learning_rate": 0.01})
    assert res.success and res.x == pytest.approx([1.0], rel=1e-4)
    res = minimize(fun, [10.0], method="sgd", jac=slope, options={"maxiter": 3, "learning_rate": 20.0})
    assert (res.status, res.success) == (6, False)
