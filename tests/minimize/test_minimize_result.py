"""minimize against the contract of scipy.optimize.minimize: the result."""

import copy
import math
import pickle

import numpy as np
import pytest
from minimizing import STEPS, stop_now
from objectives import bowl, bowl_slope, bowl_value, outcome
from scipy.optimize import OptimizeResult, rosen, rosen_der

import fastopt
from fastopt import minimize


@pytest.mark.parametrize("jac", [None, "3-point", "spsa", bowl_slope])
def test_fields_of_the_result_and_their_types(jac):
    res = minimize(bowl_value, np.zeros(3), jac=jac, method="adam", options=STEPS)
    types_of = {
        "x": np.ndarray, "fun": float, "jac": np.ndarray, "nit": int, "nepoch": int, "nfev": int, "njev": int,
        "success": bool, "status": int, "message": str, "history": dict, "optimizer": fastopt.Adam,
    }  # fmt: skip
    assert isinstance(res, OptimizeResult)
    assert {name: type(value) for name, value in res.items()} == types_of
    dtypes = {name: array.dtype.name for name, array in res.history.items()}
    assert dtypes == {
        "iteration": "int64", "epoch": "int64", "fun": "float64", "learning_rate": "float64", "grad_norm": "float64",
        "time": "float64",
    }  # fmt: skip
    assert res.optimizer.params is res.x
    assert "message: Maximum" in repr(res)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jac", [None, "3-point", "spsa", rosen_der])
def test_fun_is_the_objective_at_x(jac, dtype):
    for extra in ({}, {"average": "polyak", "epoch_length": 2}, {"return_best": True, "epoch_length": 2}):
        res = minimize(rosen, np.array([0.3, -0.4, 0.5], dtype), jac=jac, options=STEPS | extra)
        at = res.x if callable(jac) or jac == "spsa" else res.x.astype(np.float64)
        assert res.fun == float(rosen(at))
        if callable(jac):
            assert res.jac.tobytes() == rosen_der(res.x).tobytes()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda res: pickle.loads(pickle.dumps(res))])
def test_result_can_be_copied_and_pickled(duplicate):
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 5})
    assert outcome(duplicate(res)) == outcome(res)


def test_result_can_go_on_to_be_optimized():
    """x is the array of the optimizer, and no longer read-only for anyone."""
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    before = res.optimizer.step_count
    res.optimizer.step(bowl_slope(res.x))
    assert (before, res.optimizer.step_count) == (5, 6)
    longer = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"maxiter": 6})
    assert res.x.tobytes() == longer.x.tobytes()


REMEDY = "Try a smaller `learning_rate`, `clip_norm` or `clip_value`, or scale the parameters."
UNSETTLED = "The loss has not settled within `tol`."
MAXIMUM = "Maximum number of iterations has been reached."
ENDS = {
    "converged": (
        bowl,
        dict(method="adam", tol=0.1),
        {"maxiter": 10_000},
        (0, True, "Optimization terminated successfully."),
    ),
    "iterations": (bowl, {}, {"maxiter": 3}, (1, True, MAXIMUM)),
    "epochs": (bowl, {}, {"epochs": 3}, (1, True, "Maximum number of epochs has been reached.")),
    "tol missed": (bowl, dict(tol=0.0), {"maxiter": 3}, (1, False, f"{MAXIMUM} {UNSETTLED}")),
    "loss": (
        lambda x: (math.nan, x),
        {},
        {"maxiter": 3},
        (2, False, "The objective is NaN or infinite at the start. Check it at `x0`, and the data."),
    ),
    "gradient": (
        lambda x: (1.0, x * math.inf),
        {},
        {"maxiter": 3},
        (3, False, "The gradient is NaN or infinite at the start. Check it at `x0`, and the data."),
    ),
    "overflow": (
        lambda x: (1.0, np.full(3, -1e150)),
        dict(method="sgd"),
        {"maxiter": 1, "learning_rate": 1e200},
        (4, False, f"The parameters overflowed in iteration 1. {REMEDY}"),
    ),
    "later": (
        lambda x: (1.0 if abs(x).max() < 2 else math.nan, -x),
        dict(method="sgd"),
        {"maxiter": 9, "learning_rate": 0.9},
        (2, False, f"The objective became NaN or infinite in iteration 2. {REMEDY}"),
    ),
    "callback": (bowl, dict(callback=stop_now), {}, (99, False, "`callback` raised `StopIteration`.")),
}


@pytest.mark.parametrize("end", ENDS)
def test_status_success_and_message(end):
    fun, arguments, options, expected = ENDS[end]
    res = minimize(fun, np.ones(3), jac=True, options={"epoch_length": 10, **options}, **arguments)
    assert (res.status, res.success, res.message) == expected


def test_budget_is_the_smaller_one_and_its_default():
    for options, nit, unit in [
        ({"maxiter": 7, "epochs": 1}, 7, "iterations"),
        ({"maxiter": 200, "epochs": 1}, 100, "epochs"),
        ({"maxiter": 100, "epochs": 1}, 100, "iterations"),
        ({}, 10_000, "iterations"),
        ({"maxiter": None, "epochs": None}, 10_000, "iterations"),
    ]:
        res = minimize(bowl, np.zeros(3), jac=True, options=options)
        assert (res.nit, res.message) == (nit, f"Maximum number of {unit} has been reached.")
    res = minimize(bowl, np.zeros(3), jac=True, n_samples=6, batch_size=4)
    assert (res.nit, res.nepoch, res.message) == (200, 100, "Maximum number of epochs has been reached.")
