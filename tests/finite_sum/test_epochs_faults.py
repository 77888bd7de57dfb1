"""Epochs in C when something is wrong: gradients that overflow, resized parameters, lock-free workers that skip."""

import signal

import numpy as np
import pytest
from cases import OPTIMIZERS, couples_entries
from scipy import sparse

import fastopt
from fastopt import minimize, objectives

LAYOUTS = pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array], ids=["dense", "csr"])


def overflowing(layout, rows):
    """Finite data, losses and derivatives; a derivative times its row is not finite, in these rows."""
    X, y = np.ones((8, 3), np.float32), np.ones(8, np.float32)
    X[rows], y[rows] = 1e30, 1e12
    return objectives.LeastSquares(layout(X), y)


def in_python(objective):
    """The same objective as a function of its own, which runs through Python."""
    return lambda w, idx: objective.value_and_gradient(w, idx)


@LAYOUTS
@pytest.mark.parametrize(("method", "batch_size"), [("sgd", 1), ("sgd", 2), ("adam", 1), ("adam", 4), ("ftrl", 2)])
def test_gradient_that_overflows_ends_the_run_before_its_step(layout, method, batch_size):
    x0 = np.zeros(3, np.float32)
    res = minimize(overflowing(layout, slice(None)), x0, method=method, batch_size=batch_size, rng=0)
    assert (res.status, res.success, res.nit) == (3, False, 0)
    assert (res.x == 0).all()
    assert res.optimizer.step_count == 0
    assert all((array == 0).all() for name, array in res.optimizer.state.items() if name in ("m", "v"))


@LAYOUTS
@pytest.mark.parametrize("method", ["saga", "svrg"])
def test_gradient_that_overflows_ends_methods_for_finite_sums(layout, method):
    with np.errstate(all="ignore"):
        res = minimize(overflowing(layout, slice(None)), np.zeros(3, np.float32), method=method, rng=0,
                       options={"learning_rate": 1e-3})  # fmt: skip
    assert not res.success
    assert res.status in (2, 3)
    assert np.isfinite(res.x).all()


@LAYOUTS
@pytest.mark.parametrize("method", ["sgd", "adam", "adagrad"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_skipped_as_in_python(layout, method, batch_size):
    objective = overflowing(layout, 3)
    options = {"epochs": 3, "learning_rate": 0.01, "nonfinite": "skip"}
    res = minimize(objective, np.zeros(3, np.float32), method=method, batch_size=batch_size, rng=0, options=options)
    with np.errstate(over="ignore"):
        slow = minimize(in_python(objective), np.zeros(3, np.float32), jac=True, n_samples=8, method=method,
                        batch_size=batch_size, rng=0, options=options)  # fmt: skip
    assert res.optimizer.skipped_steps == slow.optimizer.skipped_steps == 3
    assert res.optimizer.step_count == slow.optimizer.step_count
    np.testing.assert_allclose(res.x, slow.x, rtol=1e-5)


@LAYOUTS
@pytest.mark.parametrize("batch_size", [1, 2])
def test_large_finite_gradients_are_taken(layout, batch_size):
    objective = objectives.Poisson(layout(np.ones((2, 1))), [1.0, 2.0])
    res = minimize(objective, np.array([400.0]), method="adagrad", batch_size=batch_size, rng=0,
                   options={"epochs": 1, "learning_rate": 1e-3})  # fmt: skip
    assert res.status == 7  # the steps are lost in the rounding of so large a value
    assert res.optimizer.step_count == 2 // batch_size


@pytest.mark.parametrize("bad", [0, 3])
@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_lock_free_workers_leave_out_a_batch_and_no_other(bad, num_threads):
    """Sample i moves parameter i alone, so how often each was stepped with shows in it."""
    n = 12
    bad = np.random.default_rng(0).permutation(n)[bad]  # of the order of the first epoch
    y, weights = np.ones(n, np.float32), np.ones(n, np.float32)
    y[bad], weights[bad] = 3e38, 2.0  # times which its derivative is infinite
    objective = objectives.LeastSquares(sparse.csr_array(np.eye(n, dtype=np.float32)), y, sample_weight=weights)
    options = {"epochs": 1, "learning_rate": 0.1, "nonfinite": "skip", "parallel": "hogwild"}
    res = minimize(objective, np.zeros(n, np.float32), method="sgd", batch_size=1, rng=0,
                   options=options | {"num_threads": num_threads})  # fmt: skip
    assert (res.nit, res.optimizer.skipped_steps, res.optimizer.step_count) == (n, 1, n - 1)
    moved = res.x != 0
    assert not moved[bad]
    assert moved.sum() == n - 1
    np.testing.assert_allclose(res.x[moved], res.x[moved][0], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, cls in OPTIMIZERS.items() if not couples_entries(cls)])
def test_lock_free_workers_carry_what_one_carries(name):
    objective = objectives.LeastSquares(sparse.csr_array(np.eye(40, 20)), np.ones(40))
    ends = []
    for parallel, num_threads in [("batch", 1), ("hogwild", 1), ("hogwild", 2), ("hogwild", 3)]:
        options = {"epochs": 2, "learning_rate": 1e-3, "parallel": parallel, "num_threads": num_threads}
        res = minimize(objective, np.zeros(20), method=name, batch_size=3, rng=0, options=options)
        ends.append((res.optimizer.step_count, res.optimizer.state_dict()["carry"]))
    assert ends == [ends[0]] * 4


@LAYOUTS
def test_parameters_resized_by_a_callback(layout):
    objective = objectives.LeastSquares(layout(np.eye(8, 4)), np.ones(8))
    bound = []

    def method(params):
        bound.append(params)
        return fastopt.Adam(params)

    def callback(xk):
        bound[0].resize(100_000, refcheck=False)

    with pytest.raises(ValueError, match="cannot resize this array"):
        minimize(objective, np.zeros(4), method=method, batch_size=1, rng=0, callback=callback)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_python_has_subnormals_while_it_is_asked_during_a_segment(rng):
    """The loops of C flush them to zero; a signal handler that runs in between does not notice."""
    objective = objectives.LeastSquares(rng.normal(size=(20_000, 300)), rng.normal(size=20_000))
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(float("5e-324") * float("1.0")))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        minimize(objective, np.zeros(300), method="adam", batch_size=1, rng=0, options={"epochs": 20})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) > 0
    assert 0.0 not in seen


def test_message_about_batches_with_more_columns_than_are_told_apart():
    with pytest.raises(ValueError, match="`batch_size` must be so small"):
        fastopt._validation.sparse_gradients.refuse_batch(7, 1 << 30)
