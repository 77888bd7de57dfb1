"""The callback after each epoch."""

import math
import os
import pickle

import numpy as np
import pytest
import scipy.optimize
from finite_sums import make_data
from objectives import Counted, bowl, outcome
from scipy.optimize import OptimizeResult

from fastopt import _checkpoint, minimize, objectives, schedules, scipy_method

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((40, 3))
Y = X @ [1.0, -2.0, 0.5] + DRAW.standard_normal(40)
X0 = np.zeros(3)
SPARSE = make_data("logistic", 40, 12, "float64", "csr32", seed=1)


def squares(w, X, y):
    residual = X @ w - y
    return residual @ residual / (2 * len(y)), X.T @ residual / len(y)


FUNS = {
    "samples": lambda: dict(fun=squares, x0=X0, jac=True, data=(X, Y), batch_size=16),
    "no samples": lambda: dict(fun=bowl, x0=X0, jac=True),
    "built-in": lambda: dict(fun=objectives.LeastSquares(X, Y), x0=X0, batch_size=16),
    "lagged": lambda: dict(fun=objectives.Logistic(*SPARSE, l2=0.1, l1=0.01), x0=np.ones(12), batch_size=16),
    "saga": lambda: dict(fun=objectives.Logistic(*SPARSE, l2=0.1), x0=np.ones(12), method="saga"),
}


def run(kind, options=None, **arguments):
    rate = {} if kind == "saga" else {"learning_rate": 0.05}
    options = {"epochs": 4, "epoch_length": 3, **rate, **(options or {})}
    return minimize(rng=0, options=options, **{**FUNS[kind](), **arguments})


each_kind = pytest.mark.parametrize("kind", FUNS)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return str(tmp_path / "run.npz")


@each_kind
def test_it_is_given_what_the_history_has_of_the_epoch(kind):
    states, points = [], []

    def epoch_callback(state):
        assert type(state) is OptimizeResult and not state.x.flags.writeable
        states.append(state)
        points.append(state.x.copy())

    res = run(kind, epoch_callback=epoch_callback)
    names = {"x", "fun", "validation", "nit", "nepoch", "learning_rate", "grad_norm", "time"}
    assert [set(each) for each in states] == [names] * 4
    for column, name in {"iteration": "nit", "epoch": "nepoch", "fun": "fun", "learning_rate": "learning_rate",
                         "grad_norm": "grad_norm", "time": "time"}.items():  # fmt: skip
        np.testing.assert_array_equal([each[name] for each in states], res.history[column])
    assert [each.validation for each in states] == [None] * 4
    for epochs, x in enumerate(points, 1):
        assert x.tobytes() == run(kind, {"epochs": epochs}).x.tobytes()


@each_kind
def test_it_has_the_validation_loss(kind):
    values = iter(range(4))
    seen = []
    run(kind, validation=lambda x: next(values), epoch_callback=lambda state: seen.append(state.validation))
    assert seen == [0.0, 1.0, 2.0, 3.0]


@each_kind
def test_it_changes_not_a_bit(kind):
    heard = run(kind, epoch_callback=lambda state: float(state.x.sum()))
    assert outcome(heard) == outcome(run(kind))


@pytest.mark.parametrize("method, options", [("adam", {"average": "ema"}), ("schedulefreeadamw", {})])
@pytest.mark.parametrize("kind", ["samples", "lagged"])
def test_x_is_the_solution(kind, method, options):
    seen = []
    res = run(kind, options, method=method, epoch_callback=lambda state: seen.append(state.x.copy()))
    assert seen[-1].tobytes() == res.x.tobytes() != res.optimizer.params.tobytes()


@pytest.mark.parametrize("average", [None, "ema"])
def test_x_has_the_structure_of_x0(average):
    seen = []

    def fun(x):
        return float((x["a"] ** 2).sum()), {"a": 2 * x["a"], "b": np.ones(3)}

    def epoch_callback(state):
        assert not state.x["a"].flags.writeable
        seen.append({name: each.copy() for name, each in state.x.items()})

    x0 = {"a": np.ones((2, 2)), "b": np.zeros(3)}
    options = {"epochs": 3, "epoch_length": 4, "average": average}
    res = minimize(fun, x0, jac=True, epoch_callback=epoch_callback, options=options)
    assert len(seen) == 3
    assert all(seen[-1][name].tobytes() == res.x[name].tobytes() for name in x0)


@each_kind
def test_stop_iteration_ends_the_run(kind):
    stop = Counted(lambda state: None, StopIteration(), 2)
    res = run(kind, epoch_callback=stop)
    assert (res.status, res.success, res.nepoch) == (99, False, 2)
    assert res.message == "`epoch_callback` raised `StopIteration`."
    assert res.x.tobytes() == run(kind, {"epochs": 2}).x.tobytes()


@each_kind
def test_other_exceptions_pass_through_unchanged(kind):
    error = ValueError("mine")
    with pytest.raises(ValueError) as caught:
        run(kind, epoch_callback=Counted(lambda state: None, error, 2))
    assert caught.value is error


def test_it_comes_after_the_callback_of_the_last_iteration():
    calls = []
    run("samples", callback=lambda x: calls.append("iteration"), epoch_callback=lambda state: calls.append("epoch"))
    assert calls == ["iteration", "iteration", "iteration", "epoch"] * 4


def test_an_incomplete_epoch_has_no_call():
    calls = []
    run("samples", {"maxiter": 7}, epoch_callback=lambda state: calls.append(state.nit))
    assert calls == [3, 6]


def test_what_it_returns_is_ignored():
    assert run("samples", epoch_callback=lambda state: True).nepoch == 4


def test_it_may_change_the_learning_rate():
    optimizers = []

    def method(x):
        from fastopt import SGD

        optimizers.append(SGD(x, 0.1))
        return optimizers[0]

    def halve(state):
        optimizers[0].learning_rate /= 2

    res = minimize(squares, X0, jac=True, data=(X, Y), method=method, epoch_callback=halve, options={"epochs": 3})
    assert res.history["learning_rate"].tolist() == [0.1, 0.05, 0.025]


def test_it_sees_the_rate_of_the_last_iteration():
    seen = []
    rate = schedules.piecewise_constant([4], [0.1, 0.01])
    run("samples", {"learning_rate": rate}, epoch_callback=lambda state: seen.append(state.learning_rate))
    assert seen == [0.1, 0.01, 0.01, 0.01]


def test_states_can_be_pickled():
    states = []
    run("samples", epoch_callback=lambda state: states.append(pickle.loads(pickle.dumps(state))))
    assert [each.nepoch for each in states] == [1, 2, 3, 4]
    assert len({each.x.tobytes() for each in states}) == 4


@pytest.mark.parametrize("value", [3, "print", [print]])
def test_refused_if_it_cannot_be_called(value):
    with pytest.raises(TypeError, match=rf"^`epoch_callback` must be callable, got {type(value).__name__}\.$"):
        run("samples", epoch_callback=value)


@each_kind
def test_checkpoint_of_an_epoch_is_written_before_it_is_called(kind, path):
    expected = outcome(run(kind))
    for error in (KeyboardInterrupt(), ValueError("mine")):
        for at in (1, 3):
            with pytest.raises(type(error)):
                run(kind, {"checkpoint": path}, epoch_callback=Counted(lambda state: None, error, at))
            assert _checkpoint.read(path, "minimize")["run"]["nepoch"] == at
            heard = []
            resumed = run(kind, resume=path, epoch_callback=lambda state, heard=heard: heard.append(state.nepoch))
            assert outcome(resumed) == expected
            assert heard == [*range(at + 1, 5)]
            assert outcome(run(kind, resume=path)) == expected


def test_stopped_run_goes_on(path):
    stop = Counted(lambda state: None, StopIteration(), 2)
    run("samples", {"checkpoint": path}, epoch_callback=stop)
    assert outcome(run("samples", resume=path)) == outcome(run("samples"))


def test_through_scipy():
    seen = []
    method = scipy_method("adam", data=(X, Y), learning_rate=0.05, epochs=3, validation=(X[:5], Y[:5]))
    options = {"epoch_callback": lambda state: seen.append(state.validation)}
    res = scipy.optimize.minimize(squares, X0, jac=True, method=method, options=options)
    assert seen == res.history["validation"].tolist()
    assert len(seen) == 3 and not math.isnan(seen[0])
