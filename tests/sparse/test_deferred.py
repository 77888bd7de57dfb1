"""sparse="deferred": the dense result over long rests, and who sees rows up to date when."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from cases import CASES, DTYPES, ISAS, form_id, skip_if_refused
from helpers import bits, refused
from objectives import Counted

import fastopt
from fastopt import RowSparse, _core

# Of the largest entry: sums over hundreds of steps, which a dense step rounds one by one.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
DECAYS = {
    "": {},
    "decoupled": {"weight_decay": 0.02, "decoupled_weight_decay": True},
    "added": {"weight_decay": 0.02, "decoupled_weight_decay": False},
}


def gradients(rng, shape, dtype, n_steps):
    """Few rows a step, some of them in each and most of them seldom; sometimes none, or a row twice."""
    n = shape[0]
    for t in range(n_steps):
        often, seldom = rng.integers(0, 3, t % 3), rng.integers(0, n, 2 if t % 37 == 0 else 0)
        index = np.concatenate([often, seldom])
        yield RowSparse(index, rng.standard_normal((len(index), *shape[1:])).astype(dtype))


def rate(t):
    """A rate that rises from almost 0, and then falls and rises."""
    return 0.02 * min(1.0, (t + 0.01) / 30) * (1.0 + 0.5 * np.sin(t / 25))


def assert_close(actual, expected, message=""):
    """Within the tolerance for dtype, of the largest entry."""
    bound = TOLERANCE[expected.dtype.name] * max(np.abs(expected).max(initial=0.0), 1e-30)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound, err_msg=message)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(60,), (50, 3)], ids=["entries", "rows"])
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_dense_steps_with_zeros(case, shape, dtype, decay, rng):
    """Rests of one step to some hundreds, under a schedule and under rates that are set between steps."""
    cls, keywords = case
    keywords = keywords | DECAYS[decay]
    skip_if_refused(cls, keywords)
    skip_if_refused(cls, keywords | {"sparse": "deferred"})
    start = rng.standard_normal(shape).astype(dtype)
    dense, param = start.copy(), start.copy()
    exact = cls(dense, learning_rate=rate, sparse="exact", **keywords)
    opt = cls(param, learning_rate=rate if len(shape) == 1 else rate(0), sparse="deferred", **keywords)
    for t, grad in enumerate(gradients(rng, shape, dtype, 700)):
        if len(shape) == 2:
            opt.learning_rate = rate(t)
        exact.step(grad)
        opt.step(grad)
        if t == 400:
            opt.catch_up(np.arange(0, shape[0], 2))
    opt.catch_up()
    assert_close(param, dense)
    for slot, array in opt.state.items():
        assert_close(array, exact.state[slot], slot)


@pytest.mark.parametrize("keywords", [{"epsilon_root": 1e-6}, {"epsilon": 1e-2}, {"epsilon": 0.0}, {"beta_1": 0.0}])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_adam_divides_by(dtype, amsgrad, keywords, rng):
    """Roots that do not decay by one factor, and an epsilon that a root falls below during a rest, or does not."""
    dense, param = np.zeros(40, dtype), np.zeros(40, dtype)
    exact = fastopt.Adam(dense, 0.01, amsgrad=amsgrad, sparse="exact", **keywords)
    opt = fastopt.Adam(param, 0.01, amsgrad=amsgrad, sparse="deferred", **keywords)
    index = np.arange(40)
    for t in range(1200):
        n = 0 if t % 600 else 40
        grad = RowSparse(index[:n], rng.standard_normal(n).astype(dtype))
        exact.step(grad)
        opt.step(grad)
    opt.catch_up()
    assert_close(param, dense)


@pytest.mark.parametrize("cls", [fastopt.Adam, fastopt.AdamW, fastopt.SGD, fastopt.ScheduleFreeSGD])
def test_longer_than_the_history(cls, rng):
    """Once there are as many steps as rows may be behind by, all catch up, and it goes on."""
    keywords = {"momentum": 0.9, "weight_decay": 1e-3} if cls is fastopt.SGD else {}
    start = rng.standard_normal((9, 2))
    dense, param = start.copy(), start.copy()
    exact = cls(dense, 0.01, sparse="exact", **keywords)
    opt = cls(param, 0.01, sparse="deferred", **keywords)
    first = rng.standard_normal((9, 2))
    exact.step(first)
    opt.step(first)
    for t in range(9000):
        grad = RowSparse([t % 3], rng.standard_normal((1, 2)))
        exact.step(grad)
        opt.step(grad)
    assert 4096 < opt._last_steps[0].min() < 9000, "all rows have caught up at some step"
    opt.catch_up()
    assert_close(param, dense)


CLASSES = [fastopt.Adam, fastopt.AdamW, fastopt.RMSprop, fastopt.ASGD, fastopt.ADOPT, fastopt.Adan, fastopt.FTRL]


def trained(cls, dtype, num_threads=None, n_steps=60, **keywords):
    rng = np.random.default_rng(3)
    params = {"table": rng.standard_normal((300, 7)).astype(dtype), "w": rng.standard_normal(4000).astype(dtype)}
    opt = cls(params, sparse="deferred", num_threads=num_threads, **keywords)
    advance(opt, rng, n_steps)
    return opt, rng


def advance(opt, rng, n_steps):
    dtype = opt.params["w"].dtype
    for t in range(n_steps):
        k, rows, entries = 20 if t % 9 else 300, rng.integers(0, 300, 20), rng.integers(0, 4000, 150)
        rows = np.arange(300) if k == 300 else rows
        opt.step(
            {
                "table": RowSparse(rows, rng.standard_normal((k, 7)).astype(dtype)),
                "w": RowSparse(entries, rng.standard_normal(150).astype(dtype)),
            }
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", CLASSES)
def test_threads_and_instruction_sets(cls, dtype, use_isa):
    def run(isa, num_threads, by_rows):
        use_isa(isa)
        opt, _ = trained(cls, dtype, num_threads)
        if by_rows:
            opt.catch_up({"table": np.arange(300)[::-1], "w": np.arange(4000).reshape(40, 100)})
            assert opt._rows_behind == 0
        return bits(opt)

    expected = run(ISAS[0], 1, False)
    for isa in ISAS:
        for num_threads, by_rows in ((1, True), (2, False), (7, True)):
            assert run(isa, num_threads, by_rows) == expected


@pytest.mark.parametrize("cls", [fastopt.Adam, fastopt.ASGD])
def test_going_on_from_what_was_saved(cls, tmp_path):
    """Saving brings all rows up to date; both go on from there with the same bits."""
    opt, rng = trained(cls, "float32")
    assert opt._rows_behind > 0
    state = copy.deepcopy(rng.bit_generator.state)
    fastopt.save(tmp_path / "run.npz", opt)
    assert opt._rows_behind == 0
    others = [copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))]
    for load in (lambda new: fastopt.load(tmp_path / "run.npz", new), lambda new: load_dict(new, opt)):
        new, _ = trained(cls, "float32", n_steps=3)
        load(new)
        others.append(new)
    advance(opt, rng, 20)
    for other in others:
        rng.bit_generator.state = state
        advance(other, rng, 20)
        assert bits(other) == bits(opt)


def load_dict(new, opt):
    for name, array in opt.params.items():
        new.params[name][...] = array
    new.load_state_dict(opt.state_dict())


@pytest.mark.parametrize(
    "look",
    [
        lambda opt: opt.state,
        lambda opt: opt.state_dict(),
        lambda opt: opt.solution(),
        lambda opt: pickle.dumps(opt),
        lambda opt: copy.copy(opt),
        lambda opt: opt.step({name: np.zeros_like(array) for name, array in opt.params.items()}),
    ],
    ids=["state", "state_dict", "solution", "pickle", "copy", "dense step"],
)
def test_who_sees_rows_up_to_date(look):
    opt, _ = trained(fastopt.SGD, "float64", momentum=0.9)
    other, _ = trained(fastopt.SGD, "float64", momentum=0.9)
    other.catch_up()
    look(opt)
    assert opt._rows_behind == 0
    if opt.step_count == other.step_count:
        assert bits(opt) == bits(other)


def test_rows_behind_in_repr():
    opt, _ = trained(fastopt.Adam, "float64")
    assert f"step 60, {opt._rows_behind:,} rows behind>" in repr(opt)
    opt.catch_up()
    assert repr(opt).endswith("step 60>")


@pytest.mark.parametrize("mode", ["lazy", "exact", "deferred"])
def test_gather(mode, rng):
    """Copies of the rows that were asked for, in the shape of the indices; other rows stay behind."""
    table = rng.standard_normal((10, 2))
    opt = fastopt.SGD(table, momentum=0.9, sparse=mode)
    for _ in range(4):
        opt.step(RowSparse([1, 2], np.ones((2, 2))))
    for _ in range(4):
        opt.step(RowSparse([5], np.ones((1, 2))))
    untouched = table.copy()
    copies = opt.gather([[1, 1], [5, 9]])
    assert copies.shape == (2, 2, 2) and np.array_equal(copies, table[[[1, 1], [5, 9]]])
    assert not np.shares_memory(copies, table)
    changed = (table != untouched).any(axis=1)
    assert changed.tolist() == [False, mode == "deferred", *[False] * 8]
    assert opt.gather([]).shape == (0, 2)


def test_a_table_that_is_read_only_since(rng):
    """Rows are refused while they are behind, and can be read once all are up to date."""
    table = rng.standard_normal((10, 2))
    opt = fastopt.SGD(table, momentum=0.9, sparse="deferred")
    for row in (1, 2):
        opt.step(RowSparse([row], np.ones((1, 2))))
    looks = [lambda: opt.gather([1, 7]), lambda: opt.catch_up([1]), opt.catch_up, opt.state_dict, opt.solution]
    before = table.copy()
    table.setflags(write=False)
    for look in looks:
        with pytest.raises(ValueError, match="`params` must be writable"):
            look()
    assert np.array_equal(table, before) and opt._rows_behind == 9
    table.setflags(write=True)
    opt.catch_up()
    table.setflags(write=False)
    assert np.array_equal(opt.gather([1, 7]), table[[1, 7]])
    for look in looks:
        look()


def test_gather_from_several(rng):
    tables = [rng.standard_normal((10, 2)), rng.standard_normal(7), np.zeros(())]
    opt = fastopt.Adam(tables, sparse="deferred")
    opt.step([RowSparse([1], np.ones((1, 2))), RowSparse([3], np.ones(1)), np.ones(())])
    got = opt.gather({1: [3, 6], 0: np.array([1], np.int32)})
    assert sorted(got) == [0, 1]
    assert np.array_equal(got[0], tables[0][[1]]) and np.array_equal(got[1], tables[1][[3, 6]])


def test_entries_of_a_matrix(rng):
    """A scipy.sparse gradient of a matrix: the rows that its entries lie in are touched."""
    start = rng.standard_normal((30, 4))
    dense, param = start.copy(), start.copy()
    exact, opt = fastopt.Adam(dense, sparse="exact"), fastopt.Adam(param, sparse="deferred")
    for _ in range(50):
        place = rng.integers(0, 30, 3), rng.integers(0, 4, 3)
        grad = scipy.sparse.coo_array((rng.standard_normal(3), place), shape=(30, 4))
        exact.step(grad)
        opt.step(grad)
    assert opt._rows_behind > 10
    opt.catch_up()
    assert_close(param, dense)


def test_failed_steps_leave_no_trace():
    opt, _ = trained(fastopt.Adam, "float64", nonfinite="raise")
    table, w, behind = opt.params["table"].copy(), opt.params["w"].copy(), opt._rows_behind
    bad = {"table": RowSparse([3], np.full((1, 7), np.nan)), "w": RowSparse([7], np.ones(1))}
    with pytest.raises(FloatingPointError):
        opt.step(bad)
    with pytest.raises(IndexError):
        opt.catch_up({"table": [1, 2], "w": [4000]})
    assert np.array_equal(opt.params["table"], table) and np.array_equal(opt.params["w"], w)
    assert opt._rows_behind == behind
    with refused(opt, FloatingPointError, "must be finite"):
        opt.step(bad)


@pytest.mark.parametrize(
    ("cls", "mode"), [(fastopt.Adam, "deferred"), (fastopt.SGD, "deferred"), (fastopt.RMSprop, "exact")]
)
def test_rows_without_entries(cls, mode):
    """They have no counters, by which rows would be looked up; nor after a state dictionary with empty ones."""
    opt = cls(np.ones((1000, 0)), sparse=mode, **({"momentum": 0.9} if cls is fastopt.SGD else {}))
    for _ in range(2):
        for row in (1, 999):
            opt.step(RowSparse([row], np.ones((1, 0))))
        assert opt._last_steps == [None] and opt.gather([0, 999]).shape == (2, 0)
        saved = opt.state_dict()
        opt.load_state_dict(saved | ({"last_steps": [np.zeros(0, np.int64)]} if mode == "exact" else {}))


def large_step(opt, rows):
    opt.step([RowSparse(rows, np.ones((len(rows), 8))) for _ in opt.params])


INTERRUPTED = {
    "dense step": lambda opt: opt.step([np.ones_like(param) for param in opt.params]),
    "full history": lambda opt: large_step(opt, [2]),
    "catch_up": lambda opt: opt.catch_up(),
    "gather": lambda opt: opt.gather({0: np.arange(60_000), 1: np.arange(40_000)}),
    "state": lambda opt: opt.state,
}


@pytest.mark.parametrize(
    ("cls", "mode"), [(fastopt.NAdam, "deferred"), (fastopt.Adam, "deferred"), (fastopt.RMSprop, "exact")]
)
@pytest.mark.parametrize("name", INTERRUPTED)
def test_ctrl_c_where_python_code_runs(name, cls, mode, monkeypatch):
    """That asks how many threads there may be, for each array: all are as they were then."""

    def seen():
        with opt._claim("seen()"):
            return pickle.dumps((opt._snapshot_as_it_is(), opt.params))

    opt = cls([np.ones((60_000, 8)), np.ones((50_000, 8))], sparse=mode)
    opt.step([np.ones_like(param) for param in opt.params])
    for t in range(4096 if name == "full history" and mode == "deferred" else 6):
        large_step(opt, [t % 7])
    before = seen()
    for at in range(1, 10):
        resolve = Counted(fastopt._threads.resolve, KeyboardInterrupt(), at)
        with monkeypatch.context() as patch:
            patch.setattr(fastopt._threads, "resolve", resolve)
            try:
                INTERRUPTED[name](opt)
                break
            except KeyboardInterrupt:
                assert seen() == before, at
    # A build without threads has nobody to ask.
    assert at > 2 or mode == "exact" or not _core.has_openmp()


def test_memory_of_a_step():
    """Eight bytes for each row, once; afterwards memory for the gradient and for the steps alone."""
    n = 1_000_000
    opt = fastopt.Adam(np.zeros(n, np.float32), sparse="deferred")
    tracemalloc.start()
    opt.step(RowSparse([5], np.ones(1, np.float32)))
    assert tracemalloc.get_traced_memory()[1] < 8 * n + 100_000
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    for t in range(100):
        opt.step(RowSparse([t], np.ones(1, np.float32)))
    assert tracemalloc.get_traced_memory()[1] - before < 100_000
    tracemalloc.stop()


def test_overflow_reaches_only_its_own_row():
    """A row that has overflowed does not make others NaN, nor its own finite slots."""
    table = np.ones((4, 2), np.float32)
    opt = fastopt.SGD(table, 1.0, momentum=0.5, sparse="deferred")
    opt.step(RowSparse([1], np.full((1, 2), 3e38, np.float32)))
    opt.step(RowSparse([1], np.full((1, 2), 3e38, np.float32)))
    for _ in range(5):
        opt.step(RowSparse([0], np.ones((1, 2), np.float32)))
    opt.catch_up()
    assert np.isinf(table[1]).all() and np.isfinite(table[[0, 2, 3]]).all()


@pytest.mark.parametrize(
    "case", [(fastopt.Adam, {}), (fastopt.SGD, {"momentum": 0.9}), (fastopt.Yogi, {})], ids=form_id
)
def test_nan_under_clip_norm_reaches_all_rows(case):
    """As in a dense step: the norm is NaN, and what all gradients are multiplied by."""
    cls, keywords = case
    dense, param = np.ones((5, 2)), np.ones((5, 2))
    exact = cls(dense, sparse="exact", clip_norm=1.0, **keywords)
    opt = cls(param, sparse="deferred", clip_norm=1.0, **keywords)
    for value in (1.0, np.nan, 1.0, 1.0):
        for each in (exact, opt):
            each.step(RowSparse([1], np.full((1, 2), value)))
    opt.catch_up()
    assert np.isnan(dense).all() and np.isnan(param).all()


REFUSALS = [
    (
        fastopt.Lion,
        {},
        '`sparse` must be "lazy" or "exact" for Lion, as many steps without a gradient have no short form',
    ),
    (fastopt.LAMB, {}, '`sparse` must be "lazy" or "exact" for LAMB'),
    (fastopt.Adam, {"weight_decay": 0.1}, '`weight_decay` must be decoupled for Adam with sparse="deferred"'),
    (fastopt.COCOB, {"weight_decay": 0.1}, '`weight_decay` must be 0 for COCOB with sparse="deferred"'),
    (fastopt.ADOPT, {"epsilon": 0.0}, "`epsilon` must be above 0 for ADOPT"),
    (fastopt.Adam, {"beta_1": 0.95, "beta_2": 0.9}, "with beta_1=0.95, beta_2=0.9, as the momentum of a row"),
]


@pytest.mark.parametrize("cls, keywords, message", REFUSALS, ids=lambda each: getattr(each, "__name__", None))
def test_refusals(cls, keywords, message):
    with pytest.raises(ValueError, match=message):
        cls(np.ones((3, 2)), sparse="deferred", **keywords)


ROWS = [
    ([1, 2.5], TypeError, r"`rows` must be int32 or int64, got float64"),
    ([[True, False]], TypeError, r"`rows` must be int32 or int64, got bool"),
    ([0, 3], IndexError, r"`rows` must have indices in \[0, 3\), got 3 at position 1"),
    ([-1], IndexError, r"`rows` must have indices in \[0, 3\), got -1 at position 0"),
]


@pytest.mark.parametrize("rows, error, message", ROWS)
@pytest.mark.parametrize("mode", ["lazy", "deferred"])
def test_rows_that_do_not_fit(mode, rows, error, message):
    opt = fastopt.Adam(np.ones((3, 2)), sparse=mode)
    for call in (opt.catch_up, opt.gather):
        with pytest.raises(error, match=message):
            call(rows)


def test_rows_for_several_that_do_not_fit():
    opt = fastopt.Adam({"a": np.ones((3, 2)), "b": np.ones(())}, sparse="deferred")
    with pytest.raises(TypeError, match="`rows` must be a dict of indices by the keys of the parameters, such as 'a'"):
        opt.catch_up([1])
    with pytest.raises(ValueError, match=r"`rows` must have keys among \['a', 'b'\], got 'c'"):
        opt.catch_up({"c": [1]})
    with pytest.raises(ValueError, match=r"`rows\['b'\]` must be left out for a parameter without dimensions"):
        opt.gather({"b": [0]})
