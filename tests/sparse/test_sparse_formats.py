"""Every scipy.sparse format, shape and kind of index array gives the bits of the RowSparse that means the same."""

import doctest

import numpy as np
import pytest
import scipy.sparse
from cases import DTYPES, OPTIMIZERS, sees_shape
from helpers import bits, misaligned, read_only, spread

import fastopt
from fastopt import RowSparse
from fastopt._sparse import gradients

FORMATS = ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"]
KINDS = {
    f"{name}_{kind}": (getattr(scipy.sparse, f"{name}_{kind}"), name)
    for name in FORMATS
    for kind in ("array", "matrix")
}
SCIPY = tuple(map(int, scipy.__version__.split(".")[:2]))
ONE_DIMENSIONAL = {"coo_array", "dok_array"} | ({"csr_array"} if SCIPY >= (1, 15) else set())
MODES = ["lazy", "exact"]


def dense(rng, shape, dtype):
    """An array with a fifth of its entries set."""
    return (rng.standard_normal(shape) * (rng.random(shape) < 0.2)).astype(dtype)


def entries(array):
    """Positions in the flat array, and values, of the entries that are not zero, in order."""
    index = np.flatnonzero(array)
    return RowSparse(index, array.ravel()[index])


def snapshot(grad):
    """All that a caller can see of a sparse gradient."""
    parts = {
        name: getattr(grad, name) for name in ("data", "indices", "indptr", "offsets", "rows") if hasattr(grad, name)
    }
    if grad.format == "coo":
        parts |= {f"coords {k}": index for k, index in enumerate(grad.coords)}
    if grad.format == "dok":
        parts = {"items": np.array(sorted(grad.items()), object)}
    seen = {name: (part.dtype, repr(part.tolist())) for name, part in parts.items()}
    held = [id(part) for name, part in parts.items() if name != "items"]
    flags = [vars(grad).get(name) for name in ("_has_sorted_indices", "_has_canonical_format", "has_canonical_format")]
    return seen, held, flags, grad.shape, grad.nnz


def whole_rows(grad, n_columns):
    """Entries at positions in a flat matrix as the rows that they lie in, with zeros beside them."""
    (row, column), rows = divmod(grad.indices, n_columns), np.unique(grad.indices // n_columns)
    values = np.zeros((len(rows), n_columns), grad.rows.dtype)
    np.add.at(values, (np.searchsorted(rows, row), column), grad.rows)
    return RowSparse(rows, values)


def same_bits(cls, param, grad, expected, mode="lazy", **keywords):
    """Two steps with each of two gradients; both leave the same bits, and the first gradient is as before."""
    if sees_shape(cls) and param.ndim == 2:
        start, expected = param.copy(), whole_rows(expected, param.shape[1])
    else:
        start = param.reshape(-1).copy()
    opt, twin = cls(param.copy(), sparse=mode, **keywords), cls(start, sparse=mode, **keywords)
    before = snapshot(grad)
    for _ in range(2):
        opt.step(grad)
        twin.step(expected)
    assert snapshot(grad) == before
    assert bits(opt) == bits(twin)


@pytest.mark.parametrize("shape", [(1, 90), (90, 1), (90,), (15, 6)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_formats(kind, dtype, shape, rng):
    make, name = KINDS[kind]
    if len(shape) == 1 and kind not in ONE_DIMENSIONAL:
        pytest.skip("two-dimensional only")
    values = dense(rng, shape, dtype)
    grad = make(values, blocksize=(1, 1)) if name == "bsr" else make(values)
    param = rng.standard_normal(values.size).astype(dtype)
    own_shape = param.reshape(shape if shape == (15, 6) else -1)
    for mode in MODES:
        for cls in (fastopt.Adam, fastopt.Adagrad, fastopt.SGD, fastopt.RowwiseAdam, fastopt.RowwiseAdagrad):
            same_bits(cls, own_shape, grad, entries(values), mode)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
@pytest.mark.parametrize("mode", MODES)
def test_explicit_zeros_are_touched(mode, name, cls, rng):
    """Momentum and decay act on them, as on other entries of the gradient."""
    values = rng.standard_normal(12)
    values[::3] = 0
    index = rng.permutation(60)[:12]
    grad = scipy.sparse.coo_array((values, divmod(np.sort(index), 6)), shape=(10, 6)).asformat(name)
    assert grad.nnz == 12
    same_bits(cls, rng.standard_normal((10, 6)), grad, RowSparse(np.sort(index), values), mode)


def test_blocks_are_touched_as_a_whole(rng):
    values = np.zeros((6, 8))
    values[2, 5] = values[5, 0] = 1.0
    grad = scipy.sparse.bsr_array(values, blocksize=(2, 4))
    touched = np.sort(np.r_[20:24, 28:32, 32:36, 40:44])
    same_bits(fastopt.Adam, rng.standard_normal((6, 8)), grad, RowSparse(touched, values.ravel()[touched]))


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64], ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", ["csr", "csc", "coo", "bsr"])
def test_index_dtypes(name, index_dtype, rng):
    values = dense(rng, (15, 6), "float64")
    grad = scipy.sparse.coo_array(values).asformat(name)
    if name == "bsr":
        grad = scipy.sparse.bsr_array(values, blocksize=(1, 1))
    if name == "coo":
        grad.coords = tuple(index.astype(index_dtype) for index in grad.coords)
    else:
        grad.indices, grad.indptr = grad.indices.astype(index_dtype), grad.indptr.astype(index_dtype)
    same_bits(fastopt.Adam, rng.standard_normal((15, 6)), grad, entries(values))


@pytest.mark.parametrize("shape", [(15, 6), (1, 90), (90, 1)], ids=str)
@pytest.mark.parametrize("index_dtype, pointer_dtype", [(np.int32, np.int64), (np.int64, np.int32)])
@pytest.mark.parametrize("name", ["csr", "csc"])
def test_indices_and_pointers_of_two_dtypes(name, index_dtype, pointer_dtype, shape, rng):
    values = dense(rng, shape, "float64")
    grad = scipy.sparse.coo_array(values).asformat(name)
    grad.indices, grad.indptr = grad.indices.astype(index_dtype), grad.indptr.astype(pointer_dtype)
    same_bits(fastopt.Adam, rng.standard_normal(shape), grad, entries(values))


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64], ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", ["csr", "csc"])
@pytest.mark.parametrize("mode", MODES)
def test_unsorted_and_repeated_entries(mode, name, index_dtype, rng):
    """Integers as values: their sums are exact in any order."""
    n_minor = 7
    major, minor = rng.integers(0, 9, 40), rng.integers(0, n_minor, 40)
    values = rng.integers(-5, 5, 40).astype(float)
    order = np.argsort(major, kind="stable")
    indptr = np.searchsorted(major[order], np.arange(10)).astype(index_dtype)
    shape = (9, n_minor) if name == "csr" else (n_minor, 9)
    grad = getattr(scipy.sparse, f"{name}_array")(
        (values[order], minor[order].astype(index_dtype), indptr), shape=shape
    )
    assert not vars(grad).get("_has_sorted_indices")
    row, column = (major, minor) if name == "csr" else (minor, major)
    flat = row * shape[1] + column
    param = rng.standard_normal(shape)
    same_bits(fastopt.Adam, param, grad, RowSparse(flat, values), mode)
    same_bits(
        fastopt.Adam, param, scipy.sparse.coo_array((values, (row, column)), shape=shape), RowSparse(flat, values)
    )
    summed = np.bincount(flat, values, minlength=param.size)
    distinct = np.unique(flat)
    same_bits(fastopt.Adam, param, grad, RowSparse(distinct, summed[distinct]), mode)


@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
def test_longer_arrays_than_entries(name, rng):
    """Unused memory behind the entries of a compressed matrix, as scipy leaves it before `prune`, is not looked at."""
    values = dense(rng, (15, 6), "float64")
    grad = scipy.sparse.coo_array(values).asformat(name)
    if name != "coo":
        grad.indices = np.r_[grad.indices, np.full(5, 10**6, grad.indices.dtype)]
        grad.data = np.r_[grad.data, np.full(5, np.nan)]
    same_bits(fastopt.Adam, rng.standard_normal((15, 6)), grad, entries(values), nonfinite="raise")


@pytest.mark.parametrize("change", [spread, misaligned, read_only, np.asfortranarray], ids=lambda each: each.__name__)
def test_layouts_of_the_arrays(change, rng):
    """Strided, misaligned and read-only arrays and columns in a row, in RowSparse and in a matrix."""
    index, values = rng.permutation(30)[:12], rng.standard_normal(12)
    plain, other = fastopt.Adam(np.ones(30)), fastopt.Adam(np.ones(30))
    plain.step(RowSparse(index, values))
    other.step(RowSparse(change(index), change(values)))
    assert bits(plain) == bits(other)
    rows, of_rows = rng.standard_normal((12, 5)), fastopt.Adam(np.ones((30, 5)))
    twin = fastopt.Adam(np.ones((30, 5)))
    of_rows.step(RowSparse(index, rows))
    twin.step(RowSparse(change(index), change(rows)))
    assert bits(of_rows) == bits(twin)
    assert RowSparse(change(index), change(rows)).coalesced().rows.tobytes() == rows[np.argsort(index)].tobytes()
    grad = scipy.sparse.csr_array(dense(rng, (15, 6), "float64"))
    expected = grad.copy()
    for name in ("data", "indices", "indptr"):
        setattr(grad, name, change(getattr(grad, name)))
    same_bits(fastopt.Adam, rng.standard_normal((15, 6)), grad, entries(expected.toarray()))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1)], ids=str)
def test_one_entry_vectors_and_squares(shape, rng):
    """Shapes in which rows and columns could be mistaken for each other."""
    values = np.arange(5.0).reshape(shape)
    same_bits(fastopt.Adam, np.ones(5), scipy.sparse.coo_array(values), entries(values))
    same_bits(fastopt.Adam, np.ones(1), scipy.sparse.csr_array(np.ones((1, 1))), RowSparse([0], np.ones(1)))
    square = dense(rng, (6, 6), "float64")
    for name in ("csr", "csc", "coo"):
        same_bits(fastopt.Adam, np.ones((6, 6)), scipy.sparse.coo_array(square).asformat(name), entries(square))


def test_three_dimensional_arrays(rng):
    values = dense(rng, (4, 5, 3), "float64")
    try:
        grad = scipy.sparse.coo_array((values[values != 0], np.nonzero(values)), shape=values.shape)
    except ValueError:
        pytest.skip("not before scipy 1.15")
    same_bits(fastopt.Adam, np.ones((4, 5, 3)), grad, entries(values))


def test_empty_gradient_of_each_format():
    """Nothing moves, but the step counts."""
    for name in FORMATS:
        opt = fastopt.Adam(np.ones((3, 4)))
        opt.step(scipy.sparse.coo_array((3, 4)).asformat(name))
        assert opt.step_count == 1 and (opt.params == 1).all() and not opt.state["v"].any()


def test_repr():
    assert repr(RowSparse(np.arange(1200), np.ones((1200, 3)))) == "<RowSparse: 1,200 rows of shape (3,), float64>"
    one = RowSparse([4], np.ones(1, np.float32), unique=True)
    assert repr(one) == "<RowSparse: 1 rows of shape (), float32, unique>"


def test_examples():
    assert doctest.testmod(gradients).failed == 0


def test_arrays_are_held_not_copied():
    index, rows = np.array([1, 2]), np.ones(2)
    grad = RowSparse(index, rows)
    assert grad.indices is index and grad.rows is rows and grad.unique is False
    opt = fastopt.SGD(np.zeros(4), learning_rate=1.0)
    rows[:] = 3.0
    index[0] = 0
    opt.step(grad)
    assert opt.params.tolist() == [-3.0, 0.0, -3.0, 0.0] and index.tolist() == [0, 2] and rows.tolist() == [3, 3]
