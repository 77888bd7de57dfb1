"""The update of Vowpal Wabbit against a plain loop in float64, on columns of any scale, interrupted and refused."""

import re

import numpy as np
import pytest
import vw_reference
from finite_sums import DTYPES, LAYOUTS, LOSSES, as_layout, make_data, make_objective
from objectives import Counted, outcome
from reference_epochs import SEED, assert_close, batches, problem
from scipy import sparse
from vw_reference import EXACT, FLOWS

import fastopt
from fastopt import _checkpoint, minimize, objectives, schedules

PENALTIES = [{}, dict(l2=0.3), dict(l1=0.02), dict(l1=0.02, l2=0.3)]

each_layout = pytest.mark.parametrize("layout", LAYOUTS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each) or "none")


def run(p, options=None, seed=SEED, **arguments):
    return minimize(p.objective, p.x0, method="vw", rng=seed, options={"epochs": 3} | (options or {}), **arguments)


def trajectory(p, loss, epochs=3, **more):
    """The oracle's parameters after each step."""
    return list(vw_reference.vw_run(p.sum, FLOWS[loss], p.x0, batches(p.sum.n, 1, epochs, SEED), **more))


# --- the oracle itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", EXACT)
def test_flows_are_the_limit_of_short_steps(loss):
    rng, case, n = np.random.default_rng(0), LOSSES[loss], 20_000
    for y, z, time in zip(case.labels(rng, 12), 2 * rng.standard_normal(12), rng.exponential(2, 12), strict=True):
        change = np.array([0.0])
        for _ in range(n):
            change -= time / n * case.derivative(z + change, np.array([y]))
        assert FLOWS[loss](z, float(y), time) == pytest.approx(change[0], abs=2e-3)


# --- every step ------------------------------------------------------------------------------------------------


@each_penalty
@each_dtype
@each_layout
@pytest.mark.parametrize("loss", FLOWS)
def test_run_is_that_of_the_oracle(loss, layout, dtype, penalty):
    p = problem(loss, layout, dtype, fit_intercept=True, weighted=True, **penalty)
    res = run(p)
    assert (res.nit, res.nepoch, res.x.dtype) == (69, 3, p.x0.dtype)
    assert_close(res.x, trajectory(p, loss)[-1], **({"rtol": 2e-3, "atol": 2e-4} if dtype == "float32" else {}))


@pytest.mark.parametrize("rate", [1e-9, 1e-3, 30.0, 1e9])
@pytest.mark.parametrize("loss", FLOWS)
def test_rates_of_any_size(loss, rate):
    """No step goes past the minimum of its sample's loss."""
    p = problem(loss, fit_intercept=True, weighted=True)
    res = run(p, {"learning_rate": rate})
    points = [p.x0, *trajectory(p, loss, rate=lambda t: rate)]
    assert_close(res.x - p.x0, points[-1] - p.x0, rtol=1e-8, atol=1e-14)


@each_penalty
@each_layout
def test_every_step_of_a_run(layout, penalty):
    """The callback is given parameters after all lagged updates."""
    p, heard = problem("logistic", layout, fit_intercept=True, **penalty), []
    res = run(p, callback=lambda intermediate_result: heard.append(intermediate_result))
    assert [each.nit for each in heard] == [*range(1, 70)]
    for each, expected in zip(heard, trajectory(p, "logistic"), strict=True):
        assert_close(each.x, expected)
    assert_close(res.x, run(p).x)


@each_layout
def test_state(layout):
    p = problem("hinge", layout, fit_intercept=True, weighted=True)
    reference = vw_reference.Reference(p.sum, FLOWS["hinge"], p.x0)
    for (i,) in batches(23, 1, 3, SEED):
        reference.step(i)
    state = run(p).optimizer.state
    assert_close(state["accumulator"], reference.adaptive)
    np.testing.assert_array_equal(state["scale"], reference.scale)
    assert state["weight_sum"] == pytest.approx(reference.weight_sum, rel=1e-12)
    assert state["norm_sum"] == pytest.approx(reference.norm_sum, rel=1e-12)


@pytest.mark.parametrize("weight", [2, 5])
@pytest.mark.parametrize("loss", EXACT)
def test_a_weight_is_so_many_steps_in_one(loss, weight):
    """Where rates do not change between them: the invariance of Karampatziakis & Langford."""
    z, y, time = 0.7, float(LOSSES[loss].labels(np.random.default_rng(1), 1)[0]), 0.3
    moved = 0.0
    for _ in range(weight):
        moved += FLOWS[loss](z + moved, y, time)
    assert moved == pytest.approx(FLOWS[loss](z, y, weight * time), rel=1e-9)


@each_layout
def test_samples_without_weight_or_derivative_change_nothing(layout):
    X, y = make_data("hinge", 40, 6, "float64", layout, seed=3)
    dense, weights = make_data("hinge", 40, 6, "float64", "dense", seed=3)[0], np.r_[np.ones(20), np.zeros(20)]
    state = minimize(objectives.LeastSquares(X, y, sample_weight=weights), np.zeros(6), method="vw").optimizer.state
    np.testing.assert_array_equal(state["scale"], abs(dense[:20]).max(axis=0))
    assert state["weight_sum"] == pytest.approx(40.0 * 100, rel=1e-9)  # the mean weight is 1
    right = minimize(objectives.Hinge(np.ones((9, 1)), np.ones(9)), np.full(1, 3.0), method="vw").optimizer
    assert right.params[0] == 3.0 and not any(each.any() for each in right.state.values())


# --- columns of any scale --------------------------------------------------------------------------------------


def scaled_problem(loss, layout, dtype, powers):
    X, y = make_data(loss, 60, 8, dtype, "dense", seed=3, density=0.7)
    return make_objective(LOSSES[loss], as_layout(np.ldexp(X, powers).astype(dtype), layout), y, fit_intercept=True)


@each_dtype
@each_layout
@pytest.mark.parametrize("loss", FLOWS)
def test_columns_of_any_scale_give_the_same_predictions(loss, layout, dtype):
    rng = np.random.default_rng(4)
    most = 45 if dtype == "float32" else 400
    x0, plain = np.zeros(9, dtype), scaled_problem(loss, layout, dtype, np.zeros(8, int))
    expected = minimize(plain, x0, method="vw", rng=0, options={"epochs": 2})
    for _ in range(5):
        powers = rng.integers(-most, most + 1, 8)
        res = minimize(scaled_problem(loss, layout, dtype, powers), x0, method="vw", rng=0, options={"epochs": 2})
        back = np.ldexp(res.x.astype(np.float64), np.r_[powers, 0])
        np.testing.assert_allclose(back, expected.x, rtol=1e-4 if dtype == "float32" else 1e-12)
        assert res.history["fun"] == pytest.approx(expected.history["fun"], rel=1e-5)


@each_dtype
def test_labels_too_large_for_squares(dtype):
    """The accumulator does not overflow to infinity, where the step would be none for ever."""
    large = 1e30 if dtype == "float32" else 1e150
    objective = objectives.Quantile(np.ones((50, 1), dtype), np.full(50, large, dtype))
    assert minimize(objective, np.zeros(1, dtype), method="vw", options={"epochs": 1}).nit == 50
    objective = objectives.LeastSquares(np.ones((50, 1), dtype), np.full(50, large, dtype))
    res = minimize(objective, np.zeros(1, dtype), method="vw", options={"epochs": 20})
    assert np.isfinite(res.optimizer.state["accumulator"]).all() and 1.0 < res.x[0] < large


# --- several targets -------------------------------------------------------------------------------------------


@each_penalty
@each_dtype
@each_layout
def test_targets_are_independent(layout, dtype, penalty):
    X, _ = make_data("least_squares", 40, 6, dtype, layout, seed=3)
    Y = np.random.default_rng(0).standard_normal((40, 3)).astype(dtype)
    options = dict(method="vw", rng=1, options={"epochs": 3})
    whole = objectives.LeastSquares(X, Y, fit_intercept=True, **penalty)
    res = minimize(whole, np.zeros((7, 3), dtype), **options)
    for k in range(3):
        each = objectives.LeastSquares(X, Y[:, k], fit_intercept=True, **penalty)
        assert_close(res.x[:, k], minimize(each, np.zeros(7, dtype), **options).x)


# --- results and settings --------------------------------------------------------------------------------------


FALLING = {"inverse": schedules.inverse_time_decay(0.5, 23, 1.0), "to zero": lambda t: 0.5 if t < 46 else 0.0}


@pytest.mark.parametrize("falling", FALLING)
@each_penalty
@each_layout
def test_schedules_are_asked_at_the_start_of_each_epoch(layout, falling, penalty):
    p, schedule = problem("logistic", layout, fit_intercept=True, **penalty), FALLING[falling]
    res = run(p, {"learning_rate": schedule})
    assert_close(res.x, trajectory(p, "logistic", rate=lambda t: schedule(t // 23 * 23))[-1])
    assert res.history["learning_rate"].tolist() == [schedule(t) for t in (0, 23, 46)]


@each_layout
def test_average_bounds_best_and_tolerance(layout):
    p = problem("logistic", layout, fit_intercept=True, l1=0.02, l2=0.3)
    points = np.array(trajectory(p, "logistic"))
    assert_close(run(p, {"average": "polyak"}).x, points[23:].mean(axis=0))
    heard, start = [], type(p)(p.objective, p.sum, np.clip(p.x0, -0.01, 0.2))
    run(start, bounds=[(-0.01, 0.2)] * 31, callback=heard.append)
    points = trajectory(start, "logistic", after=lambda w: np.clip(w, -0.01, 0.2))
    for x, expected in zip(heard, points, strict=True):
        assert_close(x, expected)
    done = run(p, {"epochs": 5000}, tol=1e-4)
    assert done.success and 3 < done.nepoch < 5000


def test_default_rate_classes_and_names():
    p = problem("logistic")
    assert run(p).optimizer.learning_rate == fastopt.VW(np.zeros(3)).learning_rate == 0.5
    assert outcome(run(p)) == outcome(run(p, {"learning_rate": 0.5})) == outcome(run(p, {"learning_rate": None}))
    assert outcome(minimize(p.objective, p.x0, method=fastopt.VW, rng=SEED, options={"epochs": 3})) == outcome(run(p))
    assert fastopt.FINITE_SUM_METHODS["vw"] is fastopt.VW
    assert outcome(run(p, batch_size=1)) == outcome(run(p))


def test_epoch_callback_and_validation_stop_a_run():
    p, heard = problem("logistic"), []

    def stop(state):
        heard.append((state.nepoch, state.validation))
        if state.nepoch == 2:
            raise StopIteration

    res = run(p, {"epochs": 9}, validation=p.objective, epoch_callback=stop)
    assert (res.status, res.nepoch, [each[0] for each in heard]) == (99, 2, [1, 2])
    assert res.history["validation"].tolist() == [each[1] for each in heard]


def test_minimum_of_data_in_any_units():
    """Without standardising, near the minimum of a problem whose columns differ by 10 orders of magnitude."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 5)) * 10.0 ** np.array([-5, -2, 0, 2, 5])
    y = X @ (10.0 ** np.array([5, 2, 0, -2, -5])) + 0.1 * rng.standard_normal(2000)
    objective = objectives.LeastSquares(X, y, fit_intercept=True)
    res = minimize(objective, np.zeros(6), method="vw", rng=0, options={"epochs": 20})
    best = objective(np.linalg.lstsq(np.c_[X, np.ones(2000)], y, rcond=None)[0])
    assert res.fun < 1.02 * best


@pytest.mark.parametrize("penalty", [dict(l2=0.05), dict(l1=0.02, l2=0.01)], ids=["l2", "both"])
@each_layout
def test_minimum_with_penalties_is_that_of_the_objective(layout, penalty):
    X, _ = make_data("logistic", 500, 6, "float64", layout, seed=1)
    y = X @ np.arange(-2.0, 4.0) + np.random.default_rng(0).logistic(size=500) > 0
    objective = objectives.Logistic(X, y, fit_intercept=True, **penalty)
    best = minimize(objective, np.zeros(7), method="saga", rng=0, options={"epochs": 500}).fun
    res = minimize(objective, np.zeros(7), method="vw", rng=0, options={"epochs": 200})
    assert res.fun - best < 2e-3 * (objective(np.zeros(7)) - best)


# --- the same bits ---------------------------------------------------------------------------------------------


@each_penalty
@each_dtype
@each_layout
@pytest.mark.parametrize("loss", ["logistic", "targets"])
def test_resumed_at_every_epoch_and_in_between(loss, layout, dtype, penalty, path, no_sync):
    p = problem("logistic" if loss == "targets" else loss, layout, dtype, fit_intercept=True, **penalty)
    if loss == "targets":
        X, _ = make_data("logistic", 23, 30, dtype, layout, seed=7, density=0.15)
        Y = np.where(np.random.default_rng(0).random((23, 2)) < 0.5, -1, 1)
        p = type(p)(objectives.Logistic(X, Y, fit_intercept=True, **penalty), p.sum, np.zeros((31, 2), dtype))
    options = {"average": "polyak", "return_best": True}
    expected = outcome(run(p, options))
    for maxiter in (1, 22, 23, 24, 46, 60, 69):
        run(p, options | {"checkpoint": path, "maxiter": maxiter})
        assert outcome(run(p, options, seed=99, resume=path)) == expected
    for at in (5, 23, 30):
        with pytest.raises(KeyboardInterrupt):
            run(p, options | {"checkpoint": path}, callback=Counted(lambda x: None, KeyboardInterrupt(), at))
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == at
        assert outcome(run(p, options, seed=99, resume=path)) == expected


@pytest.mark.timeout(60)
@pytest.mark.parametrize("penalty", [{}, dict(l1=0.001, l2=0.01)], ids=["none", "both"])
@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_ctrl_c_saves_whole_steps(layout, penalty, path, press_ctrl_c_soon):
    X, y = make_data("logistic", 20_000, 50, "float64", layout, seed=2)
    objective = objectives.Logistic(X, y, **penalty)
    options = {"epochs": 10**6, "checkpoint": path, "checkpoint_every": 10**6}
    press_ctrl_c_soon()
    with pytest.raises(KeyboardInterrupt):
        minimize(objective, np.zeros(50), method="vw", rng=0, options=options)
    budget = {"maxiter": _checkpoint.read(path, "minimize")["run"]["nit"] + 10}
    resumed = minimize(objective, np.zeros(50), method="vw", resume=path, options=budget)
    whole = minimize(objective, np.zeros(50), method="vw", rng=0, options=budget)
    assert resumed.nit == budget["maxiter"] > 10
    assert outcome(resumed) == outcome(whole)


@each_penalty
@each_layout
def test_going_on_with_the_optimizer_is_one_run(layout, penalty, path):
    p = problem("logistic", layout, fit_intercept=True, **penalty)
    rng = np.random.default_rng(SEED)
    first = minimize(p.objective, p.x0, method="vw", rng=rng, options={"epochs": 1})
    fastopt.save(path, first.optimizer)
    loaded = fastopt.VW(np.zeros_like(p.x0))
    fastopt.load(path, loaded)
    for opt in (loaded, first.optimizer):
        again = np.random.default_rng(SEED)
        again.permutation(23)
        res = minimize(p.objective, opt.params.copy(), method=opt, rng=again, options={"epochs": 2})
        assert res.x.tobytes() == run(p).x.tobytes()
        assert res.optimizer.step_count == 69


@pytest.mark.parametrize("penalty", [{}, dict(l1=0.001, l2=0.01)], ids=["none", "both"])
def test_segments_and_threads_do_not_change_bits(penalty):
    X, y = make_data("logistic", 3000, 400, "float32", "csr32", seed=2, density=0.2)
    objective = objectives.Logistic(X, y, **penalty)
    results = []
    for n_threads in (1, 2, 3):
        with fastopt.threads(n_threads):
            results.append(outcome(minimize(objective, np.zeros(400, "f"), method="vw", rng=0, options={"epochs": 2})))
    assert results[0] == results[1] == results[2]
    if not penalty:
        heard = minimize(objective, np.zeros(400, "f"), method="vw", rng=0, options={"epochs": 2}, callback=lambda x: 0)
        assert [("float32", (400,), heard.x.tobytes())] == results[0]["x"]


@each_layout
def test_explicit_zeros_are_none(layout):
    X, y = make_data("logistic", 23, 6, "float64", "dense", seed=7)
    full = sparse.csr_array((X.ravel(), np.tile(np.arange(6), 23), np.arange(0, 139, 6)), shape=X.shape)
    given = as_layout(X, layout)
    results = [minimize(objectives.Logistic(each, y, l2=0.1), np.ones(6), method="vw", rng=0, options={"epochs": 3}).x
               for each in (full, given)]  # fmt: skip
    assert_close(*results)


@each_layout
def test_empty_samples_and_columns(layout):
    X = np.zeros((5, 3))
    X[2, 1] = 2.0
    objective = objectives.LeastSquares(as_layout(X, layout), np.ones(5), l2=0.1)
    res = minimize(objective, np.ones(3), method="vw", rng=0, options={"epochs": 100})
    assert res.x[[0, 2]].tolist() == [1.0, 1.0]  # no sample has moved them: a rate of 0, also for the penalties
    assert 0.5 * 2 / (4 + 0.1 * 5) < res.x[1] < 0.5


def test_loss_that_is_infinite_ends_the_run():
    objective = objectives.Poisson(np.full((5, 1), 1e3), np.ones(5))
    res = minimize(objective, np.ones(1), method="vw", options={"epochs": 1})
    assert (res.status, res.success, res.nit) == (2, False, 0)
    assert res.x.tolist() == [1.0] and not res.optimizer.state["scale"].any()


# --- refusals --------------------------------------------------------------------------------------------------


def test_refusals():
    p = problem("logistic")
    with pytest.raises(ValueError, match="`batch_size` must be 1 for VW, got 2"):
        run(p, batch_size=2)
    message = (
        '`parallel` must be "batch" for VW, got "hogwild"; leave the option out, or pass another `method`, such as '
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        run(p, {"parallel": "hogwild"})
    softmax = problem("softmax")
    with pytest.raises(ValueError, match="`fun` must have one margin a label for VW, got Softmax; pass Logistic with"):
        run(softmax)
    y = np.arange(23) % 3
    one_each = objectives.Logistic(softmax.objective.X, y[:, None] == np.arange(3))
    assert run(type(p)(one_each, None, np.zeros((30, 3)))).nit == 69
    objective = objectives.LeastSquares(np.eye(3), np.ones(3), linear=np.ones(3))
    with pytest.raises(ValueError, match=r"`linear` must be None for VW.*such as \"adagrad\""):
        minimize(objective, np.zeros(3), method="vw")
    assert minimize(objective, np.zeros(3), method="adagrad", options={"epochs": 1}).nit == 1
    with pytest.raises(ValueError, match=r"fastopt\.objectives"):
        minimize(lambda x: x @ x, np.zeros(3), method="vw")


@pytest.mark.parametrize("rate", [-1.0, 0.0, np.nan, np.inf, "fast"], ids=str)
def test_bad_rates_are_refused(rate):
    with pytest.raises((ValueError, TypeError), match="`learning_rate` must be"):
        run(problem(), {"learning_rate": rate})


@pytest.mark.parametrize("name", ["accumulator", "scale", "weight_sum", "norm_sum"])
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_forged_state_is_refused(name, value):
    opt = run(problem("logistic")).optimizer
    saved = opt._snapshot()
    saved["state"] = {**saved["state"], name: np.full_like(saved["state"][name], value)}
    with pytest.raises(ValueError, match=name):
        fastopt.VW(np.zeros(30)).load_state_dict(saved)
