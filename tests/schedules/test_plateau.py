"""reduce_on_plateau: when it reduces the rate, and its state. What it shares is in test_schedules.py."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopt.schedules import constant, reduce_on_plateau, warmup


def rates_after(schedule, values):
    """The rate after each update."""
    rates = []
    for value in values:
        schedule.update(value)
        rates.append(schedule(0))
    return rates


@pytest.mark.parametrize(
    ("parameters", "values", "expected"),
    [
        (dict(patience=0), [5, 4, 4, 3, 3], [1, 1, 0.5, 0.5, 0.25]),
        (dict(patience=1), [5, 5, 5, 5, 5], [1, 1, 0.5, 0.5, 0.25]),
        (dict(patience=1), [5, 5, 4, 4, 4], [1, 1, 1, 1, 0.5]),
        (dict(patience=0, cooldown=2), [5, 5, 5, 5, 5], [1, 0.5, 0.5, 0.5, 0.25]),
        (dict(patience=0, min_lr=0.4), [5, 5, 5, 5], [1, 0.5, 0.4, 0.4]),
        (dict(patience=0, mode="max"), [5, 6, 6, 7], [1, 1, 0.5, 0.5]),
        (dict(patience=0, threshold=0.1), [100, 91, 89, 81], [1, 0.5, 0.5, 0.25]),
        (dict(patience=0, threshold=0.0), [5, np.nextafter(5, 0), 5], [1, 1, 0.5]),
        # A relative margin is one of the size of the best value, whatever its sign.
        (dict(patience=0, threshold=0.1), [-100, -105, -111], [1, 0.5, 0.5]),
        (dict(patience=0, threshold=0.1, mode="max"), [-100, -95, -89], [1, 0.5, 0.5]),
        # Values that are not finite count as no improvement, and do not spoil the best.
        (dict(patience=1), [math.nan, math.inf, 5, 4], [1, 0.5, 0.5, 0.5]),
        (dict(patience=0, threshold=0.0), [5, math.nan, 4, 4], [1, 0.5, 0.5, 0.25]),
    ],
)
def test_reduce_on_plateau(parameters, values, expected):
    assert rates_after(reduce_on_plateau(1.0, factor=0.5, **parameters), values) == expected


def test_reduce_on_plateau_state_decides_equality():
    schedule, other = reduce_on_plateau(1.0), reduce_on_plateau(1.0)
    schedule.update(3.0)
    assert schedule != other
    assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
    with pytest.raises(TypeError, match="unhashable"):
        hash(schedule)


@given(st.lists(st.floats(-10, 10)), st.lists(st.floats(-10, 10)), st.integers(0, 3), st.integers(0, 3))
def test_reduce_on_plateau_continues_from_its_state(before, after, patience, cooldown):
    schedule = reduce_on_plateau(1.0, 0.5, patience, cooldown=cooldown)
    rates_after(schedule, before)
    again = reduce_on_plateau(1.0, 0.5, patience, cooldown=cooldown)
    again.load_state_dict(schedule.state_dict())
    assert again == schedule
    assert rates_after(again, after) == rates_after(schedule, after)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rate": math.nan}, ValueError, "`rate` must be in [0, inf), got nan."),
        ({"best": "3"}, TypeError, "`best` must be a real number, got '3'."),
        ({"cooldown_left": -1}, ValueError, "`cooldown_left` must be a non-negative integer, got -1."),
        (
            {"extra": 1},
            ValueError,
            "`state` must have the keys ['rate', 'best', 'bad_updates', 'cooldown_left'], "
            "got ['rate', 'best', 'bad_updates', 'cooldown_left', 'extra'].",
        ),
    ],
)
def test_reduce_on_plateau_refuses_a_bad_state_as_a_whole(change, error, message):
    schedule = reduce_on_plateau(1.0)
    schedule.update(3.0)
    before = schedule.state_dict()
    with pytest.raises(error) as caught:
        schedule.load_state_dict({**before, "bad_updates": 5, **change})
    assert str(caught.value) == message
    assert schedule.state_dict() == before


def test_warmup_shares_the_state_of_its_schedule():
    schedule = warmup(reduce_on_plateau(1.0, factor=0.5, patience=0), 4)
    assert rates_after(schedule, [5, 5]) == [0.25, 0.125]
    again = warmup(reduce_on_plateau(1.0, factor=0.5, patience=0), 4)
    assert again != schedule
    again.load_state_dict(schedule.state_dict())
    assert again == pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
    assert not hasattr(warmup(constant(1.0), 4), "state_dict")
    with pytest.raises(AttributeError, match="'warmup' object has no attribute 'speed'"):
        _ = schedule.speed
