"""sparse="deferred" of several arrays: numbers of their own, numbers that are set, arrays without a gradient."""

import numpy as np
import pytest
import scipy.sparse
from cases import CASES, DTYPES, form_id, is_refused, own_numbers, skip_if_refused
from helpers import bits

import fastopt
from fastopt import RowSparse, schedules

DEFERRED = {"sparse": "deferred"}
SHAPES = {"table": (40, 3), "entries": (60,), "bias": (5,)}
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def start(rng, dtype="float64"):
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


def pair(cls, params, **keywords):
    """Two optimizers of equal parameters: exact steps are the oracle of deferred ones."""
    exact = cls({name: array.copy() for name, array in params.items()}, sparse="exact", **keywords)
    return exact, cls({name: array.copy() for name, array in params.items()}, sparse="deferred", **keywords)


def gradients(rng, dtype="float64"):
    """Of few rows of the table and of the entries; the biases have all of theirs."""
    rows, entries = rng.integers(0, 40, 2), rng.integers(0, 60, 3)
    return {
        "table": RowSparse(rows, rng.standard_normal((2, 3)).astype(dtype)),
        "entries": RowSparse(entries, rng.standard_normal(3).astype(dtype)),
        "bias": rng.standard_normal(5).astype(dtype),
    }


def step(optimizers, grads):
    for each in optimizers:
        each.step(grads)


def assert_alike(exact, opt):
    """Parameters and state of a deferred optimizer are those of the exact one, to rounding."""
    opt.catch_up()
    pairs = [(exact.params, opt.params), *((exact.state[slot], array) for slot, array in opt.state.items())]
    for expected, actual in pairs:
        for name in expected:
            bound = TOLERANCE[expected[name].dtype.name] * max(np.abs(expected[name]).max(), 1e-30)
            np.testing.assert_allclose(actual[name], expected[name], rtol=0, atol=bound, err_msg=name)


def deferrable_numbers(cls, keywords):
    """Numbers that an array may have for itself, or get between steps, with deferred steps."""
    numbers = own_numbers(cls, keywords)
    return {name: each for name, each in numbers.items() if not is_refused(cls, keywords | DEFERRED | {name: each})}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_rows_make_up_for_steps_with_the_numbers_of_their_array(case, dtype, rng):
    cls, keywords = case
    skip_if_refused(cls, keywords | DEFERRED)
    own = deferrable_numbers(cls, keywords) | {"learning_rate": schedules.exponential_decay(0.01, 50, 0.5)}
    exact, opt = pair(cls, start(rng, dtype), groups={"table": own, "bias": {"learning_rate": 0.1}}, **keywords)
    for t in range(200):
        step((exact, opt), gradients(rng, dtype))
        if t == 100:
            opt.catch_up({"table": np.arange(0, 40, 3)})
    assert_alike(exact, opt)


@pytest.mark.parametrize("of_array", [False, True], ids=["all arrays", "one array"])
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_numbers_set_between_steps(case, of_array, rng):
    """A missed step is made up for with the numbers that it had; setting them brings no row up to date."""
    cls, keywords = case
    skip_if_refused(cls, keywords | DEFERRED)
    exact, opt = pair(cls, start(rng), **keywords)
    for name, value in [*deferrable_numbers(cls, keywords).items(), ("learning_rate", 0.02), ("weight_decay", 0.0)]:
        for _ in range(20):
            step((exact, opt), gradients(rng))
        behind = opt._rows_behind
        if not cls._declared[name].initial:
            for each in (exact, opt):
                setattr(each.groups["table"] if of_array else each, name, value)
        assert opt._rows_behind == behind
    for _ in range(20):
        step((exact, opt), gradients(rng))
    assert_alike(exact, opt)


def test_decay_that_is_switched_off_and_on(rng):
    """Without decay zeros change nothing, but rows still owe steps with it; gradients may come as parts of rows."""
    start = rng.standard_normal((30, 4))
    dense, param = start.copy(), start.copy()
    exact = fastopt.SGD(dense, 0.1, weight_decay=0.1, sparse="exact")
    opt = fastopt.SGD(param, 0.1, weight_decay=0.1, sparse="deferred")
    for decay in (0.1, 0.0, 0.2, 0.0):
        exact.weight_decay = opt.weight_decay = decay
        for _ in range(10):
            place = rng.integers(0, 30, 3), rng.integers(0, 4, 3)
            grad = scipy.sparse.coo_array((rng.standard_normal(3), place), shape=(30, 4))
            exact.step(grad)
            opt.step(grad)
    assert opt._rows_behind > 0
    opt.catch_up()
    np.testing.assert_allclose(param, dense, rtol=1e-12)


def test_numbers_that_deferred_steps_cannot_have_are_refused_when_they_are_set(rng):
    _, opt = pair(fastopt.Adam, start(rng))
    step([opt], gradients(rng))
    for target in (opt, opt.groups["table"]):
        with pytest.raises(ValueError, match="must be decoupled for Adam"):
            target.weight_decay = 0.1
    with pytest.raises(ValueError, match="must be decoupled for Adam"):
        pair(fastopt.Adam, start(rng), groups={"table": {"weight_decay": 0.1}})


@pytest.mark.parametrize("gradient", ["None", "missing"])
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_a_step_without_a_gradient_is_not_made_up_for(case, gradient, rng):
    """Rows of the array are left alone in it, those that are behind, too; others go on."""
    cls, keywords = case
    skip_if_refused(cls, keywords | DEFERRED)
    decay = {"weight_decay": 0.05, "decoupled_weight_decay": True}
    if not is_refused(cls, keywords | DEFERRED | decay):
        keywords = keywords | decay
    exact, opt = pair(cls, start(rng), learning_rate=schedules.exponential_decay(0.01, 50, 0.5), **keywords)
    for t in range(150):
        grads = gradients(rng)
        for name in ("table", "entries", "bias")[t % 4 : t % 4 + t % 3]:
            if gradient == "None":
                grads[name] = None
            else:
                del grads[name]
        before = opt._rows_behind
        step((exact, opt), grads)
        if not {"table", "entries"} & {name for name, each in grads.items() if each is not None}:
            assert opt._rows_behind == before
    assert_alike(exact, opt)


def test_a_table_that_is_left_out_longer_than_others_rest(rng):
    """Its rows catch up with the few steps that they have missed, and no others, whatever the counter of steps says."""
    exact, opt = pair(fastopt.AdamW, start(rng), learning_rate=0.01)
    for t in range(9000):
        grads = gradients(rng)
        if 20 < t < 8990:
            grads["table"] = None
        step((exact, opt), grads)
    assert_alike(exact, opt)


def test_a_small_table_does_not_make_a_large_one_catch_up(rng):
    params = {"small": np.zeros((8, 2)), "large": np.zeros(700_000)}
    opt = fastopt.SGD(params, momentum=0.9, sparse="deferred")
    for t in range(4200):
        opt.step({"small": RowSparse([t % 3], np.ones((1, 2))), "large": RowSparse([t], np.ones(1))})
    small, large = opt._last_steps
    assert small.min() > 4000 and np.count_nonzero(large == 0) == 700_000 - 4200


def test_what_is_saved_goes_on_with_the_same_bits(rng, tmp_path):
    """Counters of an array without gradients are behind those of others; what is saved needs none of them."""
    _, opt = pair(fastopt.Adam, start(rng), groups={"table": {"learning_rate": 0.1}})
    for t in range(60):
        step([opt], gradients(rng) | ({"table": None} if t % 2 else {}))
    fastopt.save(tmp_path / "run.npz", opt)
    _, other = pair(fastopt.Adam, start(rng))
    step([other], gradients(rng))
    fastopt.load(tmp_path / "run.npz", other)
    for _ in range(30):
        step((opt, other), gradients(rng))
    assert bits(opt) == bits(other)
