"""Norm clipping: the norm over all arrays, the scaling, and the ends of the range of floating point."""

import numpy as np
import pytest
from cases import CASES, DTYPES, form_id
from helpers import bits, spread

import fastopt

THREADS = [1, 2, 3, 7]
LARGE = 7 * 128 * 1024 // 4 + 13


def step_from_zero(grads, clip_norm, **options):
    """What SGD with rate 1 makes of gradients: their negative after clipping; and the norm it saw."""
    params = [np.zeros_like(grad) for grad in grads]
    opt = fastopt.SGD(params, 1.0, clip_norm=clip_norm, **options)
    opt.step(grads)
    return [0.0 - param for param in params], opt.last_grad_norm


def norm_of(grads):
    return np.linalg.norm(np.concatenate([grad.astype(np.float64).ravel() for grad in grads]))


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize(
    "layout", [np.asarray, spread, lambda grad: grad[::-1]], ids=["contiguous", "strided", "reversed"]
)
@pytest.mark.parametrize("dtypes", [["float32"], ["float64"], ["float32", "float64"]], ids="-".join)
def test_norm_and_scaling(dtypes, layout, n_threads, rng):
    grads = [layout(rng.standard_normal(n).astype(dtype)) for n in (1, 0, 17, LARGE, 4099) for dtype in dtypes]
    clipped, norm = step_from_zero(grads, 0.75, num_threads=n_threads)
    assert norm == pytest.approx(norm_of(grads), rel=1e-13)
    for result, grad in zip(clipped, grads, strict=True):
        assert result.tobytes() == (grad * grad.dtype.type(0.75 / norm)).tobytes()
    assert norm_of(clipped) == pytest.approx(0.75, rel=1e-6)
    kept, norm_of_kept = step_from_zero(grads, 1e6, num_threads=n_threads)
    assert norm_of_kept == norm
    assert all(np.array_equal(result, grad) for result, grad in zip(kept, grads, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_clipped_step_is_the_step_with_the_clipped_gradient(case, dtype, rng):
    cls, keywords = case
    start = rng.standard_normal(500).astype(dtype)
    opt, plain = cls(start.copy(), clip_norm=2.0, **keywords), cls(start.copy(), **keywords)
    for _ in range(3):
        grad = rng.standard_normal(500).astype(dtype)
        opt.step(grad)
        plain.step(grad * grad.dtype.type(2.0 / opt.last_grad_norm))
    assert bits(opt) == bits(plain)


def test_norm_at_the_limit_is_not_scaled():
    (clipped,), norm = step_from_zero([np.array([3.0, 4.0])], 5.0)
    assert norm == 5.0 and clipped.tolist() == [3.0, 4.0]


# The gradient -> its norm; beyond 1e154 the squares of float64 overflow, below 1e-162 they vanish.
EXTREMES = [
    ("float64", [3e200, 4e200], 5e200),
    ("float64", [3e307, 4e307, 0.0, 1.0], 5e307),
    ("float64", [1.7e308], 1.7e308),
    ("float64", [3e154, 4e154], 5e154),
    ("float64", [3e-100, 4e-100], 5e-100),
    ("float32", [3e38, 0.0], float(np.float32(3e38))),
    ("float32", [3e-30, 4e-30], 5e-30),
    ("float64", [1.0, 1e-200], 1.0),
]


@pytest.mark.parametrize("dtype, entries, norm", EXTREMES)
def test_extreme_gradients(dtype, entries, norm):
    for n_more in (0, 5000):
        grad = np.array(entries + [0.0] * n_more, dtype)
        (clipped,), found = step_from_zero([grad], norm / 4)
        assert found == pytest.approx(norm, rel=1e-6)
        assert np.isfinite(clipped).all()
        np.testing.assert_allclose(clipped, grad / 4, rtol=1e-6)


def test_zero_gradient():
    for grads in ([np.zeros(5)], [np.zeros(0)], [np.zeros(3, np.float32), np.zeros(0)]):
        clipped, norm = step_from_zero(grads, 0.5)
        assert norm == 0.0 and not any(result.any() for result in clipped)


def test_norm_beyond_float64():
    """No finite norm: the gradient is scaled to zero, not to NaN."""
    (clipped,), norm = step_from_zero([np.full(4, 1.7e308)], 1.0)
    assert norm == np.inf and clipped.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_makes_everything_nan(dtype):
    """The norm is of all entries together, so no entry is left that could be trusted."""
    grads = [np.ones(40, dtype), np.ones(3, dtype)]
    grads[0][33] = np.nan
    clipped, norm = step_from_zero(grads, 1.0)
    assert np.isnan(norm) and all(np.isnan(result).all() for result in clipped)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinity_makes_the_rest_zero(dtype):
    grads = [np.ones(40, dtype), np.ones(3, dtype)]
    grads[0][33] = -np.inf
    (first, second), norm = step_from_zero(grads, 1.0)
    assert norm == np.inf and second.tolist() == [0, 0, 0]
    assert np.array_equal(first, np.where(np.arange(40) == 33, np.nan, 0.0), equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinity_is_limited_by_clip_value_before(dtype):
    grads = [np.ones(40, dtype), np.ones(3, dtype)]
    grads[0][33] = -np.inf
    (first, _), norm = step_from_zero(grads, 1.0, clip_value=1.0)
    assert norm == pytest.approx(np.sqrt(43)) and np.allclose(first[:33], 1 / norm) and np.isclose(first[33], -1 / norm)


def test_last_grad_norm():
    opt = fastopt.SGD(np.ones(2), clip_norm=1.0, nonfinite="skip")
    assert np.isnan(opt.last_grad_norm)
    opt.step(np.array([3.0, 4.0]))
    assert opt.last_grad_norm == 5.0
    opt.step(np.array([np.nan, 1.0]))
    assert opt.last_grad_norm == 5.0 and opt.skipped_steps == 1
    assert fastopt.SGD(np.ones(2), nonfinite="skip").last_grad_norm is None
