"""Runs of `minimize` over finite sums: results, stopping, checkpoints, threads, Ctrl-C and refusals."""

import fractions
import functools
import math
import os
import signal

import numpy as np
import pytest
from cases import CASES, ISAS, OPTIMIZERS, couples_entries, form_id
from finite_sums import DTYPES, LAYOUTS, LOSSES, make_data, make_objective
from helpers import exactly
from objectives import Counted, bowl, outcome
from reference_epochs import MODES, RATE, SEED, assert_close, batches, expected_run, problem
from scipy import sparse
from scipy.optimize import Bounds, OptimizeWarning

import fastopt
from fastopt import _checkpoint, minimize, objectives, schedules
from fastopt._minimize import minibatch_epochs, sample_epochs

PENALTY = dict(l1=0.02, l2=0.5)
# Methods whose regulariser is treated in ways of their own, and one for all others.
METHODS = [("sgd", {}), ("sgd", dict(momentum=0.9)), ("adagrad", {}), ("ftrl", {}), ("adam", {})]


def method_id(value):
    return "-".join([value[0], *value[1]]) if isinstance(value, tuple) else None


def minimized(p, method="sgd", mode="lazy", size=7, options=None, seed=SEED, **arguments):
    """A run with arguments of minimize and options apart."""
    options = {"epochs": 4, "learning_rate": RATE, "sparse": MODES[mode][1]} | (options or {})
    return minimize(p.objective, p.x0, method=method, batch_size=size, rng=seed, options=options, **arguments)


def regularised(mode="lazy", dtype="float64", loss="logistic", **keywords):
    return problem(loss, MODES[mode][0], dtype, fit_intercept=True, weighted=True, **PENALTY | keywords)


def trajectory(p, method="sgd", mode="lazy", **arguments):
    """Parameters before the first step and after each step, by the oracle."""
    arguments = {"epochs": 4, "learning_rate": RATE} | arguments
    return [p.x0.astype(np.float64), *expected_run(p, method, mode, **arguments)]


# --- the result ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maxiter", [1, 3, 4, 6, 11, 100])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_history_by_hand(method, mode, maxiter):
    """23 samples in batches of 7: four iterations an epoch, the last one with two samples."""
    p, (name, hyperparameters) = regularised(mode), method
    rate = schedules.exponential_decay(0.1, 3, 0.7) if name != "ftrl" else 0.1
    res = minimized(p, name, mode, options={"maxiter": maxiter, "learning_rate": rate, **hyperparameters})
    nit = min(maxiter, 16)
    points = trajectory(p, name, mode, learning_rate=rate, **hyperparameters)[: nit + 1]
    ends = sorted({*range(4, nit + 1, 4), nit})
    assert (res.nit, res.nepoch, res.status, res.success) == (nit, nit // 4, 1, True)
    assert res.history["iteration"].tolist() == ends
    assert res.history["epoch"].tolist() == [*range(1, len(ends) + 1)]
    assert res.history["learning_rate"].tolist() == [rate(end - 1) if callable(rate) else rate for end in ends]
    all_batches = list(batches(23, 7, 4, SEED))
    for k, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        total = sum(len(batch) for batch in all_batches[start:end])
        losses = [len(all_batches[t]) * p.sum.mean_loss(points[t], all_batches[t]) for t in range(start, end)]
        assert res.history["fun"][k] == pytest.approx(sum(losses) / total + p.sum.penalty(points[end]), rel=1e-10)
    assert (np.diff(res.history["time"]) >= 0).all() and (res.history["time"] > 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_norm_of_the_last_gradient_is_in_the_history(method, mode):
    """Without a regulariser, and without clipping."""
    p = problem("logistic", MODES[mode][0])
    res = minimized(p, method, mode, options={"epochs": 2})
    points, all_batches = trajectory(p, method, mode, epochs=2), list(batches(23, 7, 2, SEED))
    expected = [np.linalg.norm(p.sum.slope(points[t], all_batches[t])) for t in (3, 7)]
    assert res.history["grad_norm"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", LOSSES)
def test_value_and_gradient_of_the_result_are_over_all_samples(loss, mode, dtype):
    p = regularised(mode, dtype, loss)
    res = minimized(p, mode=mode)
    x = res.x.astype(np.float64)
    assert type(res.fun) is float and res.fun == p.objective(res.x)
    assert res.fun == pytest.approx(p.sum.value(x), rel=1e-5 if dtype == "float32" else 1e-12)
    assert res.jac.tobytes() == p.objective.gradient(res.x).tobytes()
    assert_close(res.jac, p.sum.gradient(x))


def test_evaluations_are_counted():
    """One for each iteration, and one at the end; the value alone at the start."""
    res = minimized(regularised(), options={"maxiter": 10})
    assert (res.nfev, res.njev) == (12, 11)


@pytest.mark.parametrize("unit", ["epochs", "maxiter"])
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_no_budget_gives_the_starting_point(method, unit):
    p, (name, hyperparameters) = regularised(), method
    res = minimized(p, name, options={unit: 0, "average": "polyak", "return_best": True, **hyperparameters})
    assert (res.nit, res.nepoch, res.status, res.success) == (0, 0, 1, False)
    assert res.x.tobytes() == p.x0.tobytes()
    assert res.fun == p.objective(p.x0) and res.jac.tobytes() == p.objective.gradient(p.x0).tobytes()
    assert all(len(array) == 0 for array in res.history.values())


def test_jac_may_be_true_and_the_batch_is_200_by_default():
    X, y = make_data("logistic", 450, 5, "float64", "dense", seed=1)
    objective = objectives.Logistic(X, y)
    results = [
        minimize(objective, np.zeros(5), jac=jac, batch_size=size, rng=0, options={"epochs": 2})
        for jac, size in [(None, None), (True, None), (None, 200)]
    ]
    assert results[0].nit == 6
    assert outcome(results[0]) == outcome(results[1]) == outcome(results[2])


@pytest.mark.parametrize("size", [7, 23])
def test_a_generator_is_drawn_from_once_an_epoch(size):
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    minimized(regularised(), size=size, seed=rng)
    for _ in range(4 if size < 23 else 0):
        same.permutation(23)
    assert rng.random(3).tolist() == same.random(3).tolist()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", CASES, ids=form_id)
def test_the_same_seed_gives_the_same_bits(method, mode):
    """Also with another object of the same data, and after another run."""
    cls, keywords = method
    p, twin = regularised(mode), regularised(mode)
    first, again, other = (minimized(each, cls, mode, options=keywords) for each in (p, p, twin))
    assert outcome(first) == outcome(again) == outcome(other)
    assert minimized(p, cls, mode, seed=6, options=keywords).x.tobytes() != first.x.tobytes()


def test_starting_point_and_data_are_not_written():
    p = regularised()
    before = p.x0.copy(), p.objective.X.data.copy()
    res = minimized(p, "adam")
    assert not np.shares_memory(res.x, p.x0)
    assert p.x0.tobytes() == before[0].tobytes() and p.objective.X.data.tobytes() == before[1].tobytes()


# --- numbers that are not finite -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("penalty", [{}, PENALTY], ids=["", "penalty"])
@pytest.mark.parametrize("loss", ["least_squares", "poisson", "squared_hinge"])
def test_loss_that_becomes_infinite_ends_the_run(loss, penalty, mode, dtype):
    """The rate is far too large; what is returned is finite."""
    p = problem(loss, MODES[mode][0], dtype, **penalty)
    res = minimized(p, mode=mode, options={"learning_rate": 1e20, "epochs": 50})
    assert not res.success and res.status in (2, 3)
    assert res.nit < 200 and res.message.endswith("or scale the data.")
    assert np.isfinite(res.x).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "adam"])
def test_parameters_after_an_infinite_loss_are_those_before_the_batch(method, mode):
    """The third sample is an outlier: its loss overflows where its margin does not."""
    X = np.ones((6, 2))
    X[3] = 800.0
    X = X if mode == "dense" else sparse.csr_array(X)
    objective = objectives.Poisson(X, np.ones(6))
    options = {"epochs": 3, "learning_rate": 0.01, "sparse": MODES[mode][1]}
    heard = []
    res = minimize(objective, np.ones(2), method=method, batch_size=1, rng=0, callback=heard.append, options=options)
    steps = np.flatnonzero(np.random.default_rng(0).permutation(6) == 3)[0]
    before = minimize(objective, np.ones(2), method=method, batch_size=1, rng=0,
                      options=options | {"maxiter": int(steps)})  # fmt: skip
    assert (res.status, res.nit, len(heard)) == (2, steps, steps)
    assert steps == 0 and res.message.startswith("The objective is NaN or infinite at the start.")
    assert res.x.tobytes() == before.x.tobytes() and res.optimizer.step_count == steps


def overflowing(mode):
    """Poisson in float32: the loss of sample 3 is finite, a number in float64, but its gradient is not."""
    X = np.ones((6, 2), np.float32)
    X[3] = 50.0
    return objectives.Poisson(X if mode == "dense" else sparse.csr_array(X), np.ones(6))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", [*OPTIMIZERS])
def test_gradient_that_is_not_finite(method, mode):
    """The same three policies as in a step."""
    at = int(np.flatnonzero(np.random.default_rng(0).permutation(6) == 3)[0])
    results = {}
    for nonfinite in ("raise", "skip", "propagate"):
        rate = {"dog": 1.0, "prodigy": 1000.0}.get(method, 1e-3)  # times a distance that begins at 1e-6
        options = {"epochs": 1, "learning_rate": rate, "sparse": MODES[mode][1], "nonfinite": nonfinite}
        x0 = np.ones(2, np.float32)
        results[nonfinite] = minimize(overflowing(mode), x0, method=method, batch_size=1, rng=0, options=options)
    res = results["raise"]
    assert (res.status, res.nit, res.optimizer.step_count) == (3, at, at)
    res = results["skip"]
    assert (res.nit, res.optimizer.step_count, res.optimizer.skipped_steps) == (6, 5, 1)
    assert res.status in (1, 6, 7)  # the sample that was skipped counts in the comparison of the ends
    assert (res.x != 1).all()
    sign_only = method in ("adopt", "lion", "rprop")  # infinite gradients are as good as any
    assert results["propagate"].status in ((1, 7) if sign_only else (2, 4))
    assert all(np.isfinite(res.x).all() for res in results.values())


# --- callback, average, bounds, best, tolerance ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_callback_hears_of_every_iteration(method, mode, dtype):
    """With all parameters up to date, lagged updates included."""
    p, (name, hyperparameters) = regularised(mode, dtype), method
    heard = []
    minimized(
        p, name, mode, options=hyperparameters,
        callback=lambda intermediate_result: heard.append(intermediate_result),
    )  # fmt: skip
    points = trajectory(p, name, mode, **hyperparameters)
    assert [each.nit for each in heard] == [*range(1, 17)]
    assert [each.nepoch for each in heard] == [t // 4 for t in range(1, 17)]
    for t, each in enumerate(heard):
        assert_close(each.x, points[t + 1])


@pytest.mark.parametrize("penalty", [{}, PENALTY], ids=["", "penalty"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", CASES, ids=form_id)
def test_callback_changes_nothing(method, mode, penalty):
    """Not a bit, where no update of a column lags."""
    cls, keywords = method
    p = problem("logistic", MODES[mode][0], fit_intercept=True, **penalty)
    plain = minimized(p, cls, mode, options=keywords)
    heard = minimized(p, cls, mode, options=keywords, callback=lambda x: x.fill(np.nan))
    assert_close(heard.x, plain.x)
    assert_close(heard.history["fun"], plain.history["fun"])
    if mode == "dense" or (mode == "lazy" and not penalty):
        assert outcome(heard) == outcome(plain)


@pytest.mark.parametrize("at", [1, 4, 6])
def test_stop_iteration_in_the_callback_ends_the_run(at):
    p = regularised()
    res = minimized(p, callback=Counted(lambda x: None, StopIteration(), at))
    shorter = minimized(p, options={"maxiter": at})
    assert (res.status, res.nit, res.success) == (99, at, False)
    assert_close(res.x, shorter.x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
@pytest.mark.parametrize("average", ["polyak", "ema"])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_average_of_the_iterates(start, average, method, mode):
    p, (name, hyperparameters) = regularised(mode), method
    options = {"average": average, "average_start": start, "average_decay": 0.8, **hyperparameters}
    res = minimized(p, name, mode, options=options)
    points = np.array(trajectory(p, name, mode, **hyperparameters)[1 + 4 * start :])
    weights = np.ones(len(points)) if average == "polyak" else 0.8 ** np.arange(len(points))[::-1]
    assert_close(res.x, weights @ points / weights.sum())
    assert_close(res.optimizer.params, points[-1])
    assert res.fun == p.objective(res.x) and res.jac.tobytes() == p.objective.gradient(res.x).tobytes()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_bounds_are_kept_after_every_step(method, mode):
    """FTRL with penalties would make columns that it touches of its state, which knows no bounds."""
    p, (name, hyperparameters) = regularised(mode), method
    low, high = np.full(31, -0.01), np.linspace(0.0, 0.2, 31)
    heard = []
    with pytest.warns(OptimizeWarning, match="Initial guess is not within the specified bounds"):
        res = minimized(p, name, mode, options=hyperparameters, bounds=Bounds(low, high), callback=heard.append)
    inside = type(p)(p.objective, p.sum, np.clip(p.x0, low, high))
    mode = "exact" if (name, mode) == ("ftrl", "lazy") else mode
    points = trajectory(inside, name, mode, after=lambda x: np.clip(x, low, high), **hyperparameters)
    for x, expected in zip([*heard, res.x], [*points[1:], points[-1]], strict=True):
        assert_close(x, expected)
        assert (x >= low).all() and (x <= high).all()
    assert (res.x == low).any() and (res.x == high).any()


@pytest.mark.parametrize("average", [None, "polyak"])
def test_best_is_the_end_of_the_epoch_with_the_smallest_loss(average):
    """The rate of the last epochs makes it worse again; the last, incomplete epoch does not count."""
    p = regularised(loss="least_squares")
    rate = schedules.piecewise_constant([40], [0.05, 3.0])
    options = {"maxiter": 55, "epochs": 100, "learning_rate": rate, "average": average}
    points = []
    plain = minimized(p, options=options, callback=points.append)
    best = int(np.argmin(plain.history["fun"][:13]))
    res = minimized(p, options=options | {"return_best": True})
    assert 5 < best < 12
    expected = points[4 * best + 3] if average is None else np.mean(points[4 : 4 * best + 4], axis=0)
    assert_close(res.x, expected)
    assert res.fun == p.objective(res.x) < plain.fun
    assert res.optimizer.params.tobytes() == points[-1].tobytes()


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_tolerance_ends_the_run_at_the_end_of_an_epoch(method):
    p = regularised(l1=0.0)
    res = minimized(p, method, tol=1e-4, options={"epochs": 2000})
    assert (res.status, res.success, res.message) == (0, True, "Optimization terminated successfully.")
    assert 10 < res.nepoch < 1000 and res.nit == 4 * res.nepoch
    fixed = minimized(p, method, options={"epochs": res.nepoch})
    assert res.x.tobytes() == fixed.x.tobytes()
    assert minimized(p, method, tol=1e-4, options={"epochs": 3}).success is False


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_progress_and_summary(method, capsys):
    p = regularised()
    res = minimized(p, method, options={"disp": True, "progress": True})
    assert res.x.tobytes() == minimized(p, method).x.tobytes()
    assert "Iterations: 16" in capsys.readouterr().out


# --- checkpoints -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [{}, PENALTY], ids=["", "penalty"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", CASES, ids=form_id)
def test_resumed_after_each_epoch(method, mode, penalty, path, no_sync):
    cls, keywords = method
    p = problem("logistic", MODES[mode][0], fit_intercept=True, **penalty)
    expected = outcome(minimized(p, cls, mode, options=keywords))
    for epochs in (1, 2, 3, 4):
        minimized(p, cls, mode, options=keywords | {"epochs": epochs, "checkpoint": path})
        assert outcome(minimized(p, cls, mode, seed=99, resume=path, options=keywords)) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_resumed_in_the_middle_of_an_epoch(method, mode, dtype, path, no_sync):
    """After a smaller budget, and after Ctrl-C; with everything that keeps a state."""
    p, (name, hyperparameters) = regularised(mode, dtype), method
    rate = 0.1 if name == "ftrl" else schedules.inverse_time_decay(0.1, 3, 1.0)
    options = {"learning_rate": rate, "average": "polyak", "return_best": True, **hyperparameters}
    expected = outcome(minimized(p, name, mode, options=options, tol=1e-9))
    for at in (1, 3, 4, 6, 13):
        interrupt = Counted(lambda x: None, KeyboardInterrupt(), at)
        with pytest.raises(KeyboardInterrupt):
            minimized(p, name, mode, options=options | {"checkpoint": path}, tol=1e-9, callback=interrupt)
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == at
        assert outcome(minimized(p, name, mode, options=options, tol=1e-9, resume=path, seed=99)) == expected
        minimized(p, name, mode, options=options | {"checkpoint": path, "maxiter": at}, tol=1e-9)
        assert outcome(minimized(p, name, mode, options=options, tol=1e-9, resume=path, seed=99)) == expected


def test_checkpoint_every_second_epoch(path, no_sync):
    p = problem("logistic", "csr32")
    stop = Counted(lambda x: None, ValueError("mine"), 14)
    with pytest.raises(ValueError, match="mine"):
        minimized(p, callback=stop, options={"checkpoint": path, "checkpoint_every": 2})
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == 8
    assert outcome(minimized(p, resume=path)) == outcome(minimized(p))


@pytest.mark.parametrize(
    "changed", [dict(size=5), dict(method="adagrad"), dict(options={"average": "ema"})], ids=lambda each: "-".join(each)
)
def test_resuming_another_run_is_refused(changed, path, no_sync):
    p = regularised()
    minimized(p, options={"checkpoint": path, "epochs": 1})
    with pytest.raises(ValueError, match="`resume` must name a checkpoint of the same run"):
        minimized(p, resume=path, **changed)


# --- threads ---------------------------------------------------------------------------------------------------


def large(layout, dtype, loss="logistic", n=6000, d=300, **keywords):
    """Batches that are worth several threads."""
    X, y = make_data(loss, n, d, dtype, layout, seed=2, density=0.2)
    return make_objective(LOSSES[loss], X, y, fit_intercept=True, **keywords)


@pytest.mark.parametrize("penalty", [{}, dict(l1=1e-3, l2=0.1)], ids=["", "penalty"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_bits_do_not_depend_on_the_number_of_threads(method, mode, dtype, penalty):
    objective, (name, hyperparameters) = large(MODES[mode][0], dtype, **penalty), method
    options = {"epochs": 1, "sparse": MODES[mode][1], **hyperparameters}
    results = []
    for n_threads in (1, 2, 3):
        with fastopt.threads(n_threads):
            res = minimize(objective, np.zeros(301, dtype), method=name, batch_size=2500, rng=SEED, options=options)
        results.append((outcome(res), res.jac.tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", [*METHODS, ("saga", {}), ("svrg", {})], ids=method_id)
def test_bits_do_not_depend_on_the_processor(method, mode, dtype, loss, use_isa):
    p, (name, hyperparameters) = regularised(mode, dtype, loss), method
    options = {"epochs": 4, "learning_rate": 0.01, **hyperparameters}
    if name in OPTIMIZERS:
        options["sparse"] = MODES[mode][1]
    results = []
    for isa in ISAS:
        use_isa(isa)
        size = 7 if name in OPTIMIZERS else 1
        res = minimize(p.objective, p.x0, method=name, batch_size=size, rng=SEED, options=options)
        results.append((outcome(res), res.jac.tobytes()))
    assert all(each == results[0] for each in results)


@pytest.mark.parametrize("method", ["sgd", "saga"])
def test_number_of_threads_holds_for_the_last_evaluation_too(method):
    class Watched(objectives.LeastSquares):
        def _evaluate(self, w, index, want_gradient, num_threads, *more):
            asked.append(num_threads)
            return super()._evaluate(w, index, want_gradient, num_threads, *more)

    asked = []
    objective = Watched(np.eye(8), np.ones(8))
    with fastopt.threads(2):
        minimize(objective, np.zeros(8), method=method, batch_size=1, options={"num_threads": 3, "epochs": 1})
    assert set(asked) == {fastopt._threads.resolve(3)}


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_number_of_threads_may_be_an_option(method):
    objective = large("csr32", "float32", "softmax", l2=0.1)
    x0 = np.zeros(objective.n_parameters, np.float32)
    results = [
        minimize(objective, x0, method=method, batch_size=3000, rng=0, options={"epochs": 1, "num_threads": k})
        for k in (1, 2, 3)
    ]
    assert outcome(results[0]) == outcome(results[1]) == outcome(results[2])


# --- lock-free -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [{}, dict(l1=1e-4, l2=1e-3)], ids=["", "penalty"])
@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("method", "rate"), [("sgd", 0.01), ("adagrad", 0.1), ("ftrl", 0.1), ("adam", 0.002)])
def test_hogwild_comes_near_to_the_minimum(method, rate, layout, n_threads, penalty):
    """As near as one sample after the other, give or take a tenth of the way from the start.

    One run in three may fail to be: a worker that the system suspends between reading and writing puts old values back
    when it goes on, on a busy machine those of thousands of steps before.
    """
    X, _ = make_data("logistic", 4000, 40, "float64", layout, seed=2)
    y = X @ np.random.default_rng(0).standard_normal(40) > np.random.default_rng(1).logistic(size=4000)
    objective, start = objectives.Logistic(X, y, fit_intercept=True, **penalty), math.log(2)
    options = {"epochs": 5, "learning_rate": rate}
    run = functools.partial(minimize, objective, np.zeros(41), method=method, batch_size=1, rng=0)
    batch = run(options=options | {"parallel": "batch"})
    assert batch.fun < 0.8 * start
    near = []
    while not any(near) and len(near) < (1 if n_threads == 1 else 3):
        lock_free = run(options=options | {"parallel": "hogwild", "num_threads": n_threads})
        assert lock_free.status in (1, 6) and (lock_free.nit, lock_free.nepoch) == (20_000, 5)
        assert lock_free.fun == objective(lock_free.x)
        ends_near = abs(lock_free.fun - batch.fun) < 0.1 * (start - batch.fun)
        near.append(
            ends_near and np.allclose(lock_free.history["fun"], batch.history["fun"], rtol=0, atol=0.05 * start)
        )
    assert near[-1]


# --- Ctrl-C ----------------------------------------------------------------------------------------------------


def long_epoch(l2=0.01, n=400_000, d=20_000):
    """One entry a row; with sparse="exact" a step costs a pass over the parameters, an epoch many seconds."""
    X = sparse.csr_array((np.ones(n), np.arange(n, dtype=np.int32) % d, np.arange(n + 1, dtype=np.int32)), shape=(n, d))
    return objectives.LeastSquares(X, np.ones(n), l2=l2)


class Pressing:
    """A constant learning rate that presses Ctrl-C when it is asked for one of the steps."""

    def __init__(self, at=None):
        self.at = at

    def __call__(self, t):
        if t == self.at:
            signal.raise_signal(signal.SIGINT)
        return RATE


@pytest.mark.parametrize("at", [1, 5, 8, 15])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_ctrl_c_between_two_segments_of_an_epoch(method, mode, at, path, no_sync, monkeypatch):
    monkeypatch.setattr(minibatch_epochs, "SEGMENT_ENTRIES", 60)
    monkeypatch.setattr(minibatch_epochs, "ENTRIES_TO_FLUSH", 1)
    p, (name, hyperparameters) = regularised(mode), method
    options = {"learning_rate": Pressing(), "checkpoint": path, **hyperparameters}
    expected = outcome(minimized(p, name, mode, size=2, options=options))
    with pytest.raises(KeyboardInterrupt):
        minimized(p, name, mode, size=2, options=options | {"learning_rate": Pressing(at)})
    assert at < _checkpoint.read(path, "minimize")["run"]["nit"] < at + 15
    assert outcome(minimized(p, name, mode, size=2, options=options, resume=path, seed=99)) == expected
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("mine"), StopIteration("mine"), KeyboardInterrupt("mine")], ids=repr
)
def test_exceptions_of_the_schedule_pass_through_unchanged(error):
    p = regularised()
    with pytest.raises(type(error)) as caught:
        minimized(p, options={"learning_rate": Counted(lambda t: 0.1, error, 6)})
    assert caught.value is error
    assert outcome(minimized(p)) == outcome(minimized(regularised()))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (-1.0, ValueError, "`learning_rate(5)` must be in [0, inf), got -1.0."),
        (math.nan, ValueError, "`learning_rate(5)` must be in [0, inf), got nan."),
        (math.inf, ValueError, "`learning_rate(5)` must be in [0, inf), got inf."),
        (-1, ValueError, "`learning_rate(5)` must be in [0, inf), got -1.0."),
        ("0.1", TypeError, "`learning_rate(5)` must be a real number, got '0.1'."),
        (True, TypeError, "`learning_rate(5)` must be a real number, got True."),
    ],
)
def test_bad_rates_of_the_schedule_are_refused(bad, error, message):
    with pytest.raises(error, match=exactly(message)):
        minimized(regularised(), options={"learning_rate": lambda t: bad if t == 5 else 0.1})


@pytest.mark.parametrize("kind", [np.float64, np.float32, fractions.Fraction])
def test_rates_of_the_schedule_may_be_any_real_numbers(kind):
    p = regularised()
    expected = minimized(p, options={"learning_rate": lambda t: 0.25 / 2**t})
    assert outcome(minimized(p, options={"learning_rate": lambda t: kind(0.25 / 2**t)})) == outcome(expected)


@pytest.mark.timeout(30)
def test_ctrl_c_in_the_middle_of_an_epoch(press_ctrl_c_soon):
    objective, x0 = long_epoch(), np.full(20_000, 0.5)
    press_ctrl_c_soon()
    with pytest.raises(KeyboardInterrupt):
        minimize(objective, x0, method="adam", batch_size=1, options={"sparse": "exact", "epochs": 1000})
    assert (x0 == 0.5).all()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.timeout(30)
@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("method", ["adam", "sgd"])
def test_ctrl_c_with_a_checkpoint_saves_whole_steps(method, mode, path, press_ctrl_c_soon):
    objective, x0 = long_epoch(), np.zeros(20_000)
    options = {"sparse": mode, "epochs": 10**6} | ({"momentum": 0.9} if method == "sgd" else {})

    def part(**arguments):
        more = arguments.pop("options", {})
        return minimize(objective, x0, method=method, batch_size=1, options=options | more, **arguments)

    press_ctrl_c_soon()
    with pytest.raises(KeyboardInterrupt):
        part(rng=0, options={"checkpoint": path, "checkpoint_every": 1000})
    nit = _checkpoint.read(path, "minimize")["run"]["nit"]
    assert nit > 0
    budget = {"maxiter": nit + 10}
    assert outcome(part(resume=path, options=budget)) == outcome(part(rng=0, options=budget))


def many_outputs(l2, n=80_000, d=64, n_classes=300):
    """Few samples, each of which is much work."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((n, d), dtype=np.float32), rng.integers(0, n_classes, n)
    return objectives.Softmax(X, y, l2=l2, n_classes=n_classes)


LONG_SEGMENTS = [
    ("lion", long_epoch, 0.0),
    ("adam", many_outputs, 0.0),
    ("saga", many_outputs, 0.01),
    ("svrg", many_outputs, 0.01),
]


@pytest.fixture
def segments(monkeypatch):
    """Steps asked for and made in each segment; an epoch is one of them."""
    seen = []

    def recorded(run):
        def segment(self, first, n, *rest):
            seen.append((n, run(self, first, n, *rest)))
            return seen[-1][1]

        return segment

    for name in ("SEGMENT_ENTRIES", "DEFERRED_STEPS"):
        monkeypatch.setattr(minibatch_epochs, name, 10**15)
    monkeypatch.setattr(sample_epochs, "SEGMENT_ENTRIES", 10**15)
    for cls in (minibatch_epochs.MinibatchEpochs, sample_epochs.SampleEpochs):
        monkeypatch.setattr(cls, "run", recorded(cls.run))
    return seen


@pytest.mark.timeout(30)
@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(("method", "data", "l2"), LONG_SEGMENTS, ids=["lion-csr", "adam", "saga", "svrg"])
def test_ctrl_c_ends_a_segment_before_its_last_batch(method, data, l2, checkpoint, path, press_ctrl_c_soon, segments):
    objective = data(l2)
    x0 = np.zeros(objective.n_parameters, objective.dtype)
    options = {"epochs": 10**6} | ({"checkpoint": path} if checkpoint else {})
    options |= {"sparse": "exact"} if data is long_epoch else {}
    press_ctrl_c_soon()
    with pytest.raises(KeyboardInterrupt):
        minimize(objective, x0, method=method, batch_size=1, rng=0, options=options)
    assert segments
    for wanted, (done, *_) in segments:
        assert done < wanted == objective.n_samples
    if checkpoint:
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == sum(done for _, (done, *_) in segments)


@pytest.fixture
def raise_soon(act_soon):
    """A function that lets a signal handler of the program raise something in the middle of a segment."""
    return lambda error: act_soon(Counted(lambda: None, error, 1))


@pytest.mark.timeout(30)
def test_what_is_raised_in_a_segment_ends_it(segments, raise_soon):
    objective = long_epoch()
    raise_soon(error := ArithmeticError("mine"))
    with pytest.raises(ArithmeticError) as caught:
        minimize(objective, np.zeros(20_000), method="adam", batch_size=1, options={"sparse": "exact"})
    assert caught.value is error
    ((wanted, (done, *_)),) = segments
    assert done < wanted


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("method", "l2", "segment_independent"), [("lion", 0.0, True), ("adam", 0.0, False), ("lion", 0.1, False)]
)
def test_what_is_raised_in_a_segment_leaves_a_checkpoint_only_if_bits_are_kept(
    method, l2, segment_independent, path, segments, raise_soon
):
    """With penalties, and where steps are deferred, they depend on where segments end."""
    objective = long_epoch(l2)
    raise_soon(KeyboardInterrupt())
    options = {"sparse": "exact", "checkpoint": path}
    with pytest.raises(KeyboardInterrupt):
        minimize(objective, np.zeros(20_000), method=method, batch_size=1, rng=0, options=options)
    ((_, (done, *_)),) = segments
    assert os.path.exists(path) == segment_independent
    assert not segment_independent or _checkpoint.read(path, "minimize")["run"]["nit"] == done


@pytest.mark.timeout(30)
def test_ctrl_c_in_a_lock_free_run(press_ctrl_c_soon):
    objective, x0 = long_epoch(), np.zeros(20_000)
    options = {"parallel": "hogwild", "num_threads": 2, "epochs": 10**6, "learning_rate": 0.01}
    press_ctrl_c_soon()
    with pytest.raises(KeyboardInterrupt):
        minimize(objective, x0, method="sgd", batch_size=1, options=options)
    assert not x0.any()


# --- refusals --------------------------------------------------------------------------------------------------

REFUSED = {
    "args": (dict(args=(1,)), ValueError, "`args` must be"),
    "jac": (dict(jac=lambda x: x), ValueError, "`jac` must be"),
    "jac by name": (dict(jac="2-point"), ValueError, "`jac` must be"),
    "data": (dict(data=np.ones(23)), ValueError, "`data`.* must be None"),
    "n_samples": (dict(n_samples=23), ValueError, "`n_samples`.* must be None"),
    "batch_size": (dict(batch_size=24), ValueError, "`batch_size` must be"),
    "no batch": (dict(batch_size=0), ValueError, "`batch_size` must be"),
    "parallel": (dict(options={"parallel": "threads"}), ValueError, "`parallel` must be"),
    "x0": (dict(x0=np.zeros(29)), ValueError, "`x0` must have"),
    "x0 of strings": (dict(x0=["a"] * 30), TypeError, "`x0` must be"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED.values(), ids=[*REFUSED])
def test_refused(arguments, error, message):
    p = problem()
    with pytest.raises(error, match=message):
        minimize(p.objective, **{"x0": p.x0} | arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", [name for name, cls in OPTIMIZERS.items() if couples_entries(cls)])
def test_hogwild_is_refused_for_rules_with_sums_over_all_parameters(method, layout):
    p = problem("logistic", layout)
    name = OPTIMIZERS[method].__name__
    with pytest.raises(
        ValueError, match=f'`parallel` must be "batch" for {name}, whose steps of single parameters depend on all'
    ):
        minimize(p.objective, p.x0, method=method, options={"parallel": "hogwild", "epochs": 1})


def test_hogwild_is_refused_for_other_functions():
    with pytest.raises(ValueError, match='`parallel` must be "batch"'):
        minimize(bowl, np.zeros(3), jac=True, n_samples=10, options={"parallel": "hogwild"})


@pytest.mark.parametrize("at", [101, 500])
@pytest.mark.parametrize("method", ["sgd", "adam", "saga", "svrg"])
def test_loss_of_an_epoch_does_not_depend_on_where_it_was_cut(method, at, path):
    X, y = make_data("logistic", 1000, 20, "float64", "dense", seed=2)
    objective, x0 = objectives.Logistic(X, y), np.zeros(20)
    run = functools.partial(minimize, objective, x0, method=method, batch_size=1)
    whole = run(rng=0, options={"epochs": 2})
    run(rng=0, options={"epochs": 2, "maxiter": at, "checkpoint": path})
    resumed = run(resume=path, options={"epochs": 2})
    assert resumed.x.tobytes() == whole.x.tobytes()
    assert resumed.history["fun"].tobytes() == whole.history["fun"].tobytes()
