"""minimize against the contract of scipy.optimize.minimize: callbacks."""

import math

import numpy as np
import pytest
import scipy.optimize
from minimizing import STEPS, Listener, callbacks
from objectives import Counted, Recorded, bowl, bowl_value, outcome
from scipy.optimize import OptimizeResult

from fastopt import minimize


@pytest.mark.parametrize("form", callbacks()[1])
def test_callbacks_are_given_what_scipy_gives_them(form):
    heard, forms = callbacks()
    callback, wants_result = forms[form]
    res = minimize(bowl, np.zeros(3), jac=True, callback=callback, options=STEPS)
    expected = OptimizeResult if wants_result else np.ndarray
    assert [type(each) for each in heard] == [expected] * 5
    last = heard[-1].x if wants_result else heard[-1]
    assert last.tobytes() == res.x.tobytes()
    heard.clear()
    scipy.optimize.minimize(bowl, np.zeros(3), jac=True, callback=callback, method="L-BFGS-B")
    assert {type(each) for each in heard} == {expected}


def test_callback_that_has_no_signature():
    assert minimize(bowl, np.zeros(3), jac=True, callback=max, options=STEPS).nit == 5


def test_intermediate_result_has_x_after_the_step_and_the_value_before_it():
    heard = Listener()
    fun = Recorded(bowl)
    res = minimize(fun, np.zeros(3), jac=True, callback=heard, options={**STEPS, "epoch_length": 2})
    assert [set(each) for each in heard.heard] == [{"x", "fun", "nit", "nepoch"}] * 5
    assert [each.nit for each in heard.heard] == [1, 2, 3, 4, 5]
    assert [each.nepoch for each in heard.heard] == [0, 1, 1, 2, 2]
    points = [x for (x,) in fun.calls]
    assert [each.fun for each in heard.heard] == [bowl_value(x) for x in points[:5]]
    assert [each.x.tolist() for each in heard.heard] == [x.tolist() for x in points[1:]]
    assert res.x.tolist() == points[-1].tolist()


@pytest.mark.parametrize("wants_result", [False, True])
def test_callbacks_are_given_copies(wants_result):
    kept = []

    def spoil(x):
        kept.append(x.copy())
        x[:] = math.nan

    def spoil_result(intermediate_result):
        spoil(intermediate_result.x)

    expected = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    res = minimize(bowl, np.zeros(3), jac=True, callback=spoil_result if wants_result else spoil, options=STEPS)
    assert outcome(res) == outcome(expected)
    assert len({x.tobytes() for x in kept}) == 5


@pytest.mark.parametrize("at", [1, 4, 5])
@pytest.mark.parametrize("form", ["function", "lambda of x"])
def test_callback_ends_the_run_with_stop_iteration(form, at):
    heard, forms = callbacks()
    listen = forms[form][0]
    stop = Counted(lambda *args: None, StopIteration(), at)

    def callback(intermediate_result):
        listen(intermediate_result=intermediate_result)
        stop()

    def callback_of_x(x):
        listen(x)
        stop()

    chosen = callback if form == "function" else callback_of_x
    res = minimize(bowl, np.zeros(3), jac=True, callback=chosen, options={**STEPS, "epoch_length": 2})
    assert (res.status, res.success, res.message) == (99, False, "`callback` raised `StopIteration`.")
    assert (res.nit, res.nepoch, len(heard), res.optimizer.step_count) == (at, at // 2, at, at)
    assert res.fun == bowl_value(res.x)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyError("mine"), FloatingPointError("mine"), SystemExit(3)])
def test_exceptions_of_callbacks_pass_through_unchanged(error):
    with pytest.raises(type(error)) as caught:
        minimize(bowl, np.zeros(3), jac=True, callback=Counted(lambda x: None, error, 3), options=STEPS)
    assert caught.value is error


def test_what_a_callback_returns_is_ignored():
    assert minimize(bowl, np.zeros(3), jac=True, callback=lambda x: True, options=STEPS).nit == 5
