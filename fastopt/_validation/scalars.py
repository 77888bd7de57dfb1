"""Numbers, flags and names among the arguments."""

import functools
import numbers
import operator

import numpy as np

from .text import shown


def real(name, value, interval="(-inf, inf)", kind="a real number"):
    """Return `value` as a float inside `interval`, written as "[0, 1)"; NaN is in no interval.

    `kind` says in messages what it may be.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        value = _element(name, value, numbers.Real, kind)
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"`{name}` must be in {interval}, got a number beyond the range of float64.") from None
    if not inside(value, interval):
        raise ValueError(f"`{name}` must be in {interval}, got {value!r}.")
    return value


def number(name, value):
    """Return `value` as a float, which may be NaN."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        value = _element(name, value, numbers.Real, "a real number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"`{name}` must be a float, got a number beyond the range of float64.") from None


def _element(name, value, expected, kind):
    """Return the number in an array without dimensions, or refuse what is no number."""
    try:
        element = value.item()
    except Exception:  # it has no such method, or more elements than one
        element = None
    fits = isinstance(element, expected) and not isinstance(element, bool)
    if fits and isinstance(value, np.ndarray) and value.ndim == 0:
        return element
    remedy = f"; take {name}.item()" if fits else ""
    raise TypeError(f"`{name}` must be {kind}, got {shown(value)}{remedy}.")


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
        value = _element(name, value, numbers.Integral, "an integer")
    if value < minimum:
        wanted = {0: "a non-negative integer", 1: "a positive integer"}.get(minimum, f"at least {minimum}")
        raise ValueError(f"`{name}` must be {wanted}, got {shown(int(value))}.")
    if maximum is not None and value > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}, got {shown(int(value))}.")
    return int(value)


def count(name, value, minimum, maximum=None):
    """Return a number of things as an int; a float without a fraction, such as 1e5, is one, too."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return integer(name, value, minimum, maximum)


def flag(name, value):
    """Return `value` as a bool; only True and False are accepted."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {shown(value)}.")
    return bool(value)


def choice(name, value, allowed):
    """Return `value` if it is one of the strings in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(each) for each in allowed)
        raise ValueError(f"`{name}` must be one of {listed}, got {shown(value)}.")
    return value
