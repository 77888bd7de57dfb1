"""A sparse step of a huge parameter takes memory for the gradient alone; checkpoints of counters outstanding."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from cases import CASES, form_id
from helpers import bits, refused

import fastopt
from fastopt import RowSparse

N = 10**8
# Of a step with few entries: names, bound methods, and a table of what was seen; not a byte per parameter.
MOST_BYTES = 100_000


def peak_of_step(opt, grad):
    """Most bytes allocated at a time during a step, by NumPy and Python."""
    tracemalloc.start()
    opt.step(grad)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def vector(index, values):
    return scipy.sparse.coo_array((values, (index,)), shape=(N,))


def row(index, values):
    return scipy.sparse.csr_array((values, index, [0, len(index)]), shape=(1, N))


@pytest.mark.parametrize("make", [RowSparse, vector, row], ids=lambda each: each.__name__)
@pytest.mark.parametrize("cls", [fastopt.SGD, fastopt.Adam])
def test_step_of_a_huge_parameter(cls, make, rng):
    """Zeros of the operating system stay untouched, pages of the ten entries excepted."""
    param = np.zeros(N, np.float32)
    opt = cls(param, learning_rate=0.5)
    index = rng.integers(0, N, 10)
    index[-2:] = N - 1, index[0]
    grad = make(index, np.ones(10, np.float32))
    assert peak_of_step(opt, grad) < MOST_BYTES
    assert peak_of_step(opt, grad) < MOST_BYTES
    assert (param[index] < 0).all() and opt.step_count == 2


def test_rows_of_a_huge_matrix():
    """Exact where a zero gradient changes nothing: no pass over the whole either."""
    table = np.zeros((N // 100, 100), np.float32)
    opt = fastopt.SGD(table, learning_rate=1.0, sparse="exact")
    grad = RowSparse(np.array([N // 100 - 1, 0, 17, 0], np.int32), np.ones((4, 100), np.float32))
    assert peak_of_step(opt, grad) < MOST_BYTES
    assert table[[0, 17, -1], 99].tolist() == [-2, -1, -1] and not table[1].any()


def test_scratch_memory_is_kept(rng):
    """Later steps of the same size allocate next to nothing."""
    opt = fastopt.Adam(np.zeros((10**6, 4), np.float32))
    grad = RowSparse(rng.integers(0, 10**6, 20_000), np.ones((20_000, 4), np.float32))
    assert peak_of_step(opt, grad) < 50 * 20_000 * 8
    assert peak_of_step(opt, grad) < MOST_BYTES


def test_exact_step_without_momentum_is_proportional_to_the_gradient(rng):
    """After the counters have been made once."""
    opt = fastopt.RMSprop(np.zeros((10**6, 4), np.float32), sparse="exact")
    grad = RowSparse(rng.integers(0, 10**6, 10), np.ones((10, 4), np.float32))
    assert 8 * 10**6 <= peak_of_step(opt, grad) < 8 * 10**6 + MOST_BYTES
    assert peak_of_step(opt, grad) < MOST_BYTES


def through_state_dict(opt):
    values = {name: value for name, value in opt._values.items() if name != "sparse"}
    other = type(opt)([param.copy() for param in opt.params], **values)
    other.load_state_dict(pickle.loads(pickle.dumps(opt.state_dict())))
    return other


COPIES = {
    "pickle": lambda opt: pickle.loads(pickle.dumps(opt)),
    "deepcopy": copy.deepcopy,
    "state_dict": through_state_dict,
}


def gradients(rng, step):
    """For a matrix and a vector; the third is dense, and rows that were left out before come back later."""
    if step == 3:
        return [rng.standard_normal((30, 4)), rng.standard_normal(50)]
    return [
        RowSparse(rng.integers(0, 30, 8), rng.standard_normal((8, 4))),
        RowSparse(rng.integers(0, 50, 9).astype(np.int32), rng.standard_normal(9)),
    ]


@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_copies_go_on_with_the_same_bits(case, way, mode, rng):
    """With rows whose state is not up to date, which nobody has looked at; copies are made at several times."""
    cls, keywords = case
    grads = [gradients(rng, step) for step in range(6)]
    start = [rng.standard_normal((30, 4)), rng.standard_normal(50)]
    whole = cls([each.copy() for each in start], sparse=mode, **keywords)
    for grad in grads:
        whole.step(grad)
    for at in (0, 1, 2, 4):
        opt = cls([each.copy() for each in start], sparse=mode, **keywords)
        for grad in grads[:at]:
            opt.step(grad)
        other = COPIES[way](opt)
        assert all(
            not np.shares_memory(a, b) for a, b in zip(opt._last_steps, other._last_steps, strict=True) if a is not None
        )
        for grad in grads[at:]:
            opt.step(grad)
            other.step(grad)
        assert bits(other) == bits(opt) == bits(whole)


def test_counters_are_saved_as_they_are():
    """The saved state goes with the saved counters; neither is brought up to date by saving."""
    opt = fastopt.RMSprop(np.zeros((4, 2)), sparse="exact")
    assert opt.state_dict()["last_steps"] == [None]
    for row_of_step in (2, 0, 2):
        opt.step(RowSparse([row_of_step], np.ones((1, 2))))
    saved = opt.state_dict()
    assert saved["last_steps"][0].tolist() == [2, 0, 3, 0]
    np.testing.assert_allclose(saved["state"]["mean_square"][0][0], 0.1)
    np.testing.assert_allclose(opt.state["mean_square"][0], 0.09)
    assert opt.state_dict()["last_steps"][0].tolist() == [3, 3, 3, 3]
    opt.step(np.ones((4, 2)))
    assert opt.state_dict()["last_steps"] == [None]
    opt.load_state_dict(saved)
    assert opt.step_count == 3
    np.testing.assert_allclose(opt.state["mean_square"][0], 0.09)


MISFITS = {
    "no list": None,
    "too few parameters": [None],
    "a list": [[0] * 5, None],
    "too few rows": [np.zeros(4, np.int64), None],
    "another shape": [np.zeros((5, 1), np.int64), None],
    "another dtype": [np.zeros(5, np.int32), None],
    "below zero": [np.array([0, 0, 0, 0, -1]), None],
    "a step to come": [np.array([2, 0, 0, 0, 0]), None],
}


@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("misfit", MISFITS)
def test_counters_that_do_not_fit(misfit, mode):
    opt = fastopt.RMSprop([np.ones((5, 2)), np.ones(3)], sparse=mode)
    opt.step([RowSparse([1], np.ones((1, 2))), np.ones(3)])
    saved = opt.state_dict() | {"last_steps": MISFITS[misfit]}
    message = (
        r"^`state_dict\['last_steps'\]` must be a list of 2 items, each None or an int64 array of steps up to 1 for "
        r"the \[5, 3\] rows of the parameters, got "
    )
    with refused(opt, ValueError, message):
        opt.load_state_dict(saved)
