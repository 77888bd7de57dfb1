"""Epochs of built-in objectives with state in fewer bits: steps like any other, and what is refused."""

import numpy as np
import pytest
import scipy.sparse
from helpers import exactly

from fastopt import minimize
from fastopt.objectives import Logistic


def problem(sparse, **penalties):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 40)).astype(np.float32)
    X[rng.random(X.shape) < 0.8] = 0
    y = (X @ rng.standard_normal(40) > 0).astype(np.float32)
    return Logistic(scipy.sparse.csr_array(X) if sparse else X, y, **penalties)


def run(objective, method, **options):
    options = {"epochs": 20, "learning_rate": 0.05, **options}
    x0 = np.zeros(objective.n_parameters, np.float32)
    return minimize(objective, x0, method=method, batch_size=16, rng=0, options=options)


@pytest.mark.parametrize(
    ("method", "sparse", "state_dtype", "penalties", "options"),
    [
        ("adam", False, "bfloat16", {}, {}),
        ("adam", False, "log8", {"l2": 1e-3}, {}),
        ("adam", True, "bfloat16", {"l1": 1e-3, "l2": 1e-3}, {}),
        ("adam", True, "log8", {}, {"sparse": "exact"}),
        ("adagrad", True, "bfloat16", {}, {}),
        ("sgd", True, "bfloat16", {"l2": 1e-3}, {"momentum": 0.9}),
        ("rmsprop", True, "bfloat16", {"l1": 1e-3, "l2": 1e-3}, {}),
        ("rmsprop", False, "log8", {"l1": 1e-3}, {"momentum": 0.5}),
        ("prodigy", True, "log8", {}, {"learning_rate": 1.0}),
    ],
)
def test_epochs_come_as_far(method, sparse, state_dtype, penalties, options):
    objective = problem(sparse, **penalties)
    whole, reduced = [run(objective, method, state_dtype=each, **options) for each in (None, state_dtype)]
    assert reduced.optimizer.state_dtype == state_dtype
    assert reduced.fun < 1.05 * whole.fun and not np.array_equal(reduced.x, whole.x)


@pytest.mark.parametrize("num_threads", [2, 3])
def test_the_same_bits_on_any_number_of_threads(num_threads):
    objective = problem(True, l2=1e-3)
    runs = [run(objective, "adam", state_dtype="bfloat16", num_threads=n) for n in (1, num_threads)]
    assert np.array_equal(runs[0].x, runs[1].x)


@pytest.mark.parametrize(
    ("method", "state_dtype", "penalties", "options", "owner", "why"),
    [
        ("adam", "bfloat16", {}, {"parallel": "hogwild"}, "Adam", "with lock-free threads, which do not share codes"),
        ("adagrad", "bfloat16", {"l2": 1e-3}, {}, "Adagrad", "with penalties, which depend on its accumulator"),
        ("adam", "log8", {}, {}, "Adam", "of CSR samples, whose columns come in no order"),
    ],
)
def test_what_is_refused(method, state_dtype, penalties, options, owner, why):
    message = (
        f"`state_dtype` must be None for {owner} over a built-in objective {why}, got {state_dtype!r}; "
        "leave the option out."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        run(problem(True, **penalties), method, state_dtype=state_dtype, **options)
