"""minimize against the contract of scipy.optimize.minimize: gradients."""

import itertools

import numpy as np
import pandas
import pytest
from helpers import exactly, misaligned
from minimizing import STEPS
from objectives import Counted, Recorded, bowl, bowl_slope, bowl_value, outcome
from scipy import sparse
from scipy.optimize import rosen, rosen_der

from fastopt import SGD, minimize
from fastopt._memory import read_only
from fastopt.objectives import LeastSquares

ONE_STEP = {"maxiter": 1, "learning_rate": 1.0}  # with SGD: the gradient at x0 is x0 - x


class OfAnotherLibrary:
    """An array of another library, which cannot be written to."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return read_only(self.array)


def both(fun):
    """Value and gradient of a function of SciPy's, for jac=True."""
    return lambda x, *args: (fun(x, *args), rosen_der(x))


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
        (np.ones((3, 3)), ValueError, "must have the shape (3,) of its parameter, got (3, 3)."),
        (
            np.ones((1, 1, 3)),
            ValueError,
            "must have the shape (3,) of its parameter, got (1, 1, 3); pass np.asarray(grad).reshape((3,)).",
        ),
        ([1.0], ValueError, "must have the shape (3,) of its parameter, got (1,)."),
        (1.0, ValueError, "must have the shape (3,) of its parameter, got (1,)."),
        (np.ma.ones(3), TypeError, "must be a NumPy array, got MaskedArray"),
        (np.full(3, None), TypeError, "must be float64 like its parameter, got object"),
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


ROUNDED = {
    "int": lambda g: g.astype(int),
    "int8": lambda g: g.astype(np.int8),
    "float32": lambda g: g.astype(np.float32),
    "float16": lambda g: g.astype(np.float16),
    "long double": lambda g: g.astype(np.longdouble),
    "objects": lambda g: g.astype(object),
    "other byte order": lambda g: g.astype(g.dtype.newbyteorder("S")),
    "misaligned": misaligned,
    "column": lambda g: g[:, None],
    "row": lambda g: g[None],
    "nested list": lambda g: g[:, None].tolist(),
    "matrix": lambda g: np.asmatrix(g),
    "column of a matrix": lambda g: np.asmatrix(g).T,
    "column of float32 in another order": lambda g: g.astype(np.float32)[::-1, None][::-1],
    "pandas": lambda g: pandas.Series(g, index=["a", "b", "c"]),
    "other library": OfAnotherLibrary,
    "other library in float32": lambda g: OfAnotherLibrary(g.astype(np.float32)),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ROUNDED)
def test_gradient_of_another_form_is_converted(form, dtype):
    """SciPy takes all of these; they differ from the usual form in no value."""
    x0 = np.array([1.0, -2.0, 5.0], dtype)
    expected = outcome(minimize(lambda x: (bowl_value(x), np.round(x)), x0, jac=True, options=STEPS))
    forms = itertools.cycle([ROUNDED[form], np.array])  # one form does not stay for the whole run
    res = minimize(lambda x: (bowl_value(x), next(forms)(np.round(x))), x0, jac=True, options=STEPS)
    assert outcome(res) == expected
    res = minimize(bowl_value, x0, jac=lambda x: ROUNDED[form](np.round(x)), options=STEPS)
    assert outcome(res) == expected
    assert res.jac.dtype == dtype and res.jac.shape == (3,)


def test_gradients_in_a_structure_are_converted_too():
    def slopes(x):
        return {"w": OfAnotherLibrary(2 * x["w"]), "b": pandas.Series(2 * x["b"]).astype(np.float32)}

    x0 = {"w": np.ones((2, 2)), "b": np.array([1.0, 3.0])}
    res = minimize(lambda x: (x["w"] ** 2).sum() + (x["b"] ** 2).sum(), x0, jac=slopes)
    assert res.success and res.fun < 1e-9


def test_gradient_that_another_library_cannot_give_is_refused_with_its_remedy():
    class Attached(OfAnotherLibrary):
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("not while gradients are traced")

        def detach(self):
            return self.array

        numpy = detach

    with pytest.raises(TypeError, match=r"must be a NumPy array, got Attached; pass grad\.detach\(\)\.numpy\(\)\."):
        minimize(lambda x: 1.0, np.ones(3), jac=lambda x: Attached(x))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_steps_take_no_other_form_of_gradient():
    """An optimizer that is stepped by hand converts nothing: it would have to allocate in each step."""
    opt = SGD(np.ones(3))
    for form in ROUNDED:
        with pytest.raises((TypeError, ValueError)):
            opt.step(ROUNDED[form](np.ones(3)))


@pytest.mark.parametrize("method", ["adam", "saga"])
def test_gradient_of_the_objective_itself_is_taken_for_its_own(method):
    objective = LeastSquares(np.eye(3), [1.0, 2.0, 3.0])
    expected = minimize(objective, np.zeros(3), method=method, rng=0, options=STEPS)
    res = minimize(objective, np.zeros(3), method=method, jac=objective.gradient, rng=0, options=STEPS)
    assert outcome(res) == outcome(expected)
    for other in (LeastSquares(np.eye(3), [1.0, 2.0, 3.0]).gradient, objective.value_and_gradient, bowl_slope):
        with pytest.raises(ValueError, match=r"^`jac` must be None or True for a built-in objective, .* got <"):
            minimize(objective, np.zeros(3), method=method, jac=other)


@pytest.mark.parametrize("returned", [1.0, np.float64(1.0), None, (1.0,), (1.0, 2.0, 3.0), np.ones(3)], ids=repr)
def test_objective_without_gradient_is_told_about_jac(returned):
    message = (
        f"`fun` must return (value, gradient) with jac=True, got {type(returned).__name__}; "
        "pass jac=None for a function that returns its value alone."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        minimize(lambda x: returned, np.ones(3), jac=True)
