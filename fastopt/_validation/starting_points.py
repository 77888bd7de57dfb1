"""Checks of the starting point that `minimize` is given: one array, or several in a dict or a list."""

import numpy as np

from . import conversions
from .conversions import is_masked, remedy
from .gradients import flat_like_parameters
from .parameters import expression, flat_parameters, label
from .text import shown


def starting_point(x0):
    """Return the arrays of x0, of real numbers, and their structure: see `parameters.flat_parameters`."""
    if isinstance(x0, dict) and not hasattr(x0, "tocoo"):  # some sparse matrices are dicts of their entries
        given, keys = [*x0.values()], tuple(x0)
    elif isinstance(x0, (list, tuple)) and any(getattr(each, "shape", ()) for each in x0):
        given, keys = [*x0], len(x0)
    else:
        given, keys = [x0], None
    if not given:
        raise ValueError(f"`x0` must hold at least one array, got {shown(x0)}.")
    arrays = [_real_array(expression("x0", keys, k), each) for k, each in enumerate(given)]
    if keys is None:
        arrays = [np.atleast_1d(arrays[0])]
        if isinstance(x0, np.matrix):  # as in SciPy
            refuse_dimensions(x0)
    return arrays, keys


def starting_point_like(x0, own, keys):
    """Return the arrays of x0, of real numbers, which must have structure and shapes of an optimizer's parameters."""
    if keys is not None:
        x0 = flat_like_parameters("x0", x0, keys)
    arrays = [_real_array(expression("x0", keys, k), each) for k, each in enumerate([x0] if keys is None else x0)]
    arrays = [np.atleast_1d(each) if mine.ndim == 1 else each for each, mine in zip(arrays, own, strict=True)]
    for k, (array, mine) in enumerate(zip(arrays, own, strict=True)):
        if array.shape != mine.shape:
            raise ValueError(
                f"{label('x0', keys, k)} must have the shape {mine.shape} of the parameters that `method` updates, "
                f"got {array.shape}."
            )
    return arrays


def bound_parameters(optimizer):
    """Return the arrays that an optimizer updates, and their structure; they may have been made read-only since."""
    return flat_parameters(optimizer.params, type(optimizer).__name__)


def _real_array(name, value):
    """An array of what is given for one; that of the caller where it is one."""
    try:
        if is_masked(value):
            raise TypeError
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = of_objects(array)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError, RuntimeError):
        advice = remedy("pass", _real_numbers(name, value))
        message = f"`{name}` must be convertible to an array of real numbers, got {shown(value)}{advice}."
        raise TypeError(message) from None
    return array


def refuse_dimensions(x0, keys=None, owner=""):
    """Raise in SciPy's words for a starting point that is no vector; `owner` says what takes no other."""
    if keys is not None:
        got, advice = f"a {type(x0).__name__} of arrays", ""
    else:
        got = f"shape {np.shape(x0)}"
        advice = "; pass x0.ravel()" if type(x0) is np.ndarray else "; pass np.asarray(x0).ravel()"
    raise ValueError(f"'x0' must only have one dimension{owner}, got {got}{advice}.")


def _real_numbers(name, value):
    """An expression for the numbers in what is given for an array, or None where there is no good one."""
    if getattr(value, "dtype", np.dtype(bool)) in (np.complex64, np.complex128):
        return f"np.concatenate([{name}.real, {name}.imag])"
    if isinstance(value, dict) and conversions.holds_real_numbers([*value.values()]):
        return f"np.ravel([*{name}.values()])"
    return conversions.as_container(name, value) or conversions.as_array(name, value, "float64")


def of_objects(array):
    """An array of objects as one of floats; NumPy would make NaN of None."""
    return np.array([float(value) for value in array.ravel()]).reshape(array.shape)
