"""Checks of the bounds that `minimize` is given."""

import math
import numbers

import numpy as np

from .gradients import flat_like_parameters
from .minimize import warn_caller
from .parameters import label
from .text import shown


def bounds(value, arrays, keys):
    """Return lower and upper bounds of all entries of some arrays, one after the other, as two vectors.

    `keys` is the structure of the arrays: see `parameters.flat_parameters`.
    """
    if keys is None or hasattr(value, "lb") or _is_pair(value, _is_end):
        value = dict.fromkeys(range(len(arrays)), value)
    else:
        value = dict(enumerate(flat_like_parameters("bounds", value, keys, "items")))
    ends = [_bounds_of(label("bounds", keys, k), value[k], array, keys) for k, array in enumerate(arrays)]
    return tuple(np.concatenate([end.ravel() for end in side]) for side in zip(*ends, strict=True))


def _bounds_of(name, value, x, keys):
    """Lower and upper bounds as arrays like x."""
    low, high = _ends(name, value, x, keys)
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), x.shape) for end in (low, high))
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must give a lower and an upper end for each of the {x.size} parameters, got {shown(value)}."
        ) from None
    if np.isnan(low).any() or np.isnan(high).any():
        raise ValueError(f"{name} must not be NaN; None or infinity stands for no bound.")
    if np.any(low > high):
        at = np.unravel_index(np.argmax(low > high), x.shape)
        place = int(at[0]) if x.ndim == 1 else tuple(map(int, at))
        raise ValueError(
            f"{name} must not have a lower end above the upper one, got ({low[at]}, {high[at]}) at {place}."
        )
    return _rounded_inwards(low, high, x.dtype)


def _ends(name, value, x, keys):
    """Lower and upper end of the bounds of one array: numbers, or what NumPy makes arrays of."""
    if hasattr(value, "lb"):  # whose numbers are arrays of one
        return [np.reshape(end, ()) if np.size(end) == 1 else end for end in (value.lb, value.ub)]
    if value is None and keys is not None:
        return -math.inf, math.inf
    is_side = _is_end if keys is None and x.ndim == 1 else _is_end_or_array if x.ndim == 1 else lambda end: True
    if _is_pair(value, is_side):
        low, high = value
        return -math.inf if low is None else low, math.inf if high is None else high
    return _from_pairs(name, value, x)


def _is_pair(value, is_side):
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_side, value))


def _is_end(value):
    return value is None or isinstance(value, numbers.Real)


def _is_end_or_array(value):
    return _is_end(value) or isinstance(value, np.ndarray)


def _rounded_inwards(low, high, dtype):
    """Bounds in the dtype of the parameters, rounded inwards unless the given ones are too close for that."""
    with np.errstate(over="ignore"):
        nearest = low.astype(dtype), high.astype(dtype)
    inside = (
        np.where(nearest[0] < low, np.nextafter(nearest[0], dtype.type(np.inf)), nearest[0]),
        np.where(nearest[1] > high, np.nextafter(nearest[1], dtype.type(-np.inf)), nearest[1]),
    )
    return tuple(np.where(inside[0] > inside[1], each, other) for each, other in zip(nearest, inside, strict=True))


def _from_pairs(name, value, x):
    """The ends in a sequence of pairs, one for each entry of a vector."""
    try:
        if x.ndim != 1:
            raise TypeError
        pairs = [(low, high) for low, high in value]
    except (TypeError, ValueError):
        forms = "a sequence of (low, high) pairs" if x.ndim == 1 else "a (low, high) pair of numbers or arrays"
        raise ValueError(f"{name} must be a scipy.optimize.Bounds or {forms}, got {shown(value)}.") from None
    if len(pairs) != x.size:
        own = name.replace("bounds", "x0", 1)
        raise ValueError(f"The length of {name} must be that of {own}, {x.size}, got {len(pairs)}.")
    low = [-math.inf if low is None else low for low, _ in pairs]
    return low, [math.inf if high is None else high for _, high in pairs]


def warn_outside_bounds():
    from scipy.optimize import OptimizeWarning

    warn_caller("Initial guess is not within the specified bounds; it is moved there.", OptimizeWarning)
