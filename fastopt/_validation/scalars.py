"""Numbers, flags and names among the arguments."""

import functools
import numbers
import operator

import numpy as np


def real(name, value, interval="(-inf, inf)"):
    """Return `value` as a float inside `interval`, written as "[0, 1)"; NaN is in no interval."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a real number, got {value!r}.")
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"`{name}` must be in {interval}, got a number beyond the range of float64.") from None
    if not inside(value, interval):
        raise ValueError(f"`{name}` must be in {interval}, got {value!r}.")
    return value


def inside(value, interval):
    """Whether a float, or each of an array of them, is inside `interval`."""
    low, above, high, below = _ends(interval)
    return above(value, low) & below(value, high)


@functools.lru_cache
def _ends(interval):
    """Lower and upper end of an interval, each with its comparison; cached, as every step needs them."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = operator.ge if interval[0] == "[" else operator.gt
    below = operator.le if interval[-1] == "]" else operator.lt
    return low, above, high, below


def integer(name, value, minimum, maximum=None):
    """Return `value` as an int that is at least `minimum` and, if it is given, at most `maximum`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer, got {value!r}.")
    if value < minimum:
        kind = {0: "a non-negative integer", 1: "a positive integer"}.get(minimum, f"at least {minimum}")
        raise ValueError(f"`{name}` must be {kind}, got {int(value)!r}.")
    if maximum is not None and value > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}, got {int(value)!r}.")
    return int(value)


def flag(name, value):
    """Return `value` as a bool; only True and False are accepted."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return bool(value)


def choice(name, value, allowed):
    """Return `value` if it is one of the strings in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(each) for each in allowed)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")
    return value
