"""Indices chosen by hypothesis: distinct positions and sums of duplicates, and whole steps against the lazy oracle."""

import numpy as np
import pytest
from cases import CASES, DTYPES
from hypothesis import given
from hypothesis import strategies as st
from lazy_reference import REFERENCES

from fastopt import RowSparse
from fastopt._sparse.coalesce import Coalescer

# Up to 256 bits a position a bitmap is used, then a hash table; a pass of the sort takes up to 12 bits of the index.
FEW = st.integers(1, 50)
SIZES = st.one_of(FEW, st.sampled_from([2**12, 2**12 + 1, 10**5, 10**6, 2**24 + 1, 2**31 - 1]))
HUGE = st.sampled_from([2**31 + 1, 2**36 + 5, 2**40, 2**40 + 1])
WIDTHS = st.integers(1, 3)
TOLERANCE = {"float32": dict(rtol=1e-4, atol=1e-5), "float64": dict(rtol=1e-12, atol=1e-13)}


def one_thread():
    return 1


@st.composite
def positions(draw, sizes):
    """A number of rows, and positions among them: anywhere, or from a small pool that makes duplicates likely."""
    n_rows = draw(sizes)
    most = draw(st.sampled_from([0, 1, 2, 5, 40, 200]))
    pool = draw(st.lists(st.integers(0, n_rows - 1), min_size=1, max_size=20))
    place = st.one_of(st.sampled_from(pool), st.integers(0, n_rows - 1), st.integers(max(0, n_rows - 3), n_rows - 1))
    index = draw(st.lists(place, min_size=min(most, 40) // 2, max_size=most))
    dtype = np.int64 if n_rows > 2**31 or draw(st.booleans()) else np.int32
    order = draw(st.sampled_from([list, sorted, lambda each: sorted(set(each)), lambda each: [*dict.fromkeys(each)]]))
    return n_rows, np.array(order(index), dtype)


def check(coalescer, n_rows, index, values, in_order):
    """Compare with NumPy in float64; return the result."""
    before = index.copy(), values.copy()
    rows, sums, ascend = coalescer.distinct(index, values, n_rows, False, in_order, one_thread)
    assert np.array_equal(index, before[0]) and np.array_equal(values, before[1])
    distinct, inverse = np.unique(index, return_inverse=True)
    expected = np.zeros((len(distinct), values.shape[1]))
    np.add.at(expected, inverse, values)
    assert rows.dtype == index.dtype and sums.dtype == values.dtype
    order = np.argsort(rows, kind="stable")
    assert np.array_equal(rows[order], distinct)
    np.testing.assert_allclose(
        sums.reshape(len(rows), values.shape[1])[order], expected, **TOLERANCE[values.dtype.name]
    )
    assert (np.diff(rows) > 0).all() if ascend else not in_order
    return rows, sums


@given(calls=st.lists(st.tuples(positions(st.one_of(SIZES, HUGE)), WIDTHS, st.booleans(), st.booleans()), max_size=4))
def test_coalescer(calls):
    """Calls of different sizes and dtypes share the scratch memory of one coalescer."""
    coalescer = Coalescer()
    rng = np.random.default_rng(3)
    for (n_rows, index), width, single, in_order in calls:
        values = rng.standard_normal((len(index), width)).astype(np.float32 if single else np.float64)
        check(coalescer, n_rows, index, values, in_order)


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("k", [2, 3, 17, 200, 5000])
@pytest.mark.parametrize("n_rows", [1, 2, 2**12, 2**12 + 1, 2**13, 2**24, 2**24 + 1, 2**31, 2**36, 2**40])
def test_each_path(n_rows, k, in_order, rng):
    """One to four passes of the sort, bitmap and hash table; duplicates first, last, of all entries and of none."""
    coalescer = Coalescer()
    values = rng.standard_normal((k, 2))
    anywhere = rng.integers(0, n_rows, k)
    twice_at_the_ends = np.r_[anywhere[:-1], anywhere[0]]
    top = n_rows - 1 - rng.integers(0, min(n_rows, k), k)
    same_low_digits = (anywhere // 2**12 * 2**12).astype(np.int64)
    for index in (anywhere, twice_at_the_ends, top, same_low_digits, np.full(k, n_rows - 1), np.sort(anywhere)):
        check(coalescer, n_rows, index, values, in_order)
    if n_rows >= 10 * k:
        step = n_rows // k
        index = rng.permutation(k) * step + rng.integers(0, step, k)
        rows, sums = check(coalescer, n_rows, index, values, in_order)
        if not in_order and (np.diff(index) < 0).any():
            assert rows is index and sums is values  # nothing to do: no copy
        index[-1] = index[0]
        check(coalescer, n_rows, index, values, in_order)


def test_hash_collisions(rng):
    """Positions whose hashes share their first bits, so that they queue for one slot and wrap around its end."""
    factor = 0x9E3779B97F4A7C15
    candidates = np.arange(10**6, dtype=np.uint64)
    hashes = candidates * np.uint64(factor)
    last_slots = candidates[hashes >> np.uint64(54) == np.uint64(1023)].astype(np.int64)[::-1][:400].copy()
    assert len(last_slots) == 400
    values = rng.standard_normal((400, 1))
    check(Coalescer(), 10**6, last_slots, values, False)
    last_slots[5] = last_slots[390]
    check(Coalescer(), 10**6, last_slots, values, False)


@given(data=st.data())
def test_steps_against_the_lazy_oracle(data):
    """Rule, form, dtypes, shape and indices are free."""
    cls, keywords = data.draw(st.sampled_from(CASES))
    dtype, width = data.draw(st.sampled_from(DTYPES)), data.draw(st.integers(0, 3))
    n_rows = data.draw(FEW)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = (n_rows, width) if width else (n_rows,)
    param = rng.standard_normal(shape).astype(dtype)
    opt = cls(param, **keywords)
    oracle = REFERENCES["lazy"](cls.__name__.lower(), [param], opt._values)
    for _ in range(3):
        _, index = data.draw(positions(st.just(n_rows)))
        rows = rng.standard_normal((len(index), *shape[1:])).astype(dtype)
        opt.step(RowSparse(index, rows))
        oracle.step([(index, rows)])
    tolerance = dict(rtol=1e-3, atol=1e-4) if dtype == "float32" else dict(rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(param, oracle.params[0], **tolerance)
    for slot, array in opt.state.items():
        np.testing.assert_allclose(array, oracle.state[slot][0], **tolerance)
