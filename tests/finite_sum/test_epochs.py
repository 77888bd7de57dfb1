"""Epochs of `minimize` over finite sums: what every method computes, against plain loops in float64."""

import numpy as np
import pytest
from cases import CASES, OPTIMIZERS, form_id, is_refused
from finite_sums import DTYPES, LAYOUTS, LOSSES, make_objective
from reference_epochs import (
    MODES,
    RATE,
    SEED,
    Problem,
    Sum,
    assert_close,
    batches,
    expected_run,
    lazy_run,
    problem,
    values_of,
)
from scipy import sparse

import fastopt
from fastopt import RowSparse, _core, minimize, objectives, schedules
from fastopt._finite_sum import epochs
from fastopt._minimize import minibatch_epochs

SIZES = [1, 7, 23]


def run(p, method, size=7, epochs=3, **options):
    """A run of minimize with a problem's objective."""
    return minimize(p.objective, p.x0, method=method, batch_size=size, rng=SEED, options={"epochs": epochs, **options})


def assert_as_expected(p, method, mode, **arguments):
    """Run both and compare; returns the result and the last parameters of the oracle."""
    res = run(p, method, sparse=MODES[mode][1], **arguments)
    expected = expected_run(p, method, mode, **arguments)
    assert (res.nit, res.x.dtype) == (len(expected), p.x0.dtype)
    assert res.status in (1, 6, 7)  # the steps are the same, wherever they lead
    assert_close(res.optimizer.params, expected[-1])
    return res, expected[-1]


# --- every optimizer, without a regulariser: a loop of steps ---------------------------------------------------


def loop_of_steps(p, cls, mode, size, epochs=3, **hyperparameters):
    """What a user would write: an optimizer, and its step for each batch."""
    opt = cls(p.x0.copy(), sparse=MODES[mode][1], **hyperparameters)
    for batch in batches(p.sum.n, size, epochs, SEED):
        g = p.sum.slope(opt.params.astype(np.float64), batch).astype(p.x0.dtype)
        touched = np.flatnonzero(p.sum.touched(batch))
        value = [p.sum.mean_loss(opt.params.astype(np.float64), batch)] if _core.uses_value(cls.rule) else []
        opt.step(RowSparse(touched, g[touched]) if mode == "lazy" else g, *value)
    return opt


def assert_is_loop_of_steps(p, cls, mode, size, **hyperparameters):
    res = run(p, cls, size, sparse=MODES[mode][1], **hyperparameters)
    opt = loop_of_steps(p, cls, mode, size, **hyperparameters)
    assert_close(res.optimizer.params, opt.params)
    assert_close(res.x, opt.solution())
    assert (res.nit, res.optimizer.step_count) == (opt.step_count, opt.step_count)
    assert list(res.optimizer.state) == list(opt.state)
    for slot, array in res.optimizer.state.items():
        assert_close(array, opt.state[slot], dtype=p.x0.dtype, err_msg=slot)
    if hyperparameters.get("clip_norm"):
        assert res.optimizer.last_grad_norm == pytest.approx(opt.last_grad_norm, rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_run_is_a_loop_of_steps(case, mode, dtype, size):
    cls, keywords = case
    p = problem("logistic", MODES[mode][0], dtype, fit_intercept=True)
    assert_is_loop_of_steps(p, cls, mode, size, learning_rate=RATE, **keywords)


MODIFIERS = [
    dict(weight_decay=0.05),
    dict(weight_decay=0.05, decoupled_weight_decay=True),
    dict(clip_value=0.01),
    dict(clip_norm=0.1),
    dict(maximize=True, nonfinite="skip"),
    dict(weight_decay=0.02, clip_value=0.2, clip_norm=0.3, maximize=True, nonfinite="propagate"),
]


@pytest.mark.parametrize("modifiers", MODIFIERS, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_what_is_done_to_the_gradient(method, mode, modifiers):
    if is_refused(OPTIMIZERS[method], modifiers):
        pytest.skip("refused: test_validation.py")
    p = problem("least_squares", MODES[mode][0])
    assert_is_loop_of_steps(p, OPTIMIZERS[method], mode, size=4, learning_rate=RATE, **modifiers)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_schedules_are_asked_for_every_step(method, mode):
    asked = []

    def schedule(t):
        asked.append(t)
        return 0.1 / (1 + t)

    p = problem("least_squares", MODES[mode][0])
    res = run(p, method, learning_rate=schedule, sparse=MODES[mode][1])
    assert sorted(set(asked)) == list(range(12))
    again = loop_of_steps(p, OPTIMIZERS[method], mode, 7, learning_rate=lambda t: 0.1 / (1 + t))
    assert_close(res.optimizer.params, again.params)
    assert res.history["learning_rate"].tolist() == [0.1 / (1 + t) for t in (3, 7, 11)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss, layout, dtype, size):
    p = problem(loss, layout, dtype, fit_intercept=True, weighted=True)
    mode = "dense" if layout == "dense" else "lazy"
    assert_as_expected(p, "sgd", mode, size=size, learning_rate=RATE)


@pytest.mark.parametrize("mode", MODES)
def test_batch_of_empty_rows(mode):
    """Nothing but the intercept is touched; without it the step still counts."""
    X = np.zeros((6, 4))
    X[0, 1] = 2.0
    y = np.arange(6.0)
    for intercept in (True, False):
        for method in ("sgd", "adagrad", "adam"):
            case, keywords = LOSSES["least_squares"], dict(fit_intercept=intercept, l1=0.01, l2=0.1)
            data = X if mode == "dense" else sparse.csr_array(X)
            start = np.arange(1.0, 5.0 + intercept)
            p = Problem(make_objective(case, data, y, **keywords), Sum(case, X, y, **keywords), start)
            res, _ = assert_as_expected(p, method, mode, size=1, epochs=1, learning_rate=RATE)
            assert res.optimizer.step_count == 6


@pytest.mark.parametrize("method", ["sgd", "adagrad", "adam"])
def test_rows_and_columns_of_a_larger_array_are_used_in_place(method):
    """Every second row, some of the columns."""
    p = problem("least_squares")
    table = np.full((46, 40), np.nan)
    table[::2, 3:33] = p.sum.X
    view = objectives.LeastSquares(table[::2, 3:33], p.sum.y)
    res = minimize(view, p.x0, method=method, batch_size=7, rng=SEED, options={"epochs": 3})
    assert res.x.tobytes() == run(p, method).x.tobytes()


# --- the regulariser -------------------------------------------------------------------------------------------

PENALTIES = [dict(l2=0.5), dict(l1=0.02), dict(l1=0.02, l2=0.5)]
REGULARISED = [
    *((name, {}) for name in OPTIMIZERS),
    ("sgd", dict(momentum=0.9)),
    ("sgd", dict(momentum=0.9, nesterov=True, scaled_velocity=False)),
    ("sgd", dict(momentum=0.5, dampening=0.3)),
    ("adagrad", dict(epsilon_root=0.5, epsilon=0.1)),
    ("ftrl", dict(l1=0.01, l2=0.3, beta=1.0)),
    ("adam", dict(amsgrad=True)),
    ("rmsprop", dict(momentum=0.9, centered=True)),
]


def regularised_id(value):
    return "-".join([value[0], *value[1]]) if isinstance(value, tuple) else None


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", REGULARISED, ids=regularised_id)
def test_regulariser(method, mode, dtype, penalty):
    name, hyperparameters = method
    p = problem("logistic", MODES[mode][0], dtype, fit_intercept=True, weighted=True, **penalty)
    assert_as_expected(p, name, mode, epochs=5, learning_rate=RATE, **hyperparameters)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl", "adam"])
def test_regulariser_with_batches_of_one_and_of_all(method, mode, size, penalty):
    p = problem("squared_hinge", MODES[mode][0], fit_intercept=True, **penalty)
    assert_as_expected(p, method, mode, size=size, epochs=4, learning_rate=RATE)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl", "adam", "rowwiseadam", "lamb"])
def test_regulariser_with_softmax(method, mode, dtype, penalty):
    p = problem("softmax", MODES[mode][0], dtype, fit_intercept=True, **penalty)
    assert_as_expected(p, method, mode, epochs=5, learning_rate=RATE)


SCHEDULES = {
    "falling": schedules.inverse_time_decay(0.3, 3, 1.0),
    "zero for a while": lambda t: 0.2 if t % 5 else 0.0,
    "cosine": schedules.cosine_decay(0.2, 19),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", [("sgd", {}), ("sgd", dict(momentum=0.5)), ("adagrad", {}), ("adam", {})],
                         ids=regularised_id)  # fmt: skip
def test_regulariser_with_a_schedule(method, mode, schedule):
    """Steps that a column rested for had rates of their own."""
    name, hyperparameters = method
    p = problem("logistic", MODES[mode][0], fit_intercept=True, l1=0.02, l2=0.5)
    assert_as_expected(p, name, mode, epochs=5, learning_rate=SCHEDULES[schedule], **hyperparameters)


@pytest.mark.parametrize("mode", ["dense", "exact"])
def test_regulariser_in_ftrl_with_a_schedule(mode):
    p = problem("logistic", MODES[mode][0], l1=0.02, l2=0.5)
    assert_as_expected(p, "ftrl", mode, learning_rate=lambda t: 0.3 / (1 + t))


@pytest.mark.parametrize("method", ["sgd", "adagrad"])
def test_lazy_is_dense_where_the_documentation_says_so(method):
    """SGD with any regulariser; Adagrad with l1 where all rates of a column are the same."""
    lazy, dense = (problem("logistic", layout, l1=0.02, l2=0.5 * (method == "sgd")) for layout in ("csr32", "dense"))
    assert_close(run(lazy, method, learning_rate=RATE).x, run(dense, method, learning_rate=RATE).x)


SPARSIFYING = [(("sgd", {}), 0.05), (("sgd", dict(momentum=0.9)), 0.03), (("adagrad", {}), 0.05), (("ftrl", {}), 0.02)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("method", "l1"), SPARSIFYING, ids=regularised_id)
def test_zeros_are_exact_and_where_the_oracle_has_them(method, l1, mode, dtype):
    name, hyperparameters = method
    p = problem("logistic", MODES[mode][0], dtype, n=60, d=80, l1=l1, l2=0.1)
    res, expected = assert_as_expected(p, name, mode, epochs=20, learning_rate=0.2, **hyperparameters)
    assert 20 < np.count_nonzero(expected == 0) < 70
    np.testing.assert_array_equal(res.x == 0, expected == 0)


@pytest.mark.parametrize("hyperparameters", [{}, dict(momentum=0.9), dict(momentum=0.8, nesterov=True),
                                             dict(momentum=0.5, dampening=0.4)], ids=str)  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
def test_velocity_leaves_the_minimum_where_it_is(mode, hyperparameters):
    """Steps on all samples end where no entry of the objective's gradient exceeds l1."""
    p = problem("logistic", MODES[mode][0], n=60, d=12, density=0.6, l1=0.03, l2=0.01)
    options = {"epochs": 4000, "learning_rate": 0.5, "sparse": MODES[mode][1], **hyperparameters}
    x = minimize(p.objective, p.x0, method="sgd", batch_size=60, options=options).x
    smooth = p.sum.slope(x, np.arange(60)) + p.sum.l2 * x
    zero = x == 0
    assert 0 < zero.sum() < 12
    np.testing.assert_allclose(smooth[~zero], -p.sum.l1[~zero] * np.sign(x[~zero]), atol=1e-8)
    assert np.all(np.abs(smooth[zero]) <= p.sum.l1[zero])


@pytest.mark.parametrize("l1", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strength", [0.1, 0.9, 0.999, 1.0, 1.5])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("mode", MODES)
def test_strong_l2_in_a_long_run(mode, momentum, strength, dtype, l1):
    """`strength` is learning rate times l2: the product of the factors of all steps underflows."""
    if mode == "lazy" and momentum and strength >= 0.9:
        pytest.skip("momentum with such a strong l2 goes over all parameters")
    p = problem("logistic", MODES[mode][0], dtype, fit_intercept=True, l1=l1, l2=10 * strength)
    assert_as_expected(p, "sgd", mode, size=1, epochs=20, learning_rate=0.1, momentum=momentum)


CROSSING = {
    "down": schedules.piecewise_constant([6], [0.98, 0.05]),
    "up": schedules.piecewise_constant([6], [0.05, 0.98]),
    "to and fro": lambda t: 0.98 if t % 3 else 0.05,
}


@pytest.mark.parametrize("callback", [None, lambda x: None], ids=["", "callback"])
@pytest.mark.parametrize("schedule", CROSSING)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("mode", MODES)
def test_l2_that_is_strong_in_some_steps(mode, momentum, schedule, callback):
    if mode == "lazy" and momentum:
        pytest.skip("momentum with such a strong l2 goes over all parameters")
    p = problem("logistic", MODES[mode][0], fit_intercept=True, l1=0.01, l2=1.0)
    hyperparameters = dict(learning_rate=CROSSING[schedule], momentum=momentum)
    options = {"epochs": 4, "sparse": MODES[mode][1], **hyperparameters}
    res = minimize(p.objective, p.x0, method="sgd", batch_size=7, rng=SEED, options=options, callback=callback)
    assert_close(res.x, expected_run(p, "sgd", mode, epochs=4, **hyperparameters)[-1])


@pytest.mark.parametrize("l1", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_strong_l2_of_adagrad_in_a_long_run(mode, dtype, l1):
    p = problem("logistic", MODES[mode][0], dtype, fit_intercept=True, l1=l1, l2=3.0)
    assert_as_expected(p, "adagrad", mode, size=1, epochs=20, learning_rate=0.3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_l2_for_a_million_steps_on_columns_that_are_never_touched(mode, dtype):
    """Their weights shrink to nothing, and nothing overflows on the way."""
    X = np.ones((1000, 3), dtype)
    X[:, 2] = 0.0
    data = X if mode == "dense" else sparse.csr_array(X)
    objective = objectives.LeastSquares(data, np.ones(1000), l2=0.01)
    res = minimize(
        objective, np.array([0.0, 0.0, 7.0], dtype), method="sgd", batch_size=1, rng=0,
        options={"epochs": 200, "learning_rate": 0.1, "sparse": MODES[mode][1]},
    )  # fmt: skip
    assert res.x[2] == pytest.approx(7 * 0.999**200_000, abs=1e-30)
    assert_close(res.x[:2], np.full(2, 1 / 2.01), rtol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl", "adam"])
def test_clipping_with_a_regulariser(method, mode):
    """Dense, the gradient that is clipped has the regulariser's part in it; lazy, clipping without one is enough."""
    p = problem("least_squares", MODES[mode][0], l1=0.02, l2=0.0 if mode == "lazy" else 0.5)
    if mode == "lazy" and method == "adam":
        pytest.skip("its l1 is in the gradient: test_regulariser")
    assert_as_expected(p, method, mode, learning_rate=RATE, clip_norm=0.3, clip_value=0.2)


@pytest.mark.parametrize("entries", [1, 60, 150])
@pytest.mark.parametrize("penalty", [{}, dict(l1=0.02, l2=0.5)], ids=["none", "l1-l2"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", REGULARISED, ids=regularised_id)
def test_epoch_in_several_segments(method, mode, penalty, entries, monkeypatch):
    """An epoch is interrupted now and then, to look for Ctrl-C."""
    monkeypatch.setattr(minibatch_epochs, "SEGMENT_ENTRIES", entries)
    monkeypatch.setattr(minibatch_epochs, "ENTRIES_TO_FLUSH", 1)
    name, hyperparameters = method
    p = problem("logistic", MODES[mode][0], fit_intercept=True, **penalty)
    assert_as_expected(p, name, mode, size=2, epochs=4, learning_rate=RATE, **hyperparameters)


@pytest.mark.parametrize("most", [0, 1, 3])
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("method", ["sgd", "adagrad", "adam", "ftrl"])
def test_steps_since_a_column_was_touched_are_counted_anew(method, size, most, monkeypatch):
    """Long before 32 bits are too few for their number."""
    monkeypatch.setattr(epochs, "MOST_KNOWN", most)
    p = problem("logistic", "csr32", fit_intercept=True, l1=0.02, l2=0.5)
    monkeypatch.setattr(minibatch_epochs, "SEGMENT_ENTRIES", 1)
    monkeypatch.setattr(minibatch_epochs, "ENTRIES_TO_FLUSH", 0)
    assert_as_expected(p, method, "lazy", size=size, epochs=4, learning_rate=RATE)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["csr32", "csr64"])
@pytest.mark.parametrize("method", ["sgd", "adagrad", "adam", "ftrl", "rmsprop"])
def test_looking_at_x_in_every_step(method, layout, dtype, penalty):
    """Columns lie in records or in their arrays, whichever pays; lagged updates are made in one go or in several."""
    p = problem("logistic", layout, dtype, fit_intercept=True, **penalty)
    seen, arguments = [], dict(method=method, batch_size=2, rng=SEED, options={"epochs": 3, "learning_rate": RATE})
    minimize(p.objective, p.x0, callback=lambda x: seen.append(x.copy()), **arguments)
    res = minimize(p.objective, p.x0, **arguments)
    assert len(seen) == res.nit == 36
    if method in ("sgd", "adagrad"):
        assert_close(seen[-1], res.x)
    else:
        assert seen[-1].tobytes() == res.x.tobytes()


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("mode", ["dense", "exact"])
@pytest.mark.parametrize("method", REGULARISED, ids=regularised_id)
def test_maximize_with_a_regulariser(method, mode, penalty):
    """The sign of the gradient is turned, with l2 in it."""
    name, hyperparameters = method
    p = problem("logistic", MODES[mode][0], fit_intercept=True, **penalty)
    assert_as_expected(p, name, mode, learning_rate=RATE, maximize=True, **hyperparameters)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("mode", ["dense", "exact"])
@pytest.mark.parametrize("decay", [{}, dict(decoupled_weight_decay=True)], ids=["coupled", "decoupled"])
@pytest.mark.parametrize("method", ["sgd", "adagrad", "adam"])
def test_weight_decay_with_a_regulariser(method, decay, mode, penalty):
    """It comes on top, and is for the intercept, too."""
    p = problem("logistic", MODES[mode][0], fit_intercept=True, **penalty)
    assert_as_expected(p, method, mode, learning_rate=RATE, weight_decay=0.1, **decay)


@pytest.mark.parametrize("penalty", [{}, dict(l1=0.02, l2=0.5)], ids=["none", "l1-l2"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", REGULARISED, ids=regularised_id)
def test_optimizer_of_the_result_is_a_plain_one(method, mode, penalty):
    """Its hyper-parameters are the user's, and it can go on by hand."""
    name, hyperparameters = method
    p = problem("logistic", MODES[mode][0], **penalty)
    res = run(p, name, sparse=MODES[mode][1], learning_rate=RATE, **hyperparameters)
    assert res.optimizer._values == values_of(
        name, p.x0, sparse=MODES[mode][1], learning_rate=RATE, nonfinite="raise", **hyperparameters
    )
    twin = OPTIMIZERS[name](res.optimizer.params.copy(), sparse=MODES[mode][1], learning_rate=RATE, **hyperparameters)
    twin.load_state_dict(res.optimizer.state_dict())
    value = [1.0] if _core.uses_value(twin.rule) else []
    twin.step(np.ones(30), *value)
    res.optimizer.step(np.ones(30), *value)
    assert res.optimizer.params.tobytes() == twin.params.tobytes()
    assert res.optimizer.step_count == 13


def test_reduce_on_plateau_is_told_the_losses_of_the_epochs():
    told = []

    class Watching(schedules.reduce_on_plateau):
        def update(self, value):
            told.append(value)
            super().update(value)

    p = problem("least_squares", "csr32", l1=0.1, l2=0.5)
    res = run(p, "sgd", epochs=30, learning_rate=Watching(0.3, factor=0.5, patience=1))
    by_hand, rates = schedules.reduce_on_plateau(0.3, factor=0.5, patience=1), []
    for loss in told:
        rates.append(by_hand(0))
        by_hand.update(loss)
    assert told == res.history["fun"].tolist()
    assert res.history["learning_rate"].tolist() == rates
    assert rates[-1] < 0.3
    (*_, last) = lazy_run(
        p.sum, "sgd", p.x0, batches(23, 7, 30, SEED), values_of("sgd", p.x0, learning_rate=lambda t: rates[t // 4])
    )
    assert_close(res.optimizer.params, last)


# --- other callables for a method ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_method_may_be_a_class_or_a_callable(mode):
    p = problem("logistic", MODES[mode][0])
    by_name = run(p, "adam", learning_rate=RATE)
    assert run(p, fastopt.Adam, learning_rate=RATE).x.tobytes() == by_name.x.tobytes()
    assert run(p, lambda x: fastopt.Adam(x, RATE)).x.tobytes() == by_name.x.tobytes()


@pytest.mark.parametrize("given", ["float32", "float64", "int64", "list"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_have_the_dtype_of_the_data(dtype, given):
    p = problem("logistic", "dense", dtype)
    x0 = [1] * 30 if given == "list" else np.ones(30, given)
    res = minimize(p.objective, x0, batch_size=7, rng=0, options={"epochs": 1})
    assert (res.x.dtype, res.jac.dtype) == (dtype, dtype)
    assert np.array_equal(x0, np.ones(30))
