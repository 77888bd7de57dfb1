"""A run is a success only if its result is below its start, or if it started where nothing leads downhill."""

import math

import numpy as np
import pytest
import scipy.optimize
from objectives import CENTRE, Counted, Recorded, bowl, bowl_slope, bowl_value, outcome
from reference_epochs import problem
from scipy.optimize import OptimizeWarning, rosen, rosen_der

from fastopt import RowSparse, minimize, objectives, schedules

RISEN = "The objective has risen above its value at the start, {:.6g}. Try a smaller `learning_rate`, "
NO_BETTER = "The objective is as high as at the start, {:.6g}. Try a larger `learning_rate` or more iterations, "
STATIONARY = "The starting point is stationary: no direction leads downhill from there."
BY_DIFFERENCES = "The starting point is stationary: no direction leads downhill from there, as far as differences show."


def wine():
    """Columns of very different sizes, as of the wine data; gradient steps at usual rates diverge."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((178, 13)) * 10.0 ** rng.uniform(-1, 2.5, 13) + 10.0 ** rng.uniform(-0.5, 3, 13)
    return X, rng.integers(0, 3, 178).astype(float)


def wine_objective(kind):
    X, y = wine()
    huber = objectives.Huber(X, y)
    return {
        "built-in": dict(fun=huber),
        "n_samples": dict(
            fun=lambda w, idx: huber.value_and_gradient(w, idx), jac=True, n_samples=len(y), batch_size=32
        ),
        "one batch": dict(fun=lambda w, idx: huber.value_and_gradient(w), jac=True, n_samples=len(y)),
        "no samples": dict(fun=huber.value_and_gradient, jac=True),
    }[kind] | dict(x0=np.zeros(13), rng=0), huber(np.zeros(13))


KINDS = pytest.mark.parametrize("kind", ["built-in", "n_samples", "one batch", "no samples"])


# --- diverged ------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("tol", [None, 1e-3])
def test_run_that_diverged_says_so(kind, tol):
    arguments, start = wine_objective(kind)
    res = minimize(**arguments, method="sgd", tol=tol, options={"learning_rate": 0.01})
    assert (res.status, res.success) == (6, False)
    assert res.message.startswith(RISEN.format(start))
    assert res.fun > 100 * start
    if kind == "n_samples":  # the loss falls again after the first epochs of the others, very slowly
        assert res.nepoch < 20


@KINDS
def test_remedy_for_a_run_that_diverged_works(kind):
    arguments, start = wine_objective(kind)
    res = minimize(**arguments, method="sgd", options={"learning_rate": 1e-8})
    assert (res.status, res.success) == (1, True) and res.fun < start


def test_run_that_uses_its_budget_up_above_its_start_is_no_success():
    """Not far enough above, or not long enough, to be ended before."""
    for maxiter in (1, 3, 30):
        options = {"maxiter": maxiter, "learning_rate": 2.05}
        res = minimize(bowl, np.array([1.0, -2.0, 0.6]), method="sgd", jac=True, options=options)
        assert (res.status, res.success, res.nit) == (6, False, maxiter)
        assert res.message.startswith(RISEN.format(0.005))


def test_run_whose_loss_falls_again_is_not_ended():
    """A schedule brings a loss that was far above the start for thirty epochs below it."""
    schedule = schedules.piecewise_constant([5, 80], [3.0, 1.95, 0.1])
    options = {"learning_rate": schedule, "epoch_length": 1, "maxiter": 100}
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options)
    assert (res.history["fun"] > 30 * res.history["fun"][0]).sum() > 30
    assert (res.status, res.success, res.nit) == (1, True, 100)


def test_patience_of_the_caller_holds_for_diverged_runs_too():
    def after(patience):
        options = {"epoch_length": 1, "learning_rate": 0.0, "maxiter": 200, "patience": patience}
        values = iter([0.1, *[1000.0] * 300])
        return minimize(lambda x: (next(values), np.ones(1)), np.zeros(1), jac=True, options=options).nit

    assert after(30) - after(20) == 10
    assert after(20) - after(10) == 10
    assert after(10) == after(2)


def test_diverged_run_goes_on_with_a_larger_patience(tmp_path):
    path = str(tmp_path / "run.npz")
    arguments, _ = wine_objective("n_samples")
    options = {"learning_rate": 0.01, "epochs": 30, "checkpoint": path}
    first = minimize(**arguments, method="sgd", options=options)
    again = minimize(**arguments, method="sgd", options=options, resume=path)
    assert (first.status, again.nit) == (6, first.nit)
    more = minimize(**arguments, method="sgd", options=options | {"patience": 40}, resume=path)
    whole = minimize(**arguments, method="sgd", options=options | {"patience": 40})
    assert more.nepoch == 30 and outcome(more) == outcome(whole)


# --- no better than the start ----------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(("tol", "epochs"), [(None, 100), (1e-3, 11)])
def test_run_that_ends_as_high_as_it_started_is_no_success(kind, tol, epochs):
    arguments, start = wine_objective(kind)
    res = minimize(**arguments, method="sgd", tol=tol, options={"learning_rate": 0.0})
    assert (res.status, res.success, res.nepoch) == (7, False, epochs)
    assert res.message.startswith(NO_BETTER.format(start))
    better = minimize(**arguments, method="sgd", options={"learning_rate": 1e-9})
    assert better.success


@pytest.mark.parametrize("options", [{"maxiter": 0}, {"epochs": 0}])
def test_no_iteration_is_no_success(options):
    """As in SciPy's L-BFGS-B, unless there was no need of any."""
    for x0, expected in ((np.zeros(3), (False, 1)), (CENTRE, (True, 0))):
        ours = minimize(bowl, x0, jac=True, options=options)
        scipys = scipy.optimize.minimize(bowl, x0, jac=True, method="L-BFGS-B", options={"maxiter": 0})
        assert (ours.success, ours.status) == (scipys.success, scipys.status) == expected
        assert ours.nit == 0


# --- the start is stationary -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tol", [None, 1e-6])
@pytest.mark.parametrize("method", ["adam", "sgd", None, "lion", "rprop", "asgd", "prodigy"])
@pytest.mark.parametrize(
    "form",
    [
        dict(fun=bowl, jac=True),
        dict(fun=bowl_value, jac=bowl_slope),
        dict(fun=lambda x: (1.0, RowSparse([1], np.zeros(1))), jac=True),
        dict(fun=bowl, jac=True, n_samples=5, batch_size=2),
        dict(fun=bowl, jac=True, n_samples=5),
        dict(fun=bowl, jac=True, bounds=[(0, 1), (-2, 2), (0.5, 0.5)]),
    ],
    ids=["combined", "separate", "rows", "batches", "one batch", "bounds"],
)
def test_exact_optimum_is_success_at_once(form, method, tol):
    res = minimize(x0=CENTRE, **form, method=method, tol=tol, rng=0)
    assert (res.status, res.success, res.nit, res.message) == (0, True, 0, STATIONARY)
    assert res.x.tolist() == CENTRE.tolist()
    assert res.optimizer.step_count == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", ["adam", None])
@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"])
@pytest.mark.parametrize(
    ("fun", "optimum", "more"),
    [
        (rosen, np.ones(3), {}),
        (lambda x: 1e6 * rosen(x), np.ones(3), {}),
        (lambda x: 1e6 + rosen(x), np.ones(3), {}),
        (lambda x: 1.0 + 0.0 * x[0], CENTRE, {}),
        (lambda x: ((x - [-1, 0, 1]) ** 2).sum(), np.array([0, 0, 1]), {"bounds": (0, None)}),
        (lambda x, index: rosen(x) * (1 + index.mean()), np.ones(3), {"n_samples": 5, "batch_size": 2}),
    ],
    ids=["rosen", "steep", "high", "constant", "bounds", "samples"],
)
def test_exact_optimum_is_one_to_differences_too(fun, optimum, more, jac, method, dtype):
    """Their gradients there are as large as their errors."""
    res = minimize(fun, optimum.astype(dtype), method=method, jac=jac, **more)
    assert (res.status, res.success, res.nit, res.message) == (0, True, 0, BY_DIFFERENCES)
    assert res.x.tolist() == optimum.tolist()


def test_optimum_of_a_function_in_float32_or_to_be_maximized_is_one_to_differences_too():
    def single(x):
        return np.float32(1) + ((x.astype(np.float32) - 1) ** 2).sum(dtype=np.float32)

    assert minimize(single, np.ones(3)).message == BY_DIFFERENCES
    options = {"maximize": True, "maxiter": 100}
    assert minimize(lambda x: -rosen(x), np.ones(3), method="adam", options=options).message == BY_DIFFERENCES
    for jac in (None, "3-point", "cs"):  # the other way round it is no optimum
        res = minimize(lambda x: -rosen(x), np.ones(3), method="adam", jac=jac, options={"maxiter": 100})
        assert (res.status, res.nit) == (1, 100)


@pytest.mark.parametrize("jac", [None, "3-point", "cs"])
def test_point_near_the_optimum_is_none(jac):
    res = minimize(rosen, np.ones(3) - 1e-6, jac=jac, options={"maxiter": 200})
    assert (res.success, res.nit) == (True, 200) and res.fun < rosen(np.ones(3) - 1e-6)


def test_kink_with_a_way_down_between_the_axes_is_no_optimum():
    res = minimize(lambda x: abs(x[0] - x[1]) + 0.1 * (x[0] + x[1]), np.zeros(2), bounds=(-1, 1))
    assert res.success and res.x == pytest.approx([-1, -1])


def test_slope_below_the_rounding_error_of_a_large_value_is_found():
    """A step of 2**-26 changes the value by less than its rounding error."""
    for jac in (None, "3-point"):
        res = minimize(lambda x: ((x - 1e8) ** 2).sum(), np.zeros(3), jac=jac)
        assert res.success and res.nit == 10_000 and res.fun < 1e-6 * 3e16


def test_exact_optimum_of_arrays_in_a_structure():
    x0 = {"w": np.array([[1.0, 2.0]]), "b": np.array([0.5])}
    gradient = {"w": np.zeros((1, 2)), "b": RowSparse([0], np.zeros(1))}
    res = minimize(lambda x: (1.0, gradient), x0, jac=True)
    assert (res.status, res.nit, res.message) == (0, 0, STATIONARY)
    gradient = {"w": np.array([[-1.0, 1.0]]), "b": np.zeros(1)}
    bounds = {"w": (0, 1), "b": (None, None)}
    with pytest.warns(OptimizeWarning, match="is moved there"):
        res = minimize(lambda x: (1.0, gradient), x0, jac=True, bounds=bounds, options={"maxiter": 2})
    assert (res.status, res.nit) == (7, 2)
    gradient["w"][0, 1] = -1.0
    with pytest.warns(OptimizeWarning, match="is moved there"):
        res = minimize(lambda x: (1.0, gradient), x0, jac=True, bounds=bounds)
    assert (res.status, res.nit, res.message) == (0, 0, STATIONARY)


def test_corner_of_the_bounds_is_an_optimum_where_all_slopes_point_outwards():
    bounds = [(2, 3), (-1, 0), (0.5, 9)]
    res = minimize(bowl, [2.0, -1.0, 0.5], jac=True, bounds=bounds)
    assert (res.status, res.success, res.nit) == (0, True, 0)
    res = minimize(bowl, [2.0, -0.5, 0.5], jac=True, bounds=bounds, options={"learning_rate": 0.1})
    assert (res.status, res.success, res.nit) == (1, True, 10_000)
    assert res.x == pytest.approx([2.0, -1.0, 0.5], abs=1e-6)


def test_where_one_batch_is_flat_others_are_looked_at():
    def fun(x, index):
        """Only sample 3 has a slope."""
        here = float((index == 3).mean())
        return here * float(x[0]), np.array([here])

    res = minimize(fun, [1.0], jac=True, n_samples=8, batch_size=1, rng=0, options={"maxiter": 40})
    assert (res.status, res.success, res.nit) == (1, True, 40)


def test_flat_batch_is_stepped_on_whatever_the_others_write_into_its_gradient():
    buffer = np.zeros(1)

    def fun(x, index):
        buffer[:] = (index == 3).mean()
        points.append(float(x[0]))
        return float(buffer[0] * x[0]), buffer

    points = []
    res = minimize(fun, [1.0], jac=True, method="sgd", n_samples=8, batch_size=1, rng=0, options={"maxiter": 2})
    order = np.random.default_rng(0).permutation(8)
    assert 3 not in order[:2] and res.x.tolist() == [1.0] and set(points) == {1.0}


def test_value_that_changes_by_itself_is_no_optimum():
    values = iter(np.linspace(1, 0, 100))
    res = minimize(lambda x: (next(values), np.zeros(2)), np.zeros(2), jac=True, options={"maxiter": 30})
    assert res.nit == 30


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["sgd", "adam", "saga", "svrg"])
def test_start_of_a_built_in_objective_where_nothing_leads_downhill(method, dtype):
    """All margins of a hinge loss beyond 1; and a penalty that keeps all coefficients at zero."""
    X = np.random.default_rng(0).standard_normal((90, 3)).astype(dtype)
    hinge = objectives.SquaredHinge(X, X[:, 0] > 0)
    start = np.array([1e6, 0, 0])
    res = minimize(hinge, start, method=method, rng=0)
    assert (res.status, res.success, res.nit, res.message) == (0, True, 0, STATIONARY)
    lasso = objectives.LeastSquares(X, np.tanh(X[:, 1]), l1=10.0)
    res = minimize(lasso, np.zeros(3), method=method, rng=0)
    assert (res.status, res.success, res.nit, res.message) == (0, True, 0, STATIONARY)
    lasso = objectives.LeastSquares(X, 1 + np.tanh(X[:, 1]), l1=10.0, fit_intercept=True)
    if method == "adam":
        return  # whose steps do not keep coefficients at zero
    res = minimize(lasso, np.zeros(4), method=method, rng=0, options={"epochs": 5, "learning_rate": 1e-3})
    assert (res.status, res.success, res.nepoch) == (1, True, 5)  # the intercept has no penalty


def test_stationary_start_is_in_the_checkpoint(tmp_path):
    path = str(tmp_path / "run.npz")
    first = minimize(bowl, CENTRE, jac=True, options={"checkpoint": path})
    again = minimize(Counted(bowl), np.zeros(3), jac=True, resume=path, options={"checkpoint": path})
    assert outcome(again) == outcome(first)


# --- functions with noise ----------------------------------------------------------------------------------------


def noisy(seed, downhill):
    """Noise of twice the size of the slope; the gradient may be the wrong way round."""
    rng = np.random.default_rng(seed)

    def fun(x):
        value, slope = bowl(x)
        return value + 2 * rng.standard_normal(), downhill * slope + 2 * rng.standard_normal(3)

    return fun


def test_noisy_function_is_judged_by_more_than_single_values():
    """These would be wrong about every third run: the way down is as long as the noise is large."""
    for downhill, rate in ((1, 0.001), (-1, 0.0003)):
        options = {"learning_rate": rate, "maxiter": 3000}
        for seed in range(40):
            res = minimize(noisy(seed, downhill), CENTRE + 1, method="sgd", jac=True, options=options)
            assert (res.status, res.success) == ((1, True) if downhill == 1 else (6, False))


def test_default_returns_the_start_of_a_noisy_function_only_where_it_is_no_success():
    """Two single values do not decide what the means of many have decided."""
    returned = set()
    for seed in range(40):
        res = minimize(noisy(seed, 1), CENTRE + 1, jac=True, options={"maxiter": 200, "d0": 0.01})
        is_start = bool((res.x == CENTRE + 1).all())
        assert res.success == (not is_start) and is_start == ("The start is returned" in res.message)
        returned.add(is_start)
    assert False in returned


def test_noisy_function_may_be_done_in_its_first_epoch():
    """The losses of epochs are noise from there on, and say nothing about the start."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        res = minimize(
            lambda x: (bowl_value(x) + 0.01 * rng.standard_normal(), bowl(x)[1]), CENTRE + 1, method="sgd", jac=True,
            options={"learning_rate": 0.5, "maxiter": 2000},
        )  # fmt: skip
        assert (res.status, res.success) == (1, True)


def test_deterministic_function_is_judged_by_its_values():
    """It rises in its first epoch, and falls again, but not below its start."""
    schedule = schedules.piecewise_constant([6, 50], [2.5, 2.0, 0.03])
    options = {"learning_rate": schedule, "epoch_length": 50, "maxiter": 100}
    res = minimize(bowl, CENTRE + 0.1, method="sgd", jac=True, options=options)
    assert res.history["fun"][1] < res.history["fun"][0] and res.fun > bowl_value(CENTRE + 0.1)
    assert (res.status, res.success) == (6, False)


def test_function_is_evaluated_again_only_in_doubt():
    fun = Counted(bowl)
    res = minimize(fun, np.zeros(3), jac=True, options={"maxiter": 40})
    assert fun.calls == res.nfev == 41
    fun = Counted(bowl)
    res = minimize(fun, CENTRE + 0.1, method="sgd", jac=True, options={"learning_rate": 2.05, "maxiter": 40})
    assert fun.calls == res.nfev == 41 and not res.success


# --- any budget ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maxiter", [2, 3, 5, 11, 12, 20, 50, 99, 100, 350, 999, 1000, 5000])
def test_tolerance_works_with_any_budget(maxiter):
    res = minimize(bowl, np.zeros(3), jac=True, tol=10.0, options={"maxiter": maxiter})
    assert (res.status, res.success) == (0, True)


@pytest.mark.parametrize("epochs", [2, 3, 5, 11, 20, 100])
def test_tolerance_works_with_any_number_of_epochs(epochs):
    p = problem("logistic")
    res = minimize(p.objective, p.x0, method="sgd", tol=0.5, rng=0, options={"epochs": epochs, "learning_rate": 0.1})
    assert (res.status, res.success) == (0, True)


def test_resumed_run_keeps_the_length_of_its_epochs(tmp_path):
    path = str(tmp_path / "run.npz")
    minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 100, "checkpoint": path})
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 10_000}, resume=path)
    assert res.history["iteration"].tolist() == [*range(2, 10_001, 2)]


# --- the other way up ------------------------------------------------------------------------------------------------


def upwards(x):
    value, slope = bowl(x)
    return -value, -slope


@pytest.mark.parametrize("tol", [None, 1e-3])
def test_maximized_objective_must_rise(tol):
    options = {"maximize": True, "learning_rate": 0.1, "return_best": True, "maxiter": 4000}
    res = minimize(upwards, np.zeros(3), jac=True, tol=tol, options=options)
    down = minimize(bowl, np.zeros(3), jac=True, tol=tol, options=options | {"maximize": False})
    assert res.success and (res.status, res.nit, -res.fun) == (down.status, down.nit, down.fun)
    assert res.x.tolist() == down.x.tolist()
    options |= {"learning_rate": 2.5, "maxiter": 9, "return_best": False}
    res = minimize(upwards, np.zeros(3), method="sgd", jac=True, tol=tol, options=options)
    assert (res.status, res.success) == (6, False)


# --- resumed runs, and what is counted ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["built-in", "n_samples"])
def test_start_of_a_resumed_run_is_that_of_the_whole(kind, tmp_path):
    path = str(tmp_path / "run.npz")
    arguments, start = wine_objective(kind)
    options = {"learning_rate": 0.01, "epochs": 5, "checkpoint": path}
    minimize(**arguments, method="sgd", options=options)
    more = minimize(**arguments, method="sgd", options=options | {"epochs": 9, "learning_rate": 1e-9}, resume=path)
    assert more.status == 6  # it has fallen since, but not below where the run started
    assert more.message.startswith(RISEN.format(start))


@pytest.mark.parametrize("size", [2, 10])
def test_start_is_evaluated_over_all_samples_where_the_bounds_have_moved_it(size):
    fun = Recorded(bowl)
    with pytest.warns(OptimizeWarning, match="is moved there"):
        res = minimize(fun, np.full(3, 9.0), jac=True, n_samples=10, batch_size=size, bounds=[(0, 1)] * 3,
                       options={"maxiter": 4})  # fmt: skip
    assert fun.calls[0][0].tolist() == [1.0, 1.0, 1.0]
    assert sorted(fun.calls[0][1]) == list(range(10))
    assert res.nfev == len(fun.calls) == (6 if size == 2 else 5)


def test_value_that_is_not_a_number_at_the_start_ends_no_run_that_does_not_meet_it():
    def fun(x, index):
        spoilt = len(index) == 4 and np.array_equal(x, np.ones(2))
        return math.nan if spoilt else float(x @ x), 2 * x

    res = minimize(fun, np.ones(2), jac=True, n_samples=4, batch_size=2, rng=0)
    assert (res.status, res.success) == (1, True)


@pytest.mark.parametrize("method", [None, "adam"])
def test_rosenbrock(method):
    res = minimize(rosen, np.full(4, 3.0), method=method, jac=rosen_der, options={"learning_rate": 0.01})
    assert res.success and res.fun < rosen(np.full(4, 3.0))


# --- what messages advise --------------------------------------------------------------------------------------


def test_advice_names_what_the_method_has():
    objective = objectives.Huber(*wine())
    res = minimize(objective, np.zeros(13), method="svrg", rng=0, options={"learning_rate": 1e3})
    assert res.status == 6 and res.message.endswith("Try a smaller `learning_rate`, or scale the data.")
    res = minimize(lambda x: (x @ x, -2 * x), np.ones(3), jac=True, method="adam", options={"learning_rate": 0.1})
    names = "`learning_rate`, `clip_norm` or `clip_value`"
    assert res.status == 6 and res.message.endswith(f"Try a smaller {names}, or scale the parameters.")
    res = minimize(lambda x: 1.0, np.ones(3), jac="spsa", options={"maxiter": 50})
    assert res.status == 7 and "Try more iterations, or a larger `spsa_step`; if `x0` or" in res.message


@pytest.mark.parametrize(("at", "status"), [(1e90, 7), (1e120, 2), (1e-90, 6)])
def test_parameters_of_extreme_size_are_to_be_scaled(at, status):
    """The state of the default method overflows, or its first distance is too large."""

    def fun(x):
        away = x / at - 1
        return float(away @ away) * at**2, 2 * away * at

    x0 = np.full(3, 3 * at)
    res = minimize(fun, x0, jac=True)
    assert (res.status, res.success) == (status, False) and " scale " in res.message

    def scaled(z):
        value, gradient = fun(at * z)
        return value / at**2, gradient / at

    res = minimize(scaled, x0 / at, jac=True)
    assert res.success and res.x == pytest.approx(np.ones(3), abs=1e-6)


def test_loss_that_settles_at_a_high_rate_is_said_to():
    """The default rate falls over the whole budget: what has settled before is the noise of the steps."""
    res = minimize(rosen, [-1.2, 1.0], jac=rosen_der, tol=0.1)
    assert res.status == 0 and res.fun > 1
    share = res.history["learning_rate"][-1]
    assert res.message.endswith(f"still {share:.0%} of its first value. With fewer iterations it falls to 0.")
    again = minimize(rosen, [-1.2, 1.0], jac=rosen_der, options={"maxiter": res.nit})
    assert again.fun < 1e-3 and "still" not in again.message


def test_rate_of_nothing_that_settles_has_not_fallen():
    options = {"learning_rate": schedules.cosine_decay(0.0, 1000), "maxiter": 1000}
    res = minimize(bowl, np.zeros(3), jac=True, method="sgd", tol=1e-3, options=options)
    assert (res.status, res.nit) == (7, 220) and res.message.endswith("such as optimizer.learning_rate = 0.1.")
