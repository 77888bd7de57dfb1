"""What objectives have beside losses and penalties: the scale of weights, sums over samples, and a linear part."""

import copy
import pickle

import numpy as np
import pytest
from finite_sums import (
    DTYPES,
    LAYOUTS,
    LOSSES,
    evaluation_bits,
    make_data,
    make_objective,
    make_parameters,
    make_weights,
    reference,
)

from fastopt import minimize, objectives

N, D = 60, 9
TOLERANCE = {"float32": 3e-6, "float64": 3e-14}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
LINEAR = np.random.default_rng(8).standard_normal(D + 1)


def problem(loss="logistic", dtype="float64", layout="dense", **keywords):
    """An objective, and parameters for it."""
    X, y = make_data(loss, N, D, dtype, layout, seed=9)
    return make_objective(LOSSES[loss], X, y, fit_intercept=True, **keywords), make_parameters(
        LOSSES[loss], D, dtype, True, seed=9
    )


def assert_near(actual, expected, dtype="float64"):
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


# --- weights -----------------------------------------------------------------------------------------------------


@EVERY_DTYPE
@EVERY_LOSS
def test_weights_that_are_not_divided(loss, dtype):
    """The mean of weight times loss over the samples."""
    weight = make_weights(N, 9)
    plain, x = problem(loss, dtype, sample_weight=weight, weight_scale=None)
    scaled, _ = problem(loss, dtype, sample_weight=weight)
    assert_near(plain(x), scaled(x) * weight.mean(), dtype)
    assert_near(plain.gradient(x), scaled.gradient(x) * weight.mean(), dtype)
    assert (plain.weight_scale, scaled.weight_scale) == (None, "mean")
    np.testing.assert_allclose(plain.max_smoothness, scaled.max_smoothness * weight.mean(), rtol=1e-6)


def test_zero_weights_count_as_left_out_whatever_the_scale():
    weight = np.arange(float(N)) % 3
    kept = weight > 0
    X, y = make_data("huber", N, D, "float64", "dense", seed=9)
    x = make_parameters(LOSSES["huber"], D, "float64", False, seed=9)
    for scale, ratio in (("mean", 1.0), (None, kept.mean())):
        zeros = objectives.Huber(X, y, sample_weight=weight, weight_scale=scale)
        others = objectives.Huber(X[kept], y[kept], sample_weight=weight[kept], weight_scale=scale)
        assert_near(zeros(x), others(x) * ratio)
        assert_near(zeros.sums(x)[0], others.sums(x)[0])
        assert zeros.total_weight == others.total_weight == weight.sum()


@EVERY_LAYOUT
@EVERY_LOSS
def test_parts_without_weight(loss, layout):
    """A part of the samples may have no weight at all, where nothing is divided by it."""
    part, x = problem(loss, layout=layout, sample_weight=np.zeros(N), weight_scale=None, l2=0.5)
    only_penalty = 0.25 * np.square(part._penalised(x)).sum()
    assert part.total_weight == 0.0 and part(x) == pytest.approx(only_penalty) and part.sums(x)[0] == 0.0
    assert not part.sums(x)[1].any() and part.max_smoothness in (0.5, np.inf)
    with pytest.raises(ValueError, match=r"^`sample_weight` must be positive for at least one"):
        problem(loss, sample_weight=np.zeros(N))


@pytest.mark.parametrize("method", [None, "sgd", "adam", "saga", "svrg"])
def test_runs_over_parts_without_weight(method):
    part, x = problem("least_squares", sample_weight=np.zeros(N), weight_scale=None)
    result = minimize(part, x, method=method, rng=0, options={"epochs": 2})
    np.testing.assert_array_equal(result.x, x)


def test_total_weight():
    assert problem()[0].total_weight == N
    assert problem(sample_weight=np.full(N, 0.25))[0].total_weight == 15.0
    assert problem(sample_weight=np.full(N, 0.25), weight_scale=None)[0].total_weight == 15.0
    assert problem("least_squares", "float32", sample_weight=np.arange(N))[0].total_weight == N * (N - 1) / 2
    assert type(problem()[0].total_weight) is float


@pytest.mark.parametrize("value", ["sum", "max", 1.0, True, np.array(["mean"]), b"mean"], ids=repr)
def test_bad_scales(value):
    with pytest.raises(ValueError, match=r'^`weight_scale` must be "mean" or None, got '):
        problem(weight_scale=value)


def test_weights_beyond_float32_without_a_scale():
    with pytest.raises(ValueError, match=r"^`sample_weight` must be in the range of float32"):
        problem("logistic", "float32", sample_weight=np.full(N, 1e39), weight_scale=None)
    problem("logistic", "float32", sample_weight=np.full(N, 1e39))


# --- sums --------------------------------------------------------------------------------------------------------

IDX = {"all": None, "some": [3, 59, 0], "repeats": np.arange(200) % 59}


@pytest.mark.parametrize("idx", IDX.values(), ids=IDX)
@pytest.mark.parametrize("scale", ["mean", None])
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_sums(loss, dtype, layout, scale, idx):
    """Of weights as they were given times losses, without penalties and the linear part."""
    weight = make_weights(N, 9)
    more = {"l2": 0.3, "l1": 0.1} | ({} if LOSSES[loss].n_outputs > 1 else {"linear": LINEAR})
    objective, x = problem(loss, dtype, layout, sample_weight=weight, weight_scale=scale, **more)
    X, y = make_data(loss, N, D, dtype, layout, seed=9)
    value, gradient = objective.sums(x, idx)
    expected = reference(LOSSES[loss], X, y, x, fit_intercept=True, sample_weight=weight, idx=idx)
    factor = weight.mean() * (N if idx is None else len(idx))
    assert_near(value, expected[0] * factor, dtype)
    assert_near(gradient, expected[1] * factor, dtype)
    assert type(value) is float and gradient.dtype == dtype


def test_sums_over_parts_make_the_objective():
    weight = make_weights(N, 9)
    X, y = make_data("logistic", N, D, "float64", "csr32", seed=9)
    whole, x = problem("logistic", layout="csr32", sample_weight=weight)
    parts = [
        objectives.Logistic(X[part], y[part], fit_intercept=True, sample_weight=weight[part])
        for part in (slice(0, 20), slice(20, 25), slice(25, N))
    ]
    total = sum(part.total_weight for part in parts)
    assert_near(sum(part.sums(x)[0] for part in parts) / total, whole(x))
    assert_near(sum(part.sums(x)[1] for part in parts) / total, whole.gradient(x))


def test_sums_check_their_arguments():
    objective, x = problem()
    with pytest.raises(ValueError, match=r"^`x` must have shape"):
        objective.sums(x[:-1])
    with pytest.raises(IndexError, match=r"^`idx` must be in"):
        objective.sums(x, [N])


# --- the linear part ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("idx", IDX.values(), ids=IDX)
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_linear_part(loss, dtype, layout, idx):
    linear = np.resize(LINEAR, (D + 1) * LOSSES[loss].n_outputs)
    objective, x = problem(loss, dtype, layout, l2=0.3, linear=linear)
    plain, _ = problem(loss, dtype, layout, l2=0.3)
    assert_near(objective(x, idx), plain(x, idx) + linear @ x, dtype)
    assert_near(objective.gradient(x, idx), plain.gradient(x, idx) + linear, dtype)
    assert objective.linear.tobytes() == linear.astype(dtype).tobytes() and plain.linear is None


METHODS = {
    "sgd": ("sgd", 1, {}),
    "sgd in batches": ("sgd", 8, {"momentum": 0.9}),
    "adagrad": ("adagrad", 8, {}),
    "adam": ("adam", 8, {}),
    "ftrl": ("ftrl", 8, {}),
    "momo": ("momo", 8, {}),
}


def by_hand(objective, linear):
    """The same objective in Python: its own linear part is added by us."""

    def fun(x, idx):
        value, gradient = objective.value_and_gradient(x, idx)
        return value + linear @ x, gradient + linear

    return fun


@pytest.mark.parametrize("name, penalty", [*((name, {}) for name in METHODS), ("adam", {"l2": 0.2})])
@EVERY_LAYOUT
def test_steps_with_a_linear_part(name, layout, penalty):
    """Those of the function of Python; with a penalty where that is part of the gradient in both."""
    method, size, options = METHODS[name]
    objective, x = problem("logistic", layout=layout, linear=LINEAR, **penalty)
    plain, _ = problem("logistic", layout=layout, **penalty)
    arguments = dict(method=method, batch_size=size, rng=0, options={"learning_rate": 0.05, "epochs": 3} | options)
    res = minimize(objective, x, **arguments)
    expected = minimize(by_hand(plain, LINEAR), x, jac=True, n_samples=N, **arguments)
    np.testing.assert_allclose(res.x, expected.x, rtol=1e-9, atol=1e-12)


@EVERY_DTYPE
@pytest.mark.parametrize("penalty", [{"l2": 0.2}, {"l2": 0.2, "l1": 0.05}], ids=str)
@EVERY_LAYOUT
@pytest.mark.parametrize("name", ["saga", "svrg"])
def test_reduced_variance_with_a_linear_part(name, layout, penalty, dtype):
    """They end at the minimum, with the linear part in the mean gradient; and go on from their state."""
    objective, x = problem("least_squares", dtype, layout, linear=LINEAR, **penalty)
    res = minimize(objective, x, method=name, rng=0, options={"epochs": 300})
    gradient, w = res.jac.astype(float), res.x[:D]
    at_zero = np.append(w == 0, False) if penalty.get("l1") else np.zeros(D + 1, bool)
    assert np.abs(gradient[~at_zero]).max() < {"float32": 2e-5, "float64": 1e-9}[dtype]
    assert np.abs(gradient[at_zero]).max(initial=0.0) <= penalty.get("l1", 0.0)
    again = minimize(objective, res.x, method=res.optimizer, rng=1, options={"epochs": 3})
    assert_near(again.x, res.x, "float32")


@pytest.mark.parametrize("parallel", ["batch", "hogwild"])
def test_history_has_the_linear_part(parallel):
    objective, x = problem("least_squares", linear=LINEAR)
    plain, _ = problem("least_squares")
    options = {"learning_rate": 1e-9, "epochs": 1, "parallel": parallel}
    res = minimize(objective, x, method="sgd", batch_size=N, options=options)
    np.testing.assert_allclose(res.history["fun"][0], plain(x) + LINEAR @ x, rtol=1e-6)


BAD_LINEAR = {
    "short": (LINEAR[:-1], ValueError, "must have shape (10,), like the parameters, got (9,)"),
    "matrix": (LINEAR[:, None], ValueError, "must have shape (10,), like the parameters, got (10, 1)"),
    "number": (1.0, ValueError, "must have shape (10,), like the parameters, got ()"),
    "NaN": (np.full(10, np.nan), ValueError, "must be finite"),
    "text": (["a"] * 10, TypeError, "must be an array of real numbers"),
    "complex": (LINEAR * 1j, TypeError, "must be an array of real numbers"),
}


@pytest.mark.parametrize("value, exception, message", BAD_LINEAR.values(), ids=BAD_LINEAR)
def test_bad_linear_parts(value, exception, message):
    with pytest.raises(exception) as caught:
        problem(linear=value)
    assert str(caught.value).startswith(f"`linear` {message}")


def test_linear_part_beyond_float32():
    with pytest.raises(ValueError, match=r"^`linear` must be in the range of float32"):
        problem("logistic", "float32", linear=np.full(10, 1e39))


# --- attributes --------------------------------------------------------------------------------------------------


def test_attributes_are_read_only():
    objective, _ = problem("quantile", linear=LINEAR)
    for name in ("total_weight", "weight_scale", "linear", "q", "l2", "l1", "fit_intercept", "n_outputs", "X"):
        with pytest.raises(AttributeError):
            setattr(objective, name, getattr(objective, name))
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        objective.linear[0] = 1.0
    with pytest.raises(ValueError, match="WRITEABLE"):
        objective.linear.flags.writeable = True


def test_linear_part_may_change_later():
    linear = LINEAR.copy()
    objective, x = problem(linear=linear)
    before = evaluation_bits(objective, x)
    linear[:] = np.nan
    assert evaluation_bits(objective, x) == before


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],
                         ids=["copy", "deepcopy", "pickle"])  # fmt: skip
@EVERY_LAYOUT
@EVERY_DTYPE
def test_copies(dtype, layout, again):
    weight = make_weights(N, 9)
    for scale in ("mean", None):
        objective, x = problem(
            "tweedie", dtype, layout, sample_weight=weight, weight_scale=scale, linear=LINEAR, l1=0.1
        )
        other = again(objective)
        assert repr(other) == repr(objective)
        assert (other.total_weight, other.weight_scale, other.power) == (objective.total_weight, scale, 1.5)
        assert other.linear.tobytes() == objective.linear.tobytes()
        assert evaluation_bits(other, x) == evaluation_bits(objective, x)
        assert [np.asarray(each).tobytes() for each in other.sums(x)] == [
            np.asarray(each).tobytes() for each in objective.sums(x)
        ]


@pytest.mark.parametrize(
    "loss, keywords, settings",
    [
        ("logistic", {}, "fit_intercept=True"),
        ("quantile", {"l2": 0.5}, "q=0.3, l2=0.5, fit_intercept=True"),
        (
            "huber",
            {"weight_scale": None, "linear": LINEAR},
            "delta=1.0, fit_intercept=True, weight_scale=None, linear=...",
        ),
        ("tweedie_inverse_gaussian", {}, "power=3.0, fit_intercept=True"),
    ],
)
def test_repr(loss, keywords, settings):
    objective, _ = problem(loss, **keywords)
    assert repr(objective) == f"<{type(objective).__name__}({settings}): 60 x 9 float64 samples, dense>"


def test_validation_has_no_linear_part():
    objective, x = problem("least_squares", linear=LINEAR, sample_weight=make_weights(N, 9), weight_scale=None)
    X, y = make_data("least_squares", 7, D, "float64", "dense", seed=1)
    res = minimize(objective, x, validation=(X, y), method="sgd", batch_size=8, options={"epochs": 1})
    plain = objectives.LeastSquares(X, y, fit_intercept=True)
    np.testing.assert_allclose(res.history["validation"], [plain(res.x)], rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "total_weight", "weight_scale"])
def test_objects_that_were_not_initialised(name):
    with pytest.raises(RuntimeError, match="must be initialised before it is used"):
        getattr(objectives.Logistic.__new__(objectives.Logistic), name)
