"""Checks of saved runs, before anything of them is used: a file may be intact and yet made by others to do harm.

A check is a function of a name for messages and a value, like those in scalars.py. It returns the value, or raises. The
parts of a run say with the functions below what they accept of what they saved.
"""

import copy
import functools
from typing import NamedTuple

import numpy as np

from .scalars import choice, flag, inside, integer, real
from .state_dicts import MOST_STEPS as MOST
from .text import shown


class Done(NamedTuple):
    """How far a saved run had come.

    Attributes
    ----------
    nit, nepoch : int
        Iterations, complete epochs.
    in_epoch : bool
        Whether an epoch has begun that is not complete.
    in_this_epoch : int
        Its iterations.
    steps : int
        Steps of the optimizer, skipped ones included: more than iterations if it had made some before the run.
    """

    nit: int
    nepoch: int
    in_epoch: bool
    in_this_epoch: int
    steps: int


def done(saved, per_epoch):
    """How far a saved run with so many iterations an epoch, None if their number is not known, had come."""
    entries("run", saved, ("nit", "nepoch", "in_epoch", "optimizer"))
    optimizer = entries("run['optimizer']", saved["optimizer"], ("step_count",))
    nepoch = integer("run['nepoch']", saved["nepoch"], 0, MOST // (per_epoch or 1) - 1)
    in_epoch = flag("run['in_epoch']", saved["in_epoch"])
    first = nepoch * per_epoch if per_epoch else _end_of_last_epoch(saved, nepoch)
    most_in_epoch = per_epoch - 1 if per_epoch else MOST
    nit = integer("run['nit']", saved["nit"], first, first + (most_in_epoch if in_epoch else 0))
    steps = integer("run['optimizer']['step_count']", optimizer["step_count"], 0, MOST)
    skipped = integer("run['optimizer']['skipped_steps']", optimizer.get("skipped_steps", 0), 0, MOST)
    return Done(nit, nepoch, in_epoch, nit - first, steps + skipped)


def _end_of_last_epoch(saved, nepoch):
    """The iterations of complete epochs, which the history has where epochs may be of any length."""
    columns = entries("run['history']", entries("run", saved, ("history",))["history"], ("columns",))["columns"]
    name = "run['history']['columns']"
    ends = array(np.int64, (nepoch,))(f"{name}['iteration']", entries(name, columns, ("iteration",))["iteration"])
    if np.any(np.diff(ends, prepend=0) < 1) or np.any(ends > MOST):
        raise ValueError(f"`{name}['iteration']` must ascend from 1 to at most {MOST}, got others.")
    return int(ends[-1]) if nepoch else 0


def best_so_far(x, loss):
    """Refuse the best parameters without their loss, and the other way round."""
    if (x is None) != (loss == float("inf")):
        raise ValueError(
            f"`run['best_x']` must be None if `run['best_loss']` is inf, and only then, got {shown(loss)}."
        )


# --- dicts -----------------------------------------------------------------------------------------------


def entries(name, value, needed):
    """Return a dict that has at least these keys."""
    if not isinstance(value, dict):
        raise TypeError(f"`{name}` must be a dict, got {type(value).__name__}.")
    missing = [key for key in needed if key not in value]
    if missing:
        raise ValueError(f"`{name}` must have the entries {list(needed)!r}, got none for {missing!r}.")
    return value


def record(checks, former_names=None, optional=None):
    """A check of dicts with exactly these keys, each with a check of its own; returned is a new dict.

    `former_names` are those that some keys had in earlier versions -> present names. Keys of `optional` may be missing.
    """

    def check(name, value):
        value = {(former_names or {}).get(key, key): each for key, each in entries(name, value, ()).items()}
        entries(name, value, checks)
        there = checks | {key: each for key, each in (optional or {}).items() if key in value}
        more = [key for key in value if key not in there]
        if more:
            raise ValueError(f"`{name}` must have the entries {list(checks)!r} only, got {shown(more)}.")
        return {key: each(f"{name}[{key!r}]", value[key]) for key, each in there.items()}

    return check


def any_of(names, each):
    """A check of dicts with some of these keys, and one check for all their values."""

    return record({}, optional=dict.fromkeys(names, each))


# --- values ----------------------------------------------------------------------------------------------


def count(most=MOST):
    """A check of numbers of things."""
    return functools.partial(integer, minimum=0, maximum=most)


def number(interval="[-inf, inf]"):
    """A check of real numbers; NaN is in no interval."""
    return functools.partial(real, interval=interval)


def number_or_nan(interval="[-inf, inf]"):
    """A check of real numbers, or NaN for one that is not known."""

    def check(name, value):
        is_nan = isinstance(value, float) and value != value
        return float(value) if is_nan else real(name, value, interval)

    return check


def one_of(names):
    """A check of strings."""
    return functools.partial(choice, allowed=names)


def pair(first, second):
    """A check of lists of two values."""

    def check(name, value):
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"`{name}` must be a list of two values, got {_short(value)}.")
        return [first(f"{name}[0]", value[0]), second(f"{name}[1]", value[1])]

    return check


def nothing(name, value):
    """A check of None."""
    if value is not None:
        raise ValueError(f"`{name}` must be None, got {_short(value)}.")


def optional(check):
    """A check of None or of what another check accepts."""
    return lambda name, value: None if value is None else check(name, value)


def a_dict(name, value):
    """A check of dicts whose entries are checked by what loads them."""
    return entries(name, value, ())


def not_set(name, value):
    """A check of False, for what cannot be True any more in a run that had come so far."""
    if flag(name, value):
        raise ValueError(f"`{name}` must be False in a run that has made iterations, got True.")
    return False


# --- arrays ----------------------------------------------------------------------------------------------


def array(dtype, shape, interval=None):
    """A check of arrays of this very dtype and shape, all entries inside an interval if one is given.

    A length in the shape is None where any is right.
    """
    dtype = np.dtype(dtype)

    def check(name, value):
        _check_kind(name, value, dtype, shape)
        if interval is not None and not inside(value, interval).all():
            raise ValueError(f"`{name}` must have all entries in {interval}, got others.")
        return value

    return check


def equal_to(expected):
    """A check of arrays that are known beforehand."""

    def check(name, value):
        _check_kind(name, value, expected.dtype, expected.shape)
        if not np.array_equal(value, expected):
            raise ValueError(f"`{name}` must have the entries that the run's counters imply, got others.")
        return value

    return check


def _check_kind(name, value, dtype, shape):
    """Refuse other dtypes and shapes: what could be broadcast or converted is not what was saved."""
    fits = type(value) is np.ndarray and value.dtype == dtype and value.ndim == len(shape)
    if not fits or any(length not in (None, mine) for length, mine in zip(shape, value.shape, strict=True)):
        raise ValueError(f"`{name}` must be a {dtype} array of shape {shape}, got {_short(value)}.")


def _short(value):
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


# --- random generators -----------------------------------------------------------------------------------

# NumPy takes any state. Some lead out of a buffer, and PCG64 with an even increment may repeat one number for ever,
# in which a shuffle that draws until a number fits does not end.
_ANY_128 = range(2**128)
_STATES = {
    "PCG64": {"state": _ANY_128, "inc": range(1, 2**128, 2)},
    "PCG64DXSM": {"state": _ANY_128, "inc": range(1, 2**128, 2)},
    "MT19937": {"pos": range(625)},
    "Philox": {"buffer_pos": range(5)},
    "SFC64": {},
}
_HALF_DRAWN = {"has_uint32": range(2), "uinteger": range(2**32)}


def bit_generator_kind(saved):
    """The name of the bit generator whose state a saved run has."""
    state = entries("run['rng']", entries("run", saved, ("rng",))["rng"], ("bit_generator",))
    if not isinstance(state["bit_generator"], str):
        raise TypeError(f"`run['rng']['bit_generator']` must be a string, got {_short(state['bit_generator'])}.")
    return state["bit_generator"]


def generator_state(bit_generator):
    """A check of states of a bit generator, which stays as it is."""
    own = bit_generator.state
    ranges = _STATES.get(type(bit_generator).__name__, {}) | _HALF_DRAWN

    def check(name, value):
        _like(own, ranges)(name, value)
        scratch = copy.deepcopy(bit_generator)
        scratch.state = value
        if not _same(scratch.state, value):
            raise ValueError(f"`{name}` must be a state of {type(bit_generator).__name__}, got another.")
        return value

    return check


def _like(own, ranges):
    """A check of states with the structure of another one."""
    if isinstance(own, dict):
        return record({key: _like_entry(key, each, ranges) for key, each in own.items()})
    return array(own.dtype, own.shape)


def _like_entry(key, own, ranges):
    if isinstance(own, str):
        return functools.partial(choice, allowed=(own,))
    if isinstance(own, int):
        return functools.partial(_in_range, allowed=ranges.get(key))
    return _like(own, ranges)


def _in_range(name, value, allowed):
    if type(value) is not int or (allowed is not None and value not in allowed):
        raise ValueError(f"`{name}` must be in {allowed}, got {value!r}.")
    return value


def _same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def bit_generator(kind):
    """The class of NumPy's bit generators that a checkpoint names."""
    found = getattr(np.random, kind, None)
    if not (isinstance(found, type) and issubclass(found, np.random.BitGenerator)) or found is np.random.BitGenerator:
        raise ValueError(
            f"`rng` must be a Generator of {kind}, like that of the checkpoint; NumPy has none of that name."
        )
    return found


# --- the run it was --------------------------------------------------------------------------------------


def same_run(saved, own, path):
    """Refuse to resume a run with other settings than the saved one."""
    entries("identity", saved, ())
    for name, mine in own.items():
        theirs = saved.get(name)
        if type(theirs) is not type(mine) or theirs != mine:
            raise ValueError(
                f"`resume` must name a checkpoint of the same run: {path!r} was made with "
                f"{name}={shown(theirs)}, got {shown(mine)}."
            )
