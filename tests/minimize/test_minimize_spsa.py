"""minimize of noisy objectives: noise that is noticed, and simultaneous perturbation with its calibration."""

import math
import warnings

import numpy as np
import pytest
from minimizing import STEPS
from objectives import CENTRE, Counted, Recorded, bowl_value, outcome
from scipy.optimize import Bounds, OptimizeWarning, rosen

import fastopt
from fastopt import minimize
from fastopt._minimize.precision import fit, rounding

NOTICED = (
    '`fun` gives another value when it is called again at `x0`: its gradient is estimated as with jac="spsa". '
    'Pass jac="spsa" to say so, or jac="2-point" for finite differences, with `finite_diff_rel_step`.'
)


class NoisyQuadratic:
    """The quadratic with these curvatures and its minimum, 0, at 1, with noise."""

    def __init__(self, curvatures, sigma, seed, basis=None):
        self.curvatures, self.sigma, self.basis = curvatures, sigma, basis
        self.rng = np.random.default_rng(seed)

    def true(self, x):
        away = x - 1 if self.basis is None else self.basis @ (x - 1)
        return float(self.curvatures @ away**2) / 2

    def __call__(self, x):
        return self.true(x) + self.sigma * self.rng.standard_normal()


def spread(n, condition, largest=1.0):
    return np.logspace(-math.log10(condition), 0, n) * largest


# --- noise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", [None, False, np.False_])
def test_noise_is_noticed_and_answered(jac):
    fun = NoisyQuadratic(np.ones(4), 0.1, 0)
    with pytest.warns(OptimizeWarning) as warned:
        res = minimize(fun, np.zeros(4), method=None, jac=jac, rng=1)
    assert [(str(each.message), each.filename) for each in warned] == [(NOTICED, __file__)]
    assert fun.true(res.x) < 1.0
    said = minimize(NoisyQuadratic(np.ones(4), 0.1, 0), np.zeros(4), method=None, jac="spsa", rng=1)
    assert said.nit == res.nit and type(said.optimizer) is type(res.optimizer) is fastopt.SGD


def test_remedies_of_the_warning_are_quiet():
    for chosen in ({"jac": "spsa"}, {"jac": "2-point", "options": {"finite_diff_rel_step": 0.3, "maxiter": 5}}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            minimize(NoisyQuadratic(np.ones(4), 0.1, 0), np.full(4, 3.0), **chosen)


@pytest.mark.parametrize(
    "values",
    [
        lambda k: 1.0 + k % 2 * 2e-16,
        lambda k: 0.0,
        lambda k: -1e300 * (1 + k % 2 * 1e-15),
        lambda k: float(np.float32(0.1) * np.float32(1 + k % 2 * 2e-7)),
        lambda k: math.nan,
        lambda k: math.inf,
    ],
    ids=["rounding", "zero", "large", "float32", "nan", "infinite"],
)
def test_rounding_is_no_noise(values):
    """Sums may be taken in another order each time; and NaN is not equal to itself."""
    calls = iter(range(1000))
    minimize(lambda x: values(next(calls)), np.ones(2), options=STEPS)


@pytest.mark.parametrize(
    ("arguments", "evaluations"),
    [
        ({}, 6 * 3 + 1),
        ({"jac": "2-point"}, 6 * 3),
        ({"jac": "3-point"}, 6 * 6),
        ({"n_samples": 7}, 5 * 3 + 1),
        ({"bounds": Bounds(1.1, 1.1)}, 1),
        ({"options": {"maxiter": 0}}, 3),
    ],
    ids=str,
)
def test_noise_is_looked_for_once_and_only_where_it_matters(arguments, evaluations):
    fun = Counted(lambda x, *batch: rosen(x))
    res = minimize(fun, [1.1, 1.1], **{"options": STEPS} | arguments)
    assert res.nfev == fun.calls == evaluations


def test_what_is_wrong_is_told_before_noise_is_looked_for():
    for wrong in ({"callback": 3}, {"tol": -1.0}, {"options": {"learning_rate": -1.0}}, {"method": "nope"}):
        fun = Counted(bowl_value)
        with pytest.raises((TypeError, ValueError)):
            minimize(fun, np.zeros(3), **wrong)
        assert fun.calls == 0


def test_exceptions_of_the_objective_pass_through_when_noise_is_looked_for():
    for error in (StopIteration(), ZeroDivisionError(), KeyboardInterrupt()):
        for at in (1, 2):
            with pytest.raises(type(error)):
                minimize(Counted(bowl_value, error, at), np.zeros(3))


# --- as good as the noise allows ---------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1e-3, 0.03, 1.0])
@pytest.mark.parametrize(("n", "condition"), [(4, 1), (4, 100), (20, 10), (100, 1), (100, 10)])
def test_noisy_quadratic_untuned(n, condition, sigma):
    fun = NoisyQuadratic(spread(n, condition), sigma, 0)
    with pytest.warns(OptimizeWarning):
        res = minimize(fun, np.zeros(n), method=None, rng=0)
    assert fun.true(res.x) <= 10 * sigma
    assert res.nfev < 2.1 * res.nit


@pytest.mark.slow
@pytest.mark.parametrize("largest", ["1", "condition"])
@pytest.mark.parametrize("sigma", [1e-3, 0.03, 1.0])
@pytest.mark.parametrize("condition", [1, 10, 100])
@pytest.mark.parametrize("n", [4, 10, 30, 100])
def test_noisy_quadratic_untuned_over_seeds(n, condition, sigma, largest):
    """With axes turned at random; but in 100 dimensions of condition 100, where that takes more than the budget."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        turned = seed % 2 == 1 and n * condition < 10_000
        basis = np.linalg.qr(rng.standard_normal((n, n)))[0] if turned else None
        fun = NoisyQuadratic(spread(n, condition, 1 if largest == "1" else condition), sigma, seed, basis)
        res = minimize(fun, rng.standard_normal(n), method=None, jac="spsa", rng=seed)
        assert fun.true(res.x) <= 10 * sigma


@pytest.mark.parametrize("sigma", [0.0, 0.03])
@pytest.mark.parametrize(
    ("value", "x0"),
    [
        (lambda x: np.sum(np.exp(x) - x - 1), -5.0),
        (lambda x: np.sum(np.logaddexp(10 * x, -10 * x) - np.log(2)), 5.0),
        (lambda x: np.abs(x).sum(), 5.0),
        (lambda x: np.sum((x - 1000) ** 2), 0.0),
        (lambda x: np.sum(x**4), 3.0),
        (lambda x: np.sum((1e6 * x - 1) ** 2), 0.0),
        (lambda x: np.sum(x - 1) ** 2 / 2 + np.sum((x - 1) ** 2) / 200, 0.0),
        (lambda x: np.sum((x - 1) ** 2), 1.0),
    ],
    ids=[
        "exponential",
        "flat far away",
        "absolute",
        "far",
        "quartic",
        "small scale",
        "one direction",
        "at the minimum",
    ],
)
def test_other_noisy_functions_untuned(value, x0, sigma):
    """Curvature that changes on the way, or that is nowhere at first, or hundred times larger in one direction."""
    noise = np.random.default_rng(0)
    res = minimize(
        lambda x: float(value(x) + sigma * noise.standard_normal()), np.full(4, x0), method=None, jac="spsa", rng=0
    )
    assert value(res.x) <= 10 * max(sigma, 1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_objective_without_noise(dtype):
    """Rounding takes the place of noise."""
    for fun in (bowl_value, lambda x: float(np.float32(bowl_value(x)))):
        res = minimize(fun, np.zeros(3, dtype), method=None, jac="spsa", rng=0, options={"maxiter": 2000})
        assert res.x == pytest.approx(CENTRE, abs=1e-3)


def test_bounds_are_kept_during_calibration():
    bounds = Bounds([0.0, -1.0, 0.5], [0.5, 1.0, 0.5])
    fun = Recorded(NoisyQuadratic(np.ones(3), 0.1, 0))
    res = minimize(fun, [0.5, 1.0, 0.5], method=None, jac="spsa", bounds=bounds, rng=0, options={"maxiter": 3000})
    assert all((x >= bounds.lb).all() and (x <= bounds.ub).all() for (x,) in fun.calls)
    assert res.x == pytest.approx([0.5, 1.0, 0.5], abs=0.2)


def test_objective_that_is_finite_nearby_only():
    """Shifts shrink until their ends are in the domain, and steps do not leave it."""

    def fun(x):
        return -float(np.log(x[0]) + np.log(1 - x[0])) if 0 < x[0] < 1 else math.inf

    res = minimize(fun, [0.001], method=None, jac="spsa", rng=0, options={"maxiter": 3000})
    assert res.x == pytest.approx([0.5], abs=0.01)


# --- the shift ---------------------------------------------------------------------------------------------


def test_shift_is_large_enough_for_the_noise():
    """By curvature the value rises by tens of times the noise, and the first estimates are of use."""
    for sigma in (1e-4, 1.0):
        fun = Recorded(NoisyQuadratic(np.ones(5), sigma, 0))
        minimize(fun, np.zeros(5), method=None, jac="spsa", rng=0, options={"maxiter": 1})
        (above,), (below,) = fun.calls[-3:-1]
        assert 10 * sigma < np.sum(((above - below) / 2) ** 2) / 2 < 90 * sigma


@pytest.mark.parametrize("chosen", [{"method": "adam"}, {"method": None, "options": {"learning_rate": 0.1}}])
def test_with_a_method_of_the_users_nothing_is_calibrated(chosen):
    fun = Recorded(bowl_value)
    res = minimize(fun, np.zeros(3), jac="spsa", **chosen | {"options": {"maxiter": 5} | chosen.get("options", {})})
    assert res.nfev == len(fun.calls) == 11
    gaps = [np.abs(above[0] - below[0]) for above, below in zip(fun.calls[:10:2], fun.calls[1:10:2], strict=True)]
    assert gaps == [pytest.approx(np.full(3, 0.02 / (k + 1) ** 0.101)) for k in range(5)]


def test_shift_that_is_given_is_used():
    fun = Recorded(NoisyQuadratic(np.ones(3), 0.01, 0))
    res = minimize(fun, np.zeros(3), method=None, jac="spsa", rng=0, options={"maxiter": 400, "spsa_step": 0.4})
    assert fun.fun.true(res.x) < 0.1
    (above,), (below,) = fun.calls[-3:-1]
    assert np.abs(above - below) == pytest.approx(np.full(3, 0.8 / 400**0.101))


def test_where_noise_is_noticed_the_shift_is_calibrated_for_any_method():
    fun = NoisyQuadratic(np.ones(5), 1.0, 0)
    schedule = fastopt.schedules.cosine_decay(0.05, 3000)
    with pytest.warns(OptimizeWarning):
        res = minimize(fun, np.zeros(5), method="adam", rng=0, options={"maxiter": 3000, "learning_rate": schedule})
    assert type(res.optimizer) is fastopt.Adam
    assert fun.true(res.x) < 1.0


def test_precision_of_values():
    assert fit([0.1, 0.5], "float64") and not fit([0.1, 0.5], "float32") and fit([0.5, math.nan], "float16")
    assert not fit([1e300], "float32")
    assert rounding([0.1]) == 2.0**-52
    assert rounding([float(np.float32(0.1))]) == 2.0**-23
    assert rounding([0.5]) == 2.0**-10


# --- resumed runs ------------------------------------------------------------------------------------------


class Deterministic:
    """Noise that is a function of x, so that a resumed run meets the same."""

    def __call__(self, x):
        return bowl_value(x) + 0.1 * math.sin(1e6 * float(x.sum()))


@pytest.mark.parametrize("method", [None, "adam"])
def test_calibrated_run_is_resumed(method, tmp_path):
    path, fun = tmp_path / "run.npz", Deterministic()
    arguments = dict(method=method, jac="spsa", rng=3)
    options = {"epoch_length": 5}
    expected = minimize(fun, np.zeros(3), **arguments, options=options | {"maxiter": 83})
    for first in (1, 4, 5, 16, 17, 64, 70):
        minimize(fun, np.zeros(3), **arguments, options=options | {"maxiter": first, "checkpoint": path})
        # The gain falls over the budget, which is that of the call: as for every schedule.
        res = minimize(fun, np.zeros(3), resume=path, **arguments, options=options | {"maxiter": 83})
        assert res.nit == expected.nit
        if method == "adam":
            assert outcome(res) == outcome(expected)


def test_interrupted_calibration_is_done_again(tmp_path):
    path = tmp_path / "run.npz"
    arguments = dict(method=None, jac="spsa", options={"maxiter": 20, "epoch_length": 5, "checkpoint": path})
    expected = minimize(Deterministic(), np.zeros(3), rng=3, **arguments)
    for at in (*range(1, 140, 7), 200, 250):
        path.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            minimize(Counted(Deterministic(), KeyboardInterrupt(), at), np.zeros(3), rng=3, **arguments)
        assert outcome(minimize(Deterministic(), np.zeros(3), rng=9, resume=path, **arguments)) == outcome(expected)


def test_noise_is_not_looked_for_again_in_a_resumed_run(tmp_path):
    path = tmp_path / "run.npz"
    calls = iter(range(10**6))

    def fun(x):  # noisy only at first, so that the second call could not find it
        return bowl_value(x) + 1e-3 * math.sin(next(calls))

    options = {"maxiter": 6, "epoch_length": 3, "checkpoint": path}
    with pytest.warns(OptimizeWarning):
        minimize(fun, np.zeros(3), method="adam", options=options)
    res = minimize(bowl_value, np.zeros(3), method="adam", resume=path, options=options | {"maxiter": 50})
    assert (res.nit, res.status) == (50, 1)
