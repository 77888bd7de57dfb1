"""SGD over single samples with several outputs, whose loop in C goes over rows of weights in tiles of outputs."""

import dataclasses

import numpy as np
import pytest
from cases import ISAS
from finite_sums import DTYPES, LAYOUTS, LOSSES, as_layout, make_objective, make_parameters, make_weights, softmax_case
from reference_epochs import SEED, Problem, Sum, assert_close, expected_run

from fastopt import minimize, schedules

N = 40
PENALTIES = {"none": {}, "l2": {"l2": 0.02}, "l1": {"l1": 0.004}, "both": {"l2": 0.02, "l1": 0.004}}
EVERY_PENALTY = pytest.mark.parametrize("penalty", PENALTIES)
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
EXACT = {"float64": {"rtol": 1e-12, "atol": 1e-13}, "float32": {}}


def case_of(loss, k):
    """A loss of k outputs: softmax, or the sum over k targets."""
    if loss == "softmax":
        return softmax_case(k)
    one = LOSSES[loss]
    return dataclasses.replace(
        one,
        labels=lambda rng, n: np.column_stack([one.labels(rng, n) for _ in range(k)]),
        value=lambda z, y: one.value(z, y).sum(axis=1),
        n_outputs=k,
    )


def problem(loss="softmax", k=5, layout="dense", dtype="float64", d=30, density=0.3, **keywords):
    case, rng = case_of(loss, k), np.random.default_rng(7)
    X = (rng.standard_normal((N, d)) * (rng.random((N, d)) < density)).astype(dtype)
    y, x0 = case.labels(rng, N), make_parameters(case, d, dtype, True, seed=7)
    keywords = {"fit_intercept": True, "sample_weight": make_weights(N, seed=7)} | keywords
    return Problem(make_objective(case, as_layout(X, layout), y, **keywords), Sum(case, X, y, **keywords), x0)


def run(p, callback=None, **options):
    options = {"epochs": 3, "learning_rate": 0.05, **options}
    return minimize(p.objective, p.x0, method="sgd", batch_size=1, rng=SEED, options=options, callback=callback)


def assert_as_expected(p, layout, **options):
    options = {"epochs": 3, "learning_rate": 0.05} | options
    expected = expected_run(p, "sgd", "dense" if layout == "dense" else "lazy", size=1, **options)[-1]
    res = run(p, **options)
    assert_close(res.x, expected, **EXACT[p.x0.dtype.name])
    return res.x, expected


@EVERY_PENALTY
@EVERY_DTYPE
@EVERY_LAYOUT
@pytest.mark.parametrize("loss", ["softmax", "logistic", "huber"])
def test_steps_are_those_of_the_formula(loss, layout, dtype, penalty):
    p = problem(loss, 5, layout, dtype, **PENALTIES[penalty])
    x, expected = assert_as_expected(p, layout, learning_rate=schedules.piecewise_constant([50], [0.05, 0.02]))
    if dtype == "float64":
        np.testing.assert_array_equal(x == 0, expected == 0)


@EVERY_PENALTY
@EVERY_LAYOUT
@pytest.mark.parametrize("k", [2, 3, 4, 7, 8, 9, 15, 20, 33])
def test_any_number_of_outputs(k, layout, penalty):
    """Tiles are of 8, 4, 2 and 1 outputs."""
    assert_as_expected(problem("softmax", k, layout, **PENALTIES[penalty]), layout)


@EVERY_PENALTY
@EVERY_LAYOUT
@pytest.mark.parametrize("d", [1, 3, 63, 64, 65, 131])
def test_any_number_of_columns(d, layout, penalty):
    """Columns go some at a time, and four side by side."""
    p = problem("least_squares", 3, layout, d=d, density=1.0, fit_intercept=False, **PENALTIES[penalty])
    p = dataclasses.replace(p, x0=p.x0[: p.objective.n_parameters])
    assert_as_expected(p, layout, learning_rate=0.002)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_samples_of_one_output_with_l1(dtype):
    """Not scaled either."""
    p = problem("logistic", 1, "dense", dtype, l1=0.004, l2=0.02)
    assert_as_expected(p, "dense")


@EVERY_PENALTY
@EVERY_LAYOUT
def test_parameters_may_be_read_after_every_step(layout, penalty):
    p = problem("softmax", 5, layout, **PENALTIES[penalty])
    points = []
    run(p, callback=points.append)
    expected = expected_run(p, "sgd", "dense" if layout == "dense" else "lazy", size=1, learning_rate=0.05)
    for x, one in zip(points, expected, strict=True):
        assert_close(x, one, **EXACT["float64"])


@EVERY_PENALTY
@EVERY_DTYPE
@EVERY_LAYOUT
def test_any_number_of_threads_and_a_lock_free_one_make_the_same(layout, dtype, penalty):
    p = problem("softmax", 9, layout, dtype, **PENALTIES[penalty])
    x = run(p).x
    assert run(p, num_threads=2).x.tobytes() == run(p, num_threads=3).x.tobytes() == x.tobytes()
    assert run(p, num_threads=1, parallel="hogwild").x.tobytes() == x.tobytes()
    assert_close(run(p, num_threads=2, parallel="hogwild").x, x, atol=0.3)


@EVERY_PENALTY
@EVERY_DTYPE
@EVERY_LAYOUT
def test_same_bits_for_any_instruction_set(layout, dtype, penalty, use_isa):
    for loss, k in (("softmax", 21), ("logistic", 15)):
        p, seen = problem(loss, k, layout, dtype, **PENALTIES[penalty]), set()
        for isa in ISAS:
            use_isa(isa)
            seen.add(run(p).x.tobytes())
        assert len(seen) == 1


@EVERY_LAYOUT
@pytest.mark.parametrize("loss", ["softmax", "logistic"])
def test_norm_of_the_last_gradient(loss, layout):
    p = problem(loss, 5, layout)
    options = {"epochs": 1, "learning_rate": 0.05}
    before = expected_run(p, "sgd", "dense", size=1, **options)[-2]
    last = [np.random.default_rng(SEED).permutation(N)[-1]]
    assert run(p, **options).history["grad_norm"][-1] == pytest.approx(np.linalg.norm(p.sum.slope(before, last)))


@EVERY_PENALTY
@EVERY_LAYOUT
def test_a_gradient_that_is_not_finite_leaves_the_steps_before(layout, penalty):
    """Loss and derivatives are finite; the derivative of one output times the sample is not."""
    X, y, bad = np.full((N, 3), 0.5), np.zeros((N, 3)), np.random.default_rng(SEED).permutation(N)[7]
    X[:, 0] = 0.0
    X[bad], y[bad, 2] = (1e160, 0.0, 0.0), 1e150
    case, keywords = case_of("least_squares", 3), PENALTIES[penalty]
    x0 = np.array([0.0, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, -0.5, 1.0])
    p = Problem(make_objective(case, as_layout(X, layout), y, **keywords), Sum(case, X, y, **keywords), x0)
    res = run(p, epochs=1)
    assert (res.status, res.nit, res.success) == (3, 7, False)
    with np.errstate(all="ignore"):
        steps = expected_run(p, "sgd", "dense" if layout == "dense" else "lazy", size=1, epochs=1, learning_rate=0.05)
    assert_close(res.optimizer.params, steps[6], **EXACT["float64"])


@EVERY_PENALTY
@EVERY_LAYOUT
def test_a_run_that_is_resumed_has_the_same_bits(layout, penalty, tmp_path):
    p, path = problem("softmax", 5, layout, **PENALTIES[penalty]), tmp_path / "run.npz"
    arguments = dict(method="sgd", batch_size=1, rng=SEED)
    options = {"epochs": 4, "learning_rate": 0.05}
    run(p, epochs=2, checkpoint=path)
    resumed = minimize(p.objective, p.x0, **arguments, options=options, resume=path)
    assert resumed.x.tobytes() == run(p, epochs=4, checkpoint=tmp_path / "other.npz").x.tobytes()
