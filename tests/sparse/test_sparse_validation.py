"""Sparse gradients that do not fit: clear messages, and nothing has changed to the last bit."""

import numpy as np
import pytest
import scipy.sparse
from cases import OPTIMIZERS, couples_entries
from helpers import beginning, bits, exactly, refused

import fastopt
from fastopt import RowSparse

MODES = ["lazy", "exact"]
SHAPE = (8, 3)
SWAPPED = np.dtype(np.float64).newbyteorder("S")
OVERLAP = "must not share memory with the parameters or the state, which the step overwrites, got an overlapping array."


def rows(index, width=3, dtype="float64"):
    return RowSparse(np.asarray(index), np.ones((len(index), width), dtype))


def changed(grad, **attributes):
    """The gradient with arrays that its class would not have taken."""
    for name, value in attributes.items():
        setattr(grad, name, value)
    return grad


def matrix(name="csr", shape=SHAPE):
    values = np.zeros(shape)
    values[1, 2] = values[4, 0] = values[7, 1] = 1.0
    return scipy.sparse.coo_array(values).asformat(name)


def pointers(*indptr, dtype=np.int32):
    return lambda: changed(matrix(), indptr=np.array(indptr, dtype))


def outside(n, index, at):
    return f"must have indices in [0, {n}), got {index} at position {at}."


MALFORMED = ".indptr must start at 0 and not descend over 9 entries."
BEYOND = ".indptr must end at the number of entries, at most 3, got {}."
ROWS = "must have rows of the shape (3,) of those of its parameter, one for each of {} indices, got {}."
SHAPES = "must have the shape (8, 3) of its parameter, got {}."
DTYPE = "must be float64 like its parameter, got {0}."
INDEX_DTYPE = "must be int32 or int64, got {0}."
# What is wrong -> the gradient for a parameter of shape (8, 3), the exception, and its message after the name.
FAULTS = {
    "negative": (lambda: rows([0, -1]), IndexError, outside(8, -1, 1)),
    "one too far": (lambda: rows([8]), IndexError, outside(8, 8, 0)),
    "far too far": (lambda: rows([3, 1, 2**62]), IndexError, outside(8, 2**62, 2)),
    "far below": (lambda: rows([-(2**63), 1]), IndexError, outside(8, -(2**63), 0)),
    "low bits in range": (lambda: rows([2**32 + 1]), IndexError, outside(8, 2**32 + 1, 0)),
    "int32 and negative": (lambda: rows(np.array([7, -(2**31)], np.int32)), IndexError, outside(8, -(2**31), 1)),
    "int32 and too far": (lambda: rows(np.array([2**31 - 1, 9], np.int32)), IndexError, outside(8, 2**31 - 1, 0)),
    "unique": (lambda: RowSparse([2, 9], np.ones((2, 3)), unique=True), IndexError, outside(8, 9, 1)),
    "last of many": (lambda: rows([5] * 5000 + [8]), IndexError, outside(8, 8, 5000)),
    "too narrow": (lambda: rows([1, 2], width=2), ValueError, ROWS.format(2, (2, 2))),
    "too wide": (lambda: rows([1], width=4), ValueError, ROWS.format(1, (1, 4))),
    "flat rows": (lambda: RowSparse([1, 2], np.ones(2)), ValueError, ROWS.format(2, (2,))),
    "deep rows": (lambda: RowSparse([1], np.ones((1, 3, 1))), ValueError, ROWS.format(1, (1, 3, 1))),
    "float32 rows": (lambda: rows([1], dtype="float32"), TypeError, DTYPE.format("float32")),
    "fewer rows since": (lambda: changed(rows([1, 2]), rows=np.ones((1, 3))), ValueError, ROWS.format(2, (1, 3))),
    "more indices since": (lambda: changed(rows([1]), indices=np.arange(3)), ValueError, ROWS.format(3, (1, 3))),
    "an index since": (lambda: changed(rows([1, 2]), indices=np.array([1, 8])), IndexError, outside(8, 8, 1)),
    "float indices since": (
        lambda: changed(rows([1]), indices=np.zeros(1)), TypeError, f".indices {INDEX_DTYPE.format('float64')}"
    ),
    "short indices since": (
        lambda: changed(rows([1]), indices=np.zeros(1, np.int8)), TypeError, f".indices {INDEX_DTYPE.format('int8')}"
    ),
    "2-D indices since": (
        lambda: changed(rows([1]), indices=np.zeros((1, 4), int)),
        ValueError,
        ".indices must have one dimension, got shape (1, 4).",
    ),
    "swapped rows since": (lambda: changed(rows([1]), rows=np.ones((1, 3), SWAPPED)), TypeError, DTYPE.format(SWAPPED)),
    "transposed": (lambda: matrix(shape=(8, 8))[:3], ValueError, SHAPES.format((3, 8))),
    "a row": (lambda: scipy.sparse.csr_array((1, 24)), ValueError, SHAPES.format((1, 24))),
    "a vector": (lambda: scipy.sparse.coo_array((24,)), ValueError, SHAPES.format((24,))),
    "float32": (lambda: matrix().astype("float32"), TypeError, DTYPE.format("float32")),
    "complex128": (lambda: matrix().astype(complex), TypeError, DTYPE.format("complex128")),
    "int64": (lambda: matrix("coo").astype("int64"), TypeError, DTYPE.format("int64")),
    "bool": (lambda: matrix("lil").astype(bool), TypeError, DTYPE.format("bool")),
    "indptr not from 0": (pointers(1, 1, 1, 1, 2, 2, 2, 2, 3), ValueError, MALFORMED),
    "indptr below 0": (pointers(-1, 1, 1, 1, 2, 2, 2, 2, 3), ValueError, MALFORMED),
    "indptr descends": (pointers(0, 0, 3, 1, 2, 2, 2, 2, 3), ValueError, MALFORMED),
    "indptr wraps around": (pointers(0, 2**31 - 1, -(2**31), -1, 0, 0, 0, 0, 3), ValueError, MALFORMED),
    "indptr too short": (pointers(0, 0, 3), ValueError, MALFORMED),
    "indptr too long": (pointers(0, 0, 1, 1, 1, 2, 2, 2, 3, 3), ValueError, MALFORMED),
    "indptr empty": (pointers(), ValueError, MALFORMED),
    "indptr 2-D": (lambda: changed(matrix(), indptr=np.zeros((9, 2), np.int32)), ValueError, MALFORMED),
    "indptr ends beyond": (pointers(0, 0, 1, 1, 1, 2, 2, 2, 4), ValueError, BEYOND.format(4)),
    "indptr ends far beyond": (pointers(*[0] * 8, 2**31 - 1), ValueError, BEYOND.format(2**31 - 1)),
    "indptr of another dtype": (
        pointers(0, 0, 1, 1, 1, 2, 2, 2, 3, dtype=np.int16),
        TypeError,
        ".indptr must be int32 or int64, got int16.",
    ),
    "a column too far": (
        lambda: changed(matrix(), indices=np.array([0, 3, 1], np.int32)), IndexError, outside(3, 3, 1)
    ),
    "a column below": (
        lambda: changed(matrix(), indices=np.array([0, 1, -1], np.int32)), IndexError, outside(3, -1, 2)
    ),
    "a row too far in CSC": (
        lambda: changed(matrix("csc"), indices=np.array([8, 0, 1], np.int32)), IndexError, outside(8, 8, 0)
    ),
    "short columns": (
        lambda: changed(matrix(), indices=np.zeros(3, np.int8)), TypeError, f".indices {INDEX_DTYPE.format('int8')}"
    ),
    "values in a square": (
        lambda: changed(matrix(), data=np.ones((3, 3))),
        ValueError,
        "must have one value for each of 3 indices, got shape (3, 3).",
    ),
    "a COO row too far": (
        lambda: changed(matrix("coo"), coords=(np.array([1, 8, 0]), np.zeros(3, int))), IndexError, outside(8, 8, 1)
    ),
    "a COO column below": (
        lambda: changed(matrix("coo"), coords=(np.zeros(3, int), np.array([0, 0, -2]))), IndexError, outside(3, -2, 2)
    ),
    "short COO columns": (
        lambda: changed(matrix("coo"), coords=(np.zeros(3, np.int16),) * 2),
        TypeError,
        f".coords {INDEX_DTYPE.format('int16')}",
    ),
    "fewer COO values": (
        lambda: changed(matrix("coo"), data=np.ones(2)),
        ValueError,
        "must have one value for each of 3 indices, got shape (2,).",
    ),
    "fewer COO columns": (
        lambda: changed(matrix("coo"), coords=(np.zeros(3, int), np.zeros(2, int))),
        ValueError,
        "must have one value for each of 2 indices, got shape (3,).",
    ),
}  # fmt: skip
# The parameter among others: how to give three arrays, and what the last is called.
BINDINGS = {
    "alone": (lambda a, b, last: last, "`grad`"),
    "last of a list": (lambda a, b, last: [a, b, last], "`grad[2]`"),
    "last of a dict": (lambda a, b, last: {"a": a, "b": b, "w": last}, "`grad['w']`"),
}


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_gradient_that_does_not_fit(cls, mode, binding, rng):
    """All faults on one optimizer, which then goes on as if there had been none."""
    give, name = BINDINGS[binding]
    opt, twin = (cls(give(np.ones(5), np.ones(SHAPE), np.ones(SHAPE)), sparse=mode, clip_norm=1.0) for _ in range(2))
    good = give(RowSparse([4, 0, 4], np.arange(3.0)), rng.standard_normal(SHAPE), rows([7, 2, 7]))
    for each in (opt, twin):
        each.step(good)
    for make, exception, message in FAULTS.values():
        space = "" if message.startswith(".") else " "
        with refused(opt, exception, beginning(f"{name}{space}{message}")):
            opt.step(give(RowSparse([1, 0, 1], np.ones(3)), matrix("csc"), make()))
    assert opt.last_grad_norm == twin.last_grad_norm
    for each in (opt, twin):
        each.step(good)
    assert bits(opt) == bits(twin)


@pytest.mark.parametrize(
    "make",
    [lambda index: RowSparse(index, np.ones(len(index))), lambda index: in_vector(index, 1)],
    ids=["RowSparse", "COO"],
)
@pytest.mark.parametrize("at", [0, -1])
def test_first_and_last_entry_of_a_vector(make, at):
    """Of the last array of a list; the others come first and stay as they were."""
    opt = fastopt.Adam([np.ones(5), np.ones(1000)])
    index = np.arange(0, 1000, 3)
    index[at] = 1000
    with refused(opt, IndexError, exactly(f"`grad[1]` {outside(1000, 1000, index.tolist().index(1000))}")):
        opt.step([RowSparse([0], np.ones(1)), make(index)])


def in_vector(index, ndim):
    """A COO vector of 1000 entries whose indices scipy has not seen."""
    grad = scipy.sparse.coo_array((np.ones(len(index)), (np.zeros(len(index), int),)), shape=(1000,))
    return changed(grad, coords=(index,) * ndim)


def test_malformed_vectors():
    """Of one row, and of one column: what is compressed is the other axis."""
    opt = fastopt.Adam(np.ones(4))
    for name, shape in (("csr", (1, 4)), ("csc", (4, 1))):
        for indptr in ([0, 5], [0, -1], [1, 2], [0], [0, 1, 2]):
            grad = scipy.sparse.coo_array(np.ones(shape)).asformat(name)
            with refused(opt, ValueError, r"^`grad`\.indptr must "):
                opt.step(changed(grad, indptr=np.array(indptr, np.int32)))
    number = fastopt.Adam(np.array(1.0))
    with refused(number, ValueError, "^`grad` must be a number for a parameter without dimensions, got <RowSparse"):
        number.step(RowSparse([0], np.ones(1)))


MAKING = {
    "float indices": (([0.0, 1.0], np.ones(2)), TypeError, "`indices` must be int32 or int64, got float64"),
    "unsigned indices": ((np.zeros(2, np.uint64), np.ones(2)), TypeError, "`indices` must be int32 or int64, got uint"),
    "short indices": ((np.zeros(2, np.int16), np.ones(2)), TypeError, "`indices` must be int32 or int64, got int16"),
    "a mask": ((np.ones(2, bool), np.ones(2)), TypeError, "`indices` must be int32 or int64, got bool"),
    "swapped indices": ((np.zeros(2, ">i8"), np.ones(2)), TypeError, "`indices` must be int32 or int64, got >i8"),
    "2-D indices": (([[0, 1]], np.ones((1, 2))), ValueError, r"`indices` must have one dimension, got shape \(1, 2\)"),
    "one index": ((3, np.ones(1)), ValueError, r"`indices` must have one dimension, got shape \(\)"),
    "complex rows": (([0], np.ones(1, complex)), TypeError, "`rows` must be float32 or float64, got complex128"),
    "integer rows": (([0], [1]), TypeError, "`rows` must be float32 or float64, got int64"),
    "swapped rows": (([0], np.ones(1, ">f4")), TypeError, "`rows` must be float32 or float64, got >f4"),
    "too few rows": (([0, 1, 2], np.ones((2, 3))), ValueError, r"`rows` must have one row for each of the 3 indices"),
    "one number": (([0], np.float64(1.0)), ValueError, "`rows` must have one row for each of the 1 indices"),
    "no flag": (([0], np.ones(1), "yes"), TypeError, "`unique` must be True or False, got 'yes'"),
}


@pytest.mark.parametrize("fault", MAKING)
def test_row_sparse_that_cannot_be(fault):
    arguments, exception, message = MAKING[fault]
    with pytest.raises(exception, match=f"^{message}"):
        RowSparse(*arguments)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_that_shares_memory(mode):
    """Values that are parameters or state; and indices, which are read when others have been written."""
    opt = fastopt.Adam([np.ones((6, 4)), np.arange(24).view(float)], sparse=mode)
    param, bits_of_index = opt.params
    opt.step([RowSparse([1], np.ones((1, 4))), RowSparse([], np.ones(0))])
    for source in (param, opt.state["m"][0], opt.state["v"][0]):
        for values in (source[:2], source[4:6]):
            with refused(opt, ValueError, beginning(f"`grad[0]` {OVERLAP}")):
                opt.step([RowSparse([2, 0], values), np.ones(24)])
        grad = changed(scipy.sparse.csr_array(np.ones((6, 4))), data=source.reshape(-1))
        with refused(opt, ValueError, beginning(f"`grad[0]` {OVERLAP}")):
            opt.step([grad, np.ones(24)])
    index = bits_of_index.view(np.int64)[:6]
    index[:] = range(6)
    with refused(opt, ValueError, beginning(f"`grad[0]` {OVERLAP}")):
        opt.step([RowSparse(index, np.ones((6, 4))), np.ones(24)])
    opt.step([RowSparse(index.copy(), param[:6].copy()), np.ones(24)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_nonfinite_values(cls, mode, value, rng):
    """Wherever they are, also infinities that only the sum of duplicates has."""
    skips, refuses = (
        cls([np.ones((70, 9)), np.ones(300)], sparse=mode, nonfinite=policy) for policy in ("skip", "raise")
    )
    index, values, matrix_rows = np.arange(299, -1, -1), rng.standard_normal(300), rng.standard_normal((5, 9))
    good = [RowSparse([5, 3, 8, 3, 0], matrix_rows), RowSparse(index, values)]
    for opt in (skips, refuses):
        opt.step(good)
    before = bits(skips)
    bad_rows, largest = matrix_rows.copy(), np.full(2, np.finfo(float).max)
    bad_rows[4, 8] = value
    bad = [[RowSparse([5, 3, 8, 3, 0], bad_rows), good[1]], [good[0], RowSparse([9, 9], largest)]]
    for at in (0, 150, 299):
        bad.append([good[0], RowSparse(index, np.where(index == at, value, values))])
    for k, grads in enumerate(bad):
        skips.step(grads)
        assert bits(skips) == (before[0], k + 1, before[2])
        with refused(refuses, FloatingPointError, "^`grad` must be finite"):
            refuses.step(grads)
    for opt in (skips, refuses):
        opt.step(good)
    assert bits(skips)[2] == bits(refuses)[2] and skips.step_count == 2


@pytest.mark.parametrize("n_threads", [1, 7])
@pytest.mark.parametrize("shape", [(50_000,), (17_000, 5), (40, 2)], ids=str)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_broken_promise(cls, mode, shape, n_threads, rng):
    """Positions that stand twice in spite of `unique=True`: the result may be wrong, but nothing else."""
    opt = cls(np.ones(shape), sparse=mode, num_threads=n_threads)
    index = rng.integers(0, shape[0] // 4, 15_000)
    for order in (index, np.sort(index), np.full(15_000, shape[0] - 1)):
        opt.step(RowSparse(order, rng.standard_normal((15_000, *shape[1:])), unique=True))
    arrays = [opt.params, *opt.state.values()]
    assert all(np.isfinite(array).all() for array in arrays)
    assert opt.step_count == 3
    if mode == "lazy" and not (couples_entries(cls) and opt.weight_decay):  # else all entries decay
        assert (opt.params[shape[0] // 2 : -1] == 1).all()
