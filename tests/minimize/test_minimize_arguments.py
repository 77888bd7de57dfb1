"""minimize against the contract of scipy.optimize.minimize: arguments, options, what the objective is called with."""

import inspect
import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
from helpers import beginning, exactly, read_only
from minimizing import STEPS
from objectives import Counted, bowl, bowl_slope, bowl_value, outcome
from scipy.optimize import OptimizeWarning

import fastopt
from fastopt import minimize, scipy_method

# --- signature -------------------------------------------------------------------------------------------


def test_positional_arguments_stand_where_scipy_has_them():
    ours, theirs = (list(inspect.signature(each).parameters) for each in (minimize, scipy.optimize.minimize))
    assert ours[:5] == theirs[:5] == ["fun", "x0", "args", "method", "jac"]


def test_other_arguments_are_keyword_only_with_scipys_defaults():
    ours, theirs = (inspect.signature(each).parameters for each in (minimize, scipy.optimize.minimize))
    keywords = [each for each in ours.values() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [each.name for each in keywords] == [*ours][5:]
    for name in ("args", "method", "jac", "bounds", "tol", "callback", "options"):
        assert ours[name].default == theirs[name].default


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


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrix_as_x0_is_refused_in_scipys_words():
    x0 = np.asmatrix(np.ones((1, 3)))
    with pytest.raises(ValueError) as theirs:
        scipy.optimize.minimize(bowl_value, x0)
    with pytest.raises(ValueError) as ours:
        minimize(bowl_value, x0)
    assert str(ours.value).startswith(str(theirs.value).rstrip("."))
    assert str(np.shape(x0)) in str(ours.value)


@pytest.mark.parametrize("x0", [[1j], np.ones(2, complex), "weights", ["a"], {1, 2}, [[1.0], [2.0, 3.0]]], ids=repr)
def test_x0_that_is_not_real_is_refused(x0):
    fun = Counted(bowl)
    with pytest.raises(
        TypeError, match=beginning(f"`x0` must be convertible to an array of real numbers, got {x0!r}.")
    ):
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
    [
        2.0,
        2,
        np.float64(2),
        np.float32(2),
        np.int8(2),
        np.array(2.0),
        np.array([2.0]),
        np.array([[2]]),
        [2.0],
        Fraction(2),
        Decimal(2),
        np.array(2.0, object),
        np.array([Fraction(2)]),
        np.ma.array(2.0),
    ],
    ids=repr,
)
def test_values_that_are_scalars(value):
    for jac in (None, "3-point", "spsa", lambda x: np.zeros_like(x)):
        res = minimize(lambda x: value, np.ones(2), jac=jac, options=STEPS)
        assert type(res.fun) is float and res.fun == 2.0
    res = minimize(lambda x: (value, np.zeros_like(x)), np.ones(2), jac=True, options=STEPS)
    assert type(res.fun) is float and res.fun == 2.0


def test_a_pair_without_jac_says_what_to_pass():
    message = (
        "The user-provided objective function must return a scalar value, got a pair; "
        "pass jac=True for a function that returns value and gradient."
    )
    for pair in [(1.0, np.zeros(2)), (1.0, 2.0)]:
        with pytest.raises(ValueError, match=exactly(message)):
            minimize(lambda x, pair=pair: pair, np.ones(2), options=STEPS)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        ("a", "'a'"),
        (1j, "1j"),
        ([1.0, 2.0], "an array of shape (2,)"),
        (np.ones(3), "an array of shape (3,)"),
        ([], "an array of shape (0,)"),
        (np.ma.masked, "masked"),
        (np.array(None), "array(None, dtype=object)"),
        (np.array("2"), "array('2', dtype='<U1')"),
    ],
    ids=repr,
)
def test_values_that_are_not_scalars_are_refused_in_scipys_words(value, got):
    message = "The user-provided objective function must return a scalar value"
    if np.size(value) != 1:  # SciPy has no words of its own for the others, and may take None for NaN
        with pytest.raises(ValueError, match=message):
            scipy.optimize.minimize(lambda x: value, np.ones(2), method="BFGS")
    for fun, jac in [
        (lambda x: value, None),
        (lambda x: value, "spsa"),
        (lambda x: value, bowl_slope),
        (lambda x: (value, bowl_slope(x)), True),
    ]:
        with pytest.raises(ValueError, match=exactly(f"{message}, got {got}.")):
            minimize(fun, np.ones(3), jac=jac)


# --- options ---------------------------------------------------------------------------------------------


def test_unknown_options_are_a_warning_in_scipys_words_at_the_callers_line():
    unknown = {"lr": 0.1, "gtol": 1e-3}
    with pytest.warns(OptimizeWarning) as theirs:
        scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method="L-BFGS-B", options={"lr": 0.1, "gtal": 1e-3})
    with pytest.warns(OptimizeWarning) as ours:
        res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | unknown)
    assert [str(each.message) for each in theirs] == ["Unknown solver options: lr, gtal"]
    hints = "lr (Did you mean `learning_rate`?), gtol (Give `tol` to fastopt.minimize as an argument.)"
    assert [str(each.message) for each in ours] == [f"Unknown solver options: {hints}"]
    assert ours[0].filename == __file__
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), jac=True, options=STEPS))


@pytest.mark.parametrize(
    ("name", "hint"),
    {
        "maxfev": "Did you mean `maxiter`?",
        "maxfun": "Did you mean `maxiter`?",
        "ftol": "Give `tol` to fastopt.minimize as an argument.",
        "gtol": "Give `tol` to fastopt.minimize as an argument.",
        "fatol": "Give `tol` to fastopt.minimize as an argument.",
        "eps": "Did you mean `epsilon` or `finite_diff_rel_step`?",
        "iprint": "Did you mean `disp`?",
        "jac": "Give `jac` to fastopt.minimize as an argument.",
        "bounds": "Give `bounds` to fastopt.minimize as an argument.",
        "maxcor": "",
        "return_all": "",
    }.items(),
)
def test_options_of_scipys_methods_have_a_hint(name, hint):
    shown = f"{name} ({hint})" if hint else name
    with pytest.warns(OptimizeWarning, match=f"^{re.escape(f'Unknown solver options: {shown}')}$"):
        minimize(bowl, np.zeros(3), method="adam", jac=True, options=STEPS | {name: 1})


@pytest.mark.parametrize(
    "rate", [0.1, np.array(0.1), np.float32(0.1), np.float64(0.1), np.array(0.1, np.float32)], ids=repr
)
def test_learning_rate_is_any_kind_of_number(rate):
    expected = minimize(bowl, np.zeros(3), method="sgd", jac=True, options={"maxiter": 3, "learning_rate": float(rate)})
    res = minimize(bowl, np.zeros(3), method="sgd", jac=True, options={"maxiter": 3, "learning_rate": rate})
    assert outcome(res) == outcome(expected)


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
    "jac": (
        {"jac": "3 points"},
        ValueError,
        '`jac` must be True, a callable, None, "2-point", "3-point", "cs" or "spsa", got \'3 points\'; '
        'pass jac="3-point".',
    ),
    "jac unlike any": ({"jac": "exact"}, ValueError, "got 'exact'."),
    "jac of numbers": (
        {"jac": [1.0, 2.0, 3.0]},
        ValueError,
        "got [1.0, 2.0, 3.0]; pass the function that computes it.",
    ),
    "jac array": ({"jac": np.ones(3)}, ValueError, "`jac` must be True, a callable, None"),
    "callback": ({"callback": 3}, TypeError, "`callback` must be callable, got int."),
    "tol": ({"tol": -1.0}, ValueError, "`tol` must be in [0, inf), got -1.0."),
    "tol nan": ({"tol": math.nan}, ValueError, "`tol` must be in [0, inf), got nan."),
    "tol str": ({"tol": "small"}, TypeError, "`tol` must be a real number, got 'small'."),
    "method": ({"method": 3}, TypeError, "`method` must be a name, an Optimizer class, an optimizer or a callable"),
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
    "finite_diff_rel_step": [
        ("1e-3", TypeError, "a real number or an array of them, got '1e-3'"),
        ([1e-3, None, 1e-3], TypeError, "a real number or an array of them, got [0.001, None, 0.001]"),
        ([[1.0], [1.0, 2.0]], TypeError, "a real number or an array of them, got [[1.0], [1.0, 2.0]]"),
        (math.nan, ValueError, "finite, got nan"),
        ([1e-3, 1e-3], ValueError, "a number, or one for each of the 3 parameters, got shape (2,)"),
    ],
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
        minimize(fun, np.zeros(3), jac=True, method="adam", options={name: value})
    assert str(caught.value).startswith(f"`{name}` must be {message}")
    assert fun.calls == 0
