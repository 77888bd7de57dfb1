"""minimize over samples: which ones a batch holds, in which order, and what is counted and noted on the way."""

import functools
import math

import numpy as np
import pytest
from helpers import bits, exactly
from hypothesis import given
from hypothesis import strategies as st
from objectives import Counted, Recorded, bowl, bowl_slope, bowl_value, evaluations_of_all, next_draws, outcome
from scipy import sparse

import fastopt
from fastopt import RowSparse, minimize, schedules

STEPS = {"maxiter": 5, "learning_rate": 0.1}


@functools.cache
def table(n):
    """A least-squares problem: n rows of three features, and the right-hand side."""
    rng = np.random.default_rng(n)
    return rng.standard_normal((n, 3)), rng.standard_normal(n)


def squares(x, A, b):
    """Mean of the squared residuals over the rows, and its gradient."""
    residual = A @ x - b
    return float(residual @ residual) / len(b), np.asarray(2 * (A.T @ residual) / len(b))


def squares_value(x, A, b):
    return squares(x, A, b)[0]


def squares_slope(x, A, b):
    return squares(x, A, b)[1]


def batches_of(n, size, epochs, rng=0, **options):
    """The index arrays that the iterations over n samples call an objective with, and the result."""
    fun = Recorded(lambda x, index: bowl(x))
    res = minimize(
        fun, np.zeros(3), jac=True, n_samples=n, batch_size=size, rng=rng, options={"epochs": epochs, **options}
    )
    first = 0 if size == n else evaluations_of_all(n, size)
    return [index for _, index in fun.calls[first : first + res.nit]], res


# --- epochs ----------------------------------------------------------------------------------------------


@given(n=st.integers(1, 60), size=st.integers(1, 60), epochs=st.integers(1, 4), seed=st.integers(0, 3))
def test_every_epoch_visits_each_sample_once(n, size, epochs, seed):
    size = min(size, n)
    batches, res = batches_of(n, size, epochs, seed)
    per_epoch = -(-n // size)
    assert (res.nit, res.nepoch) == (epochs * per_epoch, epochs)
    for k in range(epochs):
        epoch = batches[k * per_epoch : (k + 1) * per_epoch]
        assert [len(index) for index in epoch[:-1]] == [size] * (per_epoch - 1)
        assert len(epoch[-1]) == n - size * (per_epoch - 1)
        assert sorted(np.concatenate(epoch).tolist()) == list(range(n))


def test_batches_of_indices_are_int64():
    for size in (3, 10):
        batches, _ = batches_of(10, size, 2)
        assert {index.dtype.name for index in batches} == {"int64"}


def test_epochs_are_shuffled_each_in_its_own_way():
    batches, _ = batches_of(50, 50 // 2, 4)
    epochs = [tuple(np.concatenate(batches[k : k + 2]).tolist()) for k in range(0, 8, 2)]
    assert len({*epochs, tuple(range(50))}) == 5


def test_epochs_are_the_permutations_of_the_generator():
    batches, _ = batches_of(11, 4, 3, rng=7)
    rng = np.random.default_rng(7)
    for k in range(3):
        assert np.array_equal(np.concatenate(batches[3 * k : 3 * k + 3]), rng.permutation(11))


@pytest.mark.parametrize("jac", [True, "spsa"])
def test_seed_decides_the_bits(jac):
    A, b = table(30)
    fun = squares if jac is True else squares_value
    first, second, other, by_generator, by_integer = (
        minimize(fun, np.zeros(3), jac=jac, data=(A, b), batch_size=7, rng=rng, options=STEPS)
        for rng in (3, 3, 4, np.random.default_rng(3), np.int64(3))
    )
    assert outcome(first) == outcome(second) == outcome(by_generator) == outcome(by_integer)
    assert outcome(first)["x"] != outcome(other)["x"]


def test_without_a_seed_runs_differ():
    A, b = table(30)
    runs = [minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=7, options=STEPS) for _ in range(3)]
    assert len({res.x.tobytes() for res in runs}) == 3


def test_global_random_state_plays_no_part():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    batches_of(10, 3, 2, rng=None)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_generator_is_used_where_it_is():
    """The caller's own is advanced, so that a second run goes on with other batches."""
    rng, expected = np.random.default_rng(5), np.random.default_rng(5)
    batches_of(10, 3, 2, rng=rng)
    for _ in range(2):
        expected.permutation(10)
    assert next_draws(rng) == next_draws(expected)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_generators_of_every_kind(kind):
    batches, _ = batches_of(9, 4, 2, rng=np.random.Generator(kind(1)))
    rng = np.random.Generator(kind(1))
    assert np.array_equal(np.concatenate(batches), np.concatenate([rng.permutation(9), rng.permutation(9)]))


@pytest.mark.parametrize("rng", [1.5, -1, "seed", [-1], {"seed": 1}, object, np.random], ids=repr)
def test_bad_rng_is_refused(rng):
    message = f"`rng` must be None, a non-negative integer or a numpy.random.Generator, got {rng!r}."
    with pytest.raises(TypeError, match=exactly(message)):
        minimize(bowl, np.zeros(3), jac=True, n_samples=4, rng=rng)


@pytest.mark.parametrize(("n", "size"), [(1, 1), (150, 150), (200, 200), (201, 200), (1000, 200)])
def test_default_batch_size(n, size):
    fun = Recorded(lambda x, index: bowl(x))
    minimize(fun, np.zeros(3), jac=True, n_samples=n, options={"maxiter": 1})
    assert len(fun.calls[0 if size == n else 1][1]) == size


def test_batch_of_all_samples_is_in_their_own_order():
    batches, _ = batches_of(10, 10, 3)
    assert [index.tolist() for index in batches] == [list(range(10))] * 3


def test_data_in_one_batch_is_passed_as_it_is():
    A, b = table(20)
    A = sparse.csr_array(A)
    given = []

    def fun(x, A, b):
        given.append((A, b))
        return squares(x, A, b)

    minimize(fun, np.zeros(3), jac=True, data=(A, b), batch_size=20, options=STEPS)
    assert all(each[0] is A and each[1] is b for each in given[:5])


@pytest.mark.parametrize(
    ("samples", "size", "error", "message"),
    [
        ({"n_samples": 10}, 0, ValueError, "`batch_size` must be a positive integer, got 0."),
        ({"n_samples": 10}, -3, ValueError, "`batch_size` must be a positive integer, got -3."),
        ({"n_samples": 10}, 11, ValueError, "`batch_size` must be at most 10, got 11."),
        ({"n_samples": 10}, 2.5, TypeError, "`batch_size` must be an integer, got 2.5."),
        ({"n_samples": 10}, True, TypeError, "`batch_size` must be an integer, got True."),
        ({"data": np.ones(10)}, 11, ValueError, "`batch_size` must be at most 10, got 11."),
        ({}, 4, ValueError, "`batch_size` needs `data` or `n_samples`, got 4 without either."),
        ({"n_samples": 0}, None, ValueError, "`n_samples` must hold at least one sample, got none."),
        ({"n_samples": -1}, None, ValueError, "`n_samples` must be a non-negative integer, got -1."),
        ({"n_samples": 3.5}, None, TypeError, "`n_samples` must be an integer, got 3.5."),
        (
            {"n_samples": 3, "data": np.ones(3)},
            None,
            ValueError,
            "`n_samples` must be None when `data` is given, which tells the number; pass one of them.",
        ),
    ],
    ids=repr,
)
def test_bad_numbers_of_samples_are_refused_before_the_first_evaluation(samples, size, error, message):
    fun = Counted(bowl)
    with pytest.raises(error, match=exactly(message)):
        minimize(fun, np.zeros(3), jac=True, batch_size=size, **samples)
    assert fun.calls == 0


@pytest.mark.parametrize("size", [1, np.int32(4), np.uint8(4)])
def test_numbers_of_samples_may_be_numpy_integers(size):
    assert minimize(bowl, np.zeros(3), jac=True, n_samples=np.int64(9), batch_size=size, options=STEPS).nit == 5


# --- data ------------------------------------------------------------------------------------------------


def pandas_table(n):
    pd = pytest.importorskip("pandas")
    A, b = table(n)
    index = np.random.default_rng(1).permutation(n)  # labels must play no part
    return pd.DataFrame(A, index=index, columns=list("abc")), pd.Series(b, index=index)


FORMS = {
    "tuple": lambda A, b: (A, b),
    "list": lambda A, b: [A, b],
    "lists": lambda A, b: (A.tolist(), b.tolist()),
    "fortran": lambda A, b: (np.asfortranarray(A), b[::-1].copy()[::-1]),
    "read-only": lambda A, b: (np.broadcast_to(A, A.shape), np.broadcast_to(b, b.shape)),
    "pandas": lambda A, b: pandas_table(len(b)),
    "csr": lambda A, b: (sparse.csr_array(A), b),
    "csr matrix": lambda A, b: (sparse.csr_matrix(A), b),
    "csr, 64-bit indices": lambda A, b: (with_long_indices(sparse.csr_array(A)), b),
    "csc": lambda A, b: (sparse.csc_array(A), b),
    "coo": lambda A, b: (sparse.coo_array(A), b),
    "coo matrix": lambda A, b: (sparse.coo_matrix(A), b),
    "lil": lambda A, b: (sparse.lil_array(A), b),
}


def with_long_indices(matrix):
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    return sparse.csr_array((matrix.data, indices, indptr), shape=matrix.shape)


@pytest.mark.parametrize("size", [7, 1, 40])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_data(form, size):
    A, b = table(40)
    expected = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=size, rng=1, options=STEPS)
    res = minimize(squares, np.zeros(3), jac=True, data=FORMS[form](A, b), batch_size=size, rng=1, options=STEPS)
    assert res.x == pytest.approx(expected.x, rel=1e-12)
    assert res.history["fun"] == pytest.approx(expected.history["fun"], rel=1e-12)


@pytest.mark.parametrize("one", ["array", "series", "frame", "csr", "csc", "tuple"])
def test_one_array_as_data(one):
    A, b = table(20)
    data = {
        "array": lambda: A,
        "series": lambda: pandas_table(20)[1],
        "frame": lambda: pandas_table(20)[0],
        "csr": lambda: sparse.csr_array(A),
        "csc": lambda: sparse.csc_array(A),
        "tuple": lambda: (A,),
    }[one]()
    fun = Recorded(lambda x, rows: bowl(x))
    minimize(fun, np.zeros(3), jac=True, data=data, batch_size=6, rng=2, options=STEPS)
    order = np.random.default_rng(2).permutation(20)
    rows = fun.calls[2][1]
    assert np.array_equal(rows.toarray() if sparse.issparse(rows) else rows, (b if one == "series" else A)[order[6:12]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, bool, complex, "U3", object])
def test_data_keeps_its_dtype_and_its_further_axes(dtype):
    data = np.arange(24).reshape(6, 2, 2).astype(dtype)
    fun = Recorded(lambda x, rows: bowl(x))
    minimize(fun, np.zeros(3), jac=True, data=data, batch_size=4, rng=2, options=STEPS)
    rows = fun.calls[1][1]
    assert (rows.dtype, rows.shape) == (data.dtype, (4, 2, 2))
    assert np.array_equal(rows, data[np.random.default_rng(2).permutation(6)[:4]])


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
def test_batches_of_sparse_data_are_csr_of_the_same_family(container):
    data = container(np.eye(6))
    fun = Recorded(lambda x, rows: bowl(x))
    minimize(fun, np.zeros(3), jac=True, data=data, batch_size=4, rng=2, options=STEPS)
    order = np.random.default_rng(2).permutation(6)
    for (_, rows), index in zip(fun.calls[1:], (order[:4], order[4:]), strict=False):
        assert isinstance(rows, (sparse.csr_matrix if "matrix" in container.__name__ else sparse.csr_array))
        assert np.array_equal(rows.toarray(), np.eye(6)[index])


def test_sparse_data_with_duplicates_and_unsorted_columns():
    indptr, indices, values = [0, 3, 3, 5], [2, 0, 2, 1, 0], np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    data = sparse.csr_array((values, indices, indptr), shape=(3, 3))
    fun = Recorded(lambda x, rows: bowl(x))
    minimize(fun, np.zeros(3), jac=True, data=data, batch_size=2, rng=0, options=STEPS)
    order = np.random.default_rng(0).permutation(3)
    assert np.array_equal(fun.calls[1][1].toarray(), data.toarray()[order[:2]])
    assert np.array_equal(data.data, values)


def test_memory_mapped_data(tmp_path):
    A, b = table(20)
    np.save(tmp_path / "A.npy", A)
    data = np.load(tmp_path / "A.npy", mmap_mode="r"), b
    expected = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=6, rng=2, options=STEPS)
    res = minimize(squares, np.zeros(3), jac=True, data=data, batch_size=6, rng=2, options=STEPS)
    assert outcome(res) == outcome(expected)


class Rows:
    """Samples that an index array selects, and nothing else."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __getitem__(self, index):
        assert isinstance(index, np.ndarray)
        return self.array[index]


class AscendingRows(Rows):
    """Samples on disk, as in a data set of h5py: only in ascending order, and without repeats."""

    def __getitem__(self, index):
        if (np.diff(index) <= 0).any():
            raise TypeError("Indexing elements must be in increasing order")
        return super().__getitem__(index)


@pytest.mark.parametrize("batch_size", [1, 6, 19, 20])
def test_samples_that_are_selected_in_ascending_order_only(batch_size):
    A, b = table(20)

    def squares_of_rows(x, A, b):  # all samples are passed as they are
        return squares(x, *(getattr(each, "array", each) for each in (A, b)))

    def run(*data):
        return minimize(
            squares_of_rows, np.zeros(3), jac=True, data=data, batch_size=batch_size, rng=2, options=STEPS
        )  # fmt: skip

    expected = outcome(run(A, b))
    assert outcome(run(AscendingRows(A), b)) == outcome(run(AscendingRows(A), AscendingRows(b))) == expected


def test_samples_of_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    A, b = table(50)
    with h5py.File(tmp_path / "samples.h5", "w") as file:
        data = file.create_dataset("A", data=A), file.create_dataset("b", data=b)
        res = minimize(squares, np.zeros(3), jac=True, data=data, batch_size=8, rng=2, options=STEPS)
    expected = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=8, rng=2, options=STEPS)
    assert outcome(res) == outcome(expected)


@pytest.mark.parametrize("error", [TypeError, ValueError, OSError])
def test_samples_that_cannot_be_selected_say_so_themselves(error):
    class Broken(Rows):
        def __getitem__(self, index):
            raise error("no such disk")

    with pytest.raises(error, match=r"^no such disk$"):
        minimize(squares, np.zeros(3), jac=True, data=(Broken(table(20)[0]), table(20)[1]), batch_size=3)


@pytest.mark.parametrize("value", [40.0, np.float32(40), np.array(40), np.int16(40)], ids=repr)
def test_counts_may_be_whole_floats(value):
    """As SciPy's: maxiter=1e5."""
    A, b = table(80)
    for name, other in (("maxiter", 1), ("epochs", 2), ("patience", 3), ("checkpoint_every", 4), ("average_start", 5)):
        options = STEPS | {"maxiter": 50} | {name: value}
        plain = STEPS | {"maxiter": 50} | {name: 40}
        res = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=value, rng=other, options=options)
        expected = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=40, rng=other, options=plain)
        assert outcome(res) == outcome(expected)
    for bad in (40.5, math.inf, math.nan, True, "40", np.ones(2)):
        with pytest.raises(TypeError, match=r"^`maxiter` must be an integer, got "):
            minimize(squares, np.zeros(3), jac=True, data=(A, b), options={"maxiter": bad})


def test_anything_that_an_index_array_selects_from_is_data():
    A, b = table(20)
    expected = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=6, rng=2, options=STEPS)
    res = minimize(squares, np.zeros(3), jac=True, data=(Rows(A), Rows(b)), batch_size=6, rng=2, options=STEPS)
    assert outcome(res) == outcome(expected)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_matrix_whose_arrays_are_exchanged_during_the_run(container):
    """The batches are of those that were checked; indices beyond the new ones would be outside of memory."""
    A, b = table(20)
    matrix = container(A)
    batches = []

    def fun(x, rows, right):
        batches.append(rows.toarray())
        matrix.indptr, matrix.indices, matrix.data = matrix.indptr[:2], matrix.indices[:1], np.zeros(1)
        return squares(x, rows, right)

    res = minimize(fun, np.zeros(3), jac=True, data=(matrix, b), batch_size=6, rng=2, options=STEPS)
    expected = minimize(squares, np.zeros(3), jac=True, data=(container(A), b), batch_size=6, rng=2, options=STEPS)
    assert outcome(res) == outcome(expected)
    order = np.random.default_rng(2).permutation(20)
    assert np.array_equal(batches[2], A[order[6:12]])


@pytest.mark.parametrize("size", [4, 10])
def test_indices_of_a_batch_cannot_be_written(size):
    """The next batches, or epochs, are made of the same array."""

    def fun(x, index):
        index += 5
        return bowl(x)

    with pytest.raises(ValueError, match="read-only"):
        minimize(fun, np.zeros(3), jac=True, n_samples=10, batch_size=size, options=STEPS)


def test_data_is_never_written():
    A, b = table(20)
    before = A.tobytes(), b.tobytes()
    matrix = sparse.csr_array(A)
    for data in ((A, b), (matrix, b)):
        for size in (6, 20):
            minimize(squares, np.zeros(3), jac=True, data=data, batch_size=size, options=STEPS)
    assert (A.tobytes(), b.tobytes(), matrix.toarray().tobytes()) == (*before, before[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((), "`data` must hold at least one array, got an empty tuple."),
        ((np.ones(3), np.ones(4)), "`data` must hold arrays of equal length, got lengths [3, 4]."),
        ((sparse.eye_array(3), np.ones((2, 3))), "`data` must hold arrays of equal length, got lengths [3, 2]."),
        (np.ones((0, 3)), "`data` must hold at least one sample, got none."),
        (([], []), "`data` must hold at least one sample, got none."),
        (np.array(1.0), "`data[0]` must have samples along its first axis, got array(1.)."),
        (3.0, "`data[0]` must have samples along its first axis, got array(3.)."),
        ((np.ones(3), 2.0), "`data[1]` must have samples along its first axis, got array(2.)."),
        ((np.ones(3), None), "`data[1]` must have samples along its first axis, got array(None, dtype=object)."),
    ],
    ids=repr,
)
def test_bad_data_is_refused_before_the_first_evaluation(data, message):
    fun = Counted(bowl)
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(fun, np.zeros(3), jac=True, data=data)
    assert fun.calls == 0


def test_args_come_after_the_samples():
    A, b = table(20)
    given = []

    def fun(x, A, b, *args):
        given.append(args)
        return squares(x, A, b)

    minimize(fun, np.zeros(3), (1, "two"), jac=True, data=(A, b), batch_size=6, options=STEPS)
    minimize(fun, np.zeros(3), "one", jac=True, data=(A, b), batch_size=6, options={"maxiter": 0})
    assert given == [(1, "two")] * 7 + [("one",)]


def test_data_has_the_bits_of_looking_samples_up():
    A, b = table(45)
    for jac in (True, None, "spsa"):
        fun = squares if jac is True else squares_value
        of_data = minimize(fun, np.zeros(3), jac=jac, data=(A, b), batch_size=7, rng=4, options=STEPS)
        of_index = minimize(
            lambda x, k, fun=fun: fun(x, A[k], b[k]),
            np.zeros(3),
            jac=jac,
            n_samples=45,
            batch_size=7,
            rng=4,
            options=STEPS,
        )
        assert outcome(of_data) == outcome(of_index)


# --- the objective over all samples ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 200, 1023, 1024, 1025, 2500])
@pytest.mark.parametrize("sort", ["data", "n_samples", "csr"])
def test_fun_is_the_mean_over_all_samples(n, sort):
    A, b = table(n)
    if sort == "n_samples":
        res = minimize(lambda x, k: squares(x, A[k], b[k]), np.zeros(3), jac=True, n_samples=n, options=STEPS)
    else:
        data = (sparse.csr_array(A) if sort == "csr" else A, b)
        res = minimize(squares, np.zeros(3), jac=True, data=data, options=STEPS)
    assert type(res.fun) is float
    assert res.fun == pytest.approx(np.mean((A @ res.x - b) ** 2), rel=1e-13)


@pytest.mark.parametrize(("size", "lengths"), [(1, [1024, 1024, 452]), (1500, [1500, 1000]), (2500, [2500])])
def test_samples_are_evaluated_in_their_own_order_in_large_batches(size, lengths):
    fun = Recorded(lambda x, index: bowl(x))
    res = minimize(fun, np.zeros(3), jac=True, n_samples=2500, batch_size=size, rng=0, options={"maxiter": 1})
    n = len(lengths)
    assert len(fun.calls) == res.nit + (n if size == 2500 else 2 * n)
    for calls, at in ((fun.calls[:n], np.zeros(3)), (fun.calls[-n:], res.x)):
        assert [len(index) for _, index in calls] == lengths
        assert np.array_equal(np.concatenate([index for _, index in calls]), np.arange(2500))
        assert {index.dtype.name for _, index in calls} == {"int64"}
        assert all(x.tolist() == at.tolist() for x, _ in calls)


def test_jac_is_the_last_gradient_that_a_step_used():
    A, b = table(45)
    fun = Recorded(squares)
    res = minimize(fun, np.zeros(3), method="adam", jac=True, data=(A, b), batch_size=7, options=STEPS)
    assert res.jac.tolist() == squares_slope(*fun.calls[5]).tolist()


def test_jac_is_the_last_gradient_of_an_objective_that_fills_one_array():
    A, b = table(45)
    gradient = np.empty(3)

    def fun(x, A, b):
        value, gradient[:] = squares(x, A, b)
        return value, gradient

    expected = minimize(squares, np.zeros(3), jac=True, data=(A, b), batch_size=7, rng=0, options=STEPS)
    res = minimize(fun, np.zeros(3), jac=True, data=(A, b), batch_size=7, rng=0, options=STEPS)
    assert outcome(res) == outcome(expected)
    assert res.jac.tolist() == expected.jac.tolist()


@pytest.mark.parametrize(
    ("jac", "evaluations"),
    [(True, (1, 1)), ("callable", (1, 1)), (None, (4, 1)), ("2-point", (4, 1)), ("3-point", (8, 1)), ("spsa", (2, 1))],
)
@pytest.mark.parametrize("with_samples", [False, True])
def test_evaluations_are_counted(jac, evaluations, with_samples):
    """n = 3. There is one evaluation more at the end, with samples one for each 1024 of them, and as many before.

    Without `jac` and samples there is one to see whether the function is noisy.
    """
    fun = Counted(lambda x, *batch: bowl(x) if jac is True else bowl_value(x))
    slope = Counted(lambda x, *batch: bowl_slope(x))
    samples = {"n_samples": 2500, "batch_size": 100} if with_samples else {}
    jac_given = slope if jac == "callable" else jac
    res = minimize(fun, np.zeros(3), method="adam", jac=jac_given, options={"maxiter": 6}, **samples)
    if with_samples:
        at_ends = (6, 6 if jac is True else 0)
    else:
        at_ends = (2, 0) if jac == "spsa" else evaluations
    for_noise = 1 if jac is None and not with_samples else 0
    assert res.nfev == for_noise + 6 * evaluations[0] + at_ends[0]
    assert res.njev == 6 * evaluations[1] + at_ends[1]
    assert fun.calls == res.nfev
    if jac == "callable":
        assert slope.calls == res.njev


# --- sparse gradients --------------------------------------------------------------------------------------


def row_sparse(k, x):
    return RowSparse(k, np.cos(x[k]) * np.arange(1, len(k) + 1, dtype=x.dtype))


def csr_row(k, x):
    gradient = row_sparse(k, x)
    return sparse.csr_array((gradient.rows, k, [0, len(k)]), shape=(1, x.size))


def coo_vector(k, x):
    return sparse.coo_array((row_sparse(k, x).rows, (k,)), shape=(x.size,))


@pytest.mark.parametrize("settings", [{}, {"sparse": "exact"}, {"clip_norm": 0.5}, {"nonfinite": "propagate"}], ids=str)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "adam", "ftrl"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gradient", [row_sparse, csr_row, coo_vector])
def test_sparse_gradients_have_the_bits_of_steps_by_hand(gradient, dtype, method, settings):
    start, n, size = np.linspace(-1, 1, 40, dtype=dtype), 40, 6
    x, rng = start.copy(), np.random.default_rng(11)
    opt = fastopt.OPTIMIZERS[method](x, 0.1, **{"nonfinite": "raise", **settings})
    losses = []
    for _ in range(3):
        order, loss = rng.permutation(n), 0.0
        for first in range(0, n, size):
            k = order[first : first + size]
            loss += len(k) * float(np.sin(x[k]).sum())
            opt.step(gradient(k, x))
        losses.append(loss / n)
    res = minimize(
        lambda x, k: (float(np.sin(x[k]).sum()), gradient(k, x)), start, method=method, jac=True, n_samples=n,
        batch_size=size, rng=11, options={"epochs": 3, "learning_rate": 0.1, **settings},
    )  # fmt: skip
    assert bits(res.optimizer) == bits(opt)
    assert res.x.tobytes() == x.tobytes()
    assert res.history["fun"] == pytest.approx(losses, rel=1e-12)
    assert type(res.jac) is type(gradient(k, x))


def test_norm_of_a_sparse_gradient_is_in_the_history():
    for gradient in (row_sparse, csr_row, coo_vector):
        res = minimize(
            lambda x, k, gradient=gradient: (0.0, gradient(k, x)), np.zeros(9), jac=True, n_samples=9, batch_size=3,
            options={"epochs": 1, "learning_rate": 0.0},
        )  # fmt: skip
        assert res.history["grad_norm"].tolist() == [pytest.approx(np.sqrt(14))]


# --- simultaneous perturbation -----------------------------------------------------------------------------


def test_spsa_evaluates_twice_on_the_same_batch():
    A, b = table(45)
    fun = Recorded(squares_value)
    res = minimize(fun, np.zeros(3), jac="spsa", data=(A, b), batch_size=7, options=STEPS)
    assert (res.nfev, res.njev) == (12, 5)
    for k in range(5):
        (above, A1, b1), (below, A2, b2) = fun.calls[2 * k + 1 : 2 * k + 3]
        assert np.array_equal(A1, A2) and np.array_equal(b1, b2)
        shift = above - below
        assert np.abs(shift) == pytest.approx(np.full(3, 0.02 / (k + 1) ** 0.101), rel=1e-9)


def test_spsa_by_hand():
    x, rng = np.zeros(3), np.random.default_rng(6)
    opt = fastopt.Adam(x, 0.1)
    for k in range(8):
        shift = 0.05 / (k + 1) ** 0.101 * (2.0 * rng.integers(0, 2, 3, dtype=np.int8) - 1)
        opt.step((bowl_value(x + shift) - bowl_value(x - shift)) / (2 * shift))
    options = {"maxiter": 8, "learning_rate": 0.1, "spsa_step": 0.05}
    res = minimize(bowl_value, np.zeros(3), jac="spsa", method="adam", rng=6, options=options)
    assert res.x == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spsa_converges_in_thirty_dimensions(dtype):
    target = np.linspace(-1, 1, 30).astype(dtype)
    options = {"maxiter": 3000, "learning_rate": schedules.cosine_decay(0.1, 3000)}
    res = minimize(lambda x: float(((x - target) ** 2).sum()), np.zeros(30, dtype), jac="spsa", rng=0, options=options)
    assert res.x.dtype == dtype
    assert res.fun < 1e-3 * (target**2).sum()
    again = minimize(
        lambda x: float(((x - target) ** 2).sum()), np.zeros(30, dtype), jac="spsa", rng=0, options=options
    )
    assert outcome(res) == outcome(again)


def test_spsa_is_unbiased_for_a_plane():
    """One directional difference is shared by all parameters; on average it is the gradient."""
    slope = np.array([1.0, -2.0, 0.5, 0.0])
    options = {"learning_rate": 1.0 / 4000, "maxiter": 4000}
    res = minimize(lambda x: float(slope @ x), np.zeros(4), method="sgd", jac="spsa", rng=0, options=options)
    assert -res.x == pytest.approx(slope, abs=0.15)


def test_spsa_loss_is_the_mean_of_its_two_evaluations():
    fun = Recorded(bowl_value)
    heard = []
    minimize(
        fun, np.zeros(3), jac="spsa", callback=lambda intermediate_result: heard.append(intermediate_result.fun),
        options=STEPS,
    )  # fmt: skip
    values = [bowl_value(x) for (x,) in fun.calls[1:11]]
    assert heard == [(above + below) / 2 for above, below in zip(values[::2], values[1::2], strict=True)]


# --- history -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"epochs": 4}, {"maxiter": 10}, {"maxiter": 12}, {"epochs": 0}, {"maxiter": 0}], ids=str
)
def test_history_by_hand(options):
    """17 samples in batches of 5: four iterations an epoch, the last one with two samples."""
    A, b = table(17)
    schedule = schedules.exponential_decay(0.1, 3, 0.7)
    fun = Recorded(squares)
    res = minimize(
        fun,
        np.zeros(3),
        method="sgd",
        jac=True,
        data=(A, b),
        batch_size=5,
        options={**options, "learning_rate": schedule},
    )
    calls = fun.calls[1 : 1 + res.nit]
    ends = [*range(4, res.nit + 1, 4)]
    if res.nit % 4:
        ends.append(res.nit)
    assert res.history["iteration"].tolist() == ends
    starts = [0, *ends[:-1]] if ends else []
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        epoch = calls[start:end]
        total = sum(len(call[2]) for call in epoch)
        assert res.history["fun"][k] == pytest.approx(
            sum(len(call[2]) * squares_value(*call) for call in epoch) / total, rel=1e-14
        )
        assert res.history["grad_norm"][k] == pytest.approx(np.linalg.norm(squares_slope(*epoch[-1])), rel=1e-14)
        assert res.history["learning_rate"][k] == schedule(end - 1)
    assert (np.diff(res.history["time"]) >= 0).all() and (res.history["time"] > 0).all()
    assert {len(array) for array in res.history.values()} == {len(ends)}


def test_epochs_in_the_history_are_counted_on():
    """The entry of an incomplete epoch belongs to the epoch after the last complete one."""
    for maxiter, expected in [(4, [1]), (8, [1, 2]), (3, [1]), (6, [1, 2])]:
        _, res = batches_of(17, 5, 10, maxiter=maxiter)
        assert res.history["epoch"].tolist() == expected


@pytest.mark.parametrize(
    ("maxiter", "length"), [(10_000, 100), (5050, 100), (5000, 100), (4999, 99), (100, 2), (99, 1), (7, 1)]
)
def test_a_fiftieth_of_the_budget_counts_as_an_epoch_without_samples_where_epochs_are_counted(maxiter, length):
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": maxiter, "patience": 10})
    ends = [*range(length, maxiter + 1, length)]
    assert res.history["iteration"].tolist() == (ends if ends[-1] == maxiter else [*ends, maxiter])


COUNTING = {
    "tol": {"tol": 0.0},
    "validation": {"validation": bowl_value},
    "epoch_callback": {"epoch_callback": lambda result: None},
    "average": {"average": "polyak"},
    "return_best": {"return_best": True},
    "reduce_on_plateau": {"learning_rate": schedules.reduce_on_plateau(0.1)},
    "method": {"method": lambda x: fastopt.SGD(x, schedules.reduce_on_plateau(0.1))},
}


@pytest.mark.parametrize("counting", [*COUNTING, "checkpoint", "optimizer", "nothing"])
def test_epochs_are_short_where_something_refers_to_them(counting, tmp_path):
    """Their ends take time, which a small budget is to be free of otherwise."""
    own = COUNTING.get(counting, {})
    if counting == "checkpoint":
        own = {"checkpoint": tmp_path / "run.npz"}
    if counting == "optimizer":
        own = {"method": fastopt.SGD(np.zeros(3), schedules.reduce_on_plateau(0.1))}
    arguments = {name: own[name] for name in ("tol", "validation", "epoch_callback", "method") if name in own}
    options = {name: value for name, value in own.items() if name not in arguments}
    res = minimize(bowl, np.zeros(3), jac=True, **{"method": "sgd"} | arguments, options=options | {"maxiter": 100})
    assert len(res.history["iteration"]) == (5 if counting == "nothing" else 50)


@pytest.mark.parametrize(("maxiter", "length"), [(10_000, 100), (500, 100), (499, 99), (100, 20), (9, 1), (3, 1)])
def test_else_a_fifth_of_the_budget(maxiter, length):
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": maxiter})
    assert res.history["iteration"][0] == length


def test_epochs_that_are_asked_for_have_a_hundred_iterations_without_samples():
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 250, "epochs": 3})
    assert (res.history["iteration"].tolist(), res.nepoch) == ([100, 200, 250], 2)


def test_epoch_length_that_was_asked_for():
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 250, "epoch_length": 125})
    assert (res.history["iteration"].tolist(), res.nepoch) == ([125, 250], 2)


def test_epoch_length_plays_no_part_with_samples():
    _, res = batches_of(17, 5, 3, epoch_length=2)
    assert (res.nit, res.history["iteration"].tolist()) == (12, [4, 8, 12])


# --- budget ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("maxiter", "nepoch"), [(1, 0), (3, 0), (4, 1), (5, 1), (11, 2)])
def test_maxiter_in_the_middle_of_an_epoch(maxiter, nepoch):
    batches, res = batches_of(17, 5, 10, maxiter=maxiter)
    whole, _ = batches_of(17, 5, 3)
    assert (res.nit, res.nepoch, len(batches)) == (maxiter, nepoch, maxiter)
    assert res.message == "Maximum number of iterations has been reached."
    assert [index.tolist() for index in batches] == [index.tolist() for index in whole[:maxiter]]


@pytest.mark.parametrize("unit", ["epochs", "maxiter"])
@pytest.mark.parametrize("jac", [True, None, "spsa"])
@pytest.mark.parametrize("samples", [{}, {"n_samples": 17}])
def test_no_budget_gives_the_starting_point(unit, jac, samples):
    x0 = np.array([3.0, 2.0, 1.0])
    fun = (lambda x, *batch: bowl(x)) if jac is True else (lambda x, *batch: bowl_value(x))
    res = minimize(fun, x0, jac=jac, rng=0, options={unit: 0, "average": "polyak", "return_best": True}, **samples)
    assert (res.nit, res.nepoch, res.status, res.success) == (0, 0, 1, False)
    assert res.x.tolist() == x0.tolist() and res.fun == bowl_value(x0)
    assert all(len(array) == 0 for array in res.history.values())


@pytest.mark.parametrize("option", ["maxiter", "epochs"])
def test_negative_budget_is_refused(option):
    with pytest.raises(ValueError, match=exactly(f"`{option}` must be a non-negative integer, got -1.")):
        minimize(bowl, np.zeros(3), jac=True, n_samples=3, options={option: -1})
