"""Forms of samples, labels and weights that users have, and that are as good as the usual ones."""

import finite_sums
import numpy as np
import pytest
import scipy.sparse
from finite_sums import (
    DTYPES,
    LAYOUTS,
    LOSSES,
    as_layout,
    evaluation_bits,
    make_data,
    make_objective,
    make_parameters,
    make_weights,
)
from objectives import outcome

from fastopt import minimize, objectives
from fastopt.schedules import cosine_decay

N, D = 60, 7
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
RATE = 0.05


def run(objective, method, **keywords):
    """A short run from zero."""
    options = {"learning_rate": RATE, "epochs": 3} | keywords.pop("options", {})
    return minimize(
        objective, np.zeros(objective.n_parameters), method=method, rng=0, options=options, **keywords
    )  # fmt: skip


# --- samples ---------------------------------------------------------------------------------------------


@EVERY_DTYPE
@EVERY_LOSS
def test_rows_backwards(loss, dtype):
    """They are used in place, and give what a copy of them gives."""
    case = LOSSES[loss]
    X, y = make_data(loss, N, D, dtype, "dense", seed=3)
    wide = np.repeat(X, 2, axis=0)
    x = make_parameters(case, D, dtype, True, seed=3)
    for backwards in (X[::-1], wide[::-2]):
        keywords = {"fit_intercept": True, "sample_weight": make_weights(N, 3), "l2": 0.1}
        own = make_objective(case, backwards, y, **keywords)
        copied = make_objective(case, backwards.copy(), y, **keywords)
        assert np.shares_memory(own.X, backwards)
        for idx in (None, [0, N - 1, 7, 7]):
            assert evaluation_bits(own, x, idx) == evaluation_bits(copied, x, idx)
        assert own.max_smoothness == copied.max_smoothness
        np.testing.assert_allclose(own.decision_function(x), copied.decision_function(x), rtol=1e-5)
        for method, batch_size in (("sgd", 1), ("adam", 8), ("saga", None), ("svrg", None)):
            outcomes = [outcome(run(each, method, batch_size=batch_size)) for each in (own, copied)]
            assert outcomes[0] == outcomes[1]


def test_what_is_wrong_in_the_last_of_rows_backwards_is_found():
    X, y = make_data("logistic", N, D, "float64", "dense", seed=3)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"^`X` must be finite"):
        make_objective(LOSSES["logistic"], X[::-1], y)


@EVERY_DTYPE
@pytest.mark.parametrize("indices, indptr", [(np.int32, np.int64), (np.int64, np.int32)], ids=["short", "long"])
@pytest.mark.parametrize("order", ["sorted", "unsorted"])
def test_row_pointers_of_another_dtype(order, indices, indptr, dtype):
    """As where one part of a program made the indices and another one counted them."""
    X, y = make_data("logistic", N, D, dtype, "csr32", seed=4)
    if order == "unsorted":
        for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            X.indices[start:stop], X.data[start:stop] = X.indices[start:stop][::-1], X.data[start:stop][::-1].copy()
    mixed = X.copy()
    mixed.indices, mixed.indptr = X.indices.astype(indices), X.indptr.astype(indptr)
    before = [mixed.indices, mixed.indptr, mixed.data]
    case = LOSSES["logistic"]
    own, plain = make_objective(case, mixed, y), make_objective(case, X, y)
    x = make_parameters(case, D, dtype, False, seed=4)
    assert evaluation_bits(own, x, [3, 1]) == evaluation_bits(plain, x, [3, 1])
    assert outcome(run(own, "adam", batch_size=5)) == outcome(run(plain, "adam", batch_size=5))
    assert own.X.indices.dtype == own.X.indptr.dtype == indices
    if order == "sorted":  # the longest arrays are those of the caller
        assert np.shares_memory(own.X.data, mixed.data) and np.shares_memory(own.X.indices, mixed.indices)
    assert all(each is own for each, own in zip(before, [mixed.indices, mixed.indptr, mixed.data], strict=True))


# --- labels ----------------------------------------------------------------------------------------------


@EVERY_LOSS
def test_labels_in_a_column(loss):
    case = LOSSES[loss]
    X, y = make_data(loss, N, D, "float64", "dense", seed=5)
    x = make_parameters(case, D, "float64", False, seed=5)
    expected = evaluation_bits(make_objective(case, X, y), x)
    for column in (y[:, None], y[:, None].tolist(), scipy.sparse.csr_array(y[:, None]).toarray()):
        assert evaluation_bits(make_objective(case, X, column), x) == expected


# --- weights of zero -------------------------------------------------------------------------------------


def weighted(loss, dtype, layout, **keywords):
    """An objective in which a third of the weights are zero, and one without these samples."""
    case = LOSSES[loss]
    X, y = make_data(loss, N, D, dtype, layout, seed=6)
    weight = make_weights(N, 6)
    weight[1::3] = 0.0
    kept = np.flatnonzero(weight)
    labels = {**case.keywords, "n_classes": case.n_outputs} if case.n_outputs > 1 else case.keywords
    cls = getattr(objectives, case.class_name)
    return (
        cls(X, y, sample_weight=weight, **labels, **keywords),
        cls(X[kept], y[kept], sample_weight=weight[kept], **labels, **keywords),
        kept,
    )


@EVERY_DTYPE
@pytest.mark.parametrize("layout", LAYOUTS)
@EVERY_LOSS
def test_samples_of_weight_zero_are_left_out(loss, layout, dtype):
    """The mean over all is that over the others; over a batch, weights are still relative to the mean of all."""
    zeros, others, kept = weighted(loss, dtype, layout, fit_intercept=True, l2=0.01)
    x = make_parameters(LOSSES[loss], D, dtype, True, seed=6)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    assert zeros(x) == pytest.approx(others(x), rel=tolerance)
    np.testing.assert_allclose(zeros.gradient(x), others.gradient(x), rtol=tolerance, atol=tolerance)
    assert zeros.max_smoothness == pytest.approx(
        0.01 + (others.max_smoothness - 0.01) * N / len(kept), rel=tolerance
    ) or np.isinf(zeros.max_smoothness)  # fmt: skip
    case, y = LOSSES[loss], make_data(loss, N, D, dtype, layout, seed=6)[1]
    weight = make_weights(N, 6)
    weight[1::3] = 0.0
    idx = [1, 4, 0, 2, 2]
    value, gradient = finite_sums.reference(
        case, zeros.X, y, x, l2=0.01, fit_intercept=True, sample_weight=weight, idx=idx
    )
    assert zeros(x, idx) == pytest.approx(value, rel=tolerance)
    np.testing.assert_allclose(zeros.gradient(x, idx), gradient, rtol=tolerance, atol=tolerance)
    assert zeros(x, [1, 4]) == pytest.approx(zeros._penalty(x), rel=tolerance)  # no loss is left in it


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("loss", ["least_squares", "logistic", "poisson", "softmax"])
@pytest.mark.parametrize(
    "method, batch_size, options",
    [
        ("saga", None, {}),
        ("svrg", None, {}),
        ("sgd", 1, {}),
        ("adagrad", 8, {}),
        ("adagrad", 8, {"parallel": "hogwild"}),  # one number per parameter: see Hogwild in docs/objectives.md
    ],
    ids=["SAGA", "SVRG", "single samples", "batches", "without locks"],
)
def test_runs_with_weights_of_zero_end_at_the_minimum_of_the_others(method, batch_size, options, loss, layout):
    zeros, others, _ = weighted(loss, "float64", layout, l2=0.5)
    best = minimize(others, np.zeros(others.n_parameters), method="svrg", rng=0, options={"epochs": 400} | (
        {"learning_rate": RATE} if loss == "poisson" else {})).x  # fmt: skip
    assert np.abs(others.gradient(best)).max() < 1e-8
    rate = 0.02 if method in ("saga", "svrg", "sgd") else 0.1
    if batch_size is not None:  # at a constant rate noise would stay, without locks another one in each run
        rate = cosine_decay(rate, 200 * -(-N // batch_size))
    res = run(zeros, method, batch_size=batch_size, options={"epochs": 200, "learning_rate": rate} | options)
    assert np.isfinite(res.x).all()
    assert zeros(res.x) - zeros(best) < (1e-9 if method in ("saga", "svrg") else 0.005)


@pytest.mark.parametrize("method", ["adam", "rmsprop"])
def test_lock_free_threads_add_the_penalty_of_missed_steps_once(method):
    """Each of two threads that had a column at the same time added it: 0.004 to 0.007 from the minimum."""
    penalised = weighted("softmax", "float64", "csr32", l2=0.5)[0]
    best = run(penalised, "svrg", options={"epochs": 400}).x
    options = {"epochs": 200, "learning_rate": cosine_decay(0.1, 200 * -(-N // 8)), "parallel": "hogwild"}
    res = run(penalised, method, batch_size=8, options=options | {"num_threads": 2})
    assert penalised(res.x) - penalised(best) < 0.001


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("l1", [0.0, 0.01])
def test_closed_forms_with_weights_of_zero(l1, layout):
    """FTRL and SGD bring columns up to date in closed form; what a sample of weight 0 touches is decayed like all."""
    for method in ("sgd", "ftrl"):
        zeros, others, _ = weighted("logistic", "float64", layout, l1=l1)
        both = [
            run(each, method, batch_size=each.n_samples, options={"epochs": 30, "learning_rate": 0.5}).x
            for each in (zeros, others)
        ]
        np.testing.assert_allclose(*both, rtol=1e-10, atol=1e-12)


@EVERY_DTYPE
@pytest.mark.parametrize("layout", LAYOUTS)
@EVERY_LOSS
def test_loss_that_overflows_in_a_sample_of_weight_zero(loss, layout, dtype):
    """It is left out: infinity times zero must not be NaN."""
    case = LOSSES[loss]
    X, y = make_data(loss, N, D, dtype, "dense", seed=7)
    X[5], X[6] = 1e30, -1e30
    weight = make_weights(N, 7)
    weight[5:7] = 0.0
    objective = make_objective(case, as_layout(X, layout), y, sample_weight=weight)
    x = make_parameters(case, D, dtype, False, seed=7) * np.array(1e10, dtype)
    x = np.where(np.arange(x.size) < case.n_outputs, x + np.array(1e10, dtype), np.array(0, dtype))
    for each in (None, [5], [6, 5]):
        if each is None and case.class_name in ("Poisson", "Gamma", "Tweedie"):
            continue  # the other samples overflow, too
        value, gradient = objective.value_and_gradient(x, each)
        assert np.isfinite(value) and np.isfinite(gradient).all()
