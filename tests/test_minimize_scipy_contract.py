"""minimize and scipy_method against the contract of scipy.optimize.minimize, point by point."""

import copy
import functools
import inspect
import math
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.optimize
from conftest import OPTIMIZERS
from helpers import exactly, read_only
from hypothesis import given
from hypothesis import strategies as st
from objectives import Counted, Recorded, bowl, bowl_slope, bowl_value, outcome
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, OptimizeWarning, rosen, rosen_der

import fastopt
from fastopt import minimize, schedules, scipy_method
from fastopt._variance_reduced import FINITE_SUM_METHODS

STEPS = {"maxiter": 5, "learning_rate": 0.1}
ONE_STEP = {"maxiter": 1, "learning_rate": 1.0}  # with SGD: the gradient at x0 is x0 - x


def both(fun):
    """Value and gradient of a function of SciPy's, for jac=True."""
    return lambda x, *args: (fun(x, *args), rosen_der(x))


# --- signature -------------------------------------------------------------------------------------------


def test_positional_arguments_stand_where_scipy_has_them():
    ours, theirs = (list(inspect.signature(each).parameters) for each in (minimize, scipy.optimize.minimize))
    assert ours[:5] == theirs[:5] == ["fun", "x0", "args", "method", "jac"]


def test_other_arguments_are_keyword_only_with_scipys_defaults():
    ours, theirs = (inspect.signature(each).parameters for each in (minimize, scipy.optimize.minimize))
    keywords = [each for each in ours.values() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [each.name for each in keywords] == [*ours][5:]
    for name in ("args", "jac", "bounds", "tol", "callback", "options"):
        assert ours[name].default == theirs[name].default
    assert ours["method"].default == "adam"


# --- x0 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x0", "dtype", "size"),
    [
        ([1.0, 2.0], "float64", 2),
        ((1, 2), "float64", 2),
        (np.array([1, 2]), "float64", 2),
        (np.array([1, 2], np.uint8), "float64", 2),
        (np.array([True]), "float64", 1),
        (np.ones(2, np.float32), "float32", 2),
        (np.ones(2, np.float16), "float64", 2),
        (np.ones(2, np.longdouble), "float64", 2),
        (np.ones(2, np.dtype(np.float64).newbyteorder("S")), "float64", 2),
        (np.ones(2, np.dtype(np.float32).newbyteorder("S")), "float32", 2),
        (np.ones(4)[::2], "float64", 2),
        (np.ones(4)[::-2], "float64", 2),
        (3.0, "float64", 1),
        (3, "float64", 1),
        (np.float32(3), "float32", 1),
        (np.array(3.0), "float64", 1),
        ([], "float64", 0),
    ],
    ids=repr,
)
def test_forms_of_x0(x0, dtype, size):
    res = minimize(lambda x: (float(x @ x), 2 * x), x0, jac=True, options=STEPS)
    assert (res.x.dtype.name, res.x.shape) == (dtype, (size,))
    assert (np.abs(res.x) < np.abs(np.atleast_1d(x0))).all()


@pytest.mark.parametrize("x0", [np.ones((2, 2)), np.ones((1, 3)), [[1.0], [2.0]], np.ones((0, 3))], ids=str)
def test_x0_of_two_dimensions_is_refused_in_scipys_words(x0):
    with pytest.raises(ValueError) as theirs:
        scipy.optimize.minimize(bowl_value, x0)
    with pytest.raises(ValueError) as ours:
        minimize(bowl_value, x0)
    assert str(ours.value).startswith(str(theirs.value).rstrip("."))
    assert str(np.shape(x0)) in str(ours.value)


@pytest.mark.parametrize("x0", [[1j], np.ones(2, complex), "weights", ["a"], {1: 2}, [[1.0], [2.0, 3.0]]], ids=repr)
def test_x0_that_is_not_real_is_refused(x0):
    fun = Counted(bowl)
    with pytest.raises(TypeError, match=exactly(f"`x0` must be convertible to an array of real numbers, got {x0!r}.")):
        minimize(fun, x0, jac=True)
    assert fun.calls == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_callers_x0_is_never_written(dtype):
    x0 = np.arange(3, dtype=dtype)
    before = x0.tobytes()
    res = minimize(bowl, x0, jac=True, options=STEPS)
    assert x0.tobytes() == before
    assert not np.shares_memory(res.x, x0)
    assert res.x.tobytes() != before


def test_read_only_x0():
    x0 = np.arange(3.0)
    res = minimize(bowl, read_only(x0), jac=True, options=STEPS)
    assert res.x.tobytes() == minimize(bowl, x0, jac=True, options=STEPS).x.tobytes()
    assert res.x.flags.writeable


# --- what the objective is called with, and what it returns -----------------------------------------------


@pytest.mark.parametrize(
    ("args", "expected"),
    [((), ()), ((3,), (3,)), ((3, "a"), (3, "a")), (3, (3,)), ([3, 4], ([3, 4],)), (None, (None,))],
)
def test_args_are_a_tuple_or_a_single_value(args, expected):
    given = []

    def fun(x, *args):
        given.append(args)
        return bowl_value(x)

    def jac(x, *args):
        given.append(args)
        return bowl_slope(x)

    minimize(fun, np.zeros(3), args, jac=jac, options=STEPS)
    scipy.optimize.minimize(fun, np.zeros(3), args, jac=jac)
    minimize(fun, np.zeros(3), args, options=STEPS)
    assert all(each == expected for each in given)
    given.clear()
    minimize(lambda x, index, *args: fun(x, *args), np.zeros(3), args, n_samples=4, options=STEPS)
    assert all(each == expected for each in given)


def test_x_is_a_read_only_view_in_the_iterations():
    def fun(x):
        x[:] = 0.0
        return bowl(x)

    with pytest.raises(ValueError, match="read-only"):
        minimize(fun, np.zeros(3), jac=True)


@pytest.mark.parametrize("samples", [{}, {"n_samples": 4, "batch_size": 2}, {"data": np.zeros(4), "batch_size": 2}])
def test_x_is_a_read_only_view_in_the_last_evaluation_too(samples):
    writable = []

    def fun(x, *batch):
        writable.append(x.flags.writeable)
        return bowl(x)

    minimize(fun, np.zeros(3), jac=True, options=STEPS, **samples)
    assert len(writable) > 5 and not any(writable)


@pytest.mark.parametrize(
    "value",
    [2.0, 2, np.float64(2), np.float32(2), np.int8(2), np.array(2.0), np.array([2.0]), np.array([[2]]), [2.0]],
    ids=repr,
)
def test_values_that_are_scalars(value):
    for jac in (None, "3-point", "spsa", lambda x: np.zeros_like(x)):
        res = minimize(lambda x: value, np.ones(2), jac=jac, options=STEPS)
        assert type(res.fun) is float and res.fun == 2.0
    res = minimize(lambda x: (value, np.zeros_like(x)), np.ones(2), jac=True, options=STEPS)
    assert type(res.fun) is float and res.fun == 2.0


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        ("a", "'a'"),
        (1j, "1j"),
        ([1.0, 2.0], "an array of shape (2,)"),
        (np.ones(3), "an array of shape (3,)"),
        ([], "an array of shape (0,)"),
    ],
    ids=repr,
)
def test_values_that_are_not_scalars_are_refused_in_scipys_words(value, got):
    message = "The user-provided objective function must return a scalar value"
    with pytest.raises((ValueError, TypeError)) as theirs:
        scipy.optimize.minimize(lambda x: value, np.ones(2), method="BFGS")
    if isinstance(value, (list, np.ndarray)):
        assert message in str(theirs.value)
    for fun, jac in [
        (lambda x: value, None),
        (lambda x: value, "spsa"),
        (lambda x: value, bowl_slope),
        (lambda x: (value, bowl_slope(x)), True),
    ]:
        with pytest.raises(ValueError, match=exactly(f"{message}, got {got}.")):
            minimize(fun, np.ones(3), jac=jac)


# --- gradients -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fun", "jac", "tolerance"),
    [
        (both(rosen), True, 0),
        (rosen, rosen_der, 0),
        (rosen, None, 1e-3),
        (rosen, False, 1e-3),
        (rosen, "2-point", 1e-3),
        (rosen, "3-point", 1e-5),
    ],
)
def test_gradients_against_the_analytic_one(fun, jac, tolerance, rng):
    options = {"maxiter": 1, "learning_rate": 2.0**-10}
    for _ in range(5):
        x0 = rng.uniform(-2, 2, 4)
        res = minimize(fun, x0, (), "sgd", jac, options=options)
        assert (x0 - res.x) * 2**10 == pytest.approx(rosen_der(x0), rel=1e-12, abs=tolerance + 1e-10)
        assert res.jac == pytest.approx(rosen_der(res.x), rel=1e-12, abs=tolerance)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_differences_are_taken_in_double_precision(jac):
    """Steps of the size of float64's rounding would vanish in float32."""
    fun = Recorded(bowl_value)
    x0 = np.array([100.0, -3.0, 7.0], np.float32)
    res = minimize(fun, x0, method="sgd", jac=jac, options={"maxiter": 1, "learning_rate": 0.5})
    assert {x.dtype.name for (x,) in fun.calls} == {"float64"}
    assert (res.x.dtype.name, res.jac.dtype.name) == ("float32", "float32")
    assert x0 - res.x == pytest.approx(0.5 * bowl_slope(x0), rel=1e-5)


def test_central_differences_are_exact_for_a_cubic_to_the_error_of_their_order():
    x0 = np.array([1.0, -2.0])
    forward, central = (
        x0 - minimize(lambda x: float((x**3).sum()), x0, method="sgd", jac=jac, options=ONE_STEP).x
        for jac in ("2-point", "3-point")
    )
    assert np.abs(central - 3 * x0**2).max() < 1e-9 < np.abs(forward - 3 * x0**2).max() < 1e-6


@pytest.mark.parametrize("form", [list, tuple])
def test_gradient_as_list_or_tuple_has_the_bits_of_an_array(form):
    expected = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    combined = minimize(lambda x: (bowl_value(x), form(bowl_slope(x).tolist())), np.zeros(3), jac=True, options=STEPS)
    separate = minimize(bowl_value, np.zeros(3), jac=lambda x: form(bowl_slope(x)), options=STEPS)
    assert outcome(combined) == outcome(separate) == outcome(expected)


@pytest.mark.parametrize("form", [list, tuple])
def test_gradient_as_list_or_tuple_is_an_array_in_the_result(form):
    for samples in ({}, {"n_samples": 4}):
        res = minimize(bowl_value, np.zeros(3), jac=lambda x, *_: form(bowl_slope(x)), options=STEPS, **samples)
        assert isinstance(res.jac, np.ndarray) and res.jac.dtype == np.float64


@pytest.mark.parametrize("gradient", [2.0, np.float64(2.0), 2, [2.0]], ids=repr)
def test_plain_number_as_gradient_of_one_parameter(gradient):
    res = minimize(lambda x: (1.0, gradient), 3.0, method="sgd", jac=True, options=ONE_STEP)
    assert res.x.tolist() == [1.0]


@pytest.mark.parametrize("part", [slice(None), slice(None, None, -1)], ids=str)
def test_gradient_may_be_x_itself(part):
    """The gradient of x @ x / 2; the step must not see it change, nor the caller get a view of the parameters."""
    for samples in ({}, {"n_samples": 4}):
        arguments = dict(jac=True, options=STEPS, **samples)
        expected = minimize(lambda x, *_, part=part: (1.0, x[part].copy()), np.arange(3.0), **arguments)
        res = minimize(lambda x, *_, part=part: (1.0, x[part]), np.arange(3.0), **arguments)
        assert outcome(res) == outcome(expected)
        assert res.jac.tolist() == expected.jac.tolist()
        assert not np.shares_memory(res.jac, res.x) and res.jac.flags.writeable


def test_value_and_gradient_in_a_list():
    expected = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    assert outcome(minimize(lambda x: list(bowl(x)), np.zeros(3), jac=True, options=STEPS)) == outcome(expected)


@pytest.mark.parametrize("container", [sparse.coo_array, sparse.coo_matrix])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
def test_gradient_of_every_sparse_format(form, container):
    def fun(x):
        return bowl_value(x), container(bowl_slope(x)[None]).asformat(form)

    options = STEPS | {"epoch_length": 2}
    dense = minimize(bowl, np.zeros(3), jac=True, options=options)
    res = minimize(fun, np.zeros(3), jac=True, options=options)
    assert res.x.tobytes() == dense.x.tobytes()
    assert res.history["grad_norm"] == pytest.approx(dense.history["grad_norm"], rel=1e-15)
    assert res.jac.toarray().ravel().tolist() == dense.jac.tolist()


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (np.ones(2), ValueError, "must have the shape (3,) of its parameter, got (2,)."),
        (np.ones((3, 1)), ValueError, "must have the shape (3,) of its parameter, got (3, 1)."),
        ([1.0], ValueError, "must have the shape (3,) of its parameter, got (1,)."),
        (1.0, ValueError, "must have the shape (3,) of its parameter, got (1,)."),
        (np.ones(3, np.float32), TypeError, "must be float64 like its parameter, got float32"),
        (np.ones(3, np.int64), TypeError, "must be float64 like its parameter, got int64"),
        (np.ones(3, complex), TypeError, "must be float64 like its parameter, got complex128"),
        (None, TypeError, "must be a NumPy array, got NoneType"),
        ("abc", TypeError, "must be a NumPy array, got str"),
    ],
    ids=repr,
)
def test_gradient_that_does_not_fit_is_refused_at_the_first_call(gradient, error, message):
    for fun, jac in [(lambda x: (1.0, gradient), True), (lambda x: 1.0, lambda x: gradient)]:
        fun = Counted(fun)
        with pytest.raises(error) as caught:
            minimize(fun, np.ones(3), jac=jac)
        assert message in str(caught.value)
        assert fun.calls == 1


@pytest.mark.parametrize("returned", [1.0, np.float64(1.0), None, (1.0,), (1.0, 2.0, 3.0), np.ones(3)], ids=repr)
def test_objective_without_gradient_is_told_about_jac(returned):
    message = (
        f"`fun` must return (value, gradient) with jac=True, got {type(returned).__name__}; "
        "pass jac=None for a function that returns its value alone."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        minimize(lambda x: returned, np.ones(3), jac=True)


# --- the result ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", [None, "3-point", "spsa", bowl_slope])
def test_fields_of_the_result_and_their_types(jac):
    res = minimize(bowl_value, np.zeros(3), jac=jac, options=STEPS)
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
    res = minimize(bowl, np.zeros(3), method=None, jac=True, options={"maxiter": 5})
    assert outcome(duplicate(res)) == outcome(res)


def test_result_can_go_on_to_be_optimized():
    """x is the array of the optimizer, and no longer read-only for anyone."""
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    before = res.optimizer.step_count
    res.optimizer.step(bowl_slope(res.x))
    assert (before, res.optimizer.step_count) == (5, 6)
    longer = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"maxiter": 6})
    assert res.x.tobytes() == longer.x.tobytes()


def stop_now(x):
    raise StopIteration


REMEDY = "Try a smaller `learning_rate`, `clip_norm` or `clip_value`, or scale the data."
ENDS = {
    "converged": (bowl, dict(tol=0.1), {"maxiter": 10_000}, (0, True, "Optimization terminated successfully.")),
    "iterations": (bowl, {}, {"maxiter": 3}, (1, True, "Maximum number of iterations has been reached.")),
    "epochs": (bowl, {}, {"epochs": 3}, (1, True, "Maximum number of epochs has been reached.")),
    "tol missed": (bowl, dict(tol=0.0), {"maxiter": 3}, (1, False, "Maximum number of iterations has been reached.")),
    "loss": (
        lambda x: (math.nan, x),
        {},
        {"maxiter": 3},
        (2, False, f"The objective became NaN or infinite in iteration 0. {REMEDY}"),
    ),
    "gradient": (
        lambda x: (1.0, x * math.inf),
        {},
        {"maxiter": 3},
        (3, False, f"The gradient became NaN or infinite in iteration 0. {REMEDY}"),
    ),
    "overflow": (
        lambda x: (1.0, np.full(3, -1e150)),
        dict(method="sgd"),
        {"maxiter": 1, "learning_rate": 1e200},
        (4, False, f"The parameters overflowed in iteration 1. {REMEDY}"),
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


# --- options ---------------------------------------------------------------------------------------------


def test_unknown_options_are_a_warning_in_scipys_words_at_the_callers_line():
    unknown = {"lr": 0.1, "gtol": 1e-3}
    with pytest.warns(OptimizeWarning) as theirs:
        scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method="L-BFGS-B", options={"lr": 0.1, "gtal": 1e-3})
    with pytest.warns(OptimizeWarning) as ours:
        res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | unknown)
    assert [str(each.message) for each in theirs] == ["Unknown solver options: lr, gtal"]
    assert [str(each.message) for each in ours] == ["Unknown solver options: lr, gtol"]
    assert ours[0].filename == __file__
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), jac=True, options=STEPS))


def test_hyperparameters_of_another_method_are_unknown_options():
    with pytest.warns(OptimizeWarning, match="^Unknown solver options: momentum$"):
        minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"momentum": 0.9})
    with pytest.warns(OptimizeWarning, match="^Unknown solver options: learning_rate$"):
        minimize(bowl, np.zeros(3), jac=True, method=lambda x: fastopt.SGD(x), options=STEPS)


def test_callers_options_stay_as_they_are():
    options = {**STEPS, "epochs": 3, "beta_1": 0.8, "average": "ema"}
    before = dict(options)
    minimize(bowl, np.zeros(3), jac=True, options=options)
    scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), options=options)
    assert options == before


BAD_ARGUMENTS = {
    "fun": ({"fun": 3.0}, TypeError, "`fun` must be callable, got float."),
    "jac": ({"jac": "cs"}, ValueError, '`jac` must be True, a callable, None, "2-point", "3-point" or "spsa"'),
    "jac array": ({"jac": np.ones(3)}, ValueError, "`jac` must be True, a callable, None"),
    "callback": ({"callback": 3}, TypeError, "`callback` must be callable, got int."),
    "tol": ({"tol": -1.0}, ValueError, "`tol` must be in [0, inf), got -1.0."),
    "tol nan": ({"tol": math.nan}, ValueError, "`tol` must be in [0, inf), got nan."),
    "tol str": ({"tol": "small"}, TypeError, "`tol` must be a real number, got 'small'."),
    "method": ({"method": 3}, TypeError, "`method` must be a name, an Optimizer class or a callable"),
    "instance": ({"method": fastopt.Adam(np.ones(3))}, TypeError, "`method` must be a name, an Optimizer class"),
    "base class": ({"method": fastopt.Optimizer}, TypeError, "Optimizer is a base class without an update rule"),
    "options": ({"options": [("maxiter", 3)]}, TypeError, "`options` must be a dict, got list."),
    "bounds": ({"bounds": [(0, 1)]}, ValueError, "The length of `bounds` must be that of `x0`, 3, got 1."),
    "rng": ({"rng": 1.5}, TypeError, "`rng` must be None, a non-negative integer or a numpy.random.Generator"),
    "resume": ({"resume": 3}, TypeError, "`resume` must be"),
    "resume missing": ({"resume": "no such file"}, FileNotFoundError, "no such file"),
}
BAD_OPTIONS = {
    "maxiter": [(-1, ValueError, "a non-negative integer, got -1"), (1.5, TypeError, "an integer, got 1.5")],
    "epochs": [(-1, ValueError, "a non-negative integer, got -1"), (True, TypeError, "an integer, got True")],
    "epoch_length": [(0, ValueError, "a positive integer, got 0")],
    "patience": [(0, ValueError, "a positive integer, got 0"), ("3", TypeError, "an integer, got '3'")],
    "average": [("mean", ValueError, "one of 'polyak', 'ema', got 'mean'"), (True, ValueError, "one of 'polyak'")],
    "average_start": [(-1, ValueError, "a non-negative integer, got -1")],
    "average_decay": [(1.0, ValueError, "in [0, 1), got 1.0"), (-0.1, ValueError, "in [0, 1), got -0.1")],
    "return_best": [(1, TypeError, "True or False, got 1")],
    "spsa_step": [(0.0, ValueError, "in (0, inf), got 0.0"), (math.inf, ValueError, "in (0, inf), got inf")],
    "progress": [(1, TypeError, "True or False, got 1")],
    "checkpoint": [(3, TypeError, ""), ("no such folder/run.npz", FileNotFoundError, "a file in a folder that exists")],
    "checkpoint_every": [(0, ValueError, "a positive integer, got 0")],
    # Hyper-parameters of the method.
    "learning_rate": [(-1.0, ValueError, "in [0, inf), got -1.0"), ("fast", TypeError, "a real number or a callable")],
    "beta_1": [(1.0, ValueError, "in [0, 1), got 1.0")],
    "amsgrad": [(1, TypeError, "True or False, got 1")],
    "nonfinite": [("stop", ValueError, "one of 'propagate', 'skip', 'raise', got 'stop'")],
    "clip_norm": [(0.0, ValueError, "in (0, inf), got 0.0")],
    "num_threads": [(0, ValueError, "a positive integer, got 0")],
}


@pytest.mark.parametrize("fault", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_before_the_first_evaluation(fault):
    arguments, error, message = BAD_ARGUMENTS[fault]
    fun = Counted(bowl)
    with pytest.raises(error) as caught:
        minimize(**{"fun": fun, "x0": np.zeros(3), "jac": True, **arguments})
    assert message in str(caught.value)
    assert fun.calls == 0


@pytest.mark.parametrize(
    ("name", "fault"), [(name, k) for name, faults in BAD_OPTIONS.items() for k in range(len(faults))]
)
def test_bad_options_are_refused_before_the_first_evaluation(name, fault):
    value, error, message = BAD_OPTIONS[name][fault]
    fun = Counted(bowl)
    with pytest.raises(error) as caught:
        minimize(fun, np.zeros(3), jac=True, options={name: value})
    assert str(caught.value).startswith(f"`{name}` must be {message}")
    assert fun.calls == 0


# --- callbacks -------------------------------------------------------------------------------------------


class Listener:
    """Callbacks in all forms; each keeps what it was called with."""

    def __init__(self):
        self.heard = []

    def takes_result(self, intermediate_result):
        self.heard.append(intermediate_result)

    def takes_x(self, xk):
        self.heard.append(xk)

    def takes_more(self, intermediate_result, more=None):
        self.heard.append(intermediate_result)

    def __call__(self, intermediate_result):
        self.heard.append(intermediate_result)


def callbacks():
    listener = Listener()
    heard = listener.heard

    def function(intermediate_result):
        heard.append(intermediate_result)

    def keyword_only(*, intermediate_result):
        heard.append(intermediate_result)

    def with_owner(owner, intermediate_result):
        owner.append(intermediate_result)

    return heard, {
        "function": (function, True),
        "keyword only": (keyword_only, True),
        "bound method": (listener.takes_result, True),
        "callable object": (listener, True),
        "partial": (functools.partial(with_owner, heard), True),
        "lambda of a result": (lambda intermediate_result: heard.append(intermediate_result), True),
        "lambda of x": (lambda x: heard.append(x), False),
        "bound method of x": (listener.takes_x, False),
        "second parameter": (listener.takes_more, False),
        "partial with keyword": (functools.partial(listener.takes_more, more=1), False),
        "builtin": (heard.append, False),
    }


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


# --- bounds ----------------------------------------------------------------------------------------------

INSIDE = np.full(3, 0.25)
BOUNDS = {
    "Bounds": Bounds([0, 0, 0.0], [0.5, 2, 0.5]),
    "arrays of one": Bounds([0.0], [0.5]),
    "scalars": Bounds(0, 0.5),
    "infinite": Bounds(-np.inf, [0.5, np.inf, 0.5]),
    "pairs": [(0, 0.5), (0.0, 2), (None, 0.5)],
    "tuple": ((0, 0.5), (0, None), (None, None)),
    "array": np.array([[0, 0.5], [0, 2], [0, 0.5]]),
    "no bounds": [(None, None)] * 3,
    "zip": zip([0, 0, 0], [0.5, 2, 0.5], strict=True),
}


@pytest.mark.parametrize("form", [form for form in BOUNDS if form != "zip"])
def test_forms_of_bounds(form):
    options = {"maxiter": 100, "learning_rate": 0.1}
    res = minimize(bowl, INSIDE, method="sgd", jac=True, bounds=BOUNDS[form], options=options)
    theirs = scipy.optimize.minimize(bowl, INSIDE, method="L-BFGS-B", jac=True, bounds=BOUNDS[form])
    assert res.x == pytest.approx(theirs.x, abs=1e-4)


def test_bounds_from_an_iterator():
    assert minimize(bowl, INSIDE, jac=True, bounds=BOUNDS["zip"], options=STEPS).success


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1)], "The length of `bounds` must be that of `x0`, 3, got 1."),
        ([(0, 1)] * 4, "The length of `bounds` must be that of `x0`, 3, got 4."),
        ([(0, 1, 2)] * 3, "`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got"),
        (3, "`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got 3."),
        ("abc", "`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got 'abc'."),
        ([(0, "b")] * 3, "`bounds` must give a lower and an upper end for each of the 3 parameters, got"),
        ([(0, 1j)] * 3, "`bounds` must give a lower and an upper end for each of the 3 parameters, got"),
        (Bounds([0, 0], [1, 1]), "`bounds` must give a lower and an upper end for each of the 3 parameters, got"),
        ([(0, 1), (0, math.nan), (0, 1)], "`bounds` must not be NaN; None or infinity stands for no bound."),
        ([(0, 1), (0, 1), (2, 1)], "`bounds` must not have a lower end above the upper one, got (2.0, 1.0) at 2."),
        (Bounds(1, 0), "`bounds` must not have a lower end above the upper one, got (1.0, 0.0) at 0."),
    ],
    ids=repr,
)
def test_malformed_and_infeasible_bounds_are_refused(bounds, message):
    fun = Counted(bowl)
    with pytest.raises(ValueError) as caught:
        minimize(fun, INSIDE, jac=True, bounds=bounds)
    assert str(caught.value).startswith(message)
    assert fun.calls == 0


def test_starting_point_outside_is_moved_with_a_warning_at_the_callers_line():
    fun = Recorded(bowl)
    x0 = np.array([-3.0, 0.5, 9.0])
    with pytest.warns(OptimizeWarning, match="^Initial guess is not within the specified bounds") as warned:
        minimize(fun, x0, jac=True, bounds=[(0, 1)] * 3, options=STEPS)
    assert [each.filename for each in warned] == [__file__]
    assert fun.calls[0][0].tolist() == [0.0, 0.5, 1.0]
    assert x0.tolist() == [-3.0, 0.5, 9.0]


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_iterate_is_inside(method, dtype):
    """The minimum is outside on both sides, and the steps are large."""
    low, high = np.array([-0.5, -1.0, -np.inf]), np.array([0.5, np.inf, 0.25])
    fun, heard = Recorded(bowl), []
    options = {"maxiter": 30, "learning_rate": 0.5, "average": "polyak", "epoch_length": 10}
    x0 = np.zeros(3, dtype)
    res = minimize(fun, x0, method=method, jac=True, bounds=Bounds(low, high), callback=heard.append, options=options)
    points = [x for (x,) in fun.calls] + heard + [res.x]
    assert all((low <= x).all() and (x <= high).all() for x in points)
    assert len(points) == 62


def test_iterates_in_single_precision_are_inside_bounds_that_it_cannot_hold():
    """The float32 next to 0.1 is above 0.1."""
    fun = Recorded(lambda x: (0.0, np.ones_like(x)))
    minimize(fun, np.zeros(2, np.float32), method="sgd", jac=True, bounds=Bounds([-0.7, -np.inf], [0.1, 0.1]),
             options={"learning_rate": 10.0, "maxiter": 2})  # fmt: skip
    fun = Recorded(lambda x: (0.0, -np.ones_like(x)))
    minimize(fun, np.zeros(2, np.float32), method="sgd", jac=True, bounds=Bounds([-0.7, -np.inf], [0.1, 0.1]),
             options={"learning_rate": 10.0, "maxiter": 2})  # fmt: skip
    assert all(float(x[0]) >= -0.7 and float(x.max()) <= 0.1 for (x,) in fun.calls)


def test_bounds_beyond_single_precision_are_none():
    res = minimize(bowl, np.zeros(3, np.float32), jac=True, bounds=[(-1e300, 1e300)] * 3, options=STEPS)
    assert res.x.tobytes() == minimize(bowl, np.zeros(3, np.float32), jac=True, options=STEPS).x.tobytes()


@pytest.mark.parametrize("jac", [None, "3-point", "spsa"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_evaluation_is_outside_the_bounds(jac, dtype, rng):
    low, high = np.array([-0.5, -1.0, 0.25]), np.array([0.5, np.inf, 0.5])
    for _ in range(5):
        fun = Recorded(bowl_value)
        x0 = np.clip(rng.uniform(-1, 1, 3), low, high).astype(dtype)
        minimize(fun, x0, jac=jac, bounds=Bounds(low, high), rng=rng, options=STEPS | {"spsa_step": 0.4})
        assert all((low <= x).all() and (x <= high).all() for (x,) in fun.calls)


@pytest.mark.parametrize("jac", [None, "3-point", "spsa"])
@pytest.mark.parametrize("width", [0.0, 1e-10, 1e-6], ids=str)
def test_no_evaluation_is_outside_narrow_bounds(jac, width):
    """A parameter that is fixed, or has less room than a step of the differences."""
    low = np.array([-1.0, 0.5, -1.0])
    high = np.array([1.0, 0.5 + width, 1.0])
    fun = Recorded(bowl_value)
    res = minimize(fun, np.array([0.0, 0.5 + width / 3, 0.0]), jac=jac, bounds=Bounds(low, high), options=STEPS)
    assert all((low <= x).all() and (x <= high).all() for (x,) in fun.calls)
    assert np.isfinite(res.x).all() and np.isfinite(res.jac).all()


@pytest.mark.parametrize("jac", [None, "3-point"])
def test_no_evaluation_is_outside_bounds_that_are_close_to_each_other_and_to_zero(jac):
    """It is 1e-9 - 1e-20 to the lower one, which is rounded to 1e-9; a step of that length takes the log of 0."""
    fun = Recorded(lambda x: float(np.log(x[0])))
    res = minimize(fun, 1e-9, jac=jac, bounds=[(1e-20, 1e-9)], options={"maxiter": 2, "learning_rate": 0.0})
    assert all(1e-20 <= x[0] <= 1e-9 for (x,) in fun.calls)
    assert res.success


@given(
    jac=st.sampled_from([None, "3-point", "spsa"]),
    low=st.floats(-1e3, 1e3),
    width=st.sampled_from([0.0, 1e-14, 1e-9, 1e-8, 1.5e-8, 1e-6, 1e-5, 1.0]),
    position=st.floats(0, 1),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_no_evaluation_is_outside_any_bounds(jac, low, width, position, dtype):
    """Sums of a parameter and a step are rounded, too."""
    low = np.array([low, -1.0])
    high = low + width * np.maximum(1, np.abs(low))
    if dtype == "float32" and (low.astype(dtype) != high.astype(dtype)).any():
        low, high = low.astype(dtype).astype(float), high.astype(dtype).astype(float)
    elif dtype == "float32":
        low = high = low.astype(dtype).astype(float)
    fun = Recorded(lambda x: float(np.sin(x).sum()))
    x0 = np.clip(low + position * (high - low), low, high).astype(dtype)
    res = minimize(fun, x0, jac=jac, bounds=Bounds(low, high), options={"maxiter": 2, "learning_rate": 0.1})
    assert all((low <= x).all() and (x <= high).all() for (x,) in fun.calls)
    assert np.isfinite(res.jac).all()


def test_gradients_at_the_bounds():
    """Differences are taken to the other side there, and are still right."""
    x0 = np.array([1.0, -1.0, 0.0])
    for jac in (None, "3-point"):
        res = minimize(
            rosen, x0, method="sgd", jac=jac, bounds=Bounds(-1, 1), options={"learning_rate": 0.0, "maxiter": 1}
        )
        assert res.jac == pytest.approx(rosen_der(x0), rel=1e-5)


# --- what it prints --------------------------------------------------------------------------------------


def test_silent_by_default(capfd):
    minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"disp": False})
    assert capfd.readouterr() == ("", "")


def test_disp_prints_a_summary(capfd):
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"disp": True})
    lines = capfd.readouterr().out.splitlines()
    assert lines == [
        res.message,
        f"         Current function value: {res.fun:f}",
        "         Iterations: 5",
        "         Epochs: 0",
        "         Function evaluations: 6",
        "         Gradient evaluations: 6",
    ]


class Bar:
    """What minimize uses of tqdm."""

    made = None

    def __init__(self, **arguments):
        self.arguments, self.updates, self.postfix, self.closed = arguments, 0, [], 0
        Bar.made = self

    def update(self, n=1):
        self.updates += n

    def set_postfix(self, **postfix):
        self.postfix.append(postfix["fun"])

    def close(self):
        self.closed += 1


@pytest.fixture
def bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))


def test_progress_is_a_bar_over_iterations(bar):
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"progress": True, "epoch_length": 2})
    assert (Bar.made.arguments["total"], Bar.made.arguments["initial"]) == (5, 0)
    assert (Bar.made.updates, Bar.made.closed) == (5, 1)
    assert Bar.made.postfix == [f"{loss:.6g}" for loss in res.history["fun"][:2]]


def test_progress_of_a_resumed_run_begins_where_it_was(bar, tmp_path):
    path = tmp_path / "run.npz"
    minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"checkpoint": path, "maxiter": 3})
    minimize(bowl, np.zeros(3), jac=True, resume=path, options=STEPS | {"progress": True})
    assert (Bar.made.arguments["total"], Bar.made.arguments["initial"], Bar.made.updates) == (5, 3, 2)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), StopIteration()])
def test_progress_bar_is_closed_whatever_happens(bar, error):
    arguments = dict(jac=True, options=STEPS | {"progress": True}, callback=Counted(lambda x: None, error, 3))
    if isinstance(error, StopIteration):
        minimize(bowl, np.zeros(3), **arguments)
    else:
        with pytest.raises(type(error)):
            minimize(bowl, np.zeros(3), **arguments)
    assert (Bar.made.closed, Bar.made.updates) == (1, 3)


def test_progress_with_the_real_tqdm(capfd):
    pytest.importorskip("tqdm")
    minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"progress": True})
    out, err = capfd.readouterr()
    assert out == "" and "5/5" in err


def test_progress_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fun = Counted(bowl)
    with pytest.raises(ImportError, match=exactly("`progress` needs tqdm, which is not installed; "
                                                  'pip install "fastopt[progress]".')):  # fmt: skip
        minimize(fun, np.zeros(3), jac=True, options={"progress": True})
    assert fun.calls == 0
    minimize(fun, np.zeros(3), jac=True, options=STEPS)


# --- methods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_method_by_name_class_or_callable(name):
    cls = OPTIMIZERS[name]
    options = {"maxiter": 5, "learning_rate": 0.01}
    expected = minimize(bowl, np.zeros(3), jac=True, method=name, options=options)
    assert type(expected.optimizer) is cls
    for method in (name.upper(), name.title(), cls):
        assert outcome(minimize(bowl, np.zeros(3), jac=True, method=method, options=options)) == outcome(expected)
    for method in (lambda x: cls(x, 0.01), functools.partial(cls, learning_rate=0.01)):
        res = minimize(bowl, np.zeros(3), jac=True, method=method, options={"maxiter": 5})
        assert outcome(res) == outcome(expected)


def test_own_optimizer_class_is_a_method():
    class Mine(fastopt.Adam):
        """Its options are those of its base."""

    res = minimize(bowl, np.zeros(3), jac=True, method=Mine, options=STEPS | {"beta_1": 0.5})
    assert type(res.optimizer) is Mine
    expected = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"beta_1": 0.5})
    assert res.x.tobytes() == expected.x.tobytes()


def test_method_none_is_adam_with_a_rate_that_falls_over_the_budget():
    res = minimize(bowl, np.zeros(3), jac=True, method=None, options={"maxiter": 40, "epoch_length": 10})
    schedule = schedules.cosine_decay(0.05, 40)
    expected = minimize(
        bowl, np.zeros(3), jac=True, options={"maxiter": 40, "epoch_length": 10, "learning_rate": schedule}
    )
    assert type(res.optimizer) is fastopt.Adam
    assert outcome(res) == outcome(expected)
    assert res.history["learning_rate"].tolist() == [schedule(t) for t in (9, 19, 29, 39)]


def test_method_none_counts_its_budget_in_epochs_over_samples():
    arguments = dict(jac=True, n_samples=10, batch_size=4, rng=0)
    res = minimize(bowl, np.zeros(3), method=None, options={"epochs": 5}, **arguments)
    schedule = schedules.cosine_decay(0.05, 15)
    expected = minimize(bowl, np.zeros(3), options={"epochs": 5, "learning_rate": schedule}, **arguments)
    assert outcome(res) == outcome(expected)


def test_method_none_takes_options_of_adam():
    res = minimize(bowl, np.zeros(3), jac=True, method=None, options=STEPS | {"beta_1": 0.5, "amsgrad": True})
    expected = minimize(bowl, np.zeros(3), jac=True, method="adam", options=STEPS | {"beta_1": 0.5, "amsgrad": True})
    assert outcome(res) == outcome(expected)
    assert minimize(bowl, np.zeros(3), jac=True, method=None, options={"maxiter": 0}).nit == 0


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("adem", "adam"), ("RMSProb", "rmsprop"), ("momentum sgd", None), ("L-BFGS-B", None), ("", None), ("SDG", "sgd")],
)
def test_unknown_method_lists_the_valid_ones(name, suggestion):
    fun = Counted(bowl)
    remedy = f" Did you mean {suggestion!r}?" if suggestion else ""
    names = ", ".join([*OPTIMIZERS, *FINITE_SUM_METHODS])
    message = f"`method` must be one of {names}, got {name!r}.{remedy}"
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(fun, np.zeros(3), jac=True, method=name)
    assert fun.calls == 0


@pytest.mark.parametrize(
    "method",
    [
        lambda x: None,
        lambda x: x,
        lambda x: fastopt.Adam,
        lambda x: fastopt.Adam(x.copy()),
        lambda x: fastopt.Adam([x]),
        lambda x: fastopt.Adam(x[:2]),
    ],
    ids=["None", "x", "a class", "of a copy", "of a list", "of a part"],
)
def test_callable_that_makes_something_else_is_refused(method):
    fun = Counted(bowl)
    with pytest.raises(TypeError) as caught:
        minimize(fun, np.zeros(3), jac=True, method=method)
    assert str(caught.value).startswith(
        "`method` must return a fastopt optimizer of the array it is called with, such as fastopt.Adam(x), got "
    )
    assert fun.calls == 0


def test_exception_of_a_callable_passes_through():
    with pytest.raises(ZeroDivisionError):
        minimize(bowl, np.zeros(3), jac=True, method=lambda x: fastopt.Adam(x, 1 / 0))


def test_hyperparameters_are_options():
    x = np.zeros(3)
    opt = fastopt.SGD(x, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1, clip_norm=0.5, clip_value=0.4)
    for _ in range(5):
        opt.step(bowl_slope(x))
    options = {
        "maxiter": 5, "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "clip_norm": 0.5,
        "clip_value": 0.4, "num_threads": 1, "sparse": "exact",
    }  # fmt: skip
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options=options)
    assert res.x.tobytes() == x.tobytes()


def test_maximize_goes_uphill():
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"maximize": True})
    assert res.fun > bowl_value(np.zeros(3))


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.constant(0.1),
        schedules.cosine_decay(0.1, 20),
        schedules.warmup(0.1, 7),
        schedules.one_cycle(0.1, 20),
        schedules.piecewise_constant([5, 11], [0.1, 0.05, 0.01]),
        lambda t: 0.1 / (t + 1),
    ],
    ids=str,
)
def test_schedules_as_learning_rate(schedule):
    x = np.zeros(3)
    opt = fastopt.Adam(x, schedule)
    for _ in range(20):
        opt.step(bowl_slope(x))
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 20, "epoch_length": 5, "learning_rate": schedule})
    assert res.x.tobytes() == x.tobytes()
    assert res.history["learning_rate"].tolist() == [schedule(t) for t in (4, 9, 14, 19)]


def test_schedule_that_gives_nonsense_is_refused():
    for rate in (-1.0, math.nan, "fast"):
        with pytest.raises((TypeError, ValueError), match=r"`learning_rate\(0\)` must be"):
            minimize(bowl, np.zeros(3), jac=True, options={"learning_rate": lambda t, rate=rate: rate})


# --- through scipy.optimize.minimize -----------------------------------------------------------------------


def test_scipys_memory_of_the_last_x_is_taken_off():
    """A gradient of zero leaves x where it is; SciPy's wrapper would return the first batch for ever."""
    drawn = Counted(lambda x: (1.0, np.zeros_like(x)))
    losses = []
    res = scipy.optimize.minimize(
        drawn, np.zeros(3), jac=True, method=scipy_method("sgd"), options={"maxiter": 25},
        callback=lambda intermediate_result: losses.append(intermediate_result.fun),
    )  # fmt: skip
    assert (drawn.calls, res.nfev, res.nit, len(losses)) == (26, 26, 25, 25)
    noise = np.random.default_rng(0)
    res = scipy.optimize.minimize(
        lambda x: (noise.standard_normal(), np.zeros_like(x)), np.zeros(3), jac=True, method=scipy_method(),
        options={"maxiter": 20, "epoch_length": 1},
    )  # fmt: skip
    assert len(set(res.history["fun"])) == 20


@pytest.mark.parametrize("kind", ["combined", "separate", "differences"])
@pytest.mark.parametrize("args", [(), (2.0,), (2.0, 3.0)], ids=str)
def test_adapter_gives_the_bits_of_minimize(kind, args):
    def value(x, *args):
        return bowl_value(x) * (1 + len(args)) + sum(args)

    def slope(x, *args):
        return bowl_slope(x) * (1 + len(args))

    fun, jac = {
        "combined": (lambda x, *args: (value(x, *args), slope(x, *args)), True),
        "separate": (value, slope),
        "differences": (value, None),
    }[kind]
    expected = minimize(fun, np.zeros(3), args, "adamw", jac, options=STEPS)
    for hyper, options in [({}, STEPS), (STEPS, {}), ({"learning_rate": 7.0, "maxiter": 9}, STEPS)]:
        method = scipy_method("adamw", **hyper)
        res = scipy.optimize.minimize(fun, np.zeros(3), args, method, jac, options=options)
        assert outcome(res) == outcome(expected)
        assert (res.nfev, res.njev, res.jac.tolist()) == (expected.nfev, expected.njev, expected.jac.tolist())


@pytest.mark.parametrize("name", [*OPTIMIZERS, "ADAM", fastopt.Lion, None, lambda x: fastopt.SGD(x, 0.1)])
def test_adapter_takes_every_method(name):
    res = scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(name), options={"maxiter": 3})
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), method=name, jac=True, options={"maxiter": 3}))


def test_adapter_passes_tol_bounds_and_rng():
    bounds = Bounds(-1, 0.25)
    arguments = dict(
        jac=True, bounds=bounds, tol=1e-3, options={"epoch_length": 5, "patience": 2, "learning_rate": 0.1}
    )
    expected = minimize(bowl, np.zeros(3), **arguments)
    res = scipy.optimize.minimize(bowl, np.zeros(3), method=scipy_method(), **arguments)
    assert outcome(res) == outcome(expected)
    assert (res.status, res.x.max()) == (0, 0.25)
    res = scipy.optimize.minimize(bowl, np.zeros(3), method=scipy_method(tol=1e-3), **{**arguments, "tol": None})
    assert outcome(res) == outcome(expected)


@pytest.mark.parametrize("form", callbacks()[1])
def test_adapter_calls_callbacks_as_minimize_does(form):
    heard, forms = callbacks()
    callback, wants_result = forms[form]
    scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), callback=callback, options=STEPS)
    assert [type(each) for each in heard] == [OptimizeResult if wants_result else np.ndarray] * 5


def test_adapter_ends_with_stop_iteration_of_the_callback():
    res = scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), callback=stop_now)
    assert (res.status, res.success, res.message, res.nit) == (99, False, "`callback` raised `StopIteration`.", 1)


@pytest.mark.parametrize(
    "constraints",
    [{"type": "eq", "fun": bowl_value}, [{"type": "ineq", "fun": bowl_value}], LinearConstraint(np.eye(3), 0, 1)],
    ids=["dict", "list", "object"],
)
def test_adapter_refuses_constraints(constraints):
    fun = Counted(bowl)
    with pytest.raises(ValueError, match=exactly("`constraints` must be empty: fastopt methods keep bounds only; "
                                                 "pass `bounds`.")):  # fmt: skip
        scipy.optimize.minimize(fun, np.zeros(3), jac=True, method=scipy_method(), constraints=constraints)
    assert fun.calls == 0


@pytest.mark.parametrize("constraints", [(), [], None, {}])
def test_adapter_takes_no_constraints(constraints):
    arguments = dict(jac=True, method=scipy_method(), constraints=constraints, options=STEPS)
    assert scipy.optimize.minimize(bowl, np.zeros(3), **arguments).nit == 5


@pytest.mark.parametrize("name", ["hess", "hessp"])
def test_adapter_warns_of_second_derivatives_at_the_callers_line(name):
    derivative = {name: lambda x, *args: np.eye(3)}
    with pytest.warns(RuntimeWarning, match="does not use Hessian") as warned:
        res = scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), options=STEPS, **derivative)
    assert [each.filename for each in warned] == [__file__]
    assert res.nit == 5


def test_adapter_warns_of_unknown_options_at_the_callers_line():
    with pytest.warns(OptimizeWarning, match="^Unknown solver options: lr$") as warned:
        scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), options=STEPS | {"lr": 0.1})
    assert [each.filename for each in warned] == [__file__]


def test_adapter_warns_of_a_moved_starting_point_at_the_callers_line():
    arguments = dict(jac=True, method=scipy_method(), options=STEPS, bounds=Bounds(1, 2))
    with pytest.warns(OptimizeWarning, match="^Initial guess") as warned:
        scipy.optimize.minimize(bowl, np.zeros(3), **arguments)
    assert [each.filename for each in warned] == [__file__]


def test_adapter_takes_samples_as_options_or_arguments():
    rng = np.random.default_rng(5)
    A = rng.standard_normal((50, 3))

    def fun(x, A):
        residual = A @ x - 1
        return float(residual @ residual) / len(A), 2 * A.T @ residual / len(A)

    def fun_of_index(x, index):
        return fun(x, A[index])

    options = {"epochs": 3, "learning_rate": 0.1}
    expected = minimize(fun, np.zeros(3), jac=True, data=A, batch_size=8, rng=3, options=options)
    samples = {"data": A, "batch_size": 8, "rng": 3}
    by_index = {"n_samples": 50, "batch_size": 8, "rng": 3}
    for objective, chosen in ((fun, samples), (fun_of_index, by_index)):
        in_options = dict(method=scipy_method(), options=options | chosen)
        in_method = dict(method=scipy_method(**chosen), options=options)
        overridden = dict(method=scipy_method(**{**chosen, "rng": 9, "batch_size": 7}), options=options | chosen)
        for arguments in (in_options, in_method, overridden):
            res = scipy.optimize.minimize(objective, np.zeros(3), jac=True, **arguments)
            assert outcome(res) == outcome(expected)


def test_adapter_resumes(tmp_path):
    path = tmp_path / "run.npz"
    expected = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 9, "epoch_length": 2})
    options = {"maxiter": 4, "epoch_length": 2, "checkpoint": path}
    scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), options=options)
    options |= {"maxiter": 9, "resume": path}
    res = scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), options=options)
    assert outcome(res) == outcome(expected)


def test_adapter_serves_global_methods():
    """They call it again and again, with results of their own made from its results."""

    def waves(x):
        return float(((x - 1) ** 2).sum() + np.sin(5 * x).sum()), 2 * (x - 1) + 5 * np.cos(5 * x)

    own = dict(method=scipy_method("adam", maxiter=300, learning_rate=0.05), jac=True)
    theirs = dict(method="L-BFGS-B", jac=True)
    found, expected = (
        scipy.optimize.basinhopping(waves, np.zeros(2), niter=10, seed=np.random.default_rng(0), minimizer_kwargs=each)
        for each in (own, theirs)
    )
    assert found.fun == pytest.approx(expected.fun, abs=1e-6)


def test_adapter_can_be_used_again():
    method = scipy_method("sgd", learning_rate=0.1, maxiter=5, data=np.ones((4, 3)), batch_size=2, rng=0)
    first, second = (scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=method) for _ in range(2))
    assert outcome(first) == outcome(second)


def test_adapter_tells_what_is_wrong_at_the_call():
    with pytest.raises(ValueError, match="`method` must be one of"):
        scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method("nope"))
    with pytest.raises(ValueError, match="'x0' must only have one dimension"):
        scipy.optimize.minimize(bowl, np.zeros((3, 1)), jac=True, method=scipy_method())


def test_rosenbrock_by_both_entrances():
    options = {"maxiter": 2000}
    ours = minimize(rosen, [-1.0, 2.0], jac=rosen_der, method=None, options=options)
    theirs = scipy.optimize.minimize(rosen, [-1.0, 2.0], jac=rosen_der, method=scipy_method(None), options=options)
    assert outcome(ours) == outcome(theirs)
