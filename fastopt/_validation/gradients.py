"""Dense gradients, which mirror the parameters."""

import numpy as np

from .._memory import base_view
from .parameters import is_masked, refuse_read_only


def flat_gradients(grad, keys):
    """Return gradients in the order of the parameters, from a structure that must mirror theirs."""
    if isinstance(keys, tuple):
        if not isinstance(grad, dict):
            raise TypeError(f"`grad` must be a dict like the parameters, got {type(grad).__name__}.")
        missing = [key for key in keys if key not in grad]
        if missing or len(grad) != len(keys):
            extra = [key for key in grad if key not in keys]
            raise ValueError(
                f"`grad` must have the keys of the parameters, got missing {missing!r} and unknown {extra!r}."
            )
        return [grad[key] for key in keys]
    if not isinstance(grad, (list, tuple)):
        raise TypeError(f"`grad` must be a list like the parameters, got {type(grad).__name__}.")
    grad = list(grad)  # a copy: other threads may change the list
    if len(grad) != keys:
        raise ValueError(f"`grad` must have {keys} arrays like the parameters, got {len(grad)}.")
    return grad


def gradient_array(name, grad, param):
    """Return a gradient of another type than ndarray as an ndarray, without a copy, or refuse it."""
    if isinstance(grad, np.generic) and param.ndim == 0:
        return np.asarray(grad)  # NumPy's arithmetic on 0-d arrays returns scalars
    if isinstance(grad, np.ndarray) and not is_masked(grad):
        return base_view(grad)  # its own `view` may be another one
    raise TypeError(
        f"{name} must be a NumPy array, got {type(grad).__name__}; pass np.asarray(grad, dtype=np.{param.dtype})."
    )


def refuse_gradient(name, grad, param):
    """Raise with the reason why a gradient does not fit its parameter, or why its parameter cannot be updated."""
    if not param.flags.writeable:
        refuse_read_only(name.replace("grad", "params", 1))
    if grad.dtype.newbyteorder("=") == param.dtype and not grad.dtype.isnative:
        raise TypeError(
            f"{name} must be of native byte order, got dtype {grad.dtype.str!r}; pass grad.astype(np.{param.dtype})."
        )
    if grad.dtype != param.dtype:
        raise TypeError(
            f"{name} must be {param.dtype} like its parameter, got {grad.dtype}; pass grad.astype(np.{param.dtype})."
        )
    if grad.shape != param.shape:
        raise ValueError(f"{name} must have the shape {param.shape} of its parameter, got {grad.shape}.")
    raise ValueError(f"{name} must be aligned to its dtype, got a misaligned array; pass grad.copy().")


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
                "got an overlapping array; pass grad.copy()."
            )


def refuse_moved(name):
    """Raise for a gradient whose memory was taken away after its step began, or before that by resizing its base."""
    raise ValueError(f"{name} must keep its memory during the step, got an array that has been resized; pass a copy.")


def refuse_nonfinite(t):
    """Raise for a gradient with NaN or infinity under nonfinite="raise"."""
    raise FloatingPointError(
        f"`grad` must be finite, got NaN or infinity in step {t}; parameters and state are as before. "
        'A smaller learning rate, `clip_value`, or nonfinite="skip" may help.'
    )
