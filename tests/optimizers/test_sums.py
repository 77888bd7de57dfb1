"""Rules whose steps depend on sums over arrays and rows: bits, range, and how far a sum reaches."""

import functools
import hashlib
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import threadpoolctl
from cases import BY_ROWS, COUPLED, DTYPES, ISAS, couples_arrays, form_id
from helpers import bits, refused, spread
from reference import Reference

import fastopt
from fastopt import RowSparse

WITH_SUMS = COUPLED + BY_ROWS
# The entries of an array are summed 16 side by side, in chunks of blocks of 1024 float32; from 1024 blocks on a chunk
# has several.
AROUND_CHUNKS = [1, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 2047, 2049]
SEVERAL_BLOCKS = 1024 * 1024 + 3
LAYOUTS = {
    "contiguous": np.asarray,
    "strided": spread,
    "fortran": lambda grad: np.array(grad, order="F"),
    "reversed": lambda grad: grad[::-1].copy()[::-1],
}


@functools.cache
def drawn(shapes, dtype):
    """Parameters, and the gradients of two steps."""
    rng = np.random.default_rng(8)
    return [[np.asarray(rng.standard_normal(shape), dtype) for shape in shapes] for _ in range(3)]


def steps(cls, keywords, shapes, dtype, layout=np.asarray, n_threads=1):
    """A digest of what is left after some steps from one start."""
    start, *grads = drawn(tuple(shapes), dtype)
    opt = cls([array.copy() for array in start], num_threads=n_threads, **keywords)
    for grad in grads:
        opt.step([layout(array) for array in grad])
    *counts, arrays = bits(opt)
    return hashlib.sha256(repr(counts).encode() + b"".join(arrays)).hexdigest()


@pytest.fixture
def one_blas_thread():
    """For Muon, whose bits are those of BLAS: threads of it that wait for each other take minutes when others work."""
    assert scipy.linalg  # which has loaded the library that is limited
    with threadpoolctl.threadpool_limits(1, "blas"):
        yield


@pytest.mark.usefixtures("one_blas_thread")
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5, "clip_value": 1.5, "weight_decay": 0.01}], ids=["", "more"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", WITH_SUMS, ids=form_id)
def test_same_bits_for_all_threads_instruction_sets_and_strides(case, dtype, options, use_isa):
    """Of long vectors, rows that are longer than any buffer, short rows, and sizes around the parts of a sum."""
    cls, keywords = case
    keywords = keywords | options
    shapes = [(SEVERAL_BLOCKS,), (40, 2500), (500, 3), (3, 2, 5), (), *((n,) for n in AROUND_CHUNKS)]
    seen = set()
    for isa in ISAS:
        use_isa(isa)
        seen.add(steps(cls, keywords, shapes, dtype))
    for n_threads in (2, 3, 7):
        seen.add(steps(cls, keywords, shapes, dtype, n_threads=n_threads))
    for layout in LAYOUTS.values():
        seen.add(steps(cls, keywords, [shape for shape in shapes if shape], dtype, layout, 2))
    reference = steps(cls, keywords, [shape for shape in shapes if shape], dtype)
    assert len(seen - {reference}) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_norms_are_right_to_the_last_digits(dtype, rng):
    """Of the parameters and the gradient, in double, for each array."""
    params = [rng.standard_normal(n).astype(dtype) for n in (*AROUND_CHUNKS, 100_000)]
    grads = [rng.standard_normal(param.shape).astype(dtype) for param in params]
    starts = [param.copy() for param in params]
    opt = fastopt.LARS(params, learning_rate=1.0, trust_coefficient=1.0, momentum=0.0)
    opt.step(grads)
    for param, grad, velocity in zip(starts, grads, opt.state["velocity"], strict=True):
        ratio = math.sqrt(math.fsum(np.float64(param) ** 2) / math.fsum(np.float64(grad) ** 2))
        np.testing.assert_allclose(velocity, ratio * grad, rtol=4 * np.finfo(dtype).eps)


def scaled_step(cls, shift_p, shift_g, dtype, **options):
    """The parameters after some steps, from a start and with gradients that are multiplied by powers of two."""
    rng = np.random.default_rng(9)
    param = np.ldexp(rng.uniform(0.5, 2.0, 5000).astype(dtype), shift_p)
    opt = cls(param, epsilon=0.0, **options)
    for _ in range(3):
        opt.step(np.ldexp(rng.uniform(-2.0, 2.0, 5000).astype(dtype), shift_g))
    return np.ldexp(param, -shift_p)


@pytest.mark.parametrize("shift_g", [-1, 0, 1])
@pytest.mark.parametrize("shift_p", [-1, 0, 1])
@pytest.mark.parametrize("dtype, far", [("float32", 40), ("float64", 400)])
def test_the_scale_of_parameters_and_gradients_does_not_matter(dtype, far, shift_p, shift_g):
    """Squares of 2^900 overflow and those of 2^-900 vanish; results have the bits of those with ordinary numbers."""
    lars, lamb = fastopt.LARS, fastopt.LAMB
    g = shift_g * far
    p = shift_p * (900 if dtype == "float64" else far)
    expected = scaled_step(lamb, 0, 0, dtype)
    assert scaled_step(lamb, p, g, dtype).tobytes() == expected.tobytes()
    expected = scaled_step(lars, 0, 0, dtype)
    if abs(p - g) < 1000:  # else the rate itself, which is their ratio, is no float64
        assert scaled_step(lars, p, g, dtype).tobytes() == expected.tobytes()
    expected = scaled_step(lars, 0, 0, dtype, weight_decay=0.25)
    assert scaled_step(lars, p, p, dtype, weight_decay=0.25).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shift", [-900, 900])
def test_gradients_whose_squares_are_no_doubles(shift):
    """LARS needs their norm alone."""
    expected = scaled_step(fastopt.LARS, 0, 0, "float64")
    assert scaled_step(fastopt.LARS, 0, shift, "float64").tobytes() == expected.tobytes()
    assert scaled_step(fastopt.LARS, -shift // 2, shift // 2, "float64").tobytes() == expected.tobytes()


@pytest.mark.parametrize("cls", [fastopt.LARS, fastopt.LAMB])
def test_arrays_that_are_zero_move_by_the_rate_itself(cls):
    params = [np.zeros(3), np.ones(2), np.ones(2)]
    opt = cls(params, learning_rate=0.5, epsilon=0.0, beta_1=0.0) if cls is fastopt.LAMB else cls(params, 0.5, 0.0)
    opt.step([np.ones(3), np.zeros(2), np.ones(2)])
    np.testing.assert_allclose(params[0], -0.5)
    if cls is fastopt.LARS:
        assert params[1].tolist() == [1.0, 1.0]
    np.testing.assert_allclose(params[2], 1 - 0.5 * (0.001 if cls is fastopt.LARS else 1.0), rtol=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("case", WITH_SUMS, ids=form_id)
def test_refused_gradients_leave_no_sums(case, value, rng):
    """Whether it is the rule's own pass over the gradients that finds them, or that of the norm."""
    cls, keywords = case
    shapes = [(30, 4), (3000,)]
    good = [rng.standard_normal(shape) for shape in shapes]
    bad = [good[0], np.where(np.arange(3000) == 2100, value, good[1])]
    for options in ({}, {"clip_norm": 1.0}):
        skips, refuses, plain = (
            cls([np.ones(shape) for shape in shapes], nonfinite=policy, **options, **keywords)
            for policy in ("skip", "raise", "propagate")
        )
        for _ in range(2):
            for opt in (skips, refuses, plain):
                opt.step(good)
            skips.step(bad)
            with refused(refuses, FloatingPointError, "`grad` must be finite"):
                refuses.step(bad)
        assert bits(skips)[2] == bits(refuses)[2] == bits(plain)[2]
        assert (skips.skipped_steps, skips.step_count) == (2, 2)


@pytest.mark.parametrize("case", [case for case in COUPLED if not couples_arrays(case[0])], ids=form_id)
def test_an_array_in_a_list_moves_as_it_does_alone(case, rng):
    """As long as all of them together have few blocks: else the parts of a sum are larger."""
    cls, keywords = case
    shapes = [(40,), (17, 5), (20_000,)]
    starts, grads = ([rng.standard_normal(shape) for shape in shapes] for _ in range(2))
    together = [start.copy() for start in starts]
    cls(together, **keywords).step(grads)
    for start, grad, param in zip(starts, grads, together, strict=True):
        cls(start, **keywords).step(grad)
        assert start.tobytes() == param.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BY_ROWS, ids=form_id)
def test_rows_move_as_they_do_alone(case, dtype, rng):
    cls, keywords = case
    start, grad = (rng.standard_normal((11, 300)).astype(dtype) for _ in range(2))
    whole, parts = start.copy(), [start[:4].copy(), start[4:].copy()]
    cls(whole, **keywords).step(grad)
    cls(parts, **keywords).step([grad[:4], grad[4:].copy()])
    assert whole.tobytes() == np.concatenate(parts).tobytes()


@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", COUPLED, ids=form_id)
def test_sparse_gradients_of_coupled_rules_are_dense_ones(case, dtype, mode, rng):
    """To the last bit, in any format and order."""
    cls, keywords = case
    dense = np.where(rng.random((400, 30)) < 0.05, rng.standard_normal((400, 30)), 0.0).astype(dtype)
    index = rng.permutation(np.flatnonzero(dense.any(axis=1)))
    grads = [
        dense,
        RowSparse(index, dense[index]),
        *(scipy.sparse.coo_array(dense).asformat(k) for k in ("csr", "coo")),
    ]
    seen = set()
    for grad in grads:
        opt = cls(np.ones((400, 30), dtype), sparse=mode, **keywords)
        for each in (grad, dense, grad):
            opt.step(each)
        seen.add(str(bits(opt)))
    assert len(seen) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BY_ROWS, ids=form_id)
def test_touched_rows_move_as_in_a_dense_step(case, dtype, rng):
    """And the others do not move, when the step is lazy."""
    cls, keywords = case
    start, dense = (rng.standard_normal((400, 30)).astype(dtype) for _ in range(2))
    index = rng.permutation(400)[:90]
    dense[np.setdiff1d(np.arange(400), index)] = 0.0
    grads = {"rows": RowSparse(index, dense[index]), "csr": scipy.sparse.csr_array(dense)}
    expected = cls(start.copy(), **keywords)
    expected.step(dense)
    for grad in grads.values():
        opt, exact = (cls(start.copy(), sparse=mode, **keywords) for mode in ("lazy", "exact"))
        opt.step(grad)
        exact.step(grad)
        assert bits(exact) == bits(expected)
        assert opt.params[index].tobytes() == expected.params[index].tobytes()
        others = np.setdiff1d(np.arange(400), index)
        assert opt.params[others].tobytes() == start[others].tobytes()


def fbgemm_rowwise_adagrad(w, h, grads, lr, eps):
    """Row by row in float32, as the library's reference in C++: gradients by row, those of one row added before."""
    for row, g in grads.items():
        h[row] += np.float32(np.sum(g * g, dtype=np.float32) / np.float32(g.size))
        w[row] -= np.float32(lr) / (np.sqrt(h[row]) + np.float32(eps)) * g


def test_the_row_wise_adagrad_of_fbgemm(rng):
    table = rng.standard_normal((50, 16)).astype(np.float32)
    w, h = table.copy(), np.zeros(50, np.float32)
    opt = fastopt.RowwiseAdagrad(table, learning_rate=0.1, epsilon=1e-8)
    for _ in range(30):
        index, rows = rng.integers(0, 50, 12), rng.standard_normal((12, 16)).astype(np.float32)
        sums = {}
        for row, g in zip(index.tolist(), rows, strict=True):
            sums[row] = sums.get(row, np.float32(0)) + g
        opt.step(RowSparse(index, rows))
        fbgemm_rowwise_adagrad(w, h, sums, 0.1, 1e-8)
    np.testing.assert_allclose(table, w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(opt.state["accumulator"], h, rtol=1e-5)


@pytest.mark.parametrize(
    "row_wise, entry_wise", [(fastopt.RowwiseAdagrad, fastopt.Adagrad), (fastopt.RowwiseAdam, fastopt.Adam)]
)
def test_of_a_vector_each_entry_is_a_row(row_wise, entry_wise, rng):
    one, other = np.ones(300), np.ones(300)
    options = {"initial_accumulator_value": 0.1} if entry_wise is fastopt.Adagrad else {}
    opts = row_wise(one, 0.1, epsilon=1e-7, **options), entry_wise(other, 0.1, epsilon=1e-7, **options)
    for _ in range(20):
        grad = rng.standard_normal(300)
        for opt in opts:
            opt.step(grad)
    np.testing.assert_allclose(one, other, rtol=1e-12)


# Matrices of one tile, of several above and beside each other, and small ones that share a tile; long vectors.
MATRICES = [(1, 1), (7, 5), (70, 3000), (70_000, 3), (1, 9000), (9000, 1), (9000, 3, 3), (2, 3, 40, 50), (150_000,)]


@pytest.mark.parametrize("options", [{}, {"clip_value": 0.5, "weight_decay": 0.1, "decoupled_weight_decay": False}])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_columns_of_matrices(dtype, options, rng):
    """In tiles or not, the moments of rows and columns are those of the formula."""
    params = [rng.standard_normal(shape).astype(dtype) for shape in MATRICES]
    opt = fastopt.Adafactor(params, **options)
    oracle = Reference("adafactor", params, opt._values)
    for _ in range(3):
        grads = [rng.standard_normal(shape).astype(dtype) for shape in MATRICES]
        opt.step(grads)
        oracle.step(grads)
    rtol = 1e-10 if dtype == "float64" else 1e-4
    for param, expected in zip(params, oracle.params, strict=True):
        np.testing.assert_allclose(param, expected, rtol=rtol, atol=rtol / 10)
    for slot, arrays in opt.state.items():
        for array, expected in zip(arrays, oracle.state[slot], strict=True):
            np.testing.assert_allclose(array, expected, rtol=rtol)


def test_state_of_matrices_is_their_rows_and_columns():
    opt = fastopt.Adafactor([np.ones((300, 200)), np.ones((2, 4, 5)), np.ones(6), np.ones(())])
    assert [array.shape for array in opt.state["row_v"]] == [(300,), (2, 4), (), ()]
    assert [array.shape for array in opt.state["column_v"]] == [(200,), (2, 5), (6,), ()]


def test_entries_without_gradient_stay_though_epsilon_vanishes():
    """The square of epsilon_1 is zero in float32, and so are the moments."""
    weights = np.ones((4, 3), np.float32)
    opt = fastopt.Adafactor(weights, epsilon_1=1e-30)
    grad = np.zeros((4, 3), np.float32)
    grad[0, 0] = 1.0
    opt.step(grad)
    assert weights[0, 0] < 1
    np.testing.assert_array_equal(weights.ravel()[1:], 1)
