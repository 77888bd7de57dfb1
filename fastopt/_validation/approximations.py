"""Checks of `jac` and of how gradients are approximated, and what is said about them."""

import difflib

import numpy as np

from .minimize import warn_caller
from .text import shown

#: Names of approximations of the gradient.
APPROXIMATIONS = ("2-point", "3-point", "cs", "spsa")


def jac(value):
    """Return `jac` as True, a callable, or the name of an approximation."""
    if callable(value):
        return value
    if leaves_gradient_open(value):
        return "2-point"
    if isinstance(value, (bool, np.bool_)):
        return True
    if not isinstance(value, str) or value not in APPROXIMATIONS:
        raise ValueError(
            '`jac` must be True, a callable, None, "2-point", "3-point", "cs" or "spsa", '
            f"got {shown(value)}{_jac_remedy(value)}."
        )
    return value


def _jac_remedy(value):
    """What may be meant by something that is no `jac`."""
    if isinstance(value, str):
        meant = difflib.get_close_matches(value.lower(), APPROXIMATIONS, n=1, cutoff=0.5)
        return f'; pass jac="{meant[0]}"' if meant else ""
    return "; pass the function that computes it" if isinstance(value, (np.ndarray, list, tuple)) else ""


def leaves_gradient_open(jac):
    """Whether `jac` is None or False, which SciPy takes for the same."""
    return jac is None or (isinstance(jac, (bool, np.bool_)) and not jac)


def real_numbers(name, value):
    """Return a finite real number, or an array of them, as a float64 array."""
    try:
        array = np.asarray(value)
        array = array.astype(np.float64) if array.dtype.kind in "iuf" else None
    except (TypeError, ValueError):
        array = None
    if array is None:
        raise TypeError(f"`{name}` must be a real number or an array of them, got {shown(value)}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got {shown(value)}.")
    return array


def relative_step(value, x):
    """Return `finite_diff_rel_step` with an entry for each parameter, or None."""
    if value is not None and value.size not in (1, x.size):
        raise ValueError(
            f"`finite_diff_rel_step` must be a number, or one for each of the {x.size} parameters, "
            f"got shape {value.shape}."
        )
    return value if value is None else np.broadcast_to(value.ravel(), x.shape)


def imaginary_part(value):
    """Return the imaginary part of what an objective gave at a complex point."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind != "c":
        got = shown(value) if array.size == 1 else f"an array of shape {array.shape}"
        raise TypeError(
            f'`fun` must return a complex number for complex `x` with jac="cs", got {got}; '
            'pass jac="3-point" for a function of real numbers.'
        )
    return array.item().imag


def warn_lost_jac():
    """Warn of a `jac` that SciPy may have been given, and does not pass on."""
    from scipy.optimize import OptimizeWarning

    warn_caller(
        "scipy.optimize.minimize passes `jac` on only if it is True or callable, and may have been given another: "
        'finite differences are used. Pass it to fastopt.scipy_method, such as jac="3-point", or jac=None for these.',
        OptimizeWarning,
    )


def warn_noise():
    """Warn of an objective whose differences would be those of its noise."""
    from scipy.optimize import OptimizeWarning

    warn_caller(
        '`fun` gives another value when it is called again at `x0`: its gradient is estimated as with jac="spsa". '
        'Pass jac="spsa" to say so, or jac="2-point" for finite differences, with `finite_diff_rel_step`.',
        OptimizeWarning,
    )
