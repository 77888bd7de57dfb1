"""minimize over arrays of more than one dimension, and over dicts and lists of arrays."""

import ctypes

import numpy as np
import pytest
import scipy.sparse
from cases import AVERAGING, OPTIMIZERS
from helpers import bits, exactly, flat, read_only
from objectives import Counted, outcome
from scipy import LowLevelCallable
from scipy.optimize import Bounds

import fastopt
from fastopt import RowSparse, minimize, objectives

SHAPES = {"table": (5, 3), "bias": (), "offset": (3,)}
STEPS = {"maxiter": 6, "learning_rate": 0.1, "epoch_length": 2}


def start(form, dtype="float64"):
    """Starting points in each structure."""
    draw = np.random.default_rng(1)
    arrays = {name: np.asarray(draw.uniform(-2, 2, shape), dtype) for name, shape in SHAPES.items()}
    return {"dict": arrays, "list": list(arrays.values()), "array": arrays["table"]}[form]


FORMS = ["dict", "list", "array"]


def mapped(function, structure):
    if isinstance(structure, dict):
        return {name: function(each) for name, each in structure.items()}
    return [function(each) for each in structure] if isinstance(structure, list) else function(structure)


def bowl_value(x, *batch):
    return float(sum(((each - 1) ** 2).sum() for each in flat(x)))


def bowl_slope(x, *batch):
    return mapped(lambda each: 2 * (each - 1), x)


def bowl(x, *batch):
    return bowl_value(x), bowl_slope(x)


def layout(structure):
    return type(structure), mapped(lambda each: (type(each), each.dtype, each.shape), structure)


# --- what the user sees ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_has_the_structure_of_x0(form, dtype):
    x0, seen = start(form, dtype), []

    def fun(x):
        seen.append(x)
        assert not any(each.flags.writeable for each in flat(x))
        return bowl(x)

    def with_result(intermediate_result):
        seen.append(intermediate_result.x)

    options = STEPS | {"return_best": True}
    res = minimize(fun, x0, jac=True, callback=seen.append, options=STEPS)
    best = minimize(fun, x0, jac=True, callback=with_result, options=options)
    everything = [*seen, res.x, best.x, res.jac, res.optimizer.params, res.optimizer.solution()]
    assert len(seen) == 26 and all(layout(each) == layout(x0) for each in everything)
    assert all(mine is theirs for mine, theirs in zip(flat(res.x), flat(res.optimizer.params), strict=True))
    assert bowl_value(res.x) == res.fun < bowl_value(x0)


@pytest.mark.parametrize(
    ("x0", "shapes"),
    [
        (np.ones((2, 3)), (2, 3)),
        ([[1.0, 2], [3, 4]], (2, 2)),
        (np.ones((2, 1, 2), int), (2, 1, 2)),
        (np.ones((2, 3), order="F"), (2, 3)),
        (np.ones((0, 3)), (0, 3)),
        ([np.ones(2), np.ones(2)], [(2,), (2,)]),
        ((np.ones(2), np.ones((1, 2))), [(2,), (1, 2)]),
        ([np.ones(2), 3.0, [1, 2, 3]], [(2,), (), (3,)]),
        ([np.ones(1)], [(1,)]),
        ({"w": [[1, 2]], "b": 0}, {"w": (1, 2), "b": ()}),
        ({("a", 1): np.ones(2), None: np.ones(1)}, {("a", 1): (2,), None: (1,)}),
        ({"empty": np.ones((0, 2)), "b": [1.0]}, {"empty": (0, 2), "b": (1,)}),
    ],
    ids=repr,
)
def test_forms_of_x0(x0, shapes):
    res = minimize(bowl, x0, jac=True, options=STEPS)
    assert (mapped(np.shape, res.x) if isinstance(shapes, (dict, list)) else res.x.shape) == shapes
    assert all(each.flags.c_contiguous and each.flags.writeable for each in flat(res.x))


def test_all_arrays_have_one_dtype():
    for dtypes, expected in [(("float32", "float32"), "float32"), (("float32", "float64"), "float64")]:
        res = minimize(bowl, [np.ones(2, dtype) for dtype in dtypes], jac=True, options=STEPS)
        assert {each.dtype.name for each in res.x} == {expected}


def test_callers_arrays_are_never_written():
    x0 = start("dict")
    shared = {"a": x0["table"], "b": x0["table"]}
    before = {name: each.tobytes() for name, each in x0.items()}
    res = minimize(bowl, x0, jac=True, options=STEPS)
    twice = minimize(bowl, shared, jac=True, options=STEPS)
    assert {name: each.tobytes() for name, each in x0.items()} == before
    assert not any(np.shares_memory(res.x[name], x0[name]) for name in x0)
    assert not np.shares_memory(twice.x["a"], twice.x["b"])


@pytest.mark.parametrize(
    ("x0", "error", "message"),
    [
        ({}, ValueError, "`x0` must hold at least one array, got {}."),
        ({"w": "weights"}, TypeError, "`x0['w']` must be convertible to an array of real numbers, got 'weights'."),
        ({"w": [[1.0], [2.0, 3]]}, TypeError, "`x0['w']` must be convertible to an array of real numbers, got [["),
        ([np.ones(2), None], TypeError, "`x0[1]` must be convertible to an array of real numbers, got None."),
        ({"w": {"a": 1.0}}, TypeError, "`x0['w']` must be convertible to an array of real numbers, got {'a': 1.0};"),
        (scipy.sparse.dok_array((2, 2)), TypeError, "`x0` must be convertible to an array of real numbers, got <"),
    ],
    ids=repr,
)
def test_x0_that_does_not_do_is_refused(x0, error, message):
    fun = Counted(bowl)
    with pytest.raises(error) as caught:
        minimize(fun, x0, jac=True)
    assert str(caught.value).startswith(message) and fun.calls == 0


# --- the run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_run_has_the_bits_of_a_loop_over_the_same_arrays(method, form):
    params, hyper = mapped(np.copy, start(form)), {"learning_rate": 0.05}
    res = minimize(bowl, params, method=method, jac=True, options=hyper | {"maxiter": 5})
    opt = fastopt.OPTIMIZERS[method](params, **hyper)
    for _ in range(5):
        opt.step(bowl_slope(params), *([bowl_value(params)] if opt._uses_value else []))
    assert bits(res.optimizer) == bits(opt)
    assert res.fun == bowl_value(opt.solution())
    assert mapped(np.ndarray.tolist, res.x) == mapped(np.ndarray.tolist, opt.solution())


def rows_and_dense(x, index=None):
    """Some rows of the table, single entries of the offset, and a plain number."""
    index = np.array([3, 0, 3]) if index is None else index % 5
    table = RowSparse(index, 2 * (x["table"][index] - 1))
    offset = scipy.sparse.csr_array([2 * (x["offset"] - 1) * np.array([1, 0, 1], x["offset"].dtype)])
    return bowl_value(x), {"offset": offset, "bias": float(2 * (x["bias"] - 1)), "table": table}


@pytest.mark.parametrize("method", ["adam", "sgd", "adagrad", "rowwiseadam"])
def test_sparse_gradients_of_some_arrays(method):
    x0 = start("dict")
    res = minimize(rows_and_dense, x0, method=method, jac=True, options=STEPS)
    params = mapped(np.copy, x0)
    opt = fastopt.OPTIMIZERS[method](params, learning_rate=0.1)
    for _ in range(6):
        gradient = rows_and_dense(params)[1]
        opt.step(gradient | {"bias": np.array(gradient["bias"])})
    assert bits(res.optimizer) == bits(opt)
    assert res.x["table"][[1, 2, 4]].tobytes() == x0["table"][[1, 2, 4]].tobytes()
    assert isinstance(res.jac["table"], RowSparse) and res.jac["offset"].format == "csr" and res.jac["bias"].shape == ()
    gradient = rows_and_dense(res.x)[1]
    assert res.history["grad_norm"].shape == (3,)
    expected = np.concatenate([gradient["table"].rows.ravel(), [gradient["bias"]], gradient["offset"].data])
    assert fastopt._minimize.report.gradient_norm(gradient) == pytest.approx(np.linalg.norm(expected), rel=1e-15)


def test_samples_and_sparse_gradients():
    """Batches, the mean over all of them, and averages of the iterates."""

    def fun(x, index):
        return rows_and_dense(x, index)

    x0 = start("dict", "float32")
    options = {"epochs": 30, "learning_rate": 0.05, "average": "polyak", "average_start": 20}
    res = minimize(fun, x0, method="sgd", jac=True, n_samples=20, batch_size=4, rng=0, options=options)
    assert res.nepoch == 30 and res.fun < bowl_value(x0) / 5 and layout(res.x) == layout(x0)
    assert not np.shares_memory(res.x["table"], res.optimizer.params["table"])


def test_gradient_may_be_another_of_the_arrays():
    """That of a . b is b and a, which a step overwrites."""

    def fun(x):
        return float(x["a"] @ x["b"]), {"a": x["b"], "b": x["a"][::1]}

    x0 = {"a": np.arange(3.0), "b": np.ones(3)}
    expected = minimize(lambda x: (fun(x)[0], mapped(np.copy, fun(x)[1])), x0, jac=True, options=STEPS)
    res = minimize(fun, x0, jac=True, options=STEPS)
    assert outcome(res) == outcome(expected)
    assert not any(np.shares_memory(each, own) for each in flat(res.jac) for own in flat(res.x))


@pytest.mark.parametrize("form", ["nested list", "float32", "other byte order", "objects"])
def test_gradients_of_other_forms_are_converted_entry_by_entry(form):
    change = {
        "nested list": lambda g: np.asarray(g).tolist(),
        "float32": lambda g: g.astype(np.float32),
        "other byte order": lambda g: g.astype(g.dtype.newbyteorder("S")),
        "objects": lambda g: g.astype(object),
    }[form]

    def fun(x):
        return bowl_value(x), mapped(lambda each: np.round(each), bowl_slope(x))

    for structure in FORMS:
        expected = minimize(fun, start(structure), jac=True, options=STEPS)
        res = minimize(lambda x: (fun(x)[0], mapped(change, fun(x)[1])), start(structure), jac=True, options=STEPS)
        separate = minimize(bowl_value, start(structure), jac=lambda x: mapped(change, fun(x)[1]), options=STEPS)
        assert outcome(res) == outcome(separate) == outcome(expected)
        assert layout(res.jac) == layout(res.x)


@pytest.mark.filterwarnings("ignore:Initial guess")
@pytest.mark.parametrize("jac", [None, "3-point", "spsa"])
@pytest.mark.parametrize("form", FORMS)
def test_estimated_gradients_have_the_bits_of_those_of_a_vector(form, jac):
    x0 = start(form)

    def of_vector(x):
        ends = np.cumsum([each.size for each in flat(x0)])[:-1]
        return bowl_value([part.reshape(own.shape) for part, own in zip(np.split(x, ends), flat(x0), strict=True)])

    vector = np.concatenate([each.ravel() for each in flat(x0)])
    common = dict(jac=jac, rng=0, bounds=(-1.5, 1.5), options=STEPS)
    expected = minimize(of_vector, vector, **common)
    res = minimize(bowl_value, x0, **common)
    assert np.concatenate([each.ravel() for each in flat(res.x)]).tobytes() == expected.x.tobytes()
    assert np.concatenate([each.ravel() for each in flat(res.jac)]).tobytes() == expected.jac.tobytes()
    assert layout(res.jac) == layout(res.x)
    assert (res.fun, res.nfev) == (expected.fun, expected.nfev)
    assert res.history["grad_norm"] == pytest.approx(expected.history["grad_norm"], rel=1e-14)


def without(structure, key):
    return {name: each for name, each in structure.items() if name != key}


UNFIT = {
    "unknown": ("dict", lambda g: g | {"more": g["bias"]}),
    "list for a dict": ("dict", lambda g: list(g.values())),
    "array for a dict": ("dict", lambda g: g["table"]),
    "shape of an entry": ("dict", lambda g: g | {"table": g["table"].T}),
    "row for a table": ("dict", lambda g: g | {"table": g["table"].reshape(1, -1)}),
    "too few": ("list", lambda g: g[:2]),
    "dict for a list": ("list", lambda g: dict(enumerate(g))),
    "complex": ("list", lambda g: [g[0].astype(complex), *g[1:]]),
    "vector for a table": ("array", lambda g: g.ravel()),
    "dict for an array": ("array", lambda g: {"table": g}),
    "nothing": ("dict", lambda g: None),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_gradient_that_does_not_fit_is_refused_in_the_words_of_a_step(fault):
    form, change = UNFIT[fault]
    params = start(form)
    with pytest.raises((TypeError, ValueError)) as expected:
        fastopt.Adam(params).step(change(bowl_slope(params)))
    for fun, jac in [(lambda x: (1.0, change(bowl_slope(x))), True), (lambda x: 1.0, lambda x: change(bowl_slope(x)))]:
        fun = Counted(fun)
        with pytest.raises(type(expected.value), match=exactly(str(expected.value))):
            minimize(fun, params, jac=jac)
        assert fun.calls == 1


def test_diverged_run_ends_with_the_last_finite_parameters():
    def fun(x):
        with np.errstate(over="ignore", invalid="ignore"):
            return bowl_value(x), mapped(lambda each: each * np.inf if abs(x["bias"]) > 10 else -each, bowl_slope(x))

    res = minimize(fun, start("dict"), method="sgd", jac=True, options=STEPS | {"maxiter": 1000})
    assert res.status == 3 and not res.success and layout(res.x) == layout(start("dict"))
    assert all(np.isfinite(each).all() for each in res.x.values())


@pytest.mark.parametrize("form", FORMS)
def test_other_methods(form):
    """A class, a function that makes an optimizer, and None."""
    made = []

    def make(x):
        made.append(x)
        return fastopt.SGD(x, learning_rate=0.1)

    expected = minimize(bowl, start(form), method=fastopt.SGD, jac=True, options=STEPS)
    res = minimize(bowl, start(form), method=make, jac=True, options=without(STEPS, "learning_rate"))
    assert outcome(res) == outcome(expected) and layout(made[0]) == layout(start(form))
    assert minimize(bowl, start(form), method=None, jac=True, options={"maxiter": 2000}).fun < 1e-6


def test_optimizer_of_other_arrays_is_refused():
    message = "`method` must return a fastopt optimizer of the {} it is called with, such as fastopt.Adam(x), got <"
    for form, make, what in [
        ("dict", lambda x: fastopt.SGD(list(x.values())), "dict of arrays"),
        ("dict", lambda x: fastopt.SGD(dict(reversed(x.items()))), "dict of arrays"),
        ("dict", lambda x: fastopt.SGD({"table": x.pop("table")}), "dict of arrays"),
        ("list", lambda x: fastopt.SGD(x[0]), "list of arrays"),
        ("list", lambda x: fastopt.SGD([each.copy() for each in x]), "list of arrays"),
        ("array", lambda x: fastopt.SGD(x.copy()), "array"),
    ]:
        with pytest.raises(TypeError) as caught:
            minimize(bowl, start(form), method=make, jac=True)
        assert str(caught.value).startswith(message.format(what))


def test_compiled_objective_sees_the_arrays_one_after_the_other():
    seen = []

    @ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_ssize_t, *[ctypes.POINTER(ctypes.c_double)] * 2, ctypes.c_void_p)
    def fun(n, x, gradient, user_data):
        point = np.ctypeslib.as_array(x, (n,))
        seen.append(point.copy())
        np.ctypeslib.as_array(gradient, (n,))[:] = 2 * (point - 1)
        return float(((point - 1) ** 2).sum())

    x0 = start("dict")
    res = minimize(LowLevelCallable(fun), x0, options=STEPS)
    assert seen[0].tolist() == np.concatenate([each.ravel() for each in x0.values()]).tolist()
    expected = minimize(bowl, x0, jac=True, options=STEPS)
    assert mapped(np.ndarray.tolist, res.x) == mapped(np.ndarray.tolist, expected.x)
    assert layout(res.jac) == layout(x0)


@pytest.mark.parametrize("method", ["adam", "saga"])
def test_built_in_objectives_take_a_vector_or_their_matrix(method):
    objective = objectives.Softmax(np.eye(3), [0, 1, 2])
    message = "'x0' must only have one dimension for a built-in objective, got shape (1, 9); pass x0.ravel()."
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(objective, np.zeros((1, 9)), method=method)
    message = "'x0' must only have one dimension for a built-in objective, got a dict of arrays."
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(objective, {"w": np.zeros(9)}, method=method)


# --- bounds ----------------------------------------------------------------------------------------------

LOW, HIGH = np.linspace(-1, 0, 15).reshape(5, 3), np.linspace(0.5, 2, 15).reshape(5, 3)
FREE = (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("form", "bounds", "low", "high"),
    [
        ("dict", (0, 0.5), [0, 0, 0], [0.5, 0.5, 0.5]),
        ("dict", (None, 0.5), [-np.inf] * 3, [0.5] * 3),
        ("dict", Bounds(0, 0.5), [0, 0, 0], [0.5, 0.5, 0.5]),
        ("dict", {"table": (LOW, HIGH), "bias": (0, None), "offset": None}, [LOW, 0, -np.inf], [HIGH, np.inf, np.inf]),
        ("dict", {"table": Bounds(LOW, HIGH), "bias": None, "offset": [(0, 1)] * 3}, [LOW, *[-np.inf, 0]],
         [HIGH, np.inf, 1]),
        ("dict", {"offset": (np.zeros(3), [0, 1, 2]), "table": (None, HIGH), "bias": (0, 1)}, [-np.inf, 0, 0],
         [HIGH, 1, [0, 1, 2]]),
        ("list", [(LOW, 3), None, Bounds([0.0, 0, 0], np.inf)], [LOW, -np.inf, 0], [3, np.inf, np.inf]),
        ("list", ((0, 1), (0, 1), (0, 1)), [0] * 3, [1] * 3),
        ("array", (LOW, HIGH), [LOW], [HIGH]),
        ("array", (0, None), [0], [np.inf]),
        ("array", Bounds(LOW, 3), [LOW], [3]),
        ("array", (LOW.tolist(), [0.5, 1, 2]), [LOW], [[0.5, 1, 2]]),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Initial guess")
@pytest.mark.filterwarnings("ignore:.*offset:UserWarning")
def test_forms_of_bounds(form, bounds, low, high):
    if form == "dict" and isinstance(bounds, dict) and isinstance(bounds["offset"], tuple):
        bounds = bounds | {"offset": (bounds["offset"][0], np.array(bounds["offset"][1]))}
    seen = []

    def fun(x):
        seen.append(mapped(np.copy, x))
        return bowl(x)

    res = minimize(fun, start(form), method="sgd", jac=True, bounds=bounds, options=STEPS | {"maxiter": 200})
    for k, (lower, upper) in enumerate(zip(low, high, strict=True)):
        assert all((lower <= flat(x)[k]).all() and (flat(x)[k] <= upper).all() for x in seen)
        assert flat(res.x)[k] == pytest.approx(np.clip(np.ones_like(flat(res.x)[k]), lower, upper), abs=1e-6)


def test_scalar_pair_for_a_vector():
    expected = minimize(bowl, np.zeros(3), jac=True, bounds=[(0, 0.25)] * 3, options=STEPS)
    for pair in ((0, 0.25), [np.float32(0), 0.25]):
        assert outcome(minimize(bowl, np.zeros(3), jac=True, bounds=pair, options=STEPS)) == outcome(expected)
    two = minimize(bowl, np.zeros(2), jac=True, bounds=(np.zeros(2), np.zeros(2)), options=STEPS)  # SciPy's pairs
    assert two.x.tolist() == [0, 0] and two.status == 5


@pytest.mark.filterwarnings("ignore:Initial guess")
@pytest.mark.parametrize("method", AVERAGING)
def test_solution_that_is_an_average_is_inside_of_each_arrays_bounds(method):
    bounds = {"table": (LOW, HIGH), "bias": (0.25, 0.5), "offset": (None, -1)}
    res = minimize(bowl, start("dict"), method=method, jac=True, bounds=bounds, options=STEPS | {"maxiter": 40})
    for x in (res.x, res.optimizer.params):
        assert (LOW <= x["table"]).all() and (x["table"] <= HIGH).all()
        assert 0.25 <= x["bias"] <= 0.5 and (x["offset"] <= -1).all()


@pytest.mark.parametrize(
    ("form", "bounds", "message"),
    [
        ("dict", {"table": (0, 1)}, "`bounds` must have the keys of the parameters, got missing ['bias', 'offset']"),
        ("dict", [(0, 1)] * 3, "`bounds` must be a dict like the parameters, got list."),
        ("dict", {"table": 3, "bias": None, "offset": None},
         "`bounds['table']` must be a scipy.optimize.Bounds or a (low, high) pair of numbers or arrays, got 3."),
        ("dict", {"table": None, "bias": None, "offset": [(0, 1)] * 2},
         "The length of `bounds['offset']` must be that of `x0['offset']`, 3, got 2."),
        ("dict", {"table": (np.ones((3, 5)), 2), "bias": None, "offset": None},
         "`bounds['table']` must give a lower and an upper end for each of the 15 parameters, got "),
        ("list", [(0, 1), (0, 1)], "`bounds` must have 3 items like the parameters, got 2."),
        ("list", [None, (np.nan, 1), None], "`bounds[1]` must not be NaN; None or infinity stands for no bound."),
        ("array", (HIGH, LOW), "`bounds` must not have a lower end above the upper one, got (0.5, -1.0) at (0, 0)."),
        ("array", (0, "b"), "`bounds` must give a lower and an upper end for each of the 15 parameters, got (0, 'b')."),
        ("array", [(0, 1)] * 15, "`bounds` must be a scipy.optimize.Bounds or a (low, high) pair of numbers or arrays"),
        ("array", (2, 1), "`bounds` must not have a lower end above the upper one, got (2.0, 1.0) at (0, 0)."),
    ],
)  # fmt: skip
def test_bounds_that_do_not_fit_are_refused(form, bounds, message):
    fun = Counted(bowl)
    with pytest.raises((TypeError, ValueError)) as caught:
        minimize(fun, start(form), jac=True, bounds=bounds)
    assert str(caught.value).startswith(message) and fun.calls == 0


# --- checkpoints -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"average": "ema"}, {"return_best": True}], ids=str)
def test_resumed_run_has_the_bits_of_one_without_interruption(form, options, tmp_path):
    path, options = tmp_path / "run.npz", STEPS | options
    arguments = dict(fun=bowl, x0=start(form), jac=True, bounds=(-3, 2))
    expected = minimize(**arguments, options=options)
    minimize(**arguments, options=options | {"maxiter": 3, "checkpoint": path})
    res = minimize(**{**arguments, "x0": mapped(np.zeros_like, start(form))}, resume=path, options=options)
    assert outcome(res) == outcome(expected)
    assert bits(res.optimizer) == bits(expected.optimizer)


def test_resume_needs_the_same_structure(tmp_path):
    path = tmp_path / "run.npz"
    minimize(bowl, {"a": np.ones((2, 3)), "b": np.ones(4)}, jac=True, options=STEPS | {"checkpoint": path})
    others = [
        {"a": np.ones((3, 2)), "b": np.ones(4)},
        {"b": np.ones(4), "a": np.ones((2, 3))},
        {"a": np.ones((2, 3)), "c": np.ones(4)},
        [np.ones((2, 3)), np.ones(4)],
        np.ones((5, 2)),
        np.ones(10),
    ]
    for x0 in others:
        with pytest.raises(ValueError, match=r"x0.shape=\"\{'a': \(2, 3\), 'b': \(4,\)\}\", got ") as caught:
            minimize(bowl, x0, jac=True, resume=path, options=STEPS)
        assert str(path) in str(caught.value)


# --- memory ----------------------------------------------------------------------------------------------


def test_nobody_gets_hold_of_the_vector():
    """A view that leads to it could be given another dtype in the middle of the run."""

    def fun(x):
        assert all(not isinstance(each.base, np.ndarray) for each in x.values())
        with pytest.raises(ValueError):
            x["table"].flags.writeable = True
        with pytest.raises(ValueError):
            x["table"].resize((1000, 3), refcheck=False)
        x["table"].shape = (15,)  # its own shape only: below, each call has it as it was
        x.pop("bias")
        return 1.0

    def at_first_only(x, calls=[]):  # noqa: B006
        calls.append(set(x))
        return fun(x) if len(calls) == 1 else bowl_value(x)

    res = minimize(at_first_only, start("dict"), jac=lambda x: mapped(np.zeros_like, start("dict")), options=STEPS)
    assert layout(res.x) == layout(start("dict")) and res.nit == 6
    assert all(not isinstance(each.base, np.ndarray) for each in res.x.values())


@pytest.mark.parametrize("change", ["shape", "dtype"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_arrays_changed_by_the_function_that_makes_the_optimizer_are_refused(change, when):
    def alter(x):
        setattr(x["table"], change, {"shape": (15,), "dtype": np.dtype(np.float32)}[change])

    def make(x):
        if when == "before":
            alter(x)
        opt = fastopt.SGD(x)
        if when == "after":
            alter(x)
        return opt

    with pytest.raises(ValueError, match=r"^`params\['table'\]` must stay where it was when the optimizer was made"):
        minimize(bowl, start("dict"), method=make, jac=True, options={"maxiter": 1})


def test_arrays_changed_by_a_callback_are_refused():
    mine = []

    def make(x):
        mine.append(x["table"])
        return fastopt.SGD(x)

    def callback(x):
        mine[0].shape = (15,)

    with pytest.raises(ValueError, match=r"^`params\['table'\]` must stay where it was when the optimizer was made"):
        minimize(bowl, start("dict"), method=make, jac=True, callback=callback, options={"maxiter": 1})


def test_x0_may_be_read_only():
    res = minimize(bowl, mapped(read_only, start("dict")), jac=True, options=STEPS)
    assert outcome(res) == outcome(minimize(bowl, start("dict"), jac=True, options=STEPS))


# --- validation and epoch callbacks ----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_validation_and_epoch_callbacks_have_the_structure(form):
    """Also with an optimizer whose arrays do not lie side by side, at a solution that is an average."""
    seen, outcomes = [], []

    def validation(x):
        seen.append(x)
        return bowl_value(x)

    options = {"maxiter": 6, "epoch_length": 2, "return_best": True}
    for method in (lambda x: fastopt.ASGD(x, 0.1, t0=0), fastopt.ASGD(mapped(np.copy, start(form)), 0.1, t0=0)):
        res = minimize(bowl, start(form), method=method, jac=True, validation=validation, options=options,
                       epoch_callback=lambda state: seen.append(state.x))  # fmt: skip
        assert res.history["validation"][-1] == res.fun == bowl_value(res.x)
        outcomes.append(outcome(res))
    assert len(seen) == 12 and all(layout(x) == layout(start(form)) for x in seen)
    assert not any(each.flags.writeable for x in seen for each in flat(x))
    assert outcomes[0] == outcomes[1]
