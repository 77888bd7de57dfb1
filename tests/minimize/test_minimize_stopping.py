"""When minimize ends and what it returns then: tolerance, non-finite numbers, averages, exceptions and Ctrl-C."""

import itertools
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import OPTIMIZERS
from hypothesis import given
from hypothesis import strategies as st
from objectives import Counted, Recorded, bowl, bowl_slope, bowl_value, outcome

import fastopt
from fastopt import _checkpoint, minimize, schedules
from fastopt._minimize.stopping import CONVERGED, LossWatch

STEPS = {"maxiter": 20, "learning_rate": 0.1, "epoch_length": 5}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where to write a checkpoint, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return str(tmp_path / "run.npz")


def losses(values):
    """An objective with these values, one for each call, and the last one ever after."""
    calls = itertools.chain(values, itertools.repeat(values[-1]))
    return lambda x: (next(calls), np.ones_like(x))


def epochs_until_the_end(values, tol, patience):
    """After how many epochs with these losses a run settles; None if it does not. It always ends below its start."""
    in_epochs, at_ends = iter(np.repeat(values, 2)), iter([1e9, -1e9])

    def fun(x, index):
        return float(next(at_ends if len(index) == 2 else in_epochs)), np.ones_like(x)

    options = {"epochs": len(values), "patience": patience}
    res = minimize(fun, np.zeros(1), jac=True, n_samples=2, batch_size=1, tol=tol, options=options)
    assert res.success == (res.status == 0)
    return res.nepoch if res.status == 0 else None


# --- tolerance -------------------------------------------------------------------------------------------


def slow_watch(values, tol, patience):
    """Restated from the documentation, everything anew after each epoch."""
    for n in range(1, len(values) + 1):
        smoothed, best, count, variation = values[0], values[0], 0, 0.0
        lowest, level = values[0], 0
        for before, loss in itertools.pairwise(values[:n]):
            smoothed = 0.7 * smoothed + 0.3 * loss
            variation = 0.7 * variation + 0.3 * abs(loss - before)
            margin = tol * max(1.0, abs(best))
            if best - smoothed > margin:
                best, count = smoothed, 0
            elif smoothed <= best + max(margin, 1.5 * variation):
                count += 1
            margin = tol * max(1.0, abs(lowest))
            level = level + 1 if abs(loss - lowest) <= margin else 0
            lowest = loss if lowest - loss > margin else lowest
        if max(count, level) >= patience:
            return n
    return None


def rounding_decides(values, tol):
    """Whether a comparison of the rule is so close that another order of the sums may turn it."""
    smoothed, variations = [values[0]], [0.0]
    for before, loss in itertools.pairwise(values):
        smoothed.append(0.7 * smoothed[-1] + 0.3 * loss)
        variations.append(0.7 * variations[-1] + 0.3 * abs(loss - before))
    gaps = [abs(abs(a - b) - tol * max(1.0, abs(b))) for v in (smoothed, values) for a in v for b in v if a != b]
    gaps += [
        abs(abs(a - b) - 1.5 * each) for a, each in zip(smoothed, variations, strict=True) for b in smoothed if a != b
    ]
    return bool(gaps) and min(gaps) <= 1e-9


@given(
    st.lists(st.integers(-64, 64).map(float), min_size=1, max_size=25),
    st.sampled_from([0.0, 1e-9, 0.01, 0.5, 3.0]),
    st.integers(1, 4),
)
def test_end_against_a_slow_restatement(values, tol, patience):
    watch, end = LossWatch(tol, patience), None
    for n, loss in enumerate(values, 1):
        watch.update(loss, math.inf)
        if watch.status == CONVERGED:
            end = n
            break
    if not rounding_decides(values, tol):
        assert end == slow_watch(values, tol, patience)
        assert epochs_until_the_end(values, tol, patience) == end


@given(st.lists(st.floats(-1e3, 1e3), max_size=15), st.lists(st.floats(-1e3, 1e3), max_size=15), st.integers(1, 3))
def test_watch_goes_on_from_its_snapshot(before, after, patience):
    watch, again = LossWatch(0.01, patience), LossWatch(0.01, patience)
    for loss in before:
        watch.update(loss, 1.0)
    again.restore(watch.snapshot())
    for loss in after:
        watch.update(loss, 1.0)
        again.update(loss, 1.0)
    assert repr(again.snapshot()) == repr(watch.snapshot()) and again.status == watch.status


@pytest.mark.parametrize(
    ("values", "tol", "patience", "expected"),
    [
        ([5.0] * 10, 0.0, 3, 4),
        ([5.0] * 10, 0.0, 1, 2),
        ([1e6, *[5.0] * 10], 1e-3, 3, 5),  # smoothed it is still falling
        (np.linspace(10, 1, 20), 0.0, 1, None),  # falls to the end
        (np.linspace(10, 1, 20), 1.0, 3, 4),  # but by less than the tolerance in three epochs
        ([1000.0, 999.0, 998.0, 997.0, 996.0], 0.01, 3, 4),  # the tolerance is relative to losses above 1
        ([0.5, 0.4, 0.3, 0.2, 0.1], 0.2, 3, 4),  # and absolute below
        ([-1.0, -2.0, -4.0, -8.0, -16.0], 0.0, 1, None),
        ([3.0, 9.0, 3.0, 3.0, 3.0, 3.0], 0.0, 6, None),  # one bad epoch is smoothed away
        ([1.0, 2.0, 3.0, 4.0], 0.0, 3, None),  # rises
        ([*range(20)], 0.0, 10, None),
        ([2.0**k for k in range(20)], 1e-3, 10, None),
        ([10.0, 1.0, 1.0, 1.0, 1.0, *[5.0] * 95], 1e-3, 10, None),  # stays where it has risen to
        ([1.1, 0.9] * 20, 0.01, 5, 15),  # varies
    ],
    ids=str,
)
def test_end_by_tolerance(values, tol, patience, expected):
    assert epochs_until_the_end([*values], tol, patience) == expected


def test_noise_free_problem_converges():
    options = {"learning_rate": 0.1, "epoch_length": 10, "maxiter": 10_000}
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, tol=1e-8, options=options)
    assert (res.status, res.success, res.message) == (0, True, "Optimization terminated successfully.")
    assert res.fun < 1e-7 and res.nit < 1000
    assert res.nit == 10 * res.nepoch == res.history["iteration"][-1]


def noisy(seed=0, size=1.0):
    rng = np.random.default_rng(seed)

    def fun(x):
        value, gradient = bowl(x)
        return value + size * rng.standard_normal(), gradient + size * rng.standard_normal(3)

    return fun


def test_noisy_problem_converges_and_not_before_it_is_near_the_minimum():
    for seed in range(5):
        options = {"learning_rate": 0.01, "maxiter": 100_000}
        res = minimize(noisy(seed), np.array([4.0, 3.0, -2.0]), method="sgd", jac=True, tol=1e-3, options=options)
        assert (res.status, res.success) == (0, True)
        assert bowl_value(res.x) < 0.1


def test_patience_is_how_long_it_waits():
    runs = [
        minimize(
            noisy(), np.zeros(3), method="sgd", jac=True, tol=1e-3,
            options={"learning_rate": 0.01, "maxiter": 100_000, "patience": patience},
        )
        for patience in (1, 5, 25)
    ]  # fmt: skip
    assert runs[0].nit < runs[1].nit < runs[2].nit
    assert all(res.success for res in runs)


def test_converged_run_ends_at_the_end_of_an_epoch_over_samples():
    res = minimize(
        lambda x, index: bowl(x), np.zeros(3), jac=True, n_samples=10, batch_size=3, tol=0.1,
        options={"patience": 3, "learning_rate": 1e-6},
    )  # fmt: skip
    assert (res.status, res.nepoch, res.nit) == (0, 4, 16)


def test_without_tolerance_the_budget_is_used_up_with_success():
    res = minimize(losses([1.0] * 100 + [0.5]), np.zeros(1), jac=True, options={"maxiter": 100, "epoch_length": 1})
    assert (res.status, res.success, res.nit) == (1, True, 100)


def test_tolerance_that_is_not_reached_is_no_success():
    res = minimize(bowl, np.zeros(3), jac=True, tol=1e-9, options=STEPS)
    assert (res.status, res.success, res.nit) == (1, False, 20)
    assert res.message == "Maximum number of iterations has been reached. The loss has not settled within `tol`."


def test_tolerance_that_is_reached_with_the_last_epoch_is_success():
    options = {"maxiter": 4, "epoch_length": 1, "patience": 3}
    res = minimize(losses([1.0] * 4 + [0.5]), np.zeros(1), jac=True, tol=0.1, options=options)
    assert (res.status, res.success, res.nit) == (0, True, 4)


# --- numbers that are not finite -----------------------------------------------------------------------------

VALUES = [math.nan, math.inf, -math.inf]


def spoiled(at, value=None, gradient=None):
    """The bowl, but for one of its values or gradients."""
    calls = Counted(lambda: None)

    def fun(x, *batch):
        calls()
        loss, slope = bowl(x)
        if calls.calls == at:
            loss, slope = loss if value is None else value, slope if gradient is None else gradient
        return loss, slope

    return fun


def said_of(what, at):
    """The beginning of the message about the value or gradient of the at-th iteration."""
    return f"{what} became NaN or infinite in iteration {at - 1}. Try a smaller" if at > 1 else f"{what} is NaN"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("at", [1, 3, 5, 6, 20])
def test_value_that_is_not_finite_ends_the_run(value, at):
    res = minimize(spoiled(at, value=value), np.zeros(3), method="adam", jac=True, options=STEPS)
    before = minimize(bowl, np.zeros(3), method="adam", jac=True, options=STEPS | {"maxiter": at - 1})
    assert (res.status, res.success, res.nit) == (2, False, at - 1)
    assert res.message.startswith(said_of("The objective", at))
    assert outcome(res)["x"] == outcome(before)["x"]
    assert outcome(res)["history"] == outcome(before)["history"]
    assert res.optimizer.step_count == at - 1


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # of SciPy's differences
@pytest.mark.parametrize("jac", [None, "3-point", "spsa", bowl_slope])
@pytest.mark.parametrize("value", VALUES)
def test_value_that_is_not_finite_ends_the_run_whatever_the_gradient_is(value, jac):
    res = minimize(lambda x: value, np.zeros(3), jac=jac, options=STEPS)
    assert (res.status, res.success, res.nit, res.x.tolist()) == (2, False, 0, [0.0] * 3)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("at", [1, 3, 5, 6, 20])
def test_gradient_that_is_not_finite_ends_the_run(value, at):
    gradient = np.array([1.0, value, 1.0])
    res = minimize(spoiled(at, gradient=gradient), np.zeros(3), method="adam", jac=True, options=STEPS)
    before = minimize(bowl, np.zeros(3), method="adam", jac=True, options=STEPS | {"maxiter": at - 1})
    assert (res.status, res.success, res.nit) == (3, False, at - 1)
    assert res.message.startswith(said_of("The gradient", at))
    assert outcome(res)["x"] == outcome(before)["x"]
    assert res.optimizer.step_count == at - 1


def test_sparse_gradient_that_is_not_finite_ends_the_run():
    gradient = fastopt.RowSparse([1], np.array([math.nan]))
    res = minimize(spoiled(3, gradient=gradient), np.zeros(3), method="adam", jac=True, options=STEPS)
    assert (res.status, res.nit) == (3, 2)


@pytest.mark.parametrize("value", VALUES)
def test_skipped_gradients_do_not_end_the_run(value):
    gradient = np.array([1.0, value, 1.0])
    res = minimize(
        spoiled(3, gradient=gradient), np.zeros(3), method="adam", jac=True, options=STEPS | {"nonfinite": "skip"}
    )
    shorter = minimize(bowl, np.zeros(3), method="adam", jac=True, options=STEPS | {"maxiter": 19})
    assert (res.status, res.nit) == (1, 20)
    assert (res.optimizer.skipped_steps, res.optimizer.step_count) == (1, 19)
    assert res.x.tobytes() == shorter.x.tobytes()


def test_propagated_gradients_spoil_the_parameters_and_the_next_value():
    gradient = np.array([1.0, math.nan, 1.0])
    fun = Recorded(spoiled(8, gradient=gradient))
    res = minimize(fun, np.zeros(3), method="adam", jac=True, options=STEPS | {"nonfinite": "propagate"})
    assert (res.status, res.nit) == (2, 8)
    after_one_epoch = minimize(bowl, np.zeros(3), method="adam", jac=True, options=STEPS | {"maxiter": 5})
    assert res.x.tobytes() == after_one_epoch.x.tobytes()


def kicked(at, size=-1e200):
    """A slope of which one step at a rate of 1e200 overflows; the value falls and is always finite."""
    calls = Counted(lambda: None)

    def fun(x):
        calls()
        return 1.0 - calls.calls / 1000, np.full_like(x, size if calls.calls == at else -1e-200)

    return fun


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"return_best": True},
        {"average": "polyak", "average_start": 0},
        {"average": "ema", "average_start": 0},
        {"average": "polyak", "average_start": 0, "return_best": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("at", [1, 8, 20])
@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_overflow_of_the_parameters_returns_finite_ones(at, extra):
    options = {"maxiter": 20, "epoch_length": 5, "learning_rate": 1e200, **extra}
    res = minimize(kicked(at), np.zeros(2), method="sgd", jac=True, options=options)
    assert (res.status, res.success, res.nit) == (4, False, 20)
    assert np.isfinite(res.x).all()


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_overflow_returns_the_parameters_of_the_last_epoch_before():
    options = {"maxiter": 20, "epoch_length": 5, "learning_rate": 1e200}
    res = minimize(kicked(13), np.zeros(2), method="sgd", jac=True, options=options)
    assert res.x.tolist() == [10.0, 10.0]


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_overflow_is_no_success_even_if_the_loss_stands_still():
    options = {"epoch_length": 5, "patience": 2, "learning_rate": 1e200, "maxiter": 100}
    res = minimize(
        lambda x: (1.0, np.full_like(x, -1e200)), np.zeros(2), method="sgd", jac=True, tol=0.1, options=options
    )
    assert np.isfinite(res.x).all()
    assert (res.status, res.success) == (4, False)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("average", ["polyak", "ema"])
def test_average_is_finite_after_a_propagated_gradient(average):
    gradient = np.array([1.0, math.nan, 1.0])
    options = STEPS | {"nonfinite": "propagate", "average": average, "average_start": 0}
    res = minimize(spoiled(8, gradient=gradient), np.zeros(3), jac=True, options=options)
    assert res.status == 2
    assert np.isfinite(res.x).all()


def test_norm_of_large_gradients_does_not_overflow():
    for dtype, size in (("float64", 1e200), ("float32", 1e30)):
        options = STEPS | {"learning_rate": 0.0}
        res = minimize(losses_with_slope(size), np.zeros(2, dtype), jac=True, options=options)
        assert res.history["grad_norm"] == pytest.approx(np.full(4, math.sqrt(2) * size), rel=1e-6)


def losses_with_slope(size):
    """An objective that has this slope everywhere."""
    return lambda x: (0.0, np.full_like(x, size))


# --- averages ------------------------------------------------------------------------------------------------


def iterates(options):
    """The parameters after each iteration, without an average."""
    points = []
    minimize(bowl, np.zeros(3), method="sgd", jac=True, callback=points.append, options=options)
    return np.array(points)


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_polyak_average_is_the_mean_of_the_iterates(start):
    expected = iterates(STEPS)
    options = STEPS | {"average": "polyak", "average_start": start}
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options)
    averaged = expected[5 * start :]
    assert res.x == pytest.approx(averaged.mean(axis=0) if start < 4 else expected[-1], rel=1e-14)
    assert res.fun == bowl_value(res.x)
    assert res.optimizer.params.tolist() == expected[-1].tolist()


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_exponential_average_of_the_iterates(start, decay):
    expected = iterates(STEPS)
    options = STEPS | {"average": "ema", "average_start": start, "average_decay": decay}
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options)
    averaged = expected[5 * start :]
    weights = decay ** np.arange(len(averaged))[::-1]
    assert res.x == pytest.approx(weights @ averaged / weights.sum() if start < 4 else expected[-1], rel=1e-12)


@pytest.mark.parametrize("average", ["polyak", "ema"])
def test_average_begins_after_the_first_epoch_by_default(average):
    first, default = (
        minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"average": average} | extra)
        for extra in ({"average_start": 1}, {})
    )
    assert first.x.tobytes() == default.x.tobytes()


@pytest.mark.parametrize("average", ["polyak", "ema"])
def test_average_of_single_precision_is_taken_in_double(average):
    """A thousand small steps from a large number, which sums in float32 would not see."""
    options = {"learning_rate": 1.0, "maxiter": 1000, "average": average, "average_start": 0}
    res = minimize(
        lambda x: (0.0, np.ones_like(x)), np.full(1, 2**22, np.float32), method="sgd", jac=True, options=options
    )
    points = 2.0**22 - np.arange(1, 1001)
    weights = np.ones(1000) if average == "polyak" else 0.999 ** np.arange(1000)[::-1]
    assert res.x.dtype == np.float32
    assert float(res.x[0]) == pytest.approx(
        weights @ points / weights.sum(), abs=0.13
    )  # half the distance of two float32 there


def test_average_of_a_noisy_run_is_better_than_its_end():
    options = {"learning_rate": 0.1, "maxiter": 5000}
    last = minimize(noisy(), np.zeros(3), method="sgd", jac=True, options=options)
    mean = minimize(noisy(), np.zeros(3), method="sgd", jac=True, options=options | {"average": "polyak"})
    assert bowl_value(mean.x) < 0.1 * bowl_value(last.x)


@pytest.mark.parametrize("average", [None, "polyak", "ema"])
def test_averages_do_not_change_the_run(average):
    plain = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"average": average, "return_best": True})
    assert res.optimizer.params.tobytes() == plain.x.tobytes()
    assert outcome(res)["history"] == outcome(plain)["history"]


def test_best_is_the_end_of_the_epoch_with_the_smallest_loss():
    """The rate of the last epochs makes it worse again; the last, incomplete epoch does not count."""
    schedule = schedules.piecewise_constant([8], [0.1, 2.1])
    options = {"maxiter": 23, "epoch_length": 5, "learning_rate": schedule}
    points = iterates(options)
    plain = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options)
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options | {"return_best": True})
    best = np.argmin(plain.history["fun"][:4])
    assert 0 < best < 3
    assert res.x.tolist() == points[5 * (best + 1) - 1].tolist()
    assert res.fun == bowl_value(res.x) < plain.fun
    assert res.optimizer.params.tolist() == points[-1].tolist()


def test_best_of_averages_is_the_average_at_that_epoch():
    schedule = schedules.piecewise_constant([8], [0.1, 2.1])
    options = {"maxiter": 20, "epoch_length": 5, "learning_rate": schedule}
    points = iterates(options)
    best = np.argmin(minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options).history["fun"])
    options |= {"return_best": True, "average": "polyak"}
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options)
    assert res.x == pytest.approx(points[5 : 5 * (best + 1)].mean(axis=0), rel=1e-14)


def test_best_is_the_first_of_equals():
    calls = Counted(lambda x: (1.0, np.ones_like(x)))
    options = {"maxiter": 6, "epoch_length": 2, "learning_rate": 1.0, "return_best": True}
    assert minimize(calls, np.zeros(1), method="sgd", jac=True, options=options).x.tolist() == [-2.0]


# --- the schedule that watches the loss ----------------------------------------------------------------------


def test_reduce_on_plateau_is_told_the_losses_of_the_epochs():
    told = []

    class Watching(schedules.reduce_on_plateau):
        def update(self, value):
            told.append(value)
            super().update(value)

    schedule = Watching(0.1, factor=0.5, patience=1)
    fun = lambda x, index: (float(index.sum()), np.ones_like(x))  # noqa: E731
    options = {"epochs": 7, "learning_rate": schedule}
    res = minimize(fun, np.zeros(2), jac=True, n_samples=10, batch_size=4, rng=0, options=options)
    assert told == res.history["fun"].tolist()
    by_hand = schedules.reduce_on_plateau(0.1, factor=0.5, patience=1)
    rates = []
    for loss in told:
        rates.append(by_hand(0))
        by_hand.update(loss)
    assert res.history["learning_rate"].tolist() == rates
    assert rates[-1] < 0.1


def test_reduce_on_plateau_is_not_told_of_an_incomplete_epoch():
    schedule = schedules.reduce_on_plateau(0.1, factor=0.5, patience=0)
    minimize(
        losses([1.0] * 9), np.zeros(1), jac=True, options={"maxiter": 8, "epoch_length": 3, "learning_rate": schedule}
    )
    assert schedule(0) == 0.05
    inner = schedules.reduce_on_plateau(0.1, factor=0.5, patience=0)
    options = {"maxiter": 8, "epoch_length": 3, "learning_rate": schedules.warmup(inner, 2)}
    minimize(losses([1.0] * 9), np.zeros(1), jac=True, options=options)
    assert inner(0) == 0.05


# --- exceptions ----------------------------------------------------------------------------------------------

ERRORS = [ValueError("mine"), ZeroDivisionError("mine"), FloatingPointError("mine"), MemoryError("mine"),
          StopIteration("mine"), GeneratorExit("mine"), SystemExit("mine"), KeyboardInterrupt("mine")]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("jac", [True, bowl_slope, None, "3-point", "spsa"])
@pytest.mark.parametrize("at", [1, 2, 7])
def test_exceptions_of_the_objective_pass_through_unchanged(error, jac, at):
    fun = Counted(bowl if jac is True else bowl_value, error, at)
    with pytest.raises(type(error)) as caught:
        minimize(fun, np.zeros(3), jac=jac, options=STEPS)
    assert caught.value is error
    assert fun.calls == at


def test_exceptions_of_the_gradient_and_of_the_last_evaluation_pass_through_unchanged():
    for error in ERRORS:
        for fun, jac in [
            (bowl_value, Counted(bowl_slope, error, 3)),
            (Counted(bowl_value, error, 21), bowl_slope),
            (Counted(bowl, error, 21), True),
        ]:
            with pytest.raises(type(error)) as caught:
                minimize(fun, np.zeros(3), jac=jac, options=STEPS)
            assert caught.value is error


def test_exceptions_of_the_schedule_pass_through_unchanged():
    error = ZeroDivisionError("mine")
    with pytest.raises(ZeroDivisionError) as caught:
        minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"learning_rate": Counted(lambda t: 0.1, error, 4)})
    assert caught.value is error


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_methods_work_again_after_an_exception(method):
    options = {"maxiter": 10, "learning_rate": 0.01}
    expected = minimize(bowl, np.zeros(3), method=method, jac=True, options=options)
    with pytest.raises(ValueError, match="mine"):
        minimize(Counted(bowl, ValueError("mine"), 4), np.zeros(3), method=method, jac=True, options=options)
    assert outcome(minimize(bowl, np.zeros(3), method=method, jac=True, options=options)) == outcome(expected)


def test_checkpoint_of_the_last_epoch_outlives_an_exception(path):
    options = STEPS | {"checkpoint": path}
    with pytest.raises(ValueError, match="mine"):
        minimize(Counted(bowl, ValueError("mine"), 13), np.zeros(3), jac=True, options=options)
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == 10
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS, resume=path)
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), jac=True, options=STEPS))


# --- Ctrl-C --------------------------------------------------------------------------------------------------


def press_ctrl_c(*args):
    signal.raise_signal(signal.SIGINT)


def pressing_at(*calls):
    """A function that presses Ctrl-C in some of its calls."""
    count = Counted(lambda: None)

    def press(*args):
        count()
        if count.calls in calls:
            press_ctrl_c()

    return press, count


def test_ctrl_c_without_a_checkpoint_interrupts_at_once():
    press, count = pressing_at(3)
    after = []

    def fun(x):
        press()
        after.append(x)
        return bowl(x)

    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.zeros(3), jac=True, options=STEPS)
    assert (count.calls, len(after)) == (3, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("at", [1, 3, 5, 6, 20])
@pytest.mark.parametrize("where", ["fun", "callback"])
def test_ctrl_c_with_a_checkpoint_waits_for_the_iteration_and_saves_it(path, where, at):
    press, _ = pressing_at(at)
    heard = []

    def fun(x):
        if where == "fun":
            press()
        return bowl(x)

    def callback(x):
        if where == "callback":
            press()
        heard.append(x)

    options = STEPS | {"checkpoint": path}
    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.zeros(3), jac=True, callback=callback, options=options)
    assert len(heard) == at
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == at
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = []
    res = minimize(bowl, np.zeros(3), jac=True, callback=resumed.append, options=options, resume=path)
    expected = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    assert outcome(res) == outcome(expected)
    assert len(resumed) == 20 - at


def test_second_ctrl_c_does_not_wait(path):
    def fun(x):
        if len(points) == 7:
            press_ctrl_c()
            points.append(None)
            press_ctrl_c()
        points.append(x)
        return bowl(x)

    points = []
    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.zeros(3), jac=True, options=STEPS | {"checkpoint": path})
    assert len(points) == 8
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("end", ["normal", "StopIteration", "exception", "nan", "interrupt"])
def test_handler_of_ctrl_c_is_restored(path, end):
    inside = []

    def callback(x):
        inside.append(signal.getsignal(signal.SIGINT))
        if end == "StopIteration":
            raise StopIteration
        if end == "exception":
            raise ValueError("mine")
        if end == "interrupt":
            raise KeyboardInterrupt

    fun = spoiled(2, value=math.nan) if end == "nan" else bowl
    try:
        minimize(fun, np.zeros(3), jac=True, callback=callback, options=STEPS | {"checkpoint": path})
    except (ValueError, KeyboardInterrupt):
        pass
    assert inside[0] is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_programs_own_handler_of_ctrl_c_stays(path):
    noted = []

    def handler(number, frame):
        noted.append(number)

    before = signal.signal(signal.SIGINT, handler)
    try:
        press, _ = pressing_at(3)
        res = minimize(bowl, np.zeros(3), jac=True, callback=press, options=STEPS | {"checkpoint": path})
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert (res.nit, noted) == (20, [signal.SIGINT])


def test_minimize_in_another_thread_leaves_ctrl_c_alone(path):
    results = []

    def work():
        results.append(minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"checkpoint": path}))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome(results[0]) == outcome(minimize(bowl, np.zeros(3), jac=True, options=STEPS))


def test_ctrl_c_is_not_lost_when_the_callback_ends_the_run(path):
    def callback(x):
        press_ctrl_c()
        raise StopIteration

    with pytest.raises(KeyboardInterrupt):
        minimize(bowl, np.zeros(3), jac=True, callback=callback, options=STEPS | {"checkpoint": path})


def test_ctrl_c_is_not_lost_when_the_objective_becomes_nan(path):
    press, _ = pressing_at(3)
    spoil = spoiled(3, value=math.nan)

    def fun(x):
        press()
        return spoil(x)

    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.zeros(3), jac=True, options=STEPS | {"checkpoint": path})


def test_ctrl_c_in_a_nested_run_interrupts_the_outer_one_at_its_boundary(path, tmp_path):
    inner_path = str(tmp_path / "inner.npz")
    press, _ = pressing_at(3)
    inner = []

    def fun(x):
        inner.append(minimize(bowl, x, jac=True, callback=press, options=STEPS | {"checkpoint": inner_path}))
        return bowl(x)

    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.zeros(3), jac=True, options=STEPS | {"checkpoint": path})
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == 1
    assert inner[0].nit == 20


# The run of the subprocess: without an end of its own, over shuffled samples, at a pace of some hundred a second.
PROBLEM = """
import time
import numpy as np
import fastopt

rng = np.random.default_rng(0)
A, b = rng.standard_normal((40, 3)), rng.standard_normal(40)
pace = 0.0


def squares(x, A, b):
    time.sleep(pace)
    residual = A @ x - b
    return float(residual @ residual) / len(b), 2 * A.T @ residual / len(b)


def run(maxiter, checkpoint=None, resume=None, seed=5):
    options = {"maxiter": maxiter, "learning_rate": fastopt.schedules.inverse_time_decay(0.1, 50, 1.0),
               "average": "polyak", "return_best": True, "checkpoint": checkpoint}
    return fastopt.minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=6, rng=seed, options=options,
                            resume=resume)
"""
SCRIPT = """
import sys

pace = 0.002
print("ready", flush=True)
run(10**9, sys.argv[1])
"""


@pytest.mark.slow
def test_real_ctrl_c_at_random_moments(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    paths = [str(tmp_path / f"{k}.npz") for k in range(6)]
    code = PROBLEM + SCRIPT
    processes = [
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for path in paths
    ]
    try:
        delays = random.Random(20260801)
        for path, process in zip(paths, processes, strict=True):
            assert process.stdout.readline() == "ready\n"
            while not os.path.exists(path):  # written at the end of the first epoch
                assert process.poll() is None
                time.sleep(0.001)
            time.sleep(delays.uniform(0, 0.1))
            process.send_signal(signal.SIGINT)
        ends = [process.communicate(timeout=30) for process in processes]
    finally:
        for process in processes:
            process.kill()
    here = {}
    exec(PROBLEM, here)
    for path, process, (_, stderr) in zip(paths, processes, ends, strict=True):
        assert process.returncode == -signal.SIGINT
        assert stderr.rstrip().endswith("KeyboardInterrupt")
        nit = _checkpoint.read(path, "minimize")["run"]["nit"]
        assert nit >= 7
        resumed = here["run"](nit + 30, resume=path, seed=9)
        assert outcome(resumed) == outcome(here["run"](nit + 30))
        assert sorted(name for name in os.listdir(tmp_path) if name.endswith(".tmp")) == []
