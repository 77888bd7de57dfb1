"""Data as an iterable of batches, or of chunks that are cut into batches: what is read when, and what is counted."""

import itertools
import re
import weakref

import numpy as np
import pytest
from helpers import exactly
from objectives import Recorded, bowl, outcome
from scipy import sparse
from streaming import START, A, B, Loader, N, parts, result_of, run, squares, squares_value

import fastopt
from fastopt import minimize


def by_hand(batches, epochs=3):
    """The parameters after steps over batches in their order."""
    x = START.copy()
    opt = fastopt.Adam(x, 0.05)
    for _ in range(epochs):
        for batch in batches:
            opt.step(squares(x, *batch)[1])
    return x


def mean_over_all(x):
    return squares_value(x, A, B)


# --- what gives batches ----------------------------------------------------------------------------------


class CallableLoader(Loader):
    """An iterable stays one if it can be called, too."""

    def __call__(self):
        raise AssertionError("an iterable was called")


FORMS = {
    "iterable": Loader,
    "callable iterable": CallableLoader,
    "factory of lists": lambda: parts,
    "factory of generators": lambda: lambda: (each for each in parts()),
    "factory with a default": lambda: lambda size=10: iter(parts(size)),
    "factory of an epoch": lambda: lambda epoch: map(tuple, parts()),
    "class": lambda: type("Parts", (Loader,), {}),
    "items as lists": lambda: lambda: [[*each] for each in parts()],
    "items with lists": lambda: lambda: [(X.tolist(), y.tolist()) for X, y in parts()],
    "items with CSR": lambda: lambda: [(sparse.csr_array(X), y) for X, y in parts()],
}


@pytest.mark.parametrize("form", FORMS)
def test_iterables_are_read_once_per_epoch(form):
    res = run(FORMS[form]())
    assert res.x == pytest.approx(by_hand(parts()), rel=1e-12)
    assert (res.nit, res.nepoch, res.status) == (15, 3, 1)
    assert res.message == "Maximum number of epochs has been reached."
    assert res.history["iteration"].tolist() == [5, 10, 15]
    assert res.fun == pytest.approx(mean_over_all(res.x), rel=1e-12)


def test_pandas_items():
    pd = pytest.importorskip("pandas")
    items = [(pd.DataFrame(X, columns=list("abc")), pd.Series(y, index=y)) for X, y in parts()]
    for size in (None, 4):
        res, expected = run(lambda: items, batch_size=size), run(Loader(), batch_size=size)
        assert res.x == pytest.approx(expected.x, rel=1e-12)


def test_one_array_is_a_batch():
    for items in ([A[:20], A[20:]], [(A[:20],), (A[20:],)]):
        fun = Recorded(lambda x, rows: bowl(x))
        minimize(fun, np.zeros(3), jac=True, data=lambda items=items: items, options={"maxiter": 2})
        assert {len(call) for call in fun.calls} == {2}
        assert len({len(call[1]) for call in fun.calls[-2:]} & {20, 27}) == 2


def test_factory_is_told_the_epoch_that_it_opens():
    epochs = []

    def items(epoch):
        epochs.append(epoch)
        return parts()[epoch % 2 :]

    res = run(items)
    assert res.history["iteration"].tolist() == [5, 9, 14]
    assert epochs[-4:] == [0, 1, 2, 0] and set(epochs) == {0, 1, 2}


def test_args_come_after_the_batch():
    def fun(x, A, b, shift):
        return squares(x, A, b - shift)

    res = minimize(fun, START, (1.0,), "adam", True, data=Loader(), options={"learning_rate": 0.05, "epochs": 3})
    assert res.x == pytest.approx(by_hand([(X, y - 1.0) for X, y in parts()]), rel=1e-12)


@pytest.mark.parametrize("jac", [None, "3-point", "spsa"])
def test_every_kind_of_gradient(jac):
    """As over the same samples in one array, in the same order: batches of all samples are not shuffled."""
    one = run(lambda: [(A, B)], fun=squares_value, jac=jac, epochs=5)
    other = run((A, B), fun=squares_value, jac=jac, epochs=5, batch_size=N)
    assert one.x.tobytes() == other.x.tobytes() and one.fun == pytest.approx(other.fun, rel=1e-12)


def test_losses_are_weighted_with_samples():
    """47 samples in tens: the last batch has seven. Items whose arrays do not agree about a number count as one."""
    losses = [squares(START, *batch)[0] for batch in parts()]
    res = run(Loader(), learning_rate=0.0, epochs=1)
    assert res.history["fun"][0] == pytest.approx(mean_over_all(START), rel=1e-12)
    uneven = [(X, y, 1.0) for X, y in parts()]
    res = run(lambda: uneven, fun=lambda x, A, b, _: squares(x, A, b), learning_rate=0.0, epochs=1)
    assert res.history["fun"][0] == pytest.approx(np.mean(losses), rel=1e-12)
    assert res.fun == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize("size", [None, 4])
def test_items_without_samples_are_passed_over(size):
    empty = A[:0], B[:0]
    with_empty = [empty, *parts()[:2], empty, empty, *parts()[2:], empty]
    assert run(lambda: with_empty, batch_size=size).nit == run(Loader(), batch_size=size).nit
    if size is None:
        assert result_of(lambda: with_empty) == result_of(Loader())


def test_an_item_is_released_before_the_next_one_is_read():
    """One chunk is in memory at a time, and no batch of the one before."""
    alive = []

    class Tracked(np.ndarray):
        pass

    def item(part):
        assert not any(each() is not None for each in alive)
        tracked = part[0].copy().view(Tracked)
        alive[:] = [weakref.ref(tracked)]
        return tracked, part[1]

    for size in (None, 4, 100):
        assert run(lambda: map(item, parts()), batch_size=size).nepoch == 3


# --- chunks ----------------------------------------------------------------------------------------------


def rows_of(call):
    """Which samples a call of the objective was given."""
    return [int(np.flatnonzero(B == each)[0]) for each in call[2]]


def test_chunks_are_shuffled_and_cut_into_batches():
    fun = Recorded(squares)
    res = run(lambda: parts(20), fun=fun, batch_size=6)
    assert res.history["iteration"].tolist() == [10, 20, 30]  # 20, 20 and 7 samples: 4, 4 and 2 batches
    batches = [rows_of(call) for call in fun.calls if len(call[2]) <= 6][:30]
    for epoch in range(3):
        mine = batches[10 * epoch : 10 * epoch + 10]
        assert [len(each) for each in mine] == [6, 6, 6, 2, 6, 6, 6, 2, 6, 1]
        for first, last, chunk in ((0, 4, range(20)), (4, 8, range(20, 40)), (8, 10, range(40, 47))):
            assert sorted(itertools.chain(*mine[first:last])) == [*chunk]
    orders = [tuple(itertools.chain(*batches[first : first + 4])) for first in range(0, 30, 10)]
    assert len({*orders, tuple(range(20))}) == 4


def test_seed_decides_the_order_inside_chunks():
    assert result_of(Loader(), batch_size=4, rng=3) == result_of(Loader(), batch_size=4, rng=3)
    assert run(Loader(), batch_size=4, rng=3).x.tobytes() != run(Loader(), batch_size=4, rng=4).x.tobytes()


def test_a_chunk_of_one_batch_is_passed_as_it_is():
    assert (
        result_of(Loader(), batch_size=10)["x"] == result_of(Loader(), batch_size=100)["x"] == result_of(Loader())["x"]
    )


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array])
def test_sparse_chunks(container):
    res = run(lambda: [(container(X), y) for X, y in parts()], batch_size=4)
    assert res.x == pytest.approx(run(Loader(), batch_size=4).x, rel=1e-12)


def test_value_at_the_end_is_over_all_chunks():
    res = run(lambda: parts(20), batch_size=6)
    assert res.fun == pytest.approx(mean_over_all(res.x), rel=1e-12)


# --- iterators: one pass ---------------------------------------------------------------------------------


def test_iterator_is_read_once_and_the_run_ends_with_it():
    res = run(iter(Loader()))
    assert res.x.tobytes() == by_hand(parts(), epochs=1).tobytes()
    assert (res.nit, res.nepoch, res.status, res.message) == (5, 1, 1, "The data are used up.")
    assert res.fun == pytest.approx(mean_over_all(res.x), rel=1e-12)


@pytest.mark.parametrize(("size", "repeats", "kept"), [(10, 40, 110), (1, 30, 32), (N, 60, 22)])
def test_value_over_an_iterator_is_over_its_first_batches(size, repeats, kept):
    """They cannot be read again: those with the first 1024 samples are kept, and no more than 32."""
    fun = Recorded(squares)
    data = parts(size) * repeats
    res = run(iter(data), fun=fun, maxiter=1 + kept)
    kept = min(kept, 32)
    at_end = [call for call in fun.calls if np.array_equal(call[0], res.x)]
    assert [call[2].tolist() for call in at_end] == [y.tolist() for _, y in data[:kept]]


@pytest.mark.parametrize(("rate", "success"), [(0.05, True), (-0.05, False)])
def test_an_iterator_is_judged_by_batches_that_are_seen_twice(rate, success):
    """A first batch of one sample may be an outlier: the start is evaluated over those that `fun` is."""
    outlier = [(A[:1], A[:1] @ START)]  # no better anywhere
    data = outlier + parts(1) * 10
    res = run(iter(data), fun=lambda x, A, b: (squares(x, A, b)[0], np.sign(rate) * squares(x, A, b)[1]))
    assert res.success == success and res.status == (1 if success else 6)


def test_budget_of_an_iterator_is_the_iterator():
    res = minimize(squares, START, method="adam", jac=True, data=iter(parts(1) * 30))
    assert (res.nit, res.nepoch, res.message) == (30 * N, 1, "The data are used up.")


def test_what_the_budget_does_not_need_stays_in_the_iterator():
    data = iter(parts())
    first = run(data, maxiter=2)
    assert (first.nit, first.nepoch, first.message) == (2, 0, "Maximum number of iterations has been reached.")
    assert run(data).nit == 3


@pytest.mark.parametrize("length", [2, 3])
def test_epoch_length_divides_what_does_not_end(length):
    res = run(itertools.cycle(parts()), epoch_length=length, epochs=4)
    assert res.history["iteration"].tolist() == [length * k for k in range(1, 5)]
    assert (res.nepoch, res.message) == (4, "Maximum number of epochs has been reached.")


def test_epoch_length_plays_no_part_where_data_are_read_again():
    assert result_of(Loader(), epoch_length=2) == result_of(Loader())


def test_short_rest_of_an_iterator_is_an_epoch():
    res = run(iter(parts()), epoch_length=2, epochs=100)
    assert (res.history["iteration"].tolist(), res.nepoch) == ([2, 4, 5], 3)
    assert res.message == "The data are used up."


def test_tol_ends_a_run_over_what_does_not_end():
    res = run(itertools.cycle(parts()), epoch_length=5, epochs=1000, tol=1e-3, learning_rate=0.05)
    assert res.status == 0 and res.nepoch < 1000


def test_data_that_are_used_up_in_a_later_epoch():
    """They are read for the value at the start, and for one epoch."""
    passes = iter([parts(), parts(), []])
    res = run(lambda: next(passes, []))
    assert (res.nit, res.nepoch, res.message) == (5, 1, "The data are used up.")


def test_no_iteration_reads_one_batch():
    data = iter(parts())
    res = run(data, maxiter=0)
    assert (res.nit, res.status, res.fun) == (0, 1, squares_value(START, *parts()[0]))
    assert len([*data]) == 4


# --- validation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [Loader, lambda: (A, B), lambda: iter(parts() * 3)], ids=["loader", "arrays", "iterator"]
)
@pytest.mark.parametrize("held_out", [lambda: Loader(parts(7)), lambda: (A, B)], ids=["loader", "arrays"])
def test_validation_samples_come_in_the_same_forms(data, held_out):
    """Their loss is over all of them, and they are read after each epoch."""
    loader = held_out()
    res = run(data(), validation=loader, epoch_length=5)
    expected = run(data(), validation=lambda x: squares_value(x, A, B), epoch_length=5)
    assert len(res.history["validation"]) == 3
    assert res.history["validation"] == pytest.approx(expected.history["validation"], rel=1e-12)
    if isinstance(loader, Loader):
        assert loader.passes == 3


# --- budget ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("maxiter", "nepoch"), [(1, 0), (5, 1), (7, 1), (10, 2), (99, 3)])
def test_maxiter_in_the_middle_of_an_epoch(maxiter, nepoch):
    res = run(Loader(), maxiter=maxiter)
    assert (res.nit, res.nepoch) == (min(maxiter, 15), nepoch)
    unit = "epochs" if maxiter > 15 else "iterations"
    assert res.message == f"Maximum number of {unit} has been reached."


def test_hundred_epochs_without_a_budget():
    res = minimize(squares, START, method="adam", jac=True, data=lambda: [(A, B)])
    assert (res.nit, res.nepoch) == (100, 100)


@pytest.mark.parametrize("size", [None, 4])
def test_default_method_counts_the_batches(size):
    """Its learning rate falls to zero over the budget, which is known as soon as the data have been read."""
    options = {"epochs": 4}
    res = minimize(squares, START, method=None, jac=True, data=Loader(), batch_size=size, options=options)
    rates = res.history["learning_rate"]
    assert rates[-1] < 0.02 * rates[0]
    known = {"maxiter": int(res.nit)}
    other = minimize(squares, START, method=None, jac=True, data=Loader(), batch_size=size, rng=0, options=known)
    again = minimize(squares, START, method=None, jac=True, data=Loader(), batch_size=size, rng=0, options=options)
    assert other.x.tobytes() == again.x.tobytes()


def test_default_method_needs_maxiter_for_an_iterator():
    message = (
        "`maxiter` must be given for method=None if `data` can be read only once: its learning rate falls over the "
        "iterations, whose number is not known; pass options={'maxiter': ...}."
    )
    data = iter(parts())
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(squares, START, method=None, jac=True, data=data)
    assert minimize(squares, START, method=None, jac=True, data=data, options={"maxiter": 5}).nit == 5


def test_progress_bar_without_a_total(capsys):
    res = run(Loader(), progress=True)
    assert outcome(res) == result_of(Loader())
    assert "15it" in capsys.readouterr().err


# --- refusals --------------------------------------------------------------------------------------------


class Failed(Exception):
    pass


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_exceptions_of_the_data_pass_through(prefetch):
    heard = []

    def items():
        yield from parts()[:2]
        raise Failed("no such file")

    with pytest.raises(Failed, match=r"^no such file$"):
        run(items(), callback=heard.append, prefetch=prefetch)
    assert len(heard) == 1  # the third item is asked for as the second iteration ends
    with pytest.raises(Failed, match="cannot open"):
        run(lambda: (_ for _ in ()).throw(Failed("cannot open")), prefetch=prefetch)


def test_stop_iteration_in_the_objective_is_no_end_of_the_data():
    def fun(x, A, b):
        raise StopIteration("mine")

    with pytest.raises(StopIteration, match="mine"):
        run(Loader(), fun=fun)


@pytest.mark.parametrize(
    ("data", "size", "error", "message"),
    [
        (
            lambda: iter([]), None, ValueError,
            "`data` must give at least one batch, got none; an iterator that has been used up gives no more.",
        ),
        (
            lambda: lambda: [*parts()[:2], (A, B, B)], None, ValueError,
            "`data` must give items of as many arrays as the first one, which has 2, got 3 in item 2.",
        ),
        (
            lambda: lambda: 3, None, TypeError,
            "`data` must return an iterable of batches, got int; return a list of them, [...].",
        ),
        (
            lambda: lambda: A, None, TypeError,
            "`data` must return an iterable of batches, got ndarray; return a list of them, [...].",
        ),
        (
            lambda: lambda folder, names: None, None, TypeError,
            "`data` must be a function of no argument, or of the number of the epoch, got one of (folder, names); "
            "pass lambda: data(...) with its arguments.",
        ),
        (Loader, 0, ValueError, "`batch_size` must be a positive integer, got 0."),
        (Loader, 2.5, TypeError, "`batch_size` must be an integer, got 2.5."),
        (
            lambda: lambda: [(A, B[:3])], 4, ValueError,
            "`data` must hold arrays of equal length, got lengths [47, 3].",
        ),
        (
            lambda: zip(A, B, strict=True), 4, ValueError,
            "`data[1]` must have samples along its first axis, got",
        ),
        (
            lambda: {1: A}, None, TypeError,
            "`data` must be an array or a tuple of them, got dict; pass tuple(data.values()).",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_data_are_refused(data, size, error, message):
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        run(data(), batch_size=size)
    if "data[" in message or "equal length" in message:
        assert caught.value.__notes__ == ["This is item 0 of `data`, a chunk of samples as `batch_size` is given."]


def test_number_of_samples_is_not_given_beside_data():
    with pytest.raises(ValueError, match=r"^`n_samples` must be None when `data` is given"):
        minimize(squares, START, jac=True, data=Loader(), n_samples=N)


def test_built_in_objectives_have_their_own_samples():
    objective = fastopt.objectives.LeastSquares(A, B)
    with pytest.raises(ValueError, match=r"^`data` must be None for a built-in objective, which has its own samples"):
        minimize(objective, START, data=Loader())


def test_other_draws_do_not_change_the_order_inside_chunks():
    """SPSA draws between the batches, from the same generator."""
    seen = [Recorded(squares_value), Recorded(squares)]
    run(Loader(), fun=seen[0], jac="spsa", batch_size=4)
    run(Loader(), fun=seen[1], batch_size=4, epochs=1)
    shuffled = [[rows_of(call) for call in each.calls if len(call[2]) <= 4] for each in seen]
    assert shuffled[0][:28:2] == shuffled[1][:14]
