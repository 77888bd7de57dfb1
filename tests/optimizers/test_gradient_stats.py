"""Norm and finiteness of parts of a gradient, added up, and steps that go by them."""

import fractions
import itertools
import math
import pickle

import numpy as np
import pytest
from cases import CASES, DTYPES, form_id
from helpers import bits, refused, spread

import fastopt
from fastopt import GradientStats, RowSparse, _core

UNIT = _core.STATS_ENTRIES
SIZE = 11 * UNIT + 137


def stats(grad, **options):
    return fastopt.SGD(np.zeros_like(grad), **options).gradient_stats(grad)


def cut(grad, starts):
    return [grad[start:stop] for start, stop in itertools.pairwise([0, *starts, len(grad)])]


def gradient(dtype, rng):
    """With entries over the whole range of the dtype, so that rounded sums would depend on the grouping."""
    exponents = rng.uniform(-30, 30, SIZE) if dtype == "float32" else rng.uniform(-300, 300, SIZE)
    return (rng.standard_normal(SIZE) * 10.0**exponents).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_add_to_the_whole_in_any_grouping(dtype, rng):
    grad = gradient(dtype, rng)
    whole = stats(grad)
    for starts in ([UNIT], [3 * UNIT, 4 * UNIT], [UNIT, 2 * UNIT, 7 * UNIT, 11 * UNIT]):
        parts = [stats(part) for part in cut(grad, starts)]
        assert sum(parts, GradientStats()) == sum(parts[::-1], GradientStats()) == whole
        nested = parts[0]
        for part in parts[1:]:
            nested = part + nested
        assert nested == whole and nested.norm == whole.norm and nested.sum_squares == whole.sum_squares


def test_sum_is_rounded_once(rng):
    """Of chunks with one entry each, whose squares need no rounding, to the float64 next to the true sum."""
    for _ in range(50):
        numbers = np.ldexp(rng.integers(1, 2**26, 40).astype(float), rng.integers(-60, 60, 40))
        parts = [stats(np.array([each])) for each in numbers]
        exact = sum(fractions.Fraction(each) ** 2 for each in numbers)
        total = sum(parts, GradientStats())
        assert total.sum_squares == exact.numerator / exact.denominator
        assert total.norm == pytest.approx(math.sqrt(exact), rel=1e-15)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
@pytest.mark.parametrize("layout", [np.asarray, spread, lambda grad: grad[::-1].copy()[::-1]])
def test_any_number_of_threads_and_any_layout(layout, n_threads, rng):
    grads = [rng.standard_normal(n).astype(dtype) for n in (1, 0, 17, 400_000) for dtype in DTYPES]
    params = [np.zeros_like(grad) for grad in grads]
    expected = sum([stats(grad) for grad in grads], GradientStats())
    opt = fastopt.SGD(params, num_threads=n_threads, clip_norm=1.0)
    assert opt.gradient_stats([layout(grad) for grad in grads]) == expected
    opt.step([layout(grad) for grad in grads])
    assert (
        opt.last_grad_norm
        == expected.norm
        == pytest.approx(math.sqrt(sum(float(np.square(grad, dtype=np.float64).sum()) for grad in grads)), rel=1e-13)
    )


def test_what_is_measured():
    grad = np.array([3.0, -4.0])
    assert stats(grad).norm == 5.0 and stats(grad).sum_squares == 25.0 and stats(grad).finite
    assert stats(grad, clip_value=1.0).sum_squares == 2.0
    opt = fastopt.SGD([np.zeros((3, 2)), np.zeros(2)])
    sparse = RowSparse([1, 1], np.array([[1.0, 2.0], [3.0, 0.0]]))
    assert opt.gradient_stats([sparse, None]).sum_squares == 20.0
    assert repr(stats(grad)) == "GradientStats(finite=True, norm=5.0)"
    assert GradientStats().norm == 0.0 and GradientStats().finite


@pytest.mark.parametrize(
    "value, norm, more", [(math.inf, math.inf, {}), (-math.inf, math.inf, {}), (math.nan, math.nan, {}),
                          (math.inf, 1.0, {"clip_value": 1.0})]
)  # fmt: skip
def test_not_finite(value, norm, more):
    found = stats(np.array([0.0, value]), **more)
    total = found + stats(np.zeros(3))
    assert not found.finite and not total.finite
    assert np.array_equal([found.norm, total.norm], [norm, norm], equal_nan=True)


def test_infinity_and_nan_in_different_parts():
    parts = [stats(np.array([each])) for each in (math.inf, math.nan, 1.0)]
    for order in itertools.permutations(parts):
        assert math.isnan(sum(order, GradientStats()).norm)


def test_range_of_float64():
    large, small = stats(np.full(4, 1.5e308)), stats(np.array([3e-200, 4e-200]))
    assert large.finite and large.norm == math.inf
    assert stats(np.array([3e200, 4e200])).norm == pytest.approx(5e200) and small.norm == pytest.approx(5e-200)
    assert (small + stats(np.array([1.0]))).norm == 1.0 and small.sum_squares == 0.0


def test_nothing_changes_and_copies_are_equal(rng):
    opt = fastopt.Adam(np.ones(5), clip_norm=1.0)
    before = bits(opt)
    found = opt.gradient_stats(rng.standard_normal(5))
    assert bits(opt) == before and math.isnan(opt.last_grad_norm)
    assert pickle.loads(pickle.dumps(found)) == found != GradientStats()
    with pytest.raises(TypeError):
        found + 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_steps_on_parts_with_the_stats_of_all(case, dtype, rng):
    """Those of elementwise rules have the bits of the whole, and all rules use the stats in the place of their own."""
    cls, keywords = case
    start, n = rng.standard_normal(UNIT + 300).astype(dtype), UNIT
    parts = [slice(0, n), slice(n, None)]
    whole = cls(start.copy(), clip_norm=0.5, nonfinite="skip", **keywords)
    opts = [cls(start[part].copy(), clip_norm=0.5, nonfinite="skip", **keywords) for part in parts]
    for bad in (False, True, False):
        grad = rng.standard_normal(len(start)).astype(dtype)
        grad[5] = math.nan if bad else grad[5]
        total = sum([opt.gradient_stats(grad[part]) for opt, part in zip(opts, parts, strict=True)], GradientStats())
        whole.step(grad)
        for opt, part in zip(opts, parts, strict=True):
            opt.step(grad[part], stats=total)
            assert opt.last_grad_norm == whole.last_grad_norm
            assert (opt.step_count, opt.skipped_steps) == (whole.step_count, whole.skipped_steps)
            if not _core.couples_entries(cls.rule):
                assert opt.params.tobytes() == whole.params[part].tobytes()


def test_policy_goes_by_the_stats():
    bad = stats(np.array([math.nan]))
    opt = fastopt.SGD(np.ones(2), nonfinite="raise")
    with refused(opt, FloatingPointError, "`grad` must be finite"):
        opt.step(np.ones(2), stats=bad)
    opt = fastopt.SGD(np.ones(2), clip_norm=1.0)
    opt.step(np.ones(2), stats=GradientStats())
    assert opt.last_grad_norm == 0.0 and opt.params.tolist() == [1 - 0.01, 1 - 0.01]


def test_skip():
    opt = fastopt.Adam(np.ones(2))
    opt.step(np.ones(2))
    before = opt.params.tobytes()
    opt.skip()
    assert (opt.step_count, opt.skipped_steps, opt.params.tobytes()) == (1, 1, before)


def test_coalesced(rng):
    for dtype, index_dtype, shape in itertools.product(DTYPES, (np.int32, np.int64), ((), (3,), (2, 2))):
        index = rng.integers(0, 40, 300).astype(index_dtype)
        rows = rng.standard_normal((300, *shape)).astype(dtype)
        expected = np.zeros((40, *shape), dtype)
        for k, row in zip(index, rows, strict=True):
            expected[k] += row
        found = RowSparse(index, rows).coalesced()
        assert found.unique and found.indices.dtype == index_dtype and np.array_equal(found.indices, np.unique(index))
        assert found.rows.tobytes() == expected[found.indices].tobytes()
    for grad in (RowSparse([], np.zeros((0, 3))), RowSparse([5], np.ones((1, 3))), RowSparse([1, 1], np.ones((2, 0)))):
        found = grad.coalesced()
        assert found.unique and found.rows.shape == (len(set(grad.indices)), *grad.rows.shape[1:])
        assert not np.shares_memory(found.rows, grad.rows)
    with pytest.raises(IndexError, match="must not be negative, got -3 at position 1"):
        RowSparse([1, -3], np.ones(2)).coalesced()
