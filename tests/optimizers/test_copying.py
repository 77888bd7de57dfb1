"""Pickle, deepcopy and copy: the same bits go on.

A deep copy and a pickle have parameters of their own. A shallow copy shares what the original refers to, as
shallow copies do: the parameters and the schedule; the state, which belongs to the optimizer, is its own.
"""

import copy
import pickle

import numpy as np
import pytest
from cases import CASES, DTYPES, form_id
from helpers import bits, flat

import fastopt
from fastopt import schedules

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
COPIES = {"deepcopy": copy.deepcopy} | {
    f"pickle {protocol}": lambda opt, protocol=protocol: pickle.loads(pickle.dumps(opt, protocol))
    for protocol in PROTOCOLS
}
NEWEST = f"pickle {PROTOCOLS[-1]}"
SHAPES = {"w": (3, 7), "b": (), "none": (0,)}


def draw(rng, dtype):
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def share_memory(opt, other):
    arrays = [
        [*flat(each.params), *(array for slot in each.state.values() for array in flat(slot))] for each in (opt, other)
    ]
    return any(np.shares_memory(a, b) for a in arrays[0] for b in arrays[1])


# The older protocols differ in what NumPy and pickle write; the optimizer gives them the same.
@pytest.mark.parametrize(
    "case, dtype, how",
    [
        *((case, dtype, how) for case in CASES for dtype in DTYPES for how in ("deepcopy", NEWEST)),
        *(((fastopt.Adam, {}), dtype, how) for dtype in DTYPES for how in COPIES if how not in ("deepcopy", NEWEST)),
    ],
    ids=form_id,
)
def test_copy_goes_on_with_the_same_bits(case, dtype, how, rng):
    cls, keywords = case
    opt = cls(draw(rng, dtype), 0.02, weight_decay=0.1, clip_norm=2.0, num_threads=2, **keywords)
    for _ in range(3):
        opt.step(draw(rng, dtype))
    other = COPIES[how](opt)
    assert type(other) is cls and other._values == opt._values and repr(other) == repr(opt)
    assert bits(other) == bits(opt) and not share_memory(opt, other)
    for _ in range(3):
        grad = draw(rng, dtype)
        opt.step(grad)
        other.step(grad)
    assert bits(other) == bits(opt) and other.step_count == 6


@pytest.mark.parametrize("entry", [np.nan, -np.inf], ids=str)
@pytest.mark.parametrize("how", ["deepcopy", NEWEST])
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_copy_after_a_gradient_that_is_not_finite(case, how, entry, rng):
    """Which the policy "propagate" takes: sums of it, and state, are what the formulas make of it, in copies, too."""
    cls, keywords = case
    opt = cls(draw(rng, "float64"), 0.02, nonfinite="propagate", **keywords)
    grad = draw(rng, "float64")
    opt.step(grad)
    grad["w"][1, 2] = entry
    opt.step(grad)
    assert bits(COPIES[how](opt)) == bits(opt)


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_shallow_copy_shares_parameters_but_not_state(case, rng):
    cls, keywords = case
    param, grads = rng.standard_normal(9), rng.standard_normal((2, 9))
    opt = cls(param, **keywords)
    opt.step(grads[0])
    after_one = param.copy()
    other = copy.copy(opt)
    assert other.params is param and bits(other) == bits(opt)
    other.step(grads[1])
    expected = bits(other)
    assert (opt.step_count, other.step_count) == (1, 2)
    param[...] = after_one
    opt.step(grads[1])
    assert bits(opt) == expected


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "params", [np.ones(3), [np.ones(3), np.ones(2)], {"w": np.ones(3)}], ids=["array", "list", "dict"]
)
def test_structure_and_identity(params, how):
    """An optimizer copied along with its parameters is bound to the copies."""
    opt = fastopt.Adam(params)
    both = COPIES[how]({"model": flat(params), "optimizer": opt})
    other = both["optimizer"]
    assert type(other.params) is type(params)
    assert all(own is model for own, model in zip(flat(other.params), both["model"], strict=True))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "schedule",
    [schedules.exponential_decay(0.1, 10, 0.5), schedules.warmup(schedules.reduce_on_plateau(0.1, patience=0), 3)],
    ids=["without state", "with state"],
)
def test_schedules_are_copied(schedule, how):
    opt = fastopt.Rprop(np.ones(4), schedule, nonfinite="skip")
    opt.step(np.ones(4))
    opt.step(np.full(4, np.nan))
    if hasattr(schedule, "update"):
        for loss in (1.0, 1.0):
            schedule.update(loss)
    other = COPIES[how](opt)
    assert other.learning_rate == schedule and other.learning_rate is not schedule
    assert (other.step_count, other.skipped_steps) == (1, 1)
    assert copy.copy(opt).learning_rate is schedule


@pytest.mark.parametrize("how", [*COPIES, "copy"])
def test_carried_product_of_nadam_is_copied(how):
    opt = fastopt.NAdam(np.ones(3))
    for _ in range(4):
        opt.step(np.ones(3))
    other = (COPIES | {"copy": copy.copy})[how](opt)
    assert other.state_dict()["carry"] == opt.state_dict()["carry"] != fastopt.NAdam(np.ones(3)).state_dict()["carry"]


def test_schedule_that_cannot_be_pickled():
    opt = fastopt.Adam(np.ones(3), lambda t: 0.1)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(opt)
    assert copy.deepcopy(opt).learning_rate is opt.learning_rate


def test_pickle_with_buffers_out_of_band(rng):
    """Protocol 5 hands the arrays over without copying them into the stream."""
    opt = fastopt.Adam(rng.standard_normal(10_000))
    opt.step(rng.standard_normal(10_000))
    buffers = []
    stream = pickle.dumps(opt, 5, buffer_callback=buffers.append)
    assert len(stream) < 2_000
    other = pickle.loads(stream, buffers=[bytearray(buffer.raw()) for buffer in buffers])
    assert bits(other) == bits(opt)


def test_pickle_is_all_or_nothing():
    """A stream that does not fit gives an exception, not half an optimizer."""
    rebuild, arguments, state = fastopt.Adam(np.ones(3)).__reduce__()
    opt = rebuild(*arguments)
    before = bits(opt)
    with pytest.raises(ValueError, match="must be a list of 1 arrays"):
        opt.__setstate__(state | {"state": {"m": [], "v": []}})
    assert bits(opt) == before
