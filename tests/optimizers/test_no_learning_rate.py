"""What is particular to Prodigy, DoG and MoMo; the formulas are in the shared tests of rules and in the recipes."""

import math

import numpy as np
import pytest
import scipy.sparse

import fastopt
from fastopt import objectives


@pytest.fixture
def problem(rng):
    """A noisy quadratic function: the gradient at a point, in step t."""
    curvature, target, noise = rng.uniform(0.1, 3.0, 60), 3 * rng.standard_normal(60), rng.standard_normal((300, 60))

    def gradient(x, t):
        return curvature * (x - target) + 0.1 * noise[t]

    return gradient, target


# --- Prodigy ---------------------------------------------------------------------------------------------------


def test_d_grows_from_d0_to_about_the_distance(problem):
    gradient, target = problem
    x = np.zeros(60)
    opt = fastopt.Prodigy(x, d0=1e-5)
    assert opt.d == 1e-5
    found = []
    for t in range(300):
        opt.step(gradient(x, t))
        found.append(opt.d)
    assert found == sorted(found)
    assert 0.1 < found[-1] < np.abs(target).max()  # which it comes up to from below
    assert np.abs(x - target).max() < 1
    with pytest.raises(AttributeError):
        opt.d = 1.0


def test_growth_rate_limits_d(problem):
    x = np.zeros(60)
    opt = fastopt.Prodigy(x, growth_rate=1.5)
    found = [opt.d]
    for t in range(40):
        opt.step(problem[0](x, t))
        found.append(opt.d)
    growth = np.array(found[4:]) / np.array(found[3:-1])
    assert growth.max() <= 1.5 * (1 + 1e-12) and growth.max() > 1.4


def test_the_epsilon_of_prodigy_has_the_d_of_its_step(problem):
    """The departure from prodigyopt is not larger than csrc/rules/prodigy.c says."""
    x, twin = np.zeros(60), np.zeros(60)
    opt, without = fastopt.Prodigy(x, epsilon=1e-8), fastopt.Prodigy(twin, epsilon=0.0)
    for t in range(300):
        grad = problem[0](x, t)
        opt.step(grad)
        without.step(grad)
        share = without.d * 1e-8 / np.sqrt(without.state["v"])
        assert share.max() < 1e-5
    np.testing.assert_allclose(x, twin, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cls", [fastopt.Prodigy, fastopt.DoG])
def test_sums_of_the_last_step_are_saved(cls, problem, path):
    gradient, _ = problem
    x = np.zeros(60)
    opt = cls(x)
    for t in range(20):
        opt.step(gradient(x, t))
    fastopt.save(path, opt)
    resumed = cls(np.zeros(60))
    fastopt.load(path, resumed)
    for each in (opt, resumed):
        for t in range(20, 40):
            each.step(gradient(each.params, t))
    assert x.tobytes() == resumed.params.tobytes()


# --- DoG -------------------------------------------------------------------------------------------------------


def test_layerwise_is_an_optimizer_for_each_array(rng):
    params = [rng.standard_normal(5), rng.standard_normal((3, 4))]
    alone = [param.copy() for param in params]
    together, apart = fastopt.DoG(params, layerwise=True), [fastopt.DoG(param) for param in alone]
    joint = fastopt.DoG([param.copy() for param in params])
    for _ in range(10):
        grads = [rng.standard_normal(param.shape) for param in params]
        together.step(grads)
        joint.step(grads)
        for opt, grad in zip(apart, grads, strict=True):
            opt.step(grad)
    assert all(np.array_equal(*pair) for pair in zip(params, alone, strict=True))
    distances = joint.state["distance"]
    assert distances[0] == distances[1] != together.state["distance"][0]


@pytest.mark.parametrize("scale", [2.0**600, 2.0**-450])
def test_accumulators_of_dog_neither_overflow_nor_vanish(scale, rng):
    """A step depends on directions of gradients, not on their size, as long as epsilon is smaller."""
    x, scaled = np.ones(50), np.ones(50)
    opt, opt_of_scaled = fastopt.DoG(x, epsilon=1e-320), fastopt.DoG(scaled, epsilon=1e-320)
    for _ in range(20):
        grad = rng.standard_normal(50)
        opt.step(grad)
        opt_of_scaled.step(scale * grad)
    np.testing.assert_allclose(scaled, x, rtol=1e-12)


def test_without_averaging_there_is_no_average():
    opt = fastopt.DoG(np.ones(3), averaging=False)
    assert "average" not in opt.state and "p0" in opt.state


def test_the_first_average_is_the_first_step(rng):
    x = rng.standard_normal(40)
    opt = fastopt.DoG(x, reps_rel=0.1)
    opt.step(rng.standard_normal(40))
    np.testing.assert_allclose(opt.state["average"], x, rtol=1e-15)


# --- MoMo ------------------------------------------------------------------------------------------------------


def test_momo_finds_the_minimum_of_a_quadratic_at_once():
    """Without momentum its step is Polyak's, which along a line is exact."""
    x = np.array([3.0])
    opt = fastopt.MoMo(x, learning_rate=10.0, beta=0.0)
    for _ in range(50):
        opt.step(2 * x, value=x @ x)
    assert abs(x[0]) < 1e-12


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_treated_like_such_a_gradient(value):
    for policy in ("skip", "raise", "propagate"):
        x = np.ones(3)
        opt = fastopt.MoMo(x, nonfinite=policy)
        opt.step(np.ones(3), value=2.0)
        before = x.copy()
        if policy == "raise":
            with pytest.raises(FloatingPointError, match=r"`value` must be finite, got -?(nan|inf) in step 1"):
                opt.step(np.ones(3), value=value)
        else:
            opt.step(np.ones(3), value=value)
        assert opt.step_count == (2 if policy == "propagate" else 1)
        if policy != "propagate":
            assert np.array_equal(x, before)
            opt.step(np.ones(3), value=1.0)
            assert np.isfinite(x).all()
        elif math.isnan(value):
            assert np.isnan(x).all()


@pytest.mark.parametrize("value", [np.float32(2.0), np.array(2.0), 2])
def test_values_of_other_types(value):
    x, twin = np.ones(3), np.ones(3)
    fastopt.MoMo(x).step(np.ones(3), value)
    fastopt.MoMo(twin).step(np.ones(3), value=2.0)
    assert np.array_equal(x, twin)


def test_to_maximize_is_to_minimize_minus_the_objective(rng):
    x, twin = np.ones(5), np.ones(5)
    opt, opt_of_twin = fastopt.MoMo(x, lower_bound=-9.0), fastopt.MoMo(twin, lower_bound=-9.0, maximize=True)
    for _ in range(5):
        grad, value = rng.standard_normal(5), rng.standard_normal()
        opt.step(grad, value=value)
        opt_of_twin.step(-grad, value=-value)
    assert np.array_equal(x, twin)


@pytest.mark.parametrize("shift", [-500, 500])
def test_squares_of_momentum_may_be_no_doubles(shift, rng):
    """With a rate that the learning rate does not limit, a step does not depend on the scale of the objective."""

    def path(scale):
        x, numbers = np.ones(9), np.random.default_rng(3)
        opt = fastopt.MoMo(x, learning_rate=1e300, lower_bound=-scale)
        for _ in range(5):
            opt.step(scale * numbers.standard_normal(9), value=scale * numbers.uniform())
        return x

    np.testing.assert_allclose(path(2.0**shift), path(1.0), rtol=1e-9)


def losses(w, X, y):
    residual = X @ w - y
    return residual @ residual / (2 * len(y)), X.T @ residual / len(y)


def test_minimize_passes_the_value_of_the_batch(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    res = fastopt.minimize(
        losses, np.zeros(3), jac=True, data=(X, y), batch_size=40, method="momo", options={"epochs": 9}
    )
    x = np.zeros(3)
    opt = fastopt.MoMo(x)
    for _ in range(9):
        value, grad = losses(x, X, y)
        opt.step(grad, value=value)
    np.testing.assert_allclose(res.x, x, rtol=1e-12)


@pytest.mark.parametrize("penalties", [{}, {"l2": 0.1}, {"l1": 0.05, "l2": 0.1}])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_epochs_in_c_take_the_value_with_the_penalties(make, penalties, dtype, rng):
    X, y = rng.standard_normal((40, 6)) * (rng.random((40, 6)) < 0.6), rng.choice([0.0, 1.0], 40)
    objective = objectives.Logistic(make(X.astype(dtype)), y.astype(dtype), **penalties)
    x0 = rng.standard_normal(objective.n_parameters).astype(dtype)
    res = fastopt.minimize(objective, x0, method="momo", batch_size=40, options={"epochs": 12}, rng=0)
    x = x0.copy()
    opt = fastopt.MoMo(x)
    for _ in range(12):
        value, grad = objective.value_and_gradient(x)
        opt.step(grad, value=value)
    np.testing.assert_allclose(res.x, x, rtol=1e-3 if dtype == "float32" else 1e-9)
    assert res.fun < objective.value_and_gradient(x0)[0]
