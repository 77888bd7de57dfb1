"""Finite gradients whose squares overflow: the formula in IEEE arithmetic, entry by entry, without a hidden limit."""

import warnings

import numpy as np
import pytest
from cases import CASES, COUPLED, DTYPES, form_id
from reference import Reference

from fastopt import RowSparse

LARGE = 300_000  # shared by two threads


def huge(dtype):
    """The square of it is beyond the dtype, it itself by far not."""
    return float(np.finfo(dtype).max) ** 0.75


@pytest.mark.parametrize("n", [40, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [case for case in CASES if case not in COUPLED], ids=form_id)
def test_overflow_stays_in_its_entries(case, dtype, n):
    """The other entries have the bits that they have without it, and nothing warns or raises."""
    cls, keywords = case
    at, others = [3, 17, n - 1], np.ones(n, bool)
    others[at] = False
    opt, plain = (cls(np.ones(n, dtype), num_threads=2, **keywords) for _ in range(2))
    for k in range(3):
        grad = np.full(n, 0.5 - 0.2 * k, dtype)
        plain.step(grad)
        grad[at] = huge(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            opt.step(grad)
    for array, expected in zip([opt.params, *opt.state.values()], [plain.params, *plain.state.values()], strict=True):
        assert array[others].tobytes() == expected[others].tobytes()
    assert opt.step_count == 3


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_overflow_is_that_of_the_formula(case):
    """Up to the step in which the oracle overflows too, an entry has its value, however large."""
    cls, keywords = case
    params = np.ones(6)
    opt = cls(params, **keywords)
    oracle = Reference(cls.__name__.lower(), [params], opt._values)
    grad = np.array([1.0, 1e150, 1e160, -1e200, -1e300, 0.0])
    finite = np.ones(6, bool)
    for scale in (1.0, 0.5, 0.0, 1.0):
        opt.step(grad * scale)
        with np.errstate(all="ignore"):
            oracle.step([grad * scale])
        pairs = [(params, oracle.params[0]), *((opt.state[name], oracle.state[name][0]) for name in opt.state)]
        pairs = [pair for pair in pairs if pair[0].shape == params.shape]
        np.testing.assert_allclose(params[finite], oracle.params[0][finite], rtol=1e-9)
        for array, expected in pairs:
            finite &= np.isfinite(expected)
            assert not np.isfinite(array[~np.isfinite(expected) & finite]).any()
        for array, expected in pairs:
            np.testing.assert_allclose(array[finite], expected[finite], rtol=1e-9)
    assert finite[[0, 5]].all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_sums_of_duplicates_that_overflow(case, dtype):
    """A sparse gradient that becomes infinite when it is summed is an infinite gradient."""
    cls, keywords = case
    most = np.finfo(dtype).max
    opt, skips = cls(np.ones(5, dtype), **keywords), cls(np.ones(5, dtype), nonfinite="skip", **keywords)
    dense = cls(np.ones(5, dtype), **keywords)
    grad = RowSparse([4, 1, 4], np.array([most, 1, most], dtype))
    opt.step(grad)
    skips.step(grad)
    dense.step(np.array([0, 1, 0, 0, np.inf], dtype))
    assert opt.params[4].tobytes() == dense.params[4].tobytes()
    assert opt.params[1].tobytes() == dense.params[1].tobytes()
    assert (skips.skipped_steps, skips.params.tolist()) == (1, [1.0] * 5)
