"""minimize against the contract of scipy.optimize.minimize: methods."""

import functools
import math

import numpy as np
import pytest
from cases import OPTIMIZERS
from helpers import exactly
from minimizing import STEPS
from objectives import Counted, bowl, bowl_slope, bowl_value, outcome
from refusals import MatricesOnly

import fastopt
from fastopt import minimize, schedules
from fastopt._finite_sum.methods import FINITE_SUM_METHODS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_method_by_name_class_or_callable(name):
    cls = fastopt.OPTIMIZERS[name]
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
    expected = minimize(bowl, np.zeros(3), jac=True, method="adam", options=STEPS | {"beta_1": 0.5})
    assert res.x.tobytes() == expected.x.tobytes()


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


def test_muon_takes_no_vectors():
    """Before the objective is called."""
    counted = Counted(bowl)
    for x0, name, shape in ((np.zeros(3), "x0", (3,)), ({"w": np.zeros((2, 2)), "b": np.zeros(3)}, "x0['b']", (3,))):
        message = (
            f"`{name}` must be a matrix, or a stack of matrices, as MatricesOnly takes no vectors, got shape {shape}; "
            'pass another `method`, such as "adamw".'
        )
        with pytest.raises(ValueError, match=exactly(message)):
            minimize(counted, x0, jac=True, method=MatricesOnly)
    assert counted.calls == 0


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
    options = {"maxiter": 20, "epoch_length": 5, "learning_rate": schedule}
    res = minimize(bowl, np.zeros(3), jac=True, method="adam", options=options)
    assert res.x.tobytes() == x.tobytes()
    assert res.history["learning_rate"].tolist() == [schedule(t) for t in (4, 9, 14, 19)]


def test_schedule_that_gives_nonsense_is_refused():
    for rate in (-1.0, math.nan, "fast"):
        with pytest.raises((TypeError, ValueError), match=r"`learning_rate\(0\)` must be"):
            minimize(bowl, np.zeros(3), jac=True, options={"learning_rate": lambda t, rate=rate: rate})
