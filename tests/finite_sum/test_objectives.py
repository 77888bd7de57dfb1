"""Values and gradients of fastopt.objectives: against float64 oracles, differences, scikit-learn and SciPy."""

import gc
from concurrent.futures import ThreadPoolExecutor

import finite_sums
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from cases import ISAS
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
from helpers import read_only

import fastopt
from fastopt import objectives

PENALTIES = {"l2": 0.3, "l1": 0.05}
# Rounding errors of a mean of some hundred samples, relative to the largest entry.
ROUNDING = {"float32": 2e-6, "float64": 2e-14}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
WITH_INTERCEPT = pytest.mark.parametrize("fit_intercept", [False, True], ids=["", "intercept"])
BINARY = ["logistic", "hinge", "squared_hinge", "modified_huber"]
SMOOTH = [name for name, case in LOSSES.items() if np.isfinite(case.curvature)]


def assert_near(actual, expected, dtype, factor=1.0):
    """Equal up to rounding in the dtype, relative to the largest entry."""
    expected = np.asarray(expected, np.float64)
    tolerance = factor * ROUNDING[np.dtype(dtype).name]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


# --- against the oracle ----------------------------------------------------------------------------------


@EVERY_LOSS
def test_oracle_against_central_differences(loss):
    """The derivatives that everything below is compared to."""
    case, rng, h = LOSSES[loss], np.random.default_rng(1), 1e-6
    y = case.labels(rng, 40)
    z = rng.standard_normal((40, case.n_outputs) if case.n_outputs > 1 else 40)
    slope = case.derivative(z, y).reshape(40, case.n_outputs)
    for k in range(case.n_outputs):
        up = h * np.eye(case.n_outputs)[k] if case.n_outputs > 1 else h
        np.testing.assert_allclose((case.value(z + up, y) - case.value(z - up, y)) / (2 * h), slope[:, k], atol=1e-8)


IDX = {
    "all": None,
    "some": np.array([3, 149, 0, 77]),
    "repeats": np.random.default_rng(5).integers(0, 150, 333),
}


@pytest.mark.parametrize("idx", IDX.values(), ids=IDX)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@WITH_INTERCEPT
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_value_and_gradient(loss, dtype, layout, fit_intercept, weighted, idx):
    case = LOSSES[loss]
    X, y = make_data(loss, 150, 37, dtype, layout, seed=2)
    x = make_parameters(case, 37, dtype, fit_intercept, seed=2)
    keywords = PENALTIES | {"fit_intercept": fit_intercept, "sample_weight": make_weights(150, 2) if weighted else None}
    objective = make_objective(case, X, y, **keywords)
    expected_value, expected_gradient = reference(case, X, y, x, idx=idx, **keywords)

    value, gradient = objective.value_and_gradient(x, idx)
    assert type(value) is float and gradient.dtype == dtype
    assert_near(value, expected_value, dtype)
    assert_near(gradient, expected_gradient, dtype)
    assert_near(objective(x, idx), expected_value, dtype)
    assert objective.gradient(x, idx).tobytes() == gradient.tobytes()


@pytest.mark.parametrize("d", [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 64, 65])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 63, 64, 65, 128, 129])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_every_remainder_of_blocks_and_vectors(loss, n, d):
    case = LOSSES[loss]
    for dtype in DTYPES:
        for layout in ("dense", "csr32"):
            X, y = make_data(loss, n, d, dtype, layout, seed=n)
            x = make_parameters(case, d, dtype, True, seed=d)
            value, gradient = make_objective(case, X, y, fit_intercept=True).value_and_gradient(x)
            expected_value, expected_gradient = reference(case, X, y, x, fit_intercept=True)
            assert_near(value, expected_value, dtype)
            assert_near(gradient, expected_gradient, dtype)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@EVERY_DTYPE
@pytest.mark.parametrize("k", [2, 3, 7, 8, 9, 16, 17, 33, 100])
def test_any_number_of_classes(k, dtype, layout):
    case, rng = finite_sums.softmax_case(k), np.random.default_rng(k)
    X, y = finite_sums.as_layout(rng.standard_normal((70, 5)).astype(dtype), layout), case.labels(rng, 70)
    objective, x = objectives.Softmax(X, y, fit_intercept=True), make_parameters(case, 5, dtype, True, seed=k)
    assert objective.n_outputs == k
    expected_value, expected_gradient = reference(case, X, y, x, fit_intercept=True)
    value, gradient = objective.value_and_gradient(x)
    assert_near(value, expected_value, dtype)
    assert_near(gradient, expected_gradient, dtype)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@EVERY_LOSS
def test_gradient_against_central_differences(loss, layout):
    case, h = LOSSES[loss], 1e-6
    X, y = make_data(loss, 30, 6, "float64", layout, seed=4)
    objective = make_objective(case, X, y, **PENALTIES, fit_intercept=True, sample_weight=make_weights(30, 4))
    x = make_parameters(case, 6, "float64", True, seed=4) + 0.1  # away from the kink of l1
    gradient = objective.gradient(x)
    for j, step in enumerate(h * np.eye(len(x))):
        np.testing.assert_allclose((objective(x + step) - objective(x - step)) / (2 * h), gradient[j], atol=2e-8)


@EVERY_LOSS
def test_no_penalty_by_default(loss):
    case = LOSSES[loss]
    X, y = make_data(loss, 20, 5, "float64", "dense", seed=6)
    x = make_parameters(case, 5, "float64", False, seed=6)
    value, gradient = make_objective(case, X, y).value_and_gradient(x)
    expected_value, expected_gradient = reference(case, X, y, x)
    assert_near(value, expected_value, "float64")
    assert_near(gradient, expected_gradient, "float64")


@EVERY_LOSS
def test_penalties_leave_the_intercept_alone(loss):
    """What l1 and l2 add, to the last place: nothing where the coefficient is 0, nothing for the intercepts."""
    case = LOSSES[loss]
    X, y = make_data(loss, 20, 5, "float64", "dense", seed=7)
    x = make_parameters(case, 5, "float64", True, seed=7)
    x[-case.n_outputs :] = 2.0
    w = x[: -case.n_outputs]
    assert (w == 0).any()
    plain = make_objective(case, X, y, fit_intercept=True)
    for keywords, more_value, more in [
        ({"l2": 0.5}, 0.25 * (w @ w), 0.5 * w),
        ({"l1": 0.5}, 0.5 * np.abs(w).sum(), 0.5 * np.sign(w)),
    ]:
        value, gradient = make_objective(case, X, y, fit_intercept=True, **keywords).value_and_gradient(x)
        added = gradient - plain.gradient(x)
        np.testing.assert_allclose(value - plain(x), more_value, rtol=1e-12)
        np.testing.assert_allclose(added[: -case.n_outputs], more, rtol=1e-12, atol=1e-15)
        assert not added[-case.n_outputs :].any()
        assert not added[: -case.n_outputs][w == 0].any()


# --- samples, labels, weights ----------------------------------------------------------------------------


def small_problem(loss="logistic", dtype="float64", layout="dense", n=60, d=9, **keywords):
    """An objective and parameters for it."""
    case = LOSSES[loss]
    X, y = make_data(loss, n, d, dtype, layout, seed=9)
    x = make_parameters(case, d, dtype, keywords.get("fit_intercept", False), seed=9)
    return make_objective(case, X, y, **keywords), x


@EVERY_LOSS
def test_batches_average_to_the_whole(loss):
    objective, x = small_problem(loss, sample_weight=make_weights(60, 9), **PENALTIES)
    batches = np.random.default_rng(0).permutation(60).reshape(6, 10)
    np.testing.assert_allclose(np.mean([objective(x, idx) for idx in batches]), objective(x), rtol=1e-13)
    mean = np.mean([objective.gradient(x, idx) for idx in batches], axis=0)
    np.testing.assert_allclose(mean, objective.gradient(x), rtol=1e-12, atol=1e-14)


@EVERY_LAYOUT
@EVERY_LOSS
def test_all_samples_by_number(loss, layout):
    objective, x = small_problem(loss, layout=layout)
    assert evaluation_bits(objective, x, np.arange(60)) == evaluation_bits(objective, x)


@pytest.mark.parametrize(
    "idx",
    [
        [4, 0, 4, 59],
        (4, 0, 4, 59),
        np.array([4, 0, 4, 59], np.int32),
        np.array([4, 0, 4, 59], np.int8),
        np.array([4, 0, 4, 59], np.uint64),
        np.array([4, 0, 4, 59], ">i8"),
        np.array([4, 9, 0, 9, 4, 9, 59])[::2],
        np.array([59, 4, 0, 4])[::-1],
        read_only(np.array([4, 0, 4, 59])),
    ],
    ids=["list", "tuple", "int32", "int8", "uint64", "swapped", "strided", "reversed", "read-only"],
)
def test_sample_numbers_of_any_integer_type(idx):
    objective, x = small_problem()
    assert evaluation_bits(objective, x, idx) == evaluation_bits(objective, x, np.array([4, 0, 4, 59]))


def test_sample_numbers_of_a_range():
    objective, x = small_problem()
    assert evaluation_bits(objective, x, range(5, 50, 3)) == evaluation_bits(objective, x, np.arange(5, 50, 3))


@EVERY_DTYPE
@pytest.mark.parametrize("loss", BINARY)
def test_binary_labels_of_any_type(loss, dtype):
    case = LOSSES[loss]
    X, y = make_data(loss, 40, 5, dtype, "dense", seed=10)
    x = make_parameters(case, 5, dtype, False, seed=10)
    expected = evaluation_bits(make_objective(case, X, y), x)
    positive = y > 0
    for same in [
        positive,
        positive.astype(int),
        positive.astype(np.uint8),
        positive.astype(np.float32),
        positive.tolist(),
        y.astype(np.int8),
        y.astype(np.float64),
        [int(each) for each in y],
        np.repeat(y, 2)[::2],
        read_only(y),
    ]:
        assert evaluation_bits(make_objective(case, X, same), x) == expected


@pytest.mark.parametrize("label", [0, 1, -1])
def test_binary_labels_of_one_class(label):
    objective = objectives.Logistic(np.ones((3, 1)), np.full(3, label))
    np.testing.assert_allclose(objective([2.0]), np.logaddexp(0, -2.0 if label == 1 else 2.0), rtol=1e-15)


@pytest.mark.parametrize("kind", [int, np.uint8, np.float32, np.float64, list])
def test_class_numbers_of_any_type(kind):
    case = LOSSES["softmax"]
    X, y = make_data("softmax", 40, 5, "float64", "dense", seed=11)
    x = make_parameters(case, 5, "float64", False, seed=11)
    same = y.tolist() if kind is list else y.astype(kind)
    assert evaluation_bits(make_objective(case, X, same), x) == evaluation_bits(make_objective(case, X, y), x)


@pytest.mark.parametrize("density", [0.002, 0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("n_features", [30, 300])
def test_value_has_the_same_bits_with_and_without_a_gradient(density, n_features):
    """Whatever number of gradients the samples are shared by."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.csr_array(rng.normal(size=(5000, n_features)) * (rng.random((5000, n_features)) < density))
    objective, x = objectives.LeastSquares(X, rng.normal(size=5000)), rng.normal(size=n_features)
    assert objective(x) == objective.value_and_gradient(x)[0]


@pytest.mark.parametrize("gap", [1.0, 20.0, 37.0, 80.0])
def test_softmax_of_small_losses(gap):
    """log(1 + e^-gap + ...), in which the terms vanish beside the 1."""
    objective = objectives.Softmax(np.ones((1, 1)), [0], n_classes=3)
    expected = np.log1p(np.exp(-gap) + np.exp(-2 * gap))
    np.testing.assert_allclose(objective(np.array([[gap, 0.0, -gap]]).ravel()), expected, rtol=1e-14)


def test_softmax_of_two_classes_is_logistic():
    X, y = make_data("logistic", 50, 6, "float64", "dense", seed=12)
    w = make_parameters(LOSSES["logistic"], 6, "float64", True, seed=12)
    two = objectives.Softmax(X, y > 0, fit_intercept=True)
    value, gradient = two.value_and_gradient(np.column_stack([np.zeros(7), w]).ravel())
    one = objectives.Logistic(X, y, fit_intercept=True)
    np.testing.assert_allclose(value, one(w), rtol=1e-13)
    np.testing.assert_allclose(gradient.reshape(7, 2)[:, 1], one.gradient(w), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradient.reshape(7, 2).sum(axis=1), 0, atol=1e-15)


@EVERY_LAYOUT
@EVERY_LOSS
def test_weights_count_by_their_ratios(loss, layout):
    weight = make_weights(60, 13)
    objective, x = small_problem(loss, layout=layout, sample_weight=weight)
    scaled, _ = small_problem(loss, layout=layout, sample_weight=weight * 1024)
    assert evaluation_bits(scaled, x) == evaluation_bits(objective, x)
    equal, _ = small_problem(loss, layout=layout, sample_weight=np.full(60, 0.25))
    plain, _ = small_problem(loss, layout=layout)
    assert evaluation_bits(equal, x) == evaluation_bits(plain, x)


@EVERY_DTYPE
@EVERY_LOSS
def test_integer_weights_are_repetitions(loss, dtype):
    weight = np.random.default_rng(14).integers(1, 4, 60)
    weighted, x = small_problem(loss, dtype, sample_weight=weight)
    plain, _ = small_problem(loss, dtype)
    repeated = plain.value_and_gradient(x, np.repeat(np.arange(60), weight))
    assert_near(weighted(x), repeated[0], dtype)
    assert_near(weighted.gradient(x), repeated[1], dtype, factor=2)


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e300, 1e308])
def test_weights_of_any_size(size):
    objective, x = small_problem(sample_weight=np.full(60, size))
    plain, _ = small_problem()
    assert_near(objective(x), plain(x), "float64")


# --- the parameters --------------------------------------------------------------------------------------


@EVERY_LOSS
@EVERY_DTYPE
@pytest.mark.parametrize("given", [*DTYPES, "list"])
def test_parameters_of_another_type(loss, dtype, given):
    """They are converted to the dtype of X to compute with; the gradient has their own."""
    objective, x = small_problem(loss, dtype, fit_intercept=True, **PENALTIES)
    x = x.astype("float32")  # the same in both dtypes
    passed = x.tolist() if given == "list" else x.astype(given)
    gradient = objective.gradient(passed)
    assert gradient.dtype == ("float64" if given == "list" else given)
    assert objective(passed) == objective(x.astype(dtype))
    assert_near(gradient, objective.gradient(x.astype(dtype)), "float32")
    if given in (dtype, "list"):
        assert gradient.astype(dtype).tobytes() == objective.gradient(x.astype(dtype)).tobytes()


def test_parameters_in_odd_layouts():
    objective, x = small_problem(fit_intercept=True)
    expected, gradient = objective(x), objective.gradient(x)
    wide = np.repeat(x, 2)
    backwards = x[::-1].copy()
    for same in (wide[::2], backwards[::-1], read_only(x), x.astype(x.dtype.newbyteorder("S"))):
        assert objective(same) == expected
        np.testing.assert_array_equal(objective.gradient(same), gradient)


@EVERY_DTYPE
@EVERY_LOSS
def test_parameters_and_data_are_only_read(loss, dtype):
    case = LOSSES[loss]
    X, y = make_data(loss, 30, 5, dtype, "dense", seed=15)
    x, weight = make_parameters(case, 5, dtype, False, seed=15), make_weights(30, 15)
    before = [array.tobytes() for array in (X, y, x, weight)]
    objective = make_objective(case, X, y, **PENALTIES, sample_weight=weight)
    gradient = objective.gradient(x)
    gradient[:] = np.nan  # the caller's own
    assert np.isfinite(objective.gradient(x)).all()
    assert [array.tobytes() for array in (X, y, x, weight)] == before
    assert make_objective(case, *map(read_only, (X, y)), sample_weight=read_only(weight), **PENALTIES)(
        read_only(x)
    ) == objective(x)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_labels_and_weights_may_change_later(layout):
    """X is used in place, y and sample_weight are not."""
    X, y = make_data("logistic", 30, 5, "float64", layout, seed=16)
    weight, x = make_weights(30, 16), np.ones(5)
    objective = objectives.Logistic(X, y, sample_weight=weight)
    expected = evaluation_bits(objective, x)
    y[:], weight[:] = np.nan, np.nan
    assert evaluation_bits(objective, x) == expected


@EVERY_LAYOUT
def test_objective_keeps_its_data(layout):
    X, y = make_data("logistic", 5000, 20, "float64", layout, seed=17)
    objective, x = objectives.Logistic(X, y, fit_intercept=True), np.ones(21)
    expected = evaluation_bits(objective, x)
    del X, y
    gc.collect()
    _ = [np.full(100_000, np.nan) for _ in range(10)]  # over what would have been freed
    assert evaluation_bits(objective, x) == expected


@EVERY_LOSS
def test_nan_in_parameters_is_passed_on(loss):
    objective, x = small_problem(loss, fit_intercept=True, **PENALTIES)
    x[:] = np.nan
    value, gradient = objective.value_and_gradient(x)
    assert np.isnan(value) and np.isnan(objective(x)) and np.isnan(gradient).all()


# --- large and small margins -----------------------------------------------------------------------------

MARGINS = [0.0, 1e-8, 0.5, 1.0, 2.0, 10.0, 30.0, 40.0, 88.0, 89.0, 104.0, 500.0, 700.0, 750.0, 1000.0, 1e4]
MARGINS = np.array([-z for z in MARGINS] + MARGINS)
LABELS = {
    **{name: [-2, 0, 0.5] for name in ("least_squares", "huber", "quantile", "epsilon_insensitive")},
    "squared_epsilon_insensitive": [-2, 0],
    "huber_narrow": [0],
    "poisson": [0, 3, 7],
    "gamma": [0.5, 3],
    "tweedie": [0, 0.5, 3],
    "tweedie_normal": [-2, 0, 3],
    "tweedie_inverse_gaussian": [0.5, 3],
}


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@EVERY_DTYPE
@pytest.mark.parametrize("loss", [*(name for name, case in LOSSES.items() if case.n_outputs == 1), "tweedie_normal"])
def test_margins_of_any_size(loss, dtype, layout):
    """Sample by sample: no overflow where there is none in the result, and the exact limits."""
    case, X = LOSSES.get(loss, finite_sums.TWEEDIE_NORMAL), MARGINS.astype(dtype)[:, None]
    for label in LABELS.get(loss, [-1, 1]):
        y = np.full(len(X), label)
        objective = make_objective(case, finite_sums.as_layout(X, layout), y)
        z = X[:, 0].astype(np.float64)
        with np.errstate(over="ignore"):
            values, slopes = case.value(z, y), (case.derivative(z, y) * z).astype(dtype)
        pairs = [objective.value_and_gradient(np.ones(1, dtype), [i]) for i in range(len(X))]
        np.testing.assert_allclose([value for value, _ in pairs], values, rtol=4e-15, atol=1e-300)
        rtol, atol = {"float32": (2e-7, 1e-33), "float64": (4e-15, 1e-300)}[dtype]
        np.testing.assert_allclose([slope for _, (slope,) in pairs], slopes, rtol=rtol, atol=atol)


@EVERY_DTYPE
def test_limits_of_large_margins(dtype):
    """Written out, without an oracle: label 1, margins 1e4 and -1e4."""
    X, x = np.array([[1e4], [-1e4]], dtype), np.ones(1, dtype)
    for name, right, wrong, slope in [
        ("logistic", 0.0, 1e4, -1.0),
        ("hinge", 0.0, 10_001.0, -1.0),
        ("squared_hinge", 0.0, 10_001.0**2, -20_002.0),
    ]:
        objective = make_objective(LOSSES[name], X, [1, 1])
        assert objective.value_and_gradient(x, [0]) == (right, 0.0)
        assert objective.value_and_gradient(x, [1]) == (wrong, np.array(slope * -1e4, dtype))
    poisson = objectives.Poisson(X, [2, 2])
    assert poisson.value_and_gradient(x, [0]) == (np.inf, np.inf)
    assert poisson.value_and_gradient(x, [1]) == (2e4, 2e4)
    assert objectives.Huber(X, [0, 0], delta=2.0).value_and_gradient(x, [1]) == (2e4 - 2, 2e4)


@EVERY_DTYPE
def test_softmax_of_large_margins(dtype):
    """One feature that is 1: the parameters are the margins of the three classes."""
    objective = objectives.Softmax(np.ones((3, 1), dtype), [0, 1, 2])
    for z in [(1e4, 0, -1e4), (-1e4, -1e4, -1e4), (1e4, 1e4, 0), (0, 500, 1000), (-1e4, -9990, -9995)]:
        z = np.array(z, dtype)
        case = LOSSES["softmax_unused_class"]
        for y in range(3):
            value, gradient = objective.value_and_gradient(z, [y])
            np.testing.assert_allclose(value, case.value(z[None].astype(float), [y])[0], rtol=1e-14, atol=1e-15)
            expected = case.derivative(z[None].astype(float), [y])[0]
            np.testing.assert_allclose(gradient, expected, rtol=2e-7 if dtype == "float32" else 1e-14, atol=1e-16)
    assert objective(np.array([1e4, 0, -1e4], dtype), [0]) == 0.0
    assert objective(np.array([1e4, 0, -1e4], dtype), [2]) == 2e4


@EVERY_DTYPE
def test_kinks(dtype):
    """At y z = 1 the derivative of the hinge losses is 0, and Huber's halves meet."""
    one = np.ones((1, 1), dtype)
    assert objectives.Hinge(one, [1]).value_and_gradient(np.ones(1, dtype)) == (0.0, 0.0)
    assert objectives.SquaredHinge(one, [1]).value_and_gradient(np.ones(1, dtype)) == (0.0, 0.0)
    below = np.nextafter(np.ones(1, dtype), 0)
    assert objectives.Hinge(one, [1]).gradient(below) == -1.0
    for r in (1.5, -1.5):
        assert objectives.Huber(one, [0], delta=1.5).value_and_gradient(np.full(1, r, dtype)) == (1.125, r)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@EVERY_LOSS
def test_float32_sums_of_many_samples(loss, layout):
    """Sums are taken in float64, so that rounding does not grow with the number of samples.

    Errors are then those of the margins and of the result, some 5e-8. Sums in float32 are off by 1e-6 to 1e-4, and by
    more than 1e-7 even if they are cut into sixteen.
    """
    case, n = LOSSES[loss], 200_000
    rng = np.random.default_rng(18)
    X = rng.uniform(0.5, 1.5, (n, 6)).astype("float32")
    y = case.labels(rng, n)
    x = (np.arange(7 * case.n_outputs) % 5 / 20).astype("float32")
    value, gradient = make_objective(case, finite_sums.as_layout(X, layout), y, fit_intercept=True).value_and_gradient(
        x
    )
    labels = y.astype("float32")
    expected_value, expected_gradient = reference(case, X, labels, x, fit_intercept=True)
    np.testing.assert_allclose(value, expected_value, rtol=1e-8)
    assert np.linalg.norm(gradient - expected_gradient) <= 1e-7 * np.linalg.norm(expected_gradient)


# --- layouts ---------------------------------------------------------------------------------------------


@WITH_INTERCEPT
@EVERY_DTYPE
@EVERY_LOSS
def test_dense_against_sparse(loss, dtype, fit_intercept):
    keywords = PENALTIES | {"fit_intercept": fit_intercept, "sample_weight": make_weights(300, 19)}
    made = {layout: small_problem(loss, dtype, layout, n=300, **keywords) for layout in LAYOUTS}
    x = made["dense"][1]
    dense, narrow, wide = (made[layout][0] for layout in LAYOUTS)
    assert_near(narrow(x), dense(x), dtype)
    assert_near(narrow.gradient(x), dense.gradient(x), dtype)
    assert_near(narrow.decision_function(x), dense.decision_function(x), dtype)
    np.testing.assert_allclose(narrow.max_smoothness, dense.max_smoothness, rtol=ROUNDING[dtype])
    assert evaluation_bits(wide, x) == evaluation_bits(narrow, x)


@EVERY_LOSS
def test_csr_matrix_is_csr_array(loss):
    case = LOSSES[loss]
    X, y = make_data(loss, 40, 5, "float64", "csr32", seed=20)
    x = make_parameters(case, 5, "float64", False, seed=20)
    matrix = make_objective(case, scipy.sparse.csr_matrix(X), y)
    array = make_objective(case, X, y)
    assert evaluation_bits(matrix, x) == evaluation_bits(array, x)
    np.testing.assert_array_equal(matrix.decision_function(x), array.decision_function(x))
    assert matrix.max_smoothness == array.max_smoothness


SLICES = {
    "every second row": lambda A: A[::2],
    "first columns": lambda A: A[:, :7],
    "inner columns": lambda A: A[:, 3:11],
    "one column": lambda A: A[:, 5:6],
    "every third row, some columns": lambda A: A[1::3, 2:-1],
    "one row": lambda A: A[4:5],
    "the same row again and again": lambda A: np.broadcast_to(A[3], (6, A.shape[1])),
    "read-only": read_only,
    "transposed Fortran": lambda A: np.asfortranarray(A.T).T,
    "a subclass": lambda A: A.view(type("Samples", (np.ndarray,), {})),
}


@EVERY_DTYPE
@pytest.mark.parametrize("view", SLICES.values(), ids=SLICES)
@EVERY_LOSS
def test_slices_are_used_where_they_are(loss, view, dtype):
    case = LOSSES[loss]
    X = view(make_data(loss, 90, 13, dtype, "dense", seed=21, density=1.0)[0])
    y = case.labels(np.random.default_rng(21), len(X))
    keywords = {"fit_intercept": True} | ({"n_classes": 4} if loss == "softmax" else {})
    x = make_parameters(case, X.shape[1], dtype, True, seed=21)
    actual, copied = make_objective(case, X, y, **keywords), make_objective(case, X.copy("C"), y, **keywords)
    assert evaluation_bits(actual, x) == evaluation_bits(copied, x)
    idx = [len(X) - 1, 0, 0]
    assert evaluation_bits(actual, x, idx) == evaluation_bits(copied, x, idx)
    assert actual.max_smoothness == copied.max_smoothness


@EVERY_DTYPE
@EVERY_LOSS
def test_rows_without_entries(loss, dtype):
    """Empty rows of CSR, and rows of zeros, count as samples of margin 0 (or of the intercept)."""
    case = LOSSES[loss]
    X, y = make_data(loss, 40, 5, dtype, "dense", seed=22)
    X[[0, 1, 7, 20, 39]] = 0
    x = make_parameters(case, 5, dtype, True, seed=22)
    expected_value, expected_gradient = reference(case, X, y, x, fit_intercept=True)
    for layout in LAYOUTS:
        objective = make_objective(case, finite_sums.as_layout(X, layout), y, fit_intercept=True)
        value, gradient = objective.value_and_gradient(x)
        assert_near(value, expected_value, dtype)
        assert_near(gradient, expected_gradient, dtype)
        empty = objective.gradient(x, [0, 39, 0])[: -case.n_outputs]
        assert not empty.any()


@EVERY_LAYOUT
@EVERY_LOSS
def test_nothing_but_zeros(loss, layout):
    case = LOSSES[loss]
    y = case.labels(np.random.default_rng(23), 30)
    X = finite_sums.as_layout(np.zeros((30, 4)), layout)
    x = make_parameters(case, 4, "float64", True, seed=23)
    objective = make_objective(case, X, y, fit_intercept=True, l2=0.5)
    expected_value, expected_gradient = reference(case, X, y, x, fit_intercept=True, l2=0.5)
    value, gradient = objective.value_and_gradient(x)
    assert_near(value, expected_value, "float64")
    assert_near(gradient, expected_gradient, "float64")


def test_zeros_stored_in_csr():
    X = scipy.sparse.csr_array(([0.0, 2.0, 0.0, 3.0], [0, 1, 2, 0], [0, 3, 4]), (2, 3))
    stored, dense = objectives.LeastSquares(X, [1.0, 2.0]), objectives.LeastSquares(X.toarray(), [1.0, 2.0])
    assert evaluation_bits(stored, np.ones(3)) == evaluation_bits(dense, np.ones(3))
    assert X.nnz == 4


def disordered(X, index):
    """CSR of the same values, each entry cut into two exact halves, in a random order within its row."""
    rng, csr = np.random.default_rng(24), scipy.sparse.csr_array(X)
    columns, values = [], []
    for start, stop in zip(csr.indptr, csr.indptr[1:], strict=False):
        order = rng.permutation(2 * (stop - start))
        columns.append(np.tile(csr.indices[start:stop], 2)[order])
        values.append(np.tile(csr.data[start:stop] / 2, 2)[order])
    arrays = np.concatenate(values), np.concatenate(columns).astype(index), (2 * csr.indptr).astype(index)
    return scipy.sparse.csr_array(arrays, X.shape)


@pytest.mark.parametrize("claimed", [None, True, False], ids=["unknown", "claimed in order", "known"])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@EVERY_DTYPE
@EVERY_LOSS
def test_duplicates_and_disorder_in_csr(loss, dtype, index, claimed):
    """The same bits as without, whatever SciPy's flags say, and the caller's matrix stays as it is."""
    case = LOSSES[loss]
    dense, y = make_data(loss, 60, 8, dtype, "dense", seed=24)
    X = disordered(dense, index)
    if claimed is not None:
        X.has_sorted_indices = X.has_canonical_format = claimed
    before = [array.tobytes() for array in (X.data, X.indices, X.indptr)]
    x = make_parameters(case, 8, dtype, False, seed=24)
    objective, tidy = make_objective(case, X, y), make_objective(case, scipy.sparse.csr_array(dense), y)
    assert evaluation_bits(objective, x) == evaluation_bits(tidy, x)
    assert objective.max_smoothness == tidy.max_smoothness
    np.testing.assert_array_equal(objective.decision_function(x), tidy.decision_function(x))
    assert [array.tobytes() for array in (X.data, X.indices, X.indptr)] == before
    assert X.indices.dtype == index


# --- threads ---------------------------------------------------------------------------------------------

# Samples, features, density, layout. The work is shared from some 100 kB on; few entries for many columns are summed
# in another way than many entries for few columns.
SHARED = {
    "dense": (3000, 60, 1.0, "dense"),
    "long": (3000, 60, 0.5, "csr32"),
    "wide indices": (3000, 60, 0.5, "csr64"),
    "few entries a column": (3000, 4000, 0.006, "csr32"),
    "fewer entries than columns": (1500, 40_000, 0.0005, "csr64"),
    "dense and wide": (130, 3000, 1.0, "dense"),
}


@pytest.fixture(scope="module")
def shared_problem():
    """Make a problem of SHARED once for all tests of threads."""
    made = {}

    def make(loss, dtype, name):
        n, d, density, layout = SHARED[name]
        if (dtype, name) not in made:
            rng = np.random.default_rng(25)
            X = scipy.sparse.random_array((n, d), density=density, random_state=rng, data_sampler=rng.standard_normal)
            X = X.toarray() if layout == "dense" else X.tocsr()
            made[dtype, name] = finite_sums.as_layout(X.astype(dtype), layout)
        case = LOSSES[loss]
        y = case.labels(np.random.default_rng(26), n)
        objective = make_objective(case, made[dtype, name], y, **PENALTIES, fit_intercept=True)
        return objective, make_parameters(case, d, dtype, True, seed=25)

    return make


def bits_of_batches(objective, x):
    idx = np.random.default_rng(27).integers(0, objective.n_samples, 2 * objective.n_samples)
    return evaluation_bits(objective, x), evaluation_bits(objective, x, idx), evaluation_bits(objective, x, idx[:1000])


@pytest.mark.parametrize("name", SHARED)
@EVERY_DTYPE
@EVERY_LOSS
def test_same_bits_for_any_number_of_threads(loss, dtype, name, shared_problem):
    objective, x = shared_problem(loss, dtype, name)
    with fastopt.threads(1):
        expected = bits_of_batches(objective, x)
    for n in (2, 3):
        with fastopt.threads(n):
            assert bits_of_batches(objective, x) == expected


@pytest.mark.parametrize("name", SHARED)
@EVERY_LOSS
def test_shared_work_against_the_oracle(loss, name, shared_problem):
    objective, x = shared_problem(loss, "float64", name)
    case = LOSSES[loss]
    y = case.labels(np.random.default_rng(26), objective.n_samples)
    expected_value, expected_gradient = reference(case, objective.X, y, x, fit_intercept=True, **PENALTIES)
    with fastopt.threads(3):
        value, gradient = objective.value_and_gradient(x)
    assert_near(value, expected_value, "float64")
    assert_near(gradient, expected_gradient, "float64")


@pytest.mark.parametrize("name", ["dense", "long", "few entries a column"])
@EVERY_DTYPE
@EVERY_LOSS
def test_same_bits_for_any_instruction_set(loss, dtype, name, shared_problem, use_isa):
    objective, x = shared_problem(loss, dtype, name)
    seen = []
    for isa in ISAS:
        use_isa(isa)
        seen.append(bits_of_batches(objective, x))
    assert all(each == seen[0] for each in seen)


@pytest.mark.parametrize("name", SHARED)
@EVERY_DTYPE
@EVERY_LOSS
def test_value_is_that_of_value_and_gradient(loss, dtype, name, shared_problem):
    """Sums with and without a gradient may be cut differently, but not by more than rounding in float64."""
    objective, x = shared_problem(loss, dtype, name)
    np.testing.assert_allclose(objective(x), objective.value_and_gradient(x)[0], rtol=1e-14)


def test_set_num_threads(shared_problem):
    objective, x = shared_problem("logistic", "float64", "dense")
    try:
        fastopt.set_num_threads(1)
        expected = evaluation_bits(objective, x)
        fastopt.set_num_threads(2)
        assert evaluation_bits(objective, x) == expected
    finally:
        fastopt.set_num_threads(None)


@pytest.mark.parametrize("name", ["dense", "long", "few entries a column"])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_evaluations_at_once(loss, name, shared_problem):
    """One objective in several Python threads, at different parameters."""
    objective, x = shared_problem(loss, "float64", name)
    points = [x * scale for scale in (0.5, 1.0, 2.0, -1.0)] * 3
    expected = [evaluation_bits(objective, point) for point in points]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda point: evaluation_bits(objective, point), points)) == expected


# --- attributes ------------------------------------------------------------------------------------------


@WITH_INTERCEPT
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_attributes(loss, dtype, layout, fit_intercept):
    case = LOSSES[loss]
    objective, x = small_problem(loss, dtype, layout, fit_intercept=fit_intercept, l2=0.25, l1=2)
    assert (objective.n_samples, objective.n_features, objective.n_outputs) == (60, 9, case.n_outputs)
    assert objective.n_parameters == (9 + fit_intercept) * case.n_outputs == len(x)
    assert (objective.l1, objective.l2, objective.fit_intercept) == (2.0, 0.25, fit_intercept)
    assert objective.dtype == dtype
    assert [type(each) for each in (objective.l1, objective.l2, objective.fit_intercept)] == [float, float, bool]
    assert case.class_name in repr(objective) and dtype in repr(objective)


@WITH_INTERCEPT
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_decision_function(loss, dtype, layout, fit_intercept):
    case = LOSSES[loss]
    objective, x = small_problem(loss, dtype, layout, fit_intercept=fit_intercept)
    X, _ = make_data(loss, 60, 9, dtype, "dense", seed=9)
    own, others = objective.decision_function(x), objective.decision_function(x, X[5:8])
    assert own.shape == ((60,) if case.n_outputs == 1 else (60, case.n_outputs))
    assert others.shape == own[5:8].shape and type(own) is np.ndarray
    expected = finite_sums.margins(case, X, x, fit_intercept)
    assert_near(own, expected, dtype)
    assert_near(others, expected[5:8], dtype)
    for layout_of_others in LAYOUTS:
        same = finite_sums.as_layout(X[5:8], layout_of_others)
        assert_near(objective.decision_function(x, same), expected[5:8], dtype)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@WITH_INTERCEPT
@EVERY_LAYOUT
@EVERY_DTYPE
@EVERY_LOSS
def test_max_smoothness(loss, dtype, layout, fit_intercept, weighted):
    case, weight = LOSSES[loss], make_weights(60, 9) if weighted else None
    objective, _ = small_problem(loss, dtype, layout, fit_intercept=fit_intercept, l2=0.25, sample_weight=weight)
    X, _ = make_data(loss, 60, 9, dtype, "dense", seed=9)
    squares = (X.astype(np.float64) ** 2).sum(axis=1) + fit_intercept
    expected = case.curvature * np.max(finite_sums.normalised(weight, 60) * squares) + 0.25
    np.testing.assert_allclose(objective.max_smoothness, expected, rtol=ROUNDING[dtype])


@pytest.mark.parametrize("loss", SMOOTH)
def test_no_gradient_changes_faster_than_max_smoothness(loss):
    """Of single samples between random points; and nearly as fast where the curvature is largest."""
    case, rng, fastest = LOSSES[loss], np.random.default_rng(28), 0.0
    X, y = make_data(loss, 60, 9, "float64", "dense", seed=28)
    y = y / 100 if case.class_name == "Huber" else y  # within the square
    objective = make_objective(case, X, y, fit_intercept=True, l2=0.1, sample_weight=make_weights(60, 28))
    for i in range(60):
        for size in (1e-4, 1.0):
            start = rng.standard_normal(objective.n_parameters) * 0.03
            step = objective.gradient(start, [i]) * size
            change = objective.gradient(start + step, [i]) - objective.gradient(start, [i])
            fastest = max(fastest, np.linalg.norm(change) / max(np.linalg.norm(step), 1e-300))
    assert 0.3 * objective.max_smoothness < fastest <= objective.max_smoothness * (1 + 1e-9)


def test_max_smoothness_beyond_float32():
    """Squares of float32 entries that only float64 holds."""
    X = np.full((2, 3), 1e25, "float32")
    for each in (X, scipy.sparse.csr_array(X)):
        np.testing.assert_allclose(objectives.LeastSquares(each, [0, 0]).max_smoothness, 3e50, rtol=1e-6)


# --- from SciPy ------------------------------------------------------------------------------------------


def best(objective, **options):
    """The minimum according to SciPy's L-BFGS-B, to rounding."""
    options = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30} | options
    start = np.zeros(objective.n_parameters)
    return scipy.optimize.minimize(objective.value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "Newton-CG", "TNC", "SLSQP", "trust-constr"])
@pytest.mark.parametrize("loss", ["least_squares", "logistic", "squared_hinge", "huber", "poisson", "softmax"])
def test_fun_and_jac_of_scipy(loss, method):
    objective, x = small_problem(loss, layout="csr32", l2=0.5, fit_intercept=loss != "softmax")
    res = scipy.optimize.minimize(objective, np.zeros(len(x)), jac=objective.gradient, method=method)
    assert np.linalg.norm(objective.gradient(res.x)) < 2e-3
    both = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(len(x)), jac=True, method=method)
    np.testing.assert_allclose(both.x, res.x, atol=1e-8)
    assert objective(res.x) - objective(best(objective).x) < 1e-5


def test_args_of_scipy_are_samples():
    objective, x = small_problem(l2=0.5)
    idx = np.arange(0, 60, 2)
    res = scipy.optimize.minimize(objective, np.zeros(len(x)), args=(idx,), jac=objective.gradient)
    assert np.abs(objective.gradient(res.x, idx)).max() < 1e-4 < np.abs(objective.gradient(res.x)).max()


@EVERY_LOSS
def test_check_grad_of_scipy(loss):
    objective, x = small_problem(loss, fit_intercept=True, l2=0.1)
    assert scipy.optimize.check_grad(objective, objective.gradient, x) < 1e-6


# --- against scikit-learn --------------------------------------------------------------------------------


def standardised(loader, n=None):
    """Samples and labels of a data set that scikit-learn bundles."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = getattr(datasets, loader)(return_X_y=True)
    X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-3)
    return np.ascontiguousarray(X[:n]), y[:n]


def in_sklearn(module, name, **parameters):
    return getattr(pytest.importorskip(f"sklearn.{module}"), name)(**parameters)


def coefficients(model):
    """The parameters of a fitted model in our order: one row per feature, then the intercepts."""
    rows = np.atleast_2d(model.coef_).T
    return (np.vstack([rows, np.atleast_1d(model.intercept_)]) if model.fit_intercept else rows).ravel()


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@WITH_INTERCEPT
def test_logistic_regression(layout, weighted, fit_intercept):
    X, y = standardised("load_breast_cancer")
    weight, l2 = make_weights(len(y), 30) if weighted else np.ones(len(y)), 0.01
    C = 1 / (l2 * weight.sum())
    model = in_sklearn(
        "linear_model", "LogisticRegression", C=C, fit_intercept=fit_intercept, solver="newton-cholesky", tol=1e-10
    ).fit(X, y, sample_weight=weight)
    objective = objectives.Logistic(
        finite_sums.as_layout(X, layout), y, l2=l2, fit_intercept=fit_intercept, sample_weight=weight
    )
    np.testing.assert_allclose(best(objective).x, coefficients(model), atol=1e-6)
    expected = model.decision_function(X)
    np.testing.assert_allclose(objective.decision_function(coefficients(model)), expected, atol=1e-12)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@WITH_INTERCEPT
def test_ridge(layout, weighted, fit_intercept):
    X, y = standardised("load_diabetes")
    weight, l2 = make_weights(len(y), 31) if weighted else np.ones(len(y)), 0.1
    model = in_sklearn("linear_model", "Ridge", alpha=l2 * weight.sum(), fit_intercept=fit_intercept)
    model.fit(X, y, sample_weight=weight)
    objective = objectives.LeastSquares(
        finite_sums.as_layout(X, layout), y, l2=l2, fit_intercept=fit_intercept, sample_weight=weight
    )
    np.testing.assert_allclose(best(objective).x, coefficients(model), rtol=1e-6, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["dense", "csr32"])
@WITH_INTERCEPT
def test_multinomial_logistic_regression(layout, fit_intercept):
    """With intercepts up to a constant, which the loss does not see."""
    X, y = standardised("load_digits", n=200)
    l2 = 0.05
    model = in_sklearn(
        "linear_model",
        "LogisticRegression",
        C=1 / (l2 * len(y)),
        fit_intercept=fit_intercept,
        solver="newton-cholesky",
        tol=1e-10,
    ).fit(X, y)
    objective = objectives.Softmax(finite_sums.as_layout(X, layout), y, l2=l2, fit_intercept=fit_intercept)
    expected = coefficients(model)
    assert np.abs(objective.gradient(expected)).max() < 1e-7
    table, expected = best(objective).x.reshape(-1, 10), expected.reshape(-1, 10)
    np.testing.assert_allclose(table[:64], expected[:64], atol=1e-5)
    np.testing.assert_allclose(
        table - table.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True), atol=1e-5
    )


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_poisson_regressor(layout):
    X, y = standardised("load_diabetes")
    y = np.round(y / 20)
    model = in_sklearn("linear_model", "PoissonRegressor", alpha=0.1, solver="newton-cholesky", tol=1e-10).fit(X, y)
    objective = objectives.Poisson(finite_sums.as_layout(X, layout), y, l2=0.1, fit_intercept=True)
    np.testing.assert_allclose(best(objective).x, coefficients(model), atol=1e-6)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_huber_regressor(layout):
    """It fits a scale s, and is ours with delta = epsilon s and l2 = alpha s / n, times 2 n / s."""
    X, y = standardised("load_diabetes")
    epsilon, alpha = 1.35, 0.1
    model = in_sklearn("linear_model", "HuberRegressor", epsilon=epsilon, alpha=alpha, tol=1e-9, max_iter=5000).fit(
        X, y
    )
    objective = objectives.Huber(
        finite_sums.as_layout(X, layout),
        y,
        delta=epsilon * model.scale_,
        l2=alpha * model.scale_ / len(y),
        fit_intercept=True,
    )
    assert 0.05 < np.mean(np.abs(y - model.predict(X)) > objective.delta) < 0.95  # both halves of the loss
    np.testing.assert_allclose(best(objective).x, coefficients(model), rtol=1e-3, atol=0.02)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_linear_svc(layout):
    X, y = standardised("load_breast_cancer")
    l2 = 0.1
    model = in_sklearn(
        "svm", "LinearSVC", C=1 / (l2 * len(y)), dual=False, fit_intercept=False, tol=1e-10, max_iter=10_000
    ).fit(X, y)
    objective = objectives.SquaredHinge(finite_sums.as_layout(X, layout), y, l2=l2)
    np.testing.assert_allclose(best(objective).x, coefficients(model), atol=1e-6)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_values_of_metrics(layout):
    """Losses without penalty against the functions of sklearn.metrics, at parameters that fit nothing."""
    metrics = pytest.importorskip("sklearn.metrics")
    X, y = standardised("load_breast_cancer")
    samples, x, weight = finite_sums.as_layout(X, layout), np.linspace(-0.2, 0.3, X.shape[1]), make_weights(len(y), 32)
    z = X @ x

    def value(cls, labels):
        return cls(samples, labels, sample_weight=weight)(x)

    np.testing.assert_allclose(
        value(objectives.Logistic, y), metrics.log_loss(y, 1 / (1 + np.exp(-z)), sample_weight=weight), rtol=1e-9
    )
    np.testing.assert_allclose(value(objectives.Hinge, y), metrics.hinge_loss(y, z, sample_weight=weight), rtol=1e-12)
    np.testing.assert_allclose(
        value(objectives.LeastSquares, y), metrics.mean_squared_error(y, z, sample_weight=weight) / 2, rtol=1e-12
    )
    counts = y + 1.0
    of_the_counts = np.average(counts * np.log(counts) - counts, weights=weight)
    np.testing.assert_allclose(
        value(objectives.Poisson, counts) + of_the_counts,
        metrics.mean_poisson_deviance(counts, np.exp(z), sample_weight=weight) / 2,
        rtol=1e-9,
    )


@pytest.mark.parametrize("power", [-1.0, 0.0, 1.0, 1.5, 1.9, 2.0, 2.5, 3.0])
def test_values_of_deviances(power):
    """Half of scikit-learn's, up to what does not depend on the parameters; Poisson and Gamma are of these."""
    metrics = pytest.importorskip("sklearn.metrics")
    X, y = standardised("load_diabetes")
    y, weight, rng = y / 100, make_weights(len(y), 33), np.random.default_rng(33)
    points = 0.1 * rng.standard_normal((2, X.shape[1]))

    def half_deviance(x):
        return metrics.mean_tweedie_deviance(y, np.exp(X @ x), sample_weight=weight, power=power) / 2

    same = {1.0: objectives.Poisson, 2.0: objectives.Gamma}.get(power)
    for make in [lambda: objectives.Tweedie(X, y, power=power, sample_weight=weight)] + (
        [lambda: same(X, y, sample_weight=weight)] if same else []
    ):
        first, second = (make()(x) for x in points)
        expected = half_deviance(points[0]) - half_deviance(points[1])
        np.testing.assert_allclose(first - second, expected, rtol=1e-10, atol=1e-13)


def test_poisson_and_gamma_are_tweedie():
    X, y = standardised("load_diabetes")
    x = 0.1 * np.random.default_rng(34).standard_normal(X.shape[1])
    for power, cls in ((1.0, objectives.Poisson), (2.0, objectives.Gamma)):
        value, gradient = objectives.Tweedie(X, y, power=power).value_and_gradient(x)
        np.testing.assert_allclose(value, cls(X, y)(x), rtol=1e-14)
        np.testing.assert_allclose(gradient, cls(X, y).gradient(x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_gamma_regressor(layout):
    X, y = standardised("load_diabetes")
    model = in_sklearn("linear_model", "GammaRegressor", alpha=0.1, solver="newton-cholesky", tol=1e-10).fit(X, y)
    objective = objectives.Gamma(finite_sums.as_layout(X, layout), y, l2=0.1, fit_intercept=True)
    np.testing.assert_allclose(best(objective).x, coefficients(model), atol=1e-6)


@pytest.mark.parametrize("power", [1.5, 3.0])
def test_tweedie_regressor(power):
    X, y = standardised("load_diabetes")
    y = y / 100
    model = in_sklearn(
        "linear_model", "TweedieRegressor", power=power, alpha=0.1, link="log", solver="newton-cholesky", tol=1e-10
    ).fit(X, y)
    objective = objectives.Tweedie(X, y, power=power, l2=0.1, fit_intercept=True)
    np.testing.assert_allclose(best(objective).x, coefficients(model), atol=1e-6)


def test_squared_epsilon_insensitive_of_linear_svr():
    X, y = standardised("load_diabetes")
    l2, y = 0.1, (y - y.mean()) / y.std()
    model = in_sklearn(
        "svm", "LinearSVR", C=1 / (l2 * len(y)), epsilon=0.3, loss="squared_epsilon_insensitive", dual=False,
        fit_intercept=False, tol=1e-10, max_iter=100_000,
    ).fit(X, y)  # fmt: skip
    objective = objectives.SquaredEpsilonInsensitive(X, y, epsilon=0.3, l2=l2)
    np.testing.assert_allclose(best(objective).x, coefficients(model), atol=1e-5)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.8])
def test_quantile_regressor(q):
    """Its solution, of a linear program, is a minimum: no step from it leads below."""
    X, y = standardised("load_diabetes")
    model = in_sklearn("linear_model", "QuantileRegressor", quantile=q, alpha=0.5).fit(X, y)
    objective = objectives.Quantile(X, y, q=q, l1=0.5, fit_intercept=True)
    x, rng = coefficients(model), np.random.default_rng(35)
    metrics = pytest.importorskip("sklearn.metrics")
    loss = metrics.mean_pinball_loss(y, model.predict(X), alpha=q)
    np.testing.assert_allclose(objective(x), loss + 0.5 * np.abs(model.coef_).sum(), rtol=1e-12)
    for size in (1e-3, 0.1, 1.0):
        assert all(objective(x + size * rng.standard_normal(len(x))) >= objective(x) for _ in range(20))


@pytest.mark.parametrize(
    "name, keywords, labels",
    [
        ("ModifiedHuber", {}, "signs"),
        ("Hinge", {}, "signs"),
        ("SquaredHinge", {}, "signs"),
        ("EpsilonInsensitive", {"epsilon": 0.2}, "reals"),
        ("SquaredEpsilonInsensitive", {"epsilon": 0.2}, "reals"),
    ],
)
def test_losses_of_sgd(name, keywords, labels):
    """Sample by sample, what scikit-learn's SGDClassifier and SGDRegressor have by the same name."""
    module = pytest.importorskip("sklearn.linear_model._sgd_fast")
    theirs = getattr(module, name, None)
    if theirs is None:
        pytest.skip("scikit-learn has moved it")
    theirs, rng = theirs(*keywords.values()), np.random.default_rng(36)
    z = rng.standard_normal(200) * 2
    y = rng.choice([-1.0, 1.0], 200) if labels == "signs" else rng.standard_normal(200)
    objective = getattr(objectives, name)(z[:, None], y, **keywords)
    for i in range(200):
        value, slope = objective.value_and_gradient([1.0], [i])
        np.testing.assert_allclose(value, theirs.py_loss(z[i], y[i]), rtol=1e-13)
        np.testing.assert_allclose(slope[0], theirs.py_dloss(z[i], y[i]) * z[i], rtol=1e-13)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_lasso(layout):
    """The optimality of l1: at Lasso's solution the gradient of the loss balances l1, or is smaller where w is 0."""
    X, y = standardised("load_diabetes")
    l1 = 10.0
    model = in_sklearn("linear_model", "Lasso", alpha=l1, tol=1e-12, max_iter=100_000).fit(X, y)
    samples, w = finite_sums.as_layout(X, layout), coefficients(model)
    balance = objectives.LeastSquares(samples, y, l1=l1, fit_intercept=True).gradient(w)
    at_zero = w == 0
    assert 0 < at_zero.sum() < len(w) - 2
    np.testing.assert_allclose(balance[~at_zero], 0, atol=1e-6)
    assert np.abs(balance[at_zero]).max() <= l1
