"""Checks of the bounds that `minimize` is given."""

import math

import numpy as np

from .minimize import warn_caller
from .text import shown


def bounds(value, x):
    """Return lower and upper bounds as arrays like x."""
    low, high = (value.lb, value.ub) if hasattr(value, "lb") else _from_pairs(value, x)
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), x.shape) for end in (low, high))
    except (TypeError, ValueError):
        raise ValueError(
            f"`bounds` must give a lower and an upper end for each of the {x.size} parameters, got {shown(value)}."
        ) from None
    if np.isnan(low).any() or np.isnan(high).any():
        raise ValueError("`bounds` must not be NaN; None or infinity stands for no bound.")
    if np.any(low > high):
        at = int(np.argmax(low > high))
        raise ValueError(
            f"`bounds` must not have a lower end above the upper one, got ({low[at]}, {high[at]}) at {at}."
        )
    return _rounded_inwards(low, high, x.dtype)


def _rounded_inwards(low, high, dtype):
    """Bounds in the dtype of the parameters, rounded inwards unless the given ones are too close for that."""
    with np.errstate(over="ignore"):
        nearest = low.astype(dtype), high.astype(dtype)
    inside = (
        np.where(nearest[0] < low, np.nextafter(nearest[0], dtype.type(np.inf)), nearest[0]),
        np.where(nearest[1] > high, np.nextafter(nearest[1], dtype.type(-np.inf)), nearest[1]),
    )
    return tuple(np.where(inside[0] > inside[1], each, other) for each, other in zip(nearest, inside, strict=True))


def _from_pairs(value, x):
    try:
        pairs = [(low, high) for low, high in value]
    except (TypeError, ValueError):
        raise ValueError(
            f"`bounds` must be a scipy.optimize.Bounds or a sequence of (low, high) pairs, got {shown(value)}."
        ) from None
    if len(pairs) != x.size:
        raise ValueError(f"The length of `bounds` must be that of `x0`, {x.size}, got {len(pairs)}.")
    low = [-math.inf if low is None else low for low, _ in pairs]
    return low, [math.inf if high is None else high for _, high in pairs]


def warn_outside_bounds():
    from scipy.optimize import OptimizeWarning

    warn_caller("Initial guess is not within the specified bounds; it is moved there.", OptimizeWarning)
