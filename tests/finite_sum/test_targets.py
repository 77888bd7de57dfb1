"""`y` of shape (n, k): k independent targets, which are k objectives of one column in one."""

import copy
import pickle

import numpy as np
import pytest
from cases import ISAS, OPTIMIZERS
from finite_sums import (
    DTYPES,
    LAYOUTS,
    LOSSES,
    as_layout,
    evaluation_bits,
    make_data,
    make_objective,
    make_parameters,
    make_weights,
)
from helpers import exactly

import fastopt
from fastopt import _core, minimize, objectives

N, D = 70, 9
ONE_MARGIN = [name for name, case in LOSSES.items() if case.n_outputs == 1]
EVERY_LOSS = pytest.mark.parametrize("loss", ONE_MARGIN)
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
TOLERANCE = {"float32": 3e-6, "float64": 3e-14}


def problem(loss, k, layout="dense", dtype="float64", n=N, weighted=True, **keywords):
    """An objective of k targets, those of one target each, and parameters as a matrix."""
    case, rng = LOSSES[loss], np.random.default_rng(k)
    X, _ = make_data(loss, n, D, dtype, layout, seed=3)
    y = np.column_stack([case.labels(rng, n) for _ in range(k)])
    keywords = {"fit_intercept": True, "sample_weight": make_weights(n, 3) if weighted else None} | keywords
    x = np.column_stack([make_parameters(case, D, dtype, True, seed=j) for j in range(k)])
    linear = keywords.pop("linear", None)
    singles = [
        make_objective(case, X, y[:, j], linear=None if linear is None else linear[:, j], **keywords) for j in range(k)
    ]
    keywords["linear"] = linear
    return make_objective(case, X, y, **keywords), singles, x


def assert_near(actual, expected, dtype, factor=1.0):
    tolerance = TOLERANCE[dtype] * factor
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("idx", [None, [3, 69, 0, 3], np.arange(66) % 65], ids=["all", "some", "many"])
@pytest.mark.parametrize("k", [2, 3, 7])
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_value_and_gradient_are_those_of_the_columns(loss, dtype, layout, k, idx):
    several, singles, x = problem(loss, k, layout, dtype, l2=0.1, l1=0.02)
    value, gradient = several.value_and_gradient(x, idx)
    each = [one.value_and_gradient(x[:, j], idx) for j, one in enumerate(singles)]
    assert_near(value, sum(value for value, _ in each), dtype)
    assert_near(gradient, np.column_stack([gradient for _, gradient in each]), dtype)
    assert gradient.dtype == dtype and several.n_outputs == k and several.n_parameters == (D + 1) * k
    flat = several.value_and_gradient(x.ravel(), idx)
    assert flat[0] == value and flat[1].shape == (x.size,) and flat[1].tobytes() == gradient.tobytes()
    assert several(x, idx) == value


@pytest.mark.parametrize("k", [2, 63, 64, 65, 100, 200])
@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_any_number_of_targets(layout, k):
    """Labels go through the loss some at a time."""
    several, singles, x = problem("logistic", k, layout)
    value, gradient = several.value_and_gradient(x)
    each = [one.value_and_gradient(x[:, j]) for j, one in enumerate(singles)]
    assert_near(value, sum(value for value, _ in each), "float64")
    assert_near(gradient, np.column_stack([gradient for _, gradient in each]), "float64")


@EVERY_LAYOUT
def test_same_bits_for_any_number_of_threads(layout):
    rng = np.random.default_rng(5)
    X = as_layout(rng.standard_normal((3000, 60)) * (rng.random((3000, 60)) < 0.5), layout)
    objective = objectives.LeastSquares(X, rng.standard_normal((3000, 3)), fit_intercept=True)
    x, seen = rng.standard_normal((61, 3)), []
    for n_threads in (1, 2, 3):
        with fastopt.threads(n_threads):
            seen.append(evaluation_bits(objective, x))
    assert all(each == seen[0] for each in seen)


@pytest.mark.parametrize("k", [2, 7, 21])
@EVERY_LAYOUT
@EVERY_DTYPE
def test_same_bits_for_any_instruction_set(dtype, layout, k, use_isa):
    objective, _, x = problem("least_squares", k, layout, dtype)
    seen = []
    for isa in ISAS:
        use_isa(isa)
        seen.append((evaluation_bits(objective, x), evaluation_bits(objective, x, [3, 1, 69, 1, 0])))
    assert all(each == seen[0] for each in seen)


@pytest.mark.parametrize("k", [2, 3, 8, 15])
@EVERY_DTYPE
def test_samples_side_by_side_count_as_single_ones(dtype, k):
    """Dense margins and gradients are made of some samples at a time."""
    objective, _, x = problem("least_squares", k, "dense", dtype, n=11, weighted=False)
    singly = [objective(x, [i]) for i in range(11)]
    for n in range(1, 12):
        assert_near(objective(x, np.arange(n)), np.mean(singly[:n]), dtype)
        assert_near(objective.gradient(x, [n - 1] * n), objective.gradient(x, [n - 1]), dtype)


@EVERY_LOSS
def test_other_attributes(loss):
    several, singles, x = problem(loss, 3, l2=0.25)
    assert several.max_smoothness == max(one.max_smoothness for one in singles)
    expected = np.column_stack([one.decision_function(x[:, j]) for j, one in enumerate(singles)])
    np.testing.assert_allclose(several.decision_function(x), expected, rtol=1e-12, atol=1e-13)
    value, gradient = several.sums(x)
    sums = [one.sums(x[:, j]) for j, one in enumerate(singles)]
    np.testing.assert_allclose(value, sum(value for value, _ in sums), rtol=1e-12)
    np.testing.assert_allclose(gradient, np.column_stack([each for _, each in sums]), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],
                         ids=["copy", "deepcopy", "pickle"])  # fmt: skip
def test_copies(again):
    several, _, x = problem("huber", 3, l1=0.1, linear=np.arange(30.0).reshape(10, 3))
    other = again(several)
    assert repr(other) == repr(several)
    assert evaluation_bits(other, x) == evaluation_bits(several, x)


def test_order_of_the_labels_in_memory_does_not_matter():
    several, _, x = problem("least_squares", 3, weighted=False)
    y = several._bound[0]
    for same in (np.asfortranarray(y), np.repeat(y, 2, axis=1)[:, ::2], y.tolist()):
        assert evaluation_bits(objectives.LeastSquares(several.X, same, fit_intercept=True), x) == evaluation_bits(
            several, x
        )


# --- runs --------------------------------------------------------------------------------------------------------

RUNS = {
    "sgd": ("sgd", 1, {}),
    "sgd in batches": ("sgd", 16, {}),
    "momentum": ("sgd", 16, {"momentum": 0.9}),
    "adagrad": ("adagrad", 16, {}),
    "adam": ("adam", 16, {}),
    "adam, exact": ("adam", 16, {"sparse": "exact"}),
    "momentum, exact": ("sgd", 1, {"momentum": 0.9, "sparse": "exact"}),
    "adamw, exact": ("adamw", 16, {"weight_decay": 0.1, "sparse": "exact"}),
    "ftrl": ("ftrl", 16, {}),
    "saga": ("saga", None, {}),
    "svrg": ("svrg", None, {}),
}


TERMS = {
    "plain": {},
    "l2": {"l2": 0.1},
    "both": {"l1": 0.01, "l2": 0.1},
    "linear": {"l2": 0.1, "linear": np.linspace(-1, 1, 30).reshape(10, 3)},
}


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("layout", ["dense", "csr32", "csr64"])
@pytest.mark.parametrize("loss", ["least_squares", "logistic", "quantile"])
def test_runs_are_those_of_the_columns(loss, layout, run, terms):
    method, batch_size, options = RUNS[run]
    several, singles, x = problem(loss, 3, layout, **TERMS[terms])
    arguments = dict(
        method=method, batch_size=batch_size, rng=0, options={"learning_rate": 0.02, "epochs": 3} | options
    )
    res = minimize(several, x.ravel(), **arguments)
    each = [minimize(one, x[:, j], **arguments) for j, one in enumerate(singles)]
    expected = np.column_stack([one.x for one in each])
    np.testing.assert_allclose(res.x.reshape(expected.shape), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(res.fun, sum(one.fun for one in each), rtol=1e-10)
    np.testing.assert_allclose(res.history["fun"], sum(one.history["fun"] for one in each), rtol=1e-10)


@pytest.mark.parametrize("method", ["sgd", "adagrad", "saga", "vw"])
def test_resumed_runs(method, path):
    several, _, x = problem("logistic", 2, "csr32", l2=0.1)
    arguments = dict(method=method, batch_size=1, rng=0)
    options = {"learning_rate": 0.02, "epochs": 4}
    expected = minimize(several, x.ravel(), **arguments, options=options)
    minimize(several, x.ravel(), **arguments, options=options | {"maxiter": 2 * N, "checkpoint": path})
    assert minimize(several, x.ravel(), **arguments, options=options, resume=path).x.tobytes() == expected.x.tobytes()


def test_held_out_samples_with_as_many_targets():
    several, _, x = problem("logistic", 2)
    X, y = several.X, several._bound[0]
    res = minimize(several, x.ravel(), validation=(X[:9], y[:9]), options={"epochs": 2}, method="adam", batch_size=16)
    assert len(res.history["validation"]) == 2
    message = "`validation` must have labels for 2 outputs, like those of `fun`, got 1."
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(several, x.ravel(), validation=(X[:9], y[:9, 0]), method="adam", batch_size=16)


# --- parameters as a matrix --------------------------------------------------------------------------------------

ELEMENTWISE = [
    name for name, cls in OPTIMIZERS.items() if not _core.couples_entries(cls.rule) and "rowwise" not in name
]


def softmax(layout, **keywords):
    X, y = make_data("softmax", N, D, "float64", layout, seed=3)
    return objectives.Softmax(X, y, fit_intercept=True, **keywords)


def bits(res):
    return res.x.tobytes(), res.jac.tobytes(), res.fun, res.history["fun"].tobytes()


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("name", [*ELEMENTWISE, "saga", "svrg"])
def test_matrices_are_vectors_to_most_methods(name, layout):
    several, _, x = problem("logistic", 4, layout, l2=0.1, linear=np.ones((10, 4)))
    for objective in (several, softmax(layout, l2=0.1, l1=0.01)):
        arguments = dict(method=name, rng=0, options={"learning_rate": 0.01, "epochs": 2})
        arguments |= {} if name in ("saga", "svrg") else {"batch_size": 16}
        res, flat = minimize(objective, x, **arguments), minimize(objective, x.ravel(), **arguments)
        assert res.x.shape == res.jac.shape == (10, 4) and flat.x.shape == (40,)
        assert bits(res) == bits(flat)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in ELEMENTWISE])
@pytest.mark.parametrize("layout", ["dense", "csr32", "csr64"])
def test_matrices_to_methods_that_look_at_rows_or_all(name, layout):
    """The steps are those of the optimizer over an array of that shape."""
    objective, _, x = problem("logistic", 4, layout, "float64", l2=0.1)
    options = {"learning_rate": 0.01, "epochs": 2, "sparse": "exact"}
    arguments = dict(method=name, rng=0, batch_size=16, options=options)
    res = minimize(objective, x, **arguments)

    def fun(x, idx):
        return objective.value_and_gradient(x, idx)

    expected = minimize(fun, x, jac=True, n_samples=N, **arguments)
    np.testing.assert_allclose(res.x, expected.x, rtol=1e-9, atol=1e-11)
    assert res.x.shape == (10, 4)
    lazy = minimize(objective, x, **arguments | {"options": options | {"sparse": "lazy"}})
    assert np.isfinite(lazy.x).all() and lazy.fun < objective(x)


@pytest.mark.parametrize("method", ["adam", "saga", None])
def test_callbacks_bounds_and_results_have_the_shape_of_the_matrix(method, path):
    objective, _, x = problem("logistic", 4, "csr32", l2=0.1)
    x = np.clip(x, -0.5, 0.5)
    seen, options = [], {"epochs": 4} if method is None else {"epochs": 4, "learning_rate": 0.01}
    arguments = dict(method=method, rng=0, bounds=(-0.5, 0.5))
    res = minimize(objective, x, **arguments, options=options, epoch_callback=lambda state: seen.append(state.x.shape))
    assert set(seen) == {(10, 4)} and np.abs(res.x).max() <= 0.5
    fastopt.save(path, res)
    assert fastopt.load_result(path).x.tobytes() == res.x.tobytes()
    if method is not None:
        half = minimize(objective, x, **arguments, options=options | {"maxiter": N, "checkpoint": path})
        assert half.x.shape == (10, 4)
        again = minimize(objective, x, **arguments, options=options, resume=path)
        assert again.x.shape == (10, 4) and np.isfinite(again.x).all()
        more = minimize(objective, res.x, method=res.optimizer, rng=1, options={"epochs": 1})
        assert more.x.shape == (10, 4)


# --- refusals ----------------------------------------------------------------------------------------------------


def test_softmax_takes_one_column():
    with pytest.raises(ValueError, match=exactly(
        "`y` must have shape (70,), one entry for each sample, got (70, 2)."
    )):  # fmt: skip
        objectives.Softmax(np.ones((N, 2)), np.zeros((N, 2)))


@pytest.mark.parametrize("shape", [(N - 1, 2), (N, 0), (2, N), (N, 2, 1)])
def test_labels_of_another_shape(shape):
    shapes = f"({N},), one entry for each sample, or ({N}, k) for k targets"
    with pytest.raises(ValueError, match=exactly(f"`y` must have shape {shapes}, got {shape}.")):
        objectives.LeastSquares(np.ones((N, 2)), np.zeros(shape))


def test_parameters_of_another_shape():
    several, _, x = problem("logistic", 3)
    for wrong in (x.T, x[:-1], x[:, :2], x.ravel()[:-1]):
        with pytest.raises(
            ValueError, match=r"`x` must have shape \(30,\), \(9 features and an intercept\) x 3 targets"
        ):
            several(wrong)


def test_one_column_is_a_vector():
    objective = objectives.LeastSquares(np.ones((3, 2)), np.ones((3, 1)))
    assert objective.n_outputs == 1 and objective.gradient(np.zeros(2)).shape == (2,)
