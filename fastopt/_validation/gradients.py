"""Dense gradients, which mirror the parameters."""

import math
from collections.abc import Mapping

import numpy as np

from .._memory import base_view
from . import conversions
from .conversions import is_masked, remedy
from .parameters import refuse_read_only
from .text import shown


def flat_gradients(grad, keys):
    """Return gradients in the order of the parameters, from a structure that mirrors theirs.

    That of a parameter which a step leaves alone is None, or a dict has no such key.
    """
    return flat_like_parameters("grad", grad, keys, may_lack=True)


def flat_like_parameters(name, value, keys, each="arrays", may_lack=False):
    """Return what an argument has for each parameter, in their order, from a structure that must mirror theirs.

    A dict that `may_lack` keys has None for these.
    """
    if isinstance(keys, tuple):
        if not isinstance(value, dict):
            advice = remedy("pass", conversions.as_container(name, value) if isinstance(value, Mapping) else None)
            raise TypeError(f"`{name}` must be a dict like the parameters, got {type(value).__name__}{advice}.")
        if len(value) == len(keys) and all([key in value for key in keys]):
            return [value[key] for key in keys]
        missing, extra = [key for key in keys if key not in value], [key for key in value if key not in keys]
        if extra or not may_lack:
            raise ValueError(
                f"`{name}` must have the keys of the parameters, "
                f"got missing {shown(missing)} and unknown {shown(extra)}."
            )
        return [value.get(key) for key in keys]
    if not isinstance(value, (list, tuple)):
        advice = conversions.as_container(name, value)
        if advice is None and keys == 1 and isinstance(value, np.ndarray):
            advice = f"[{name}]"
        raise TypeError(
            f"`{name}` must be a list like the parameters, got {type(value).__name__}{remedy('pass', advice)}."
        )
    value = list(value)  # a copy: other threads may change the list
    if len(value) != keys:
        raise ValueError(f"`{name}` must have {keys} {each} like the parameters, got {len(value)}.")
    return value


def gradient_array(name, grad, param):
    """Return a gradient of another type than ndarray as an ndarray, without a copy, or refuse it."""
    if isinstance(grad, np.generic) and param.ndim == 0:
        return np.asarray(grad)  # NumPy's arithmetic on 0-d arrays returns scalars
    if isinstance(grad, np.ndarray) and not is_masked(grad):
        return base_view(grad)  # its own `view` may be another one
    own = name.strip("`")
    if grad is None:
        advice = f"np.zeros_like({own.replace('grad', 'params', 1)}) where there is no gradient"
    else:
        advice = conversions.as_container(own, grad) or conversions.as_array(own, grad, param.dtype)
    raise TypeError(f"{name} must be a NumPy array, got {type(grad).__name__}{remedy('pass', advice)}.")


def refuse_gradient(name, grad, param):
    """Raise with the reason why a gradient does not fit its parameter, or why its parameter cannot be updated."""
    if not param.flags.writeable:
        refuse_read_only(name.replace("grad", "params", 1))
    own = name.strip("`")
    if grad.dtype.newbyteorder("=") == param.dtype and not grad.dtype.isnative:
        advice = remedy("pass", f"{own}.astype(np.{param.dtype})")
        raise TypeError(f"{name} must be of native byte order, got dtype {grad.dtype.str!r}{advice}.")
    if grad.dtype != param.dtype:
        advice = remedy("pass", conversions.of_dtype(own, grad, param))
        raise TypeError(f"{name} must be {param.dtype} like its parameter, got {grad.dtype}{advice}.")
    if grad.shape != param.shape:
        same = [n for n in grad.shape if n != 1] == [n for n in param.shape if n != 1]
        # A np.matrix, of which this may be a view, stays one with its own `reshape`.
        advice = remedy("pass", f"np.asarray({own}).reshape({param.shape})" if same else None)
        raise ValueError(f"{name} must have the shape {param.shape} of its parameter, got {grad.shape}{advice}.")
    raise ValueError(f"{name} must be aligned to its dtype, got a misaligned array; pass {own}.copy().")


def refuse_overlap(name, grad, owners):
    """Raise if a gradient shares memory with a parameter or a state array; their ranges of addresses overlap."""
    for array in (array for arrays in owners for array in arrays):
        try:
            shared = np.shares_memory(grad, array, max_work=100_000)
        except np.exceptions.TooHardError:
            shared = True
        if shared:
            raise ValueError(
                f"{name} must not share memory with the parameters or the state, which the step overwrites, "
                f"got an overlapping array; pass {name.strip('`')}.copy()."
            )


def refuse_moved(name):
    """Raise for a gradient whose memory was taken away after its step began, or before that by resizing its base."""
    raise ValueError(f"{name} must keep its memory during the step, got an array that has been resized; make it anew.")


def refuse_stats(stats):
    """Raise for what `gradient_stats` has not returned."""
    raise TypeError(f"`stats` must be what `gradient_stats` returns, or a sum of such, got {shown(stats)}.")


def refuse_nonfinite(t, value=0.0, where=""):
    """Raise for a gradient with NaN or infinity, or a value of the objective that is, under nonfinite="raise"."""
    if not math.isfinite(value):
        raise FloatingPointError(
            f"`value` must be finite, got {value!r} in step {t}; parameters and state are as before. "
            'A smaller learning rate or nonfinite="skip" may help.'
        )
    raise FloatingPointError(
        f"`grad` must be finite, got NaN or infinity{where} in step {t}; parameters and state are as before. "
        'A smaller learning rate, `clip_value`, or nonfinite="skip" may help.'
    )
