"""Sentences of the guide to minimize, and of its docstring, that no other test follows: one function for each."""

import numpy as np
import pytest
from objectives import Counted, Recorded, bowl, bowl_slope, bowl_value, outcome
from scipy import sparse
from streaming import A, B, Loader, N, run, squares, squares_value

from fastopt import SGD, minimize, schedules

# --- samples ---------------------------------------------------------------------------------------------


def given_to_the_objective(*data):
    """The arrays that the objective is called with in three iterations on all samples."""
    given = []

    def fun(x, A, b):
        given.append(A)
        return squares(x, A, b)

    run(data, fun=fun, batch_size=N)
    return given[:3]


def test_mapped_files_are_passed_as_they_are(tmp_path):
    """A batch of all samples is the data itself, of np.memmap too: nothing is read that the objective does not."""
    np.save(tmp_path / "A.npy", A)
    mapped = np.load(tmp_path / "A.npy", mmap_mode="r")
    assert all(each is mapped for each in given_to_the_objective(mapped, B))


def test_other_samples_on_disk_are_read_once():
    """A batch of all samples that are no NumPy array is one NumPy array, for the whole run."""

    class OnDisk:
        shape = A.shape

        def __getitem__(self, rows):
            return A[rows]

    first, *others = given_to_the_objective(OnDisk(), B)
    assert type(first) is np.ndarray and all(each is first for each in others)


@pytest.mark.parametrize("form", ["coo", "csc", "lil", "dok"])
def test_other_sparse_formats_are_converted_once(form):
    first, *others = given_to_the_objective(sparse.csr_array(A).asformat(form), B)
    assert first.format == "csr" and all(each is first for each in others)


def test_next_step_overwrites_x_of_the_objective():
    """An objective that stores `x` must copy it."""
    stored, copies = [], []

    def fun(x):
        stored.append(x)
        copies.append(x.copy())
        return bowl(x)

    minimize(fun, np.zeros(3), jac=True, method="sgd", options={"maxiter": 3, "learning_rate": 0.1})
    assert len({each.tobytes() for each in copies}) == 4 and len({each.tobytes() for each in stored}) == 1


def test_iterable_is_read_at_both_ends_and_in_each_epoch():
    """The values at the start and at the end take a pass each."""
    loader = Loader()
    assert run(loader, epochs=3).nepoch == 3 and loader.passes == 5


def test_same_batch_for_all_evaluations_of_an_iteration():
    for jac, evaluations in ((None, 4), ("2-point", 4), ("3-point", 8), ("cs", 4)):
        fun = Recorded(lambda x, A, b: ((A @ x - b) ** 2).sum() / len(b))
        run((A, B), fun=fun, jac=jac, batch_size=10, epochs=1)
        calls = fun.calls[1:-1]  # those at the ends are over all samples
        batches = [calls[k : k + evaluations] for k in range(0, len(calls), evaluations)]
        assert len(batches) == 5
        assert all(np.array_equal(each[1], batch[0][1]) for batch in batches for each in batch)


def test_other_items_than_tuples_are_one_argument():
    """And what is no array of any kind is passed as it is."""
    items, given = [{"rows": A}, {"rows": A[:20]}], []

    def fun(x, item):
        given.append(item)
        return squares(x, item["rows"], 0.0 * item["rows"][:, 0])

    assert run(lambda: items, fun=fun, epochs=2).nit == 4
    assert {id(each) for each in given} == {id(each) for each in items}


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_what_reading_raises_comes_when_the_item_is_needed(ahead):
    def items(epoch):
        passes.append(epoch)
        yield from Loader().items[:3]
        if len(passes) > 1:  # not in the pass for the value at the start
            raise OSError("no such disk")

    passes, fun = [], Counted(squares)
    with pytest.raises(OSError, match="no such disk"):
        run(items, fun=fun, prefetch=ahead)
    assert fun.calls == 3 + 3


# --- several arrays --------------------------------------------------------------------------------------


def test_results_with_other_keys_than_strings_cannot_be_printed():
    def fun(x):
        return bowl_value(x["w"]), {"w": bowl_slope(x["w"])}

    def numbered(x):
        return bowl_value(x[0]), {0: bowl_slope(x[0])}

    assert "message" in repr(minimize(fun, {"w": np.zeros(3)}, jac=True, options={"maxiter": 2}))
    with pytest.raises(TypeError):
        repr(minimize(numbered, {0: np.zeros(3)}, jac=True, options={"maxiter": 2}))


def test_state_of_the_optimizer_has_the_structure_of_x0():
    x0 = {"a": np.ones(2), "b": np.ones((2, 3))}
    res = minimize(lambda x: (1.0, x), x0, jac=True, method="adam", options={"maxiter": 1, "learning_rate": 0.1})
    for each in res.optimizer.state.values():
        assert {name: array.shape for name, array in each.items()} == {"a": (2,), "b": (2, 3)}


# --- gradients -------------------------------------------------------------------------------------------


def test_complex_steps_take_one_evaluation_more_than_parameters():
    fun = Counted(lambda x: ((x - 1) ** 2).sum())
    res = minimize(fun, np.zeros(3), jac="cs", method="adam", options={"maxiter": 6})
    assert fun.calls == res.nfev == (6 + 1) * (3 + 1)  # the last ones are of the result


def test_relative_step_helps_where_a_part_is_computed_in_single_precision():
    """The values do not show it, so that the option is needed."""

    def fun(x):
        return float((np.float32(x[0]) - 1) ** 2) / 3 + (x[1] - 1) ** 2 / 3

    def gradient(**options):
        options |= {"maxiter": 1, "learning_rate": 0.0}
        return minimize(fun, [3.0, 3.0], method="sgd", jac="2-point", options=options).jac

    expected = pytest.approx([4 / 3, 4 / 3], abs=1e-2)
    assert gradient(finite_diff_rel_step=1e-3) == expected and gradient() != expected


# --- spsa ------------------------------------------------------------------------------------------------


def test_seed_decides_the_bits_of_spsa():
    def found(seed):
        return outcome(minimize(bowl_value, np.zeros(3), jac="spsa", rng=seed, options={"maxiter": 20}))

    assert found(3) == found(3) and found(3)["x"] != found(4)["x"]


def calls_of_iterations(maxiter, fun=bowl_value):
    """How many evaluations each iteration of an untuned run takes, the first ones included; and its result."""
    fun, counts = Counted(fun), [0]
    res = minimize(fun, np.zeros(3), jac="spsa", rng=0, callback=lambda x: counts.append(fun.calls),
                   options={"maxiter": maxiter})  # fmt: skip
    return np.diff(counts), res


def test_spsa_measures_at_the_start_and_after_powers_of_four():
    """With some dozens of evaluations each time; all other iterations take two."""
    calls, _ = calls_of_iterations(70)
    measured = np.flatnonzero(calls > 3)
    assert measured.tolist() == [0, 1, 4, 16, 64]
    assert (calls[measured] > 24).all() and (calls[measured] < 240).all()
    assert (np.delete(calls, measured) == 2).all()


def test_noise_is_that_of_eight_values_at_the_start():
    """Beside the one that the result is compared with."""
    fun = Recorded(bowl_value)
    minimize(fun, np.zeros(3), jac="spsa", rng=0, options={"maxiter": 1})
    assert [bool(x.any()) for (x,) in fun.calls[:10]] == [False] * 9 + [True]


def test_gain_of_spsa_falls_over_the_budget():
    """``a / (1 + k / (K + 1))**0.602``, with one `a` between two measurements."""
    res = minimize(bowl_value, np.zeros(3), jac="spsa", rng=0, options={"maxiter": 60, "epoch_length": 1})
    rates = res.history["learning_rate"][16:60] * (1 + np.arange(16, 60) / 61) ** 0.602
    assert rates == pytest.approx(np.full(44, rates[0])) and rates[0] > 0


def test_gain_of_spsa_is_halved_where_the_value_lies_too_high():
    """After one iteration with high values it is measured anew; without samples only."""
    calls = calls_of_iterations(12)[0][:10].sum()  # before iteration 10
    seen = iter(range(10**6))

    def jumps(x):
        return bowl_value(x) + (100.0 if next(seen) > calls else 0.0)

    (_, before), (counts, after) = calls_of_iterations(12), calls_of_iterations(12, jumps)
    assert counts[10] > 24
    rates = [each.optimizer.learning_rate(11) for each in (before, after)]
    assert rates[1] / rates[0] == pytest.approx(0.5, rel=0.3)


def test_no_step_of_spsa_is_longer_than_twice_the_longest_that_was_tried():
    """However far apart the two values are: those of one iteration are a million apart."""
    calls, x = [], [np.zeros(3)]

    def fun(point, index):
        calls.append(point.copy())
        return bowl_value(point) + 1e6 * (len(x) > 20 and len(calls) % 2)

    def callback(xk):
        x.append(xk.copy())
        before.append(len(calls))

    before = []
    minimize(fun, x[0], jac="spsa", rng=0, n_samples=4, batch_size=4, callback=callback, options={"maxiter": 60})
    end = before[16] - 2  # of the measurement after 16 iterations, which ends with eight steps that are tried
    tried = max(np.abs(point - x[16]).max() for point in calls[end - 8 : end])
    steps = np.abs(np.diff(x[17:], axis=0)).max(axis=1)
    assert steps.max() == pytest.approx(2 * tried, rel=0.01)


# --- the default method ----------------------------------------------------------------------------------


def test_resumed_run_with_a_larger_budget_goes_on_along_the_longer_cosine(tmp_path):
    options = {"epoch_length": 5, "checkpoint": tmp_path / "run.npz"}
    minimize(bowl, np.zeros(3), jac=True, options=options | {"maxiter": 20})
    res = minimize(bowl, np.zeros(3), jac=True, resume=options["checkpoint"], options=options | {"maxiter": 40})
    short, long = schedules.cosine_decay(1.0, 20), schedules.cosine_decay(1.0, 40)
    expected = [short(t) for t in (4, 9, 14, 19)] + [long(t) for t in (24, 29, 34, 39)]
    assert res.history["learning_rate"].tolist() == expected


def test_loss_that_falls_until_the_rate_is_zero_has_not_settled():
    """The budget is used up; with `tol` that is no success."""
    res = minimize(bowl, np.zeros(3), jac=True, tol=1e-12, options={"maxiter": 60})
    assert (res.status, res.success, res.nit) == (1, False, 60) and res.fun < bowl_value(np.zeros(3))


def test_default_method_has_four_arrays_of_the_size_of_x():
    res = minimize(lambda x: (float(x @ x), 2 * x), np.ones(1000), jac=True, options={"maxiter": 2})
    arrays = [each for each in res.optimizer.state.values() if each.nbytes >= res.x.nbytes]
    assert [each.shape for each in arrays] == [(1000,)] * 4


def test_smaller_d_coef_makes_all_steps_but_the_first_smaller():
    def steps(d_coef):
        heard = Recorded(lambda x: None)
        options = {"maxiter": 12, "learning_rate": 1.0, "d_coef": d_coef}
        minimize(lambda x: (-x.sum(), -np.ones(3)), np.zeros(3), jac=True, callback=heard, options=options)
        return np.diff([x[0] for (x,) in heard.calls], prepend=0.0)

    small, usual = steps(0.5), steps(1.0)
    assert (small <= usual).all() and small[0] == usual[0] and (small[6:] < usual[6:]).all()


def test_schedule_at_its_end_leaves_no_steps_until_a_rate_is_assigned():
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 10})
    found = res.x.copy()
    more = minimize(bowl, found, jac=True, method=res.optimizer, options={"maxiter": 10})
    assert more.x.tobytes() == found.tobytes() and more.status == 7
    res.optimizer.learning_rate = 0.1
    assert minimize(bowl, found, jac=True, method=res.optimizer, options={"maxiter": 10}).x.tobytes() != found.tobytes()


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nit", "at_each_end"), [(10, 1), (40, 2), (200, 10), (4000, 100)])
def test_noisy_ends_are_evaluated_a_tenth_as_often_as_there_are_iterations(nit, at_each_end):
    """And 200 times at most, but once at each end. Two evaluations of the end find the noise."""
    calls = iter(range(10**6))

    def fun(x):  # the single value at the start is low, the loss of the first epoch high
        k = next(calls)
        return (0.0 if k == 0 else 1.0 + 0.5 * (k % 2) + 10.0 * (k < nit // 5)), np.ones_like(x)

    options = {"learning_rate": 0.0, "maxiter": nit, "epoch_length": nit // 5}
    res = minimize(fun, np.zeros(1), jac=True, method="sgd", options=options)
    assert res.nfev == nit + 2 + 2 * at_each_end


@pytest.mark.parametrize(("start", "least"), [(0.1, 10.1), (1.0, 11.0), (5.0, 55.0), (-5.0, 45.0)])
def test_far_above_the_start_is_by_ten_times_its_value_and_by_ten(start, least):
    """For ten epochs in a row, although `patience` is less."""

    def run_at(level):
        values = iter([start] + [level] * 50)
        options = {"learning_rate": 0.0, "maxiter": 40, "epoch_length": 1, "patience": 3}
        return minimize(lambda x: (next(values), np.ones(1)), np.zeros(1), jac=True, method="sgd", options=options)

    assert run_at(least).nit == 40  # the smoothed loss comes near it from below
    assert run_at(least + 2).status == 6 and 11 < run_at(least + 2).nit < 40
    assert run_at(least + 1e4).nit == 11


@pytest.mark.parametrize("status", [2, 3, 4])
def test_failed_runs_have_the_last_finite_parameters(status):
    spoilt = {2: (np.nan, np.ones(3)), 3: (1.0, np.full(3, np.inf)), 4: (1.0, np.full(3, -1e300))}[status]
    seen = Recorded(lambda x: spoilt if len(seen.calls) == 4 else (bowl_value(x), bowl_slope(x)))
    rate = schedules.piecewise_constant([2], [0.5, 1e10 if status == 4 else 0.5])
    options = {"learning_rate": rate, "maxiter": 4, "epoch_length": 1}
    res = minimize(seen, np.zeros(3), jac=True, method="sgd", options=options)
    assert res.status == status and not res.success
    assert res.x.tobytes() == seen.calls[3][0].tobytes()


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_objective_that_is_not_finite_at_parameters_that_overflowed_is_status_2():
    """It is finite at `x`, the last finite parameters."""
    options = {"learning_rate": 1e308, "maxiter": 9, "epoch_length": 1}
    res = minimize(bowl, np.full(3, 100.0), jac=True, method="sgd", options=options)
    assert res.status == 2 and res.x.tolist() == [100.0] * 3 and res.fun == bowl_value(res.x)


@pytest.mark.parametrize(("epochs", "patience"), [(6, 3), (12, 6), (20, 10), (100, 10)])
def test_patience_is_ten_epochs_or_half_of_the_budget(epochs, patience):
    options = {"learning_rate": 0.0, "epochs": epochs}
    res = minimize(bowl, np.zeros(3), jac=True, n_samples=2, method="sgd", tol=1e-3, options=options)
    assert res.nepoch == 1 + patience


def test_progress_bar_makes_epochs_short():
    """As all else that refers to epochs does."""
    pytest.importorskip("tqdm")
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 100, "progress": True})
    assert len(res.history["iteration"]) == 50


# --- the result ------------------------------------------------------------------------------------------


def test_evaluations_on_held_out_samples_are_counted():
    fun = Counted(squares_value)
    res = run((A, B), fun=fun, jac=lambda x, A, b: squares(x, A, b)[1], batch_size=N, validation=Loader(), epochs=3)
    assert res.nfev == fun.calls == 3 + 3 * 5 + 1


@pytest.mark.parametrize("at", [1, 4])
def test_gradient_of_a_run_that_failed_is_the_last_one_of_a_step(at):
    """None if there was no step."""
    fun = Recorded(lambda x: (bowl_value(x), bowl_slope(x) * (np.nan if len(fun.calls) == at else 1)))
    res = minimize(fun, np.zeros(3), jac=True, method="sgd", options={"maxiter": 9, "learning_rate": 0.1})
    assert res.status == 3
    assert res.jac is None if at == 1 else res.jac.tolist() == bowl_slope(fun.calls[at - 2][0]).tolist()


# --- going on with a run ---------------------------------------------------------------------------------


def test_x0_is_converted_to_the_dtype_of_the_parameters():
    opt = SGD(np.zeros(3, np.float32), 0.0)
    res = minimize(bowl, [0.1, 0.2, 0.3], jac=True, method=opt, options={"maxiter": 1})
    assert res.x is opt.params and res.x.tolist() == np.float32([0.1, 0.2, 0.3]).tolist()


@pytest.mark.parametrize(("nonfinite", "end"), [("raise", (3, 1)), ("skip", (1, 5))])
def test_nonfinite_is_that_of_the_optimizer(nonfinite, end):
    fun = Recorded(lambda x: (bowl_value(x), bowl_slope(x) * (np.nan if len(fun.calls) == 2 else 1)))
    opt = SGD(np.zeros(3), 0.1, nonfinite=nonfinite)
    res = minimize(fun, np.zeros(3), jac=True, method=opt, options={"maxiter": 5})
    assert (res.status, res.nit) == end


# --- interruptions ---------------------------------------------------------------------------------------


def test_run_that_wrote_last_is_resumed(tmp_path):
    options = {"epoch_length": 5, "checkpoint": tmp_path / "run.npz", "learning_rate": 0.1}
    for start in (1.0, 2.0):
        minimize(bowl, np.full(3, start), jac=True, method="adam", options=options | {"maxiter": 10})
    res = minimize(bowl, np.zeros(3), jac=True, method="adam", resume=options["checkpoint"],
                   options=options | {"maxiter": 20})  # fmt: skip
    whole = minimize(bowl, np.full(3, 2.0), jac=True, method="adam",
                     options={"epoch_length": 5, "learning_rate": 0.1, "maxiter": 20})  # fmt: skip
    assert res.x.tobytes() == whole.x.tobytes()
