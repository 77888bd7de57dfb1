"""Sparse steps to the last bit: threads, instruction sets, order, index dtypes, promises and density."""

import numpy as np
import pytest
import scipy.sparse
from cases import CASES, DTYPES, ISAS, MODES, OPTIMIZERS, couples_arrays, form_id, skip_if_refused
from helpers import bits

import fastopt
from fastopt import RowSparse

# Shared by seven threads: a position costs 64 bytes at least, and a thread is worth 128 KiB.
N_POSITIONS = 7 * 2048 + 130
SHAPES = {"rows": (17_000, 5), "elements": (40_000,)}


def gradient(rng, shape, dtype, k, index_dtype=np.int64, repeats=True):
    n = shape[0]
    index = rng.integers(0, n, k) if repeats else rng.permutation(n)[:k]
    return index.astype(index_dtype), rng.standard_normal((k, *shape[1:])).astype(dtype)


def runs(shape, dtype, cls, grads, **keywords):
    """Bits after steps with gradients, from one starting point."""
    skip_if_refused(cls, keywords)
    opt = cls(np.random.default_rng(5).standard_normal(shape).astype(dtype), **keywords)
    for grad in grads:
        opt.step(grad)
    return bits(opt), opt.last_grad_norm


@pytest.mark.parametrize("modified", [False, True], ids=["", "modified"])
@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_instruction_sets_and_threads(case, mode, layout, modified, rng, use_isa):
    """Steps with and without duplicates; the state is brought up to date by as many threads."""
    cls, keywords = case
    shape, dtype = SHAPES[layout], DTYPES[modified]
    extra = dict(clip_norm=0.5, clip_value=1.5, weight_decay=0.01) if modified else {}
    grads = [
        RowSparse(*gradient(rng, shape, dtype, N_POSITIONS, repeats=repeats), unique=not repeats)
        for repeats in (True, False, True)
    ]

    def run(isa, n_threads):
        use_isa(isa)
        return runs(shape, dtype, cls, grads, sparse=mode, num_threads=n_threads, **keywords, **extra)

    expected = run(ISAS[0], 1)
    assert run(ISAS[-1], 2) == expected
    assert run(ISAS[0], 3) == expected
    for isa in ISAS:
        assert run(isa, 7) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2000, 70), (600_000,)], ids=["rows", "elements"])
def test_sums_of_duplicates_on_threads(shape, dtype, rng):
    """Enough values that seven threads add them up, and some positions that stand many times."""
    index, rows = gradient(rng, shape, dtype, 240_000 if len(shape) == 1 else 7000)
    index[::7] = index[0]
    grad = RowSparse(index, rows)
    assert grad.rows.nbytes > 7 * 128 * 1024
    expected = runs(shape, dtype, fastopt.Adam, [grad], num_threads=1)
    for n_threads in (2, 3, 7):
        assert runs(shape, dtype, fastopt.Adam, [grad], num_threads=n_threads) == expected


@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_order_index_dtype_and_promise(cls, mode, layout, rng):
    """Of a gradient without duplicates; sorted, it may take another path."""
    shape = SHAPES[layout]
    index, rows = gradient(rng, shape, "float32", 4000, repeats=False)
    ways = [np.arange(4000), np.argsort(index), np.argsort(-index), rng.permutation(4000)]
    orders = [(index[way].astype(dtype), rows[way]) for way in ways for dtype in (np.int32, np.int64)]
    expected = runs(shape, "float32", cls, [RowSparse(*orders[0])] * 2, sparse=mode)
    for order in orders:
        for unique in (False, True):
            assert runs(shape, "float32", cls, [RowSparse(*order, unique=unique)] * 2, sparse=mode) == expected


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64], ids=lambda each: each.__name__)
@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("mode", MODES)
def test_duplicates_are_added_as_they_stand(mode, layout, index_dtype, rng):
    """The sum is that of a loop in the gradient's own dtype."""
    shape = SHAPES[layout]
    index, rows = gradient(rng, shape, "float32", 3000, index_dtype)
    index %= 500
    sums = np.zeros(shape, np.float32)
    np.add.at(sums, index, rows)
    distinct = np.unique(index)
    for order in (distinct, rng.permutation(distinct)):
        expected = runs(shape, "float32", fastopt.Adam, [RowSparse(order, sums[order])], sparse=mode)
        assert runs(shape, "float32", fastopt.Adam, [RowSparse(index, rows)], sparse=mode) == expected


ZEROS_CHANGE_NOTHING = [fastopt.SGD, fastopt.Adagrad, fastopt.RowwiseAdagrad]


@pytest.mark.parametrize("share", [0.01, 0.09, 0.11, 0.5, 1.0])
@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", ZEROS_CHANGE_NOTHING)
def test_lazy_exact_and_dense_agree(cls, dtype, layout, share, rng):
    """Where a zero gradient changes nothing; from a tenth of the entries on, a dense pass is made."""
    shape = SHAPES[layout]
    index, rows = gradient(rng, shape, dtype, int(share * shape[0]), repeats=False)
    dense = np.zeros(shape, dtype)
    dense[index] = rows
    in_order = np.argsort(index)
    expected = runs(shape, dtype, cls, [dense] * 2)
    for way in (in_order, rng.permutation(in_order)):
        for mode in MODES:
            grad = RowSparse(index[way], rows[way])
            assert runs(shape, dtype, cls, [grad] * 2, sparse=mode) == expected
            assert runs(shape, dtype, cls, [grad, dense], sparse=mode) == expected


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("keywords", [{}, {"maximize": True}], ids=["", "maximize"])
@pytest.mark.parametrize(
    "cls, options", [(fastopt.SGD, {}), (fastopt.Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 0.0})]
)
def test_untouched_entries_keep_their_very_bits(cls, options, keywords, mode, share):
    """Also those that arithmetic with zeros would change: subnormal numbers, the sign of zero, and 0 / 0."""
    start = np.array([1e-40, -0.0, np.inf, 0.0, -1e-45, np.nan, 1.0] * 40, np.float32)
    index = np.arange(int(share * start.size)) * 2
    param = start.copy()
    cls(param, sparse=mode, **options, **keywords).step(RowSparse(index, np.ones(len(index), np.float32)))
    untouched = np.setdiff1d(np.arange(start.size), index)
    assert param[untouched].tobytes() == start[untouched].tobytes()


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_exact_matrix_gradient_in_any_format(case, rng):
    """One fused dense pass: the bits of the dense gradient itself."""
    cls, keywords = case
    values = np.where(rng.random((400, 30)) < 0.05, rng.standard_normal((400, 30)), 0.0)
    expected = runs(values.shape, "float64", cls, [values] * 3, **keywords)
    for name in ("csr", "csc", "coo"):
        grad = scipy.sparse.coo_array(values).asformat(name)
        assert runs(values.shape, "float64", cls, [grad] * 3, sparse="exact", **keywords) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cls", [cls for cls in OPTIMIZERS.values() if not couples_arrays(cls)])
def test_position_in_a_list_does_not_matter(cls, mode, rng):
    """Several arrays are one list of work: the same bits as alone, for any number of threads."""
    shapes = [(17_000, 5), (40,), (40_000,), (3, 50)]
    steps = [[RowSparse(*gradient(rng, shape, "float32", shape[0] // 2 + 1)) for shape in shapes] for _ in range(2)]
    alone = [runs(shape, "float32", cls, [grads[k] for grads in steps], sparse=mode) for k, shape in enumerate(shapes)]
    expected = [b"".join(slot) for slot in zip(*(each[0][2] for each in alone), strict=True)]
    for n_threads in (1, 7):
        params = [np.random.default_rng(5).standard_normal(shape).astype("float32") for shape in shapes]
        opt = cls(params, sparse=mode, num_threads=n_threads)
        for grads in steps:
            opt.step(grads)
        together = bits(opt)[2]
        assert [b"".join(together[k : k + 4]) for k in range(0, len(together), 4)] == expected


def test_dense_pass_leaves_no_trace_of_a_refused_step(rng):
    """A gradient that was bound before the next one was refused does not shape the steps to come."""
    for cls in (fastopt.RMSprop, fastopt.Adam):
        opt, twin = (cls([np.ones((300, 200)), np.ones(2)], sparse="exact", num_threads=2) for _ in range(2))
        dense = [rng.standard_normal((300, 200)), np.ones(2)]
        for each in (opt, twin):
            each.step(dense)
        with pytest.raises(IndexError):
            opt.step([RowSparse([], np.ones((0, 200))), RowSparse([2], np.ones(1))])
        assert bits(opt) == bits(twin)
        for each in (opt, twin):
            each.step(dense)
        assert bits(opt) == bits(twin)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", [fastopt.Adagrad, fastopt.RMSprop], ids=lambda cls: cls.__name__)
def test_entries_of_a_large_vector_that_are_partitioned_first(cls, dtype, mode, rng):
    """From 8 MiB and 16,384 positions on, entries are updated in another order: same bits, gradient untouched."""
    n, k = 2_100_000, 20_000
    index, values = gradient(rng, (n,), dtype, k, repeats=False)
    ascending = np.argsort(index)
    expected = runs((n,), dtype, cls, [RowSparse(index[ascending], values[ascending])] * 2, sparse=mode)
    for index_dtype in (np.int32, np.int64):
        for unique in (False, True):
            grad = RowSparse(index.astype(index_dtype), values.copy(), unique=unique)
            for n_threads in (1, 2, 3, 7):
                assert runs((n,), dtype, cls, [grad] * 2, sparse=mode, num_threads=n_threads) == expected
            np.testing.assert_array_equal(grad.indices, index)
            np.testing.assert_array_equal(grad.rows, values)


def test_a_broken_promise_about_partitioned_entries_stays_inside(rng):
    """Each parameter is the one of some order of the updates: none, one or more of the equal entries arrived."""
    n, k = 2_100_000, 20_000
    p = np.zeros(n, np.float32)
    index = np.concatenate([rng.integers(0, 50, k // 2), rng.permutation(n)[: k // 2]])
    fastopt.SGD(p, learning_rate=1.0, num_threads=2).step(RowSparse(index, np.ones(k, np.float32), unique=True))
    touched = np.unique(index)
    assert np.all(p[touched] <= -1) and np.count_nonzero(p) == len(touched)
