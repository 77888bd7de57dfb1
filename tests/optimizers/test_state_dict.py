"""state_dict and load_state_dict: the same bits go on, or nothing changes."""

import math

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, form_id
from helpers import bits, exactly, flat, refused

import fastopt
from fastopt import schedules


def walk(rng, dtype="float64"):
    """Parameters in a dict, and gradients for some steps."""
    params = {name: rng.standard_normal(n).astype(dtype) for name, n in (("w", 37), ("b", 5), ("none", 0))}
    grads = [{name: rng.standard_normal(p.shape).astype(dtype) for name, p in params.items()} for _ in range(6)]
    return params, grads


def copied(params):
    return {name: array.copy() for name, array in params.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_resumed_run_has_the_same_bits(case, dtype, rng):
    """The new optimizer was made with other hyper-parameters: those saved hold, flags included."""
    cls, keywords = case
    params, grads = walk(rng, dtype)
    opt = cls(params, learning_rate=0.02, weight_decay=0.1, clip_norm=2.0, maximize=True, **keywords)
    for grad in grads[:3]:
        opt.step(grad)
    saved = opt.state_dict()
    resumed = cls(copied(params), num_threads=1, **{name: keywords[name] for name in ALLOCATING if name in keywords})
    resumed.load_state_dict(saved)
    assert bits(resumed) == bits(opt)
    for grad in grads[3:]:
        opt.step(grad)
        resumed.step(grad)
    assert bits(resumed) == bits(opt) and resumed.step_count == 6
    assert resumed.last_grad_norm == opt.last_grad_norm
    assert resumed.num_threads == 1
    assert all(getattr(resumed, name) == getattr(opt, name) for name in cls._declared if name != "num_threads")


# Hyper-parameters that decide which state there is; the rest may differ between the two optimizers.
ALLOCATING = ("momentum", "amsgrad", "centered", "averaging")


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_state_dict_is_a_copy_of_plain_things(case, rng):
    cls, keywords = case
    params, grads = walk(rng)
    opt = cls(params, **keywords)
    opt.step(grads[0])
    saved, again = opt.state_dict(), opt.state_dict()
    opt.step(grads[1])
    assert saved["step_count"] == 1
    for slot, arrays in saved["state"].items():
        for array, kept, own in zip(arrays, again["state"][slot], flat(opt.state[slot]), strict=True):
            assert type(array) is np.ndarray and np.array_equal(array, kept) and not np.shares_memory(array, own)
    plain = [*saved["hyperparameters"].values(), *saved["carry"].values(), saved["learning_rate"]]
    assert {type(value) for value in plain} <= {float, int, bool, str, type(None)}
    for arrays in saved["state"].values():
        for array in arrays:
            array[...] = 7.0
    opt.load_state_dict(saved)
    saved["state"].clear()
    assert all((array == 7.0).all() for slot in opt.state.values() for array in flat(slot))


def test_carried_product_of_nadam(rng):
    params, grads = walk(rng)
    opt = fastopt.NAdam(params, momentum_decay=0.5)
    for grad in grads[:3]:
        opt.step(grad)
    saved = opt.state_dict()
    expected = math.prod(0.9 * (1 - 0.5 * 0.96 ** (t * 0.5)) for t in (1, 2, 3))
    assert saved["carry"]["mu_product"] == pytest.approx(expected, rel=1e-14)
    other = fastopt.NAdam(copied(params), momentum_decay=0.5)
    other.load_state_dict(saved | {"carry": {"mu_product": 0.25}})
    opt.step(grads[3])
    other.step(grads[3])
    assert bits(opt) != bits(other)


def test_skipped_steps_are_counted_on(rng):
    opt = fastopt.Adam(np.ones(3), nonfinite="skip")
    for grad in (1.0, math.nan, math.inf):
        opt.step(np.full(3, grad))
    other = fastopt.Adam(np.ones(3))
    other.load_state_dict(opt.state_dict())
    other.step(np.full(3, math.nan))
    assert (other.step_count, other.skipped_steps) == (1, 3)


SCHEDULES = {
    "without state": lambda: schedules.cosine_decay(0.1, 10),
    "with state": lambda: schedules.reduce_on_plateau(0.1, factor=0.5, patience=0),
    "with state, wrapped": lambda: schedules.warmup(schedules.reduce_on_plateau(0.1, factor=0.5, patience=0), 2),
    "function": lambda: lambda t: 0.1 / (t + 1),
}


def listen(opt, value):
    """Tell the schedule a value, if it listens."""
    if hasattr(opt.learning_rate, "update"):
        opt.learning_rate.update(value)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_schedules_go_on(cls, kind, rng):
    params, grads = walk(rng)
    opt = cls(params, SCHEDULES[kind]())
    for grad in grads[:3]:
        opt.step(grad)
        listen(opt, 1.0)
    resumed = cls(copied(params), SCHEDULES[kind]())
    resumed.load_state_dict(opt.state_dict())
    for grad in grads[3:]:
        for each in (opt, resumed):
            each.step(grad)
            listen(each, 1.0)
    assert bits(opt) == bits(resumed)
    if kind.startswith("with state"):
        assert resumed.learning_rate.state_dict() == opt.learning_rate.state_dict()
        assert resumed.learning_rate.state_dict()["rate"] == 0.1 * 0.5**5


RATES = {
    "a number": lambda: 0.1,
    "a schedule": SCHEDULES["without state"],
    "a schedule with state": SCHEDULES["with state"],
}


@pytest.mark.parametrize("saved_kind", RATES)
@pytest.mark.parametrize("own_kind", RATES)
def test_kind_of_learning_rate_must_be_the_same(own_kind, saved_kind):
    opt, other = fastopt.Adam(np.ones(3), RATES[own_kind]()), fastopt.Adam(np.ones(3), RATES[saved_kind]())
    other.step(np.ones(3))
    if own_kind == saved_kind:
        opt.load_state_dict(other.state_dict())
        assert opt.step_count == 1
        return
    message = (
        f"`state_dict['learning_rate']` must be {own_kind} like the optimizer's, got {saved_kind}; "
        "make the optimizer with the learning rate that the saved one had."
    )
    with refused(opt, ValueError, exactly(message)):
        opt.load_state_dict(other.state_dict())


def test_number_comes_before_the_state_of_a_schedule():
    opt = fastopt.Adam(np.ones(3), 0.1)
    opt.load_state_dict(opt.state_dict() | {"learning_rate": 0.2, "schedule": {"rate": 0.3}})
    assert opt.learning_rate == 0.2


def entry(*keys, value):
    """Replace one entry, however deep."""

    def change(saved):
        for key in keys[:-1]:
            saved = saved[key]
        saved[keys[-1]] = value

    return change


FIRST = ("state", "m")
MISFITS = {
    "of another class": (entry("optimizer", value="Yogi"), r"`state_dict\['optimizer'\]` must be 'Adam', got 'Yogi'\."),
    "of another format": (entry("format", value=99), r"`state_dict\['format'\]` must be 1, got 99\."),
    "a hyper-parameter missing": (
        lambda saved: saved["hyperparameters"].pop("beta_1"),
        r"`state_dict\['hyperparameters'\]` must have the entries \[.*\], got missing \['beta_1'\] and unknown \[\]\.",
    ),
    "an unknown hyper-parameter": (
        entry("hyperparameters", "gamma", value=1),
        r"`state_dict\['hyperparameters'\]` must have the entries \[.*\], got missing \[\] and unknown \['gamma'\]\.",
    ),
    "a hyper-parameter out of range": (
        entry("hyperparameters", "beta_2", value=1.5),
        r"`beta_2` must be in \[0, 1\), got 1\.5\.",
    ),
    "hyper-parameters with other slots": (
        entry("hyperparameters", "amsgrad", value=False),
        r"`state_dict\['hyperparameters'\]` must go with the state .*'v_max'\], got values for \['m', 'v'\]\.",
    ),
    "no dict of hyper-parameters": (
        entry("hyperparameters", value=None),
        r"`state_dict\['hyperparameters'\]` must have the entries .*, got None\.",
    ),
    "a slot missing": (
        lambda saved: saved["state"].pop("m"),
        r"`state_dict\['state'\]` must have the entries \['m', 'v', 'v_max'\], got missing \['m'\] and unknown \[\]\.",
    ),
    "an unknown slot": (
        entry("state", "u", value=[]),
        r"`state_dict\['state'\]` must have the entries .*, got missing \[\] and unknown \['u'\]\.",
    ),
    "an array missing": (
        lambda saved: saved["state"]["v"].pop(),
        r"`state_dict\['state'\]\['v'\]` must be a list of 3 arrays, got list\.",
    ),
    "no list of arrays": (
        entry(*FIRST, value=np.ones(3)),
        r"`state_dict\['state'\]\['m'\]` must be a list of 3 arrays, got ndarray\.",
    ),
    "another shape": (
        entry("state", "v_max", 1, value=np.ones((5, 1))),
        r"`state_dict\['state'\]\['v_max'\]`\[1\] must be a float64 array of shape \(5,\), got float64 \(5, 1\)\.",
    ),
    "another dtype": (
        entry("state", "v_max", 1, value=np.ones(5, np.float32)),
        r"`state_dict\['state'\]\['v_max'\]`\[1\] must be a float64 array of shape \(5,\), got float32 \(5,\)\.",
    ),
    "another byte order": (
        entry("state", "v", 1, value=np.ones(5, np.dtype(float).newbyteorder("S"))),
        r"`state_dict\['state'\]\['v'\]`\[1\] must be a float64 array of shape \(5,\), got [<>]f8 \(5,\)\.",
    ),
    "a list for an array": (
        entry("state", "v", 1, value=[1.0] * 5),
        r"`state_dict\['state'\]\['v'\]`\[1\] must be a float64 array of shape \(5,\), got list\.",
    ),
    "a negative count": (entry("step_count", value=-1), r"`state_dict\['step_count'\]` must be a non-negative integer"),
    "a huge count": (entry("step_count", value=2**70), r"`state_dict\['step_count'\]` must be at most \d+, got \d+\."),
    "a fractional count": (entry("skipped_steps", value=0.5), r"`state_dict\['skipped_steps'\]` must be an integer"),
    "a rate of NaN": (
        entry("learning_rate", value=math.nan),
        r"`state_dict\['learning_rate'\]` must be in \[0, inf\), got nan\.",
    ),
    "a rate in words": (
        entry("learning_rate", value="0.1"),
        r"`state_dict\['learning_rate'\]` must be a real number, got '0\.1'\.",
    ),
    "a carried scalar too many": (
        entry("carry", "mu_product", value=1.0),
        r"`state_dict\['carry'\]` must have the entries \[\], got missing \[\] and unknown \['mu_product'\]\.",
    ),
} | {
    f"no {key}": (
        lambda saved, key=key: saved.pop(key),
        rf"`state_dict` must have the entries \[.*\], got none for \['{key}'\]\.",
    )
    for key in fastopt.Adam(np.ones(1)).state_dict()
    if key != "groups"  # which those of former versions lack
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfit_changes_nothing(misfit, rng):
    change, message = MISFITS[misfit]
    params, grads = walk(rng)
    opt, other = fastopt.Adam(params, 0.1, amsgrad=True), fastopt.Adam(copied(params), 0.2, 0.5, amsgrad=True)
    opt.step(grads[0])
    for grad in grads[:2]:
        other.step(grad)
    saved, values = other.state_dict(), dict(opt._values)
    change(saved)
    with refused(opt, (TypeError, ValueError), message):
        opt.load_state_dict(saved)
    assert opt._values == values
    twin = fastopt.Adam(opt.params, 0.1, amsgrad=True)
    twin.load_state_dict(opt.state_dict())
    assert bits(twin) == bits(opt)


@pytest.mark.parametrize("given", [None, [], "state", 1], ids=repr)
def test_no_dict(given):
    opt = fastopt.Adam(np.ones(3))
    with refused(opt, TypeError, exactly(f"`state_dict` must be a dict, got {type(given).__name__}.")):
        opt.load_state_dict(given)


@pytest.mark.parametrize(
    "schedule", [{}, {"rate": math.nan}, 5, {"rate": "0.1", "best": 0, "bad_updates": 0}], ids=repr
)
def test_misfit_of_the_schedules_state(schedule):
    opt = fastopt.Adam(np.ones(3), SCHEDULES["with state"]())
    before = opt.learning_rate.state_dict()
    saved = opt.state_dict() | {"schedule": schedule, "step_count": 5}
    saved["state"]["m"][0] += 1
    with refused(opt, (TypeError, ValueError), "."):
        opt.load_state_dict(saved)
    assert opt.learning_rate.state_dict() == before


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None], ids=repr)
def test_carried_scalar_must_be_a_number(value):
    opt = fastopt.NAdam(np.ones(3))
    saved = opt.state_dict() | {"carry": {"mu_product": value}}
    with refused(opt, (TypeError, ValueError), r"^`state_dict\['carry'\]\['mu_product'\]` must be "):
        opt.load_state_dict(saved)


def test_momentum_cannot_be_turned_on_or_off():
    plain, heavy = fastopt.SGD(np.ones(3)), fastopt.SGD(np.ones(3), momentum=0.9)
    for opt, other in ((plain, heavy), (heavy, plain)):
        with refused(opt, ValueError, r"^`state_dict\['state'\]` must have the entries "):
            opt.load_state_dict(other.state_dict())
