"""scipy_method: the optimizers as methods of scipy.optimize.minimize."""

import numpy as np
import pytest
import scipy.optimize
from cases import OPTIMIZERS
from helpers import exactly
from minimizing import STEPS, callbacks, stop_now
from objectives import Counted, bowl, bowl_slope, bowl_value, outcome
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, OptimizeWarning, rosen, rosen_der

import fastopt
from fastopt import minimize, scipy_method


def test_scipys_memory_of_the_last_x_is_taken_off():
    """A rate of zero leaves x where it is; SciPy's wrapper would return the first batch for ever."""
    drawn = Counted(lambda x: (1.0, np.ones_like(x)))
    losses = []
    res = scipy.optimize.minimize(
        drawn, np.zeros(3), jac=True, method=scipy_method("sgd", learning_rate=0.0), options={"maxiter": 25},
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
        method = scipy_method("adamw", **hyper, **({"jac": None} if kind == "differences" else {}))
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
    expected = minimize(bowl, np.zeros(3), method="adam", **arguments)
    res = scipy.optimize.minimize(bowl, np.zeros(3), method=scipy_method("adam"), **arguments)
    assert outcome(res) == outcome(expected)
    assert (res.status, res.x.max()) == (0, 0.25)
    method = scipy_method("adam", tol=1e-3)
    res = scipy.optimize.minimize(bowl, np.zeros(3), method=method, **{**arguments, "tol": None})
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
    with pytest.warns(
        OptimizeWarning, match=r"^Unknown solver options: lr \(Did you mean `learning_rate`\?\)$"
    ) as warned:
        scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=scipy_method(), options=STEPS | {"lr": 0.1})
    assert [each.filename for each in warned] == [__file__]


def test_adapter_warns_of_a_moved_starting_point_at_the_callers_line():
    arguments = dict(jac=True, method=scipy_method(), options=STEPS, bounds=Bounds(1, 2))
    with pytest.warns(OptimizeWarning, match="^Initial guess") as warned:
        scipy.optimize.minimize(bowl, np.zeros(3), **arguments)
    assert [each.filename for each in warned] == [__file__]


DROPPED = (
    "scipy.optimize.minimize passes `jac` on only if it is True or callable, and may have been given another: "
    'finite differences are used. Pass it to fastopt.scipy_method, such as jac="3-point", or jac=None for these.'
)


@pytest.mark.parametrize("jac", [None, False, "2-point", "3-point", "cs", "spsa", "any"])
def test_adapter_says_that_scipy_drops_jac(jac):
    with pytest.warns(OptimizeWarning) as warned:
        res = scipy.optimize.minimize(rosen, np.zeros(3), jac=jac, method=scipy_method("adam"), options=STEPS)
    assert [(str(each.message), each.filename) for each in warned] == [(DROPPED, __file__)]
    assert res.nfev == minimize(rosen, np.zeros(3), method="adam", options=STEPS).nfev


@pytest.mark.parametrize("jac", [None, False, "2-point", "3-point", "cs", "spsa", rosen_der])
def test_adapter_takes_jac(jac):
    """Quietly, whatever SciPy was given that it does not pass on."""
    expected = minimize(rosen, np.zeros(3), method="adam", jac=jac, rng=0, options=STEPS)
    method = scipy_method("adam", jac=jac, rng=0)
    for given in ({}, {"jac": "3-point"}):
        res = scipy.optimize.minimize(rosen, np.zeros(3), method=method, options=STEPS, **given)
        assert outcome(res) == outcome(expected) and res.nfev == expected.nfev


def test_adapter_takes_arguments_which_those_of_scipy_come_before():
    def fun(x, scale):
        return scale * bowl_value(x)

    heard = []
    own = dict(args=(2.0,), jac=None, bounds=[(-1, 0.5)] * 3, tol=1e-3, callback=heard.append)
    arguments = dict(options={"epoch_length": 5, "patience": 2, "learning_rate": 0.1})
    expected = minimize(fun, np.zeros(3), method="adam", **own, **arguments)
    assert expected.status == 0
    res = scipy.optimize.minimize(fun, np.zeros(3), method=scipy_method("adam", **own), **arguments)
    assert outcome(res) == outcome(expected) and len(heard) == 2 * res.nit
    theirs = dict(args=(3.0,), bounds=Bounds(-1, 0.25), tol=1e-2, callback=lambda x: None)
    expected = minimize(fun, np.zeros(3), method="adam", **theirs, **arguments)
    res = scipy.optimize.minimize(fun, np.zeros(3), method=scipy_method("adam", **own), **theirs, **arguments)
    assert outcome(res) == outcome(expected) and res.x.max() == 0.25
    res = scipy.optimize.minimize(
        fun, np.zeros(3), (), scipy_method("adam", **own), lambda x, scale: scale * bowl_slope(x)
    )
    assert res.x == pytest.approx([0.5, -1.0, 0.5], abs=0.5)


def test_adapter_needs_no_jac_for_objectives_that_give_gradients():
    objective = fastopt.objectives.LeastSquares(np.eye(3), [1.0, 2.0, 3.0])
    expected = minimize(objective, np.zeros(3), rng=0, options=STEPS)
    res = scipy.optimize.minimize(objective, np.zeros(3), method=scipy_method(rng=0), options=STEPS)
    assert outcome(res) == outcome(expected)


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
    method = scipy_method("adam")
    expected = minimize(bowl, np.zeros(3), jac=True, method="adam", options={"maxiter": 9, "epoch_length": 2})
    options = {"maxiter": 4, "epoch_length": 2, "checkpoint": path}
    scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=method, options=options)
    options |= {"maxiter": 9, "resume": path}
    res = scipy.optimize.minimize(bowl, np.zeros(3), jac=True, method=method, options=options)
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
    ours = minimize(rosen, [-1.0, 2.0], jac=rosen_der, options=options)
    theirs = scipy.optimize.minimize(rosen, [-1.0, 2.0], jac=rosen_der, method=scipy_method(), options=options)
    assert outcome(ours) == outcome(theirs)
