"""Learning-rate schedules: their values against the formulas, and what all of them have in common."""

import copy
import doctest
import inspect
import math
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopt import schedules
from fastopt.schedules import (
    constant,
    cosine_decay,
    exponential_decay,
    inverse_time_decay,
    one_cycle,
    piecewise_constant,
    polynomial_decay,
    reduce_on_plateau,
    step_decay,
    warmup,
)


def cycle(t, peak, total, up, first, last, anneal):
    """one_cycle by interpolation between its three corners."""
    corners = [0, up * (total - 1), total - 1]
    rates = [peak / first, peak, peak / last]
    if anneal == "linear":
        return np.interp(t, corners, rates)
    i = 0 if t < corners[1] else 1
    s = min(1, (t - corners[i]) / (corners[i + 1] - corners[i]))
    return (rates[i] + rates[i + 1]) / 2 + (rates[i] - rates[i + 1]) / 2 * math.cos(math.pi * s)


# A schedule, the same with its parameters spelled differently, another one, and the formula.
CASES = [
    (constant(0.1), constant(np.float64(0.1)), constant(0.2), lambda t: 0.1),
    (
        step_decay(0.1, 30, 0.5),
        step_decay(0.1, np.int64(30), 0.5),
        step_decay(0.1, 30, 0.4),
        lambda t: 0.1 * 0.5 ** math.floor(t / 30),
    ),
    (
        exponential_decay(0.1, 30, 0.5),
        exponential_decay(0.1, 30, 0.5, False),
        exponential_decay(0.1, 31, 0.5),
        lambda t: 0.1 * math.exp(math.log(0.5) * t / 30),
    ),
    (
        exponential_decay(0.1, 30, 0.5, staircase=True),
        exponential_decay(0.1, 30, 0.5, True),
        exponential_decay(0.1, 30, 0.5),
        lambda t: 0.1 * math.exp(math.log(0.5) * math.floor(t / 30)),
    ),
    (
        inverse_time_decay(0.1, 30, 2.0),
        inverse_time_decay(0.1, 30, 2),
        inverse_time_decay(0.1, 30, 1),
        lambda t: 3 / (30 + 2 * t),
    ),
    (
        polynomial_decay(0.1, 80, 0.01),
        polynomial_decay(0.1, 80, 0.01, 1),
        polynomial_decay(0.1, 80, 0.02),
        lambda t: np.interp(t, [0, 80], [0.1, 0.01]),
    ),
    (
        polynomial_decay(0.1, 80, 0.01, 2.5),
        polynomial_decay(0.1, 80, 0.01, power=2.5),
        polynomial_decay(0.1, 80, 0.01),
        lambda t: 0.01 + 0.09 * max(0, 1 - t / 80) ** 2.5,
    ),
    (
        cosine_decay(0.1, 80),
        cosine_decay(0.1, 80, alpha=0),
        cosine_decay(0.1, 80, 0.1),
        lambda t: 0.1 * math.cos(math.pi / 2 * min(t, 80) / 80) ** 2,
    ),
    (
        cosine_decay(0.1, 80, 0.25),
        cosine_decay(0.1, 80, alpha=0.25),
        cosine_decay(0.1, 80),
        lambda t: 0.025 + 0.075 * math.cos(math.pi / 2 * min(t, 80) / 80) ** 2,
    ),
    (
        piecewise_constant([10, 90], [0.3, 0.2, 0.1]),
        piecewise_constant(np.array([10, 90]), (0.3, 0.2, 0.1)),
        piecewise_constant([11, 90], [0.3, 0.2, 0.1]),
        lambda t: 0.3 if t <= 10 else 0.2 if t <= 90 else 0.1,
    ),
    (warmup(0.1, 20), warmup(constant(0.1), 20), warmup(0.1, 21), lambda t: 0.1 * min(1, (t + 1) / 20)),
    (
        warmup(inverse_time_decay(0.1, 30, 2.0), 20),
        warmup(inverse_time_decay(0.1, 30, 2), np.int32(20)),
        warmup(inverse_time_decay(0.1, 30, 2.5), 20),
        lambda t: 0.1 * (t + 1) / 20 if t < 20 else 3 / (30 + 2 * (t - 20)),
    ),
    (
        one_cycle(0.1, 101),
        one_cycle(0.1, 101, 0.3, 25, 25e4),
        one_cycle(0.1, 102),
        lambda t: cycle(t, 0.1, 101, 0.3, 25, 25e4, "cosine"),
    ),
    (
        one_cycle(0.1, 100, 0.37, 10, 100, "linear"),
        one_cycle(0.1, 100, 0.37, 10, 100, anneal="linear"),
        one_cycle(0.1, 100, 0.37, 10, 100),
        lambda t: cycle(t, 0.1, 100, 0.37, 10, 100, "linear"),
    ),
    (reduce_on_plateau(0.1), reduce_on_plateau(0.1, 0.1, 10, 1e-4, 0, 0, "min"), reduce_on_plateau(0.2), lambda t: 0.1),
]
SCHEDULES = [case[0] for case in CASES]
every_case = pytest.mark.parametrize(("schedule", "same", "different", "formula"), CASES, ids=repr)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def test_every_public_schedule_has_a_case():
    assert {type(schedule).__name__ for schedule in SCHEDULES} == set(schedules.__all__)


@every_case
def test_values(schedule, same, different, formula):
    for t in [*range(131), 1000, 10**7]:
        assert schedule(t) == pytest.approx(formula(t), rel=1e-12, abs=1e-17)


@every_case
def test_equality_and_hash(schedule, same, different, formula):
    assert schedule == same and not schedule != same
    assert schedule != different
    assert schedule != repr(schedule)
    if type(schedule) is not reduce_on_plateau:
        assert len({schedule, same, different}) == 2


@every_schedule
def test_repr_evaluates_to_an_equal_schedule(schedule):
    again = eval(repr(schedule), vars(schedules))
    assert again == schedule and repr(again) == repr(schedule)


@every_schedule
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_and_copy(schedule, protocol):
    again = pickle.loads(pickle.dumps(schedule, protocol))
    assert again == copy.deepcopy(schedule) == schedule and again(7) == schedule(7)


@every_schedule
def test_read_only(schedule):
    name = next(iter(inspect.signature(type(schedule)).parameters))
    with pytest.raises(AttributeError, match=f"read-only: cannot set `{name}`"):
        setattr(schedule, name, 1.0)
    with pytest.raises(AttributeError, match=f"read-only: cannot delete `{name}`"):
        delattr(schedule, name)


@every_schedule
def test_step_number(schedule):
    for kind in (np.int32, np.int64, np.uint8):
        assert schedule(kind(3)) == schedule(3)
        assert type(schedule(kind(3))) is float
    for t in (1.0, "1", None, True, np.float32(1)):
        with pytest.raises(TypeError, match="`t` must be an integer, got "):
            schedule(t)
    with pytest.raises(ValueError, match="`t` must be a non-negative integer, got -1"):
        schedule(-1)


@every_schedule
def test_docstring_names_every_parameter(schedule):
    for name in inspect.signature(type(schedule)).parameters:
        assert f"\n{name} : " in inspect.getdoc(type(schedule))


@pytest.mark.parametrize("module", sorted({getattr(schedules, name).__module__ for name in schedules.__all__}))
def test_docstring_examples(module):
    assert doctest.testmod(sys.modules[module]).failed == 0


COUNT = "must be a positive integer"
NATURAL = "must be a non-negative integer"
RATE = "must be in [0, inf)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: constant(-0.1), ValueError, f"`lr` {RATE}, got -0.1."),
        (lambda: constant(math.nan), ValueError, f"`lr` {RATE}, got nan."),
        (lambda: constant(np.float64("nan")), ValueError, f"`lr` {RATE}, got nan."),
        (lambda: constant(math.inf), ValueError, f"`lr` {RATE}, got inf."),
        (lambda: constant("0.1"), TypeError, "`lr` must be a real number, got '0.1'."),
        (lambda: constant(None), TypeError, "`lr` must be a real number, got None."),
        (lambda: constant(True), TypeError, "`lr` must be a real number, got True."),
        (lambda: step_decay(0.1, 0, 0.5), ValueError, f"`step_size` {COUNT}, got 0."),
        (lambda: step_decay(0.1, 2.0, 0.5), TypeError, "`step_size` must be an integer, got 2.0."),
        (lambda: step_decay(0.1, 2, 0), ValueError, "`factor` must be in (0, 1], got 0.0."),
        (lambda: exponential_decay(0.1, 0, 0.5), ValueError, f"`decay_steps` {COUNT}, got 0."),
        (lambda: exponential_decay(0.1, 9, 1.5), ValueError, "`decay_rate` must be in (0, 1], got 1.5."),
        (lambda: exponential_decay(0.1, 9, 0.5, 1), TypeError, "`staircase` must be True or False, got 1."),
        (lambda: inverse_time_decay(0.1, -1, 1), ValueError, f"`decay_steps` {COUNT}, got -1."),
        (lambda: inverse_time_decay(0.1, 9, -1), ValueError, f"`decay_rate` {RATE}, got -1.0."),
        (lambda: polynomial_decay(0.1, True, 0), TypeError, "`decay_steps` must be an integer, got True."),
        (lambda: polynomial_decay(0.1, 9, -1), ValueError, f"`end` {RATE}, got -1.0."),
        (lambda: polynomial_decay(0.1, 9, 0, 0), ValueError, "`power` must be in (0, inf), got 0.0."),
        (lambda: cosine_decay(0.1, "9"), TypeError, "`decay_steps` must be an integer, got '9'."),
        (lambda: cosine_decay(0.1, 9, 1.5), ValueError, "`alpha` must be in [0, 1], got 1.5."),
        (lambda: piecewise_constant(5, [1, 2]), TypeError, "`boundaries` must be a sequence of numbers, got 5."),
        (lambda: piecewise_constant([5], 1.0), TypeError, "`values` must be a sequence of numbers, got 1.0."),
        (
            lambda: piecewise_constant([5, 5], [1, 2, 3]),
            ValueError,
            "`boundaries` must be strictly increasing, got (5, 5).",
        ),
        (lambda: piecewise_constant([-1], [1, 2]), ValueError, f"`boundaries[0]` {NATURAL}, got -1."),
        (lambda: piecewise_constant([1.5], [1, 2]), TypeError, "`boundaries[0]` must be an integer, got 1.5."),
        (lambda: piecewise_constant([5], [1]), ValueError, "`values` must have length 2, got 1."),
        (lambda: piecewise_constant([5], [1, math.nan]), ValueError, f"`values[1]` {RATE}, got nan."),
        (lambda: warmup(0.1, 0), ValueError, f"`steps` {COUNT}, got 0."),
        (lambda: warmup(-0.1, 5), ValueError, f"`schedule` {RATE}, got -0.1."),
        (lambda: warmup("0.1", 5), TypeError, "`schedule` must be a real number, got '0.1'."),
        (lambda: one_cycle(math.nan, 9), ValueError, f"`peak` {RATE}, got nan."),
        (lambda: one_cycle(0.1, 1), ValueError, "`total_steps` must be at least 2, got 1."),
        (lambda: one_cycle(0.1, 9, 1), ValueError, "`warmup_fraction` must be in [0, 1), got 1.0."),
        (lambda: one_cycle(0.1, 9, 0.3, 0.5), ValueError, "`start_divisor` must be in [1, inf), got 0.5."),
        (lambda: one_cycle(0.1, 9, 0.3, 25, 0), ValueError, "`end_divisor` must be in [1, inf), got 0.0."),
        (lambda: one_cycle(1, 9, anneal="cos"), ValueError, "`anneal` must be one of 'cosine', 'linear', got 'cos'."),
        (lambda: reduce_on_plateau(0.1, factor=1.0), ValueError, "`factor` must be in (0, 1), got 1.0."),
        (lambda: reduce_on_plateau(0.1, patience=-1), ValueError, f"`patience` {NATURAL}, got -1."),
        (lambda: reduce_on_plateau(0.1, threshold=-1), ValueError, f"`threshold` {RATE}, got -1.0."),
        (lambda: reduce_on_plateau(0.1, cooldown=0.5), TypeError, "`cooldown` must be an integer, got 0.5."),
        (lambda: reduce_on_plateau(0.1, min_lr=0.2), ValueError, "`min_lr` must be in [0, 0.1], got 0.2."),
        (lambda: reduce_on_plateau(0.1, mode="down"), ValueError, "`mode` must be one of 'min', 'max', got 'down'."),
        (lambda: reduce_on_plateau(0.1).update("1"), TypeError, "`value` must be a real number, got '1'."),
    ],
)
def test_validation(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


rates = st.floats(0, 1e3)
counts = st.integers(1, 10**6)
steps = st.integers(0, 10**7)


@given(rates, counts, rates, st.floats(0.1, 10), steps)
def test_polynomial_decay_stays_between_its_ends(lr, decay_steps, end, power, t):
    schedule = polynomial_decay(lr, decay_steps, end, power)
    assert min(lr, end) * (1 - 1e-12) <= schedule(t) <= max(lr, end) * (1 + 1e-12)
    assert schedule(0) == lr and schedule(decay_steps + t) == end


@given(rates, counts, st.floats(0, 1), steps)
def test_cosine_decay_falls_and_ends_exactly(lr, decay_steps, alpha, t):
    schedule = cosine_decay(lr, decay_steps, alpha)
    assert schedule(0) == lr and schedule(decay_steps + t) == lr * alpha
    assert schedule(t + 1) <= schedule(t) * (1 + 1e-12)


@given(st.lists(st.integers(0, 50), unique=True).map(sorted), st.integers(0, 60))
def test_piecewise_constant_counts_the_boundaries_passed(boundaries, t):
    schedule = piecewise_constant(boundaries, range(len(boundaries) + 1))
    assert schedule(t) == sum(t > boundary for boundary in boundaries)


@given(
    rates,
    st.integers(2, 10**6),
    st.floats(0, 1, exclude_max=True),
    st.floats(1, 1e6),
    st.floats(1, 1e6),
    st.sampled_from(["cosine", "linear"]),
    steps,
)
def test_one_cycle_never_leaves_its_range(peak, total_steps, fraction, first, last, anneal, t):
    schedule = one_cycle(peak, total_steps, fraction, first, last, anneal)
    assert peak / max(first, last) * (1 - 1e-9) <= schedule(t) <= peak * (1 + 1e-12)
    assert schedule(total_steps - 1 + t) == peak / last
    assert schedule(0) == (peak / first if fraction * (total_steps - 1) > 0 else peak)


@given(rates, counts, st.floats(0, 1, exclude_min=True), st.booleans())
def test_repr_round_trip_of_any_parameters(lr, decay_steps, decay_rate, staircase):
    schedule = warmup(exponential_decay(lr, decay_steps, decay_rate, staircase), decay_steps)
    assert eval(repr(schedule), vars(schedules)) == schedule


def test_warmup_of_a_plain_function():
    schedule = warmup(lambda t: 2 * t + 4, 4)
    assert [schedule(t) for t in range(6)] == [1.0, 2.0, 3.0, 4.0, 4.0, 6.0]
    assert type(schedule(5)) is float
