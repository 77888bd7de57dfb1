"""Checks of what `minimize` is given, and their messages; fastopt/_validation/__init__.py says in which style."""

import contextlib
import decimal
import numbers
import operator
import sys
import warnings
from collections.abc import Mapping

import numpy as np

from . import names, objectives
from .conversions import has_masked_entries, is_masked
from .parameters import label
from .scalars import real
from .starting_points import of_objects
from .text import shown

# Unknown options that are listed in a warning.
MOST_LISTED = 6

# --- the objective ---------------------------------------------------------------------------------------


def extra_arguments(args):
    """Return `args` as a tuple; a single value stands for itself, as in SciPy."""
    return args if isinstance(args, tuple) else (args,)


def function(name, value):
    """Refuse what cannot be called."""
    if not callable(value):
        raise TypeError(f"`{name}` must be callable, got {type(value).__name__}.")
    return value


def scalar(value):
    """Return what an objective gave as a float."""
    if isinstance(value, float):
        return float(value)
    if type(value) is tuple and len(value) == 2:
        raise ValueError(
            "The user-provided objective function must return a scalar value, got a pair; "
            "pass jac=True for a function that returns value and gradient."
        )
    array = np.asarray(value)
    fits = array.size == 1 and not has_masked_entries(value)
    if not fits or not (array.dtype.kind in "fiub" or isinstance(array.item(), (numbers.Real, decimal.Decimal))):
        got = f"an array of shape {array.shape}" if array.size != 1 else shown(value)
        raise ValueError(f"The user-provided objective function must return a scalar value, got {got}.")
    return float(array.item())


def pair(returned):
    """Return value and gradient of an objective that returned another type than a tuple of two."""
    try:
        value, gradient = returned
    except (TypeError, ValueError):
        raise TypeError(
            f"`fun` must return (value, gradient) with jac=True, got {type(returned).__name__}; "
            "pass jac=None for a function that returns its value alone."
        ) from None
    return value, gradient


def gradient(value, x):
    """Return what an objective gave as a gradient as an array like x, as SciPy does; other types are left to step()."""
    if isinstance(value, (list, tuple, float, int, np.generic)):
        value = np.array(value, x.dtype, ndmin=min(x.ndim, 1))
    elif not isinstance(value, np.ndarray) and hasattr(type(value), "__array__"):  # of pandas, JAX, torch and others
        with contextlib.suppress(Exception):  # each library has its own for what cannot be one
            value = np.asarray(value)
    return _array_like(value, x) if isinstance(value, np.ndarray) and not is_masked(value) else value


def _array_like(array, x):
    """Return real numbers in the shape of x, or in a row or a column if x is a vector, as x; others as they are."""
    shapes = (x.shape, (x.size, 1), (1, x.size)) if x.ndim == 1 else (x.shape,)
    if array.shape not in shapes or array.dtype.kind not in "biufO":
        return array
    try:
        with np.errstate(over="ignore"):
            return np.array(of_objects(array) if array.dtype.kind == "O" else array, x.dtype).reshape(x.shape)
    except (TypeError, ValueError):
        return array  # objects that are no numbers


def _replaces_no_gradient(jac):
    """Whether `jac` is one for an objective that gives its gradient."""
    return jac is None or isinstance(jac, (bool, np.bool_))


def native_arguments(jac, args, batches):
    """Refuse what a compiled objective cannot be given."""
    if not _replaces_no_gradient(jac):
        raise ValueError(
            f"`jac` must be None or True for a LowLevelCallable, which gives its gradient, got {shown(jac)}."
        )
    if args:
        raise ValueError("`args` must be empty for a LowLevelCallable; pass them as its user_data.")
    if batches.n_samples is not None and batches.data is not None:
        raise ValueError("`data` must be None for a LowLevelCallable; pass n_samples, and the data as its user_data.")


def native_batch(takes_batch, has_samples):
    """Refuse a signature with a batch without samples, and a signature without a batch where there are samples."""
    if takes_batch and not has_samples:
        raise ValueError("`n_samples` must be given for a LowLevelCallable whose signature takes a batch, got None.")
    if has_samples and not takes_batch:
        raise ValueError("`n_samples` must be None for a LowLevelCallable whose signature takes no batch.")


def objective_arguments(objective, x, jac, args, data, n_samples):
    """Refuse arguments that a built-in objective replaces: gradient, extra arguments and samples."""
    if not _replaces_no_gradient(jac) and not (callable(jac) and jac == objective.gradient):
        raise ValueError(
            f"`jac` must be None or True for a built-in objective, which gives its gradient, got {shown(jac)}."
        )
    if args:
        advice = f"; pass method={shown(args)}" if isinstance(args, str) else ""
        raise ValueError(f"`args` must be empty for a built-in objective, got {shown(args)}{advice}.")
    for name, value in {"data": data, "n_samples": n_samples}.items():
        if value is not None:
            raise ValueError(f"`{name}` must be None for a built-in objective, which has its own samples.")
    objectives.some_samples(objective.n_samples)
    if x.dtype != objective.dtype:
        raise TypeError(
            f"`method` must update {objective.dtype} parameters like those of the objective, got {x.dtype}."
        )
    if x.size != objective.n_parameters:
        raise ValueError(f"`x0` must have length {objective.n_parameters}, got {x.size}.")


def needs_objective(name):
    raise ValueError(f"`fun` must be an object of fastopt.objectives for method {name!r}, got another callable.")


def no_parallel_samples(settings):
    """Refuse lock-free threads for an objective that Python evaluates."""
    if settings.parallel != "batch":
        raise ValueError(
            f'`parallel` must be "batch" unless `fun` is an object of fastopt.objectives, got "{settings.parallel}".'
        )


def matrices(arrays, keys, name):
    """Refuse a starting point with vectors for an optimizer that takes none."""
    for k, array in enumerate(arrays):
        if array.ndim < 2:
            raise ValueError(
                f"{label('x0', keys, k)} must be a matrix, or a stack of matrices, as {name} takes no vectors, got "
                f'shape {array.shape}; pass another `method`, such as "adamw".'
            )


def refuse_parallel_steps(name):
    """Raise for lock-free threads with a rule whose entries do not move by themselves."""
    raise ValueError(
        f'`parallel` must be "batch" for {name}, whose steps of single parameters depend on all others, got "hogwild"; '
        'leave the option out, or pass another `method`, such as "sgd".'
    )


def automatic_rate(share, objective):
    """Return this share of the inverse of the smoothness of the samples, a learning rate of SAGA and SVRG."""
    smoothness = objective.max_smoothness  # takes a pass over the samples
    rate = share / smoothness if smoothness > 0 else 1.0
    if not rate > 0:
        refuse_automatic_rate(objective)
    return rate


def refuse_automatic_rate(objective):
    """Raise where no learning rate can be made of the objective, with the reason."""
    kind = type(getattr(objective, "own", objective)).__name__
    if np.isinf(objective.curvature):
        reason, advice = "its gradient has no Lipschitz constant to make one from", ""
    else:
        reason, advice = "the squared length of a sample overflows", ", or scale `X`, such as X / np.abs(X).max()"
    raise ValueError(
        f"`learning_rate` must be given for {kind}: {reason}; "
        f"pass options={{'learning_rate': ...}} with a small number{advice}."
    )


def single_samples(name, settings, batches):
    """Refuse settings that methods over single samples do not support."""
    if settings.parallel != "batch":
        raise ValueError(
            f'`parallel` must be "batch" for {name}, got "{settings.parallel}"; leave the option out, or pass another '
            '`method`, such as "sgd".'
        )
    if batches.size != 1:
        raise ValueError(f"`batch_size` must be 1 for {name}, got {batches.size}.")


def vw_objective(objective):
    """Refuse objectives whose samples have no invariant step."""
    if objective.linear is not None:
        raise ValueError(
            "`linear` must be None for VW, whose steps are those of single samples, got an array; pass another "
            '`method`, such as "adagrad".'
        )
    if not objective._takes_targets:
        raise ValueError(
            f"`fun` must have one margin a label for VW, got {type(objective).__name__}; pass Logistic with a column "
            'of labels for each class, such as y[:, None] == classes, or another `method`, such as "saga".'
        )


# --- random numbers -----------------------------------------------------------------------------------------


def generator(rng):
    """Return `rng` as a Generator, or refuse what SPEC 7 does not take."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise type_of_rng(rng) from None


def type_of_rng(rng):
    """The error for a bad `rng`."""
    return TypeError(f"`rng` must be None, a non-negative integer or a numpy.random.Generator, got {shown(rng)}.")


# --- method and options ----------------------------------------------------------------------------------


def refuse_method(value):
    raise TypeError(
        "`method` must be a name, an Optimizer class, an optimizer or a callable that makes one, "
        f"got {type(value).__name__}."
    )


def refuse_second_average(value, name):
    """Raise for an average of the iterates beside an optimizer that keeps one."""
    raise ValueError(
        f"`average` must be None for {name}, whose solution is an average, got {shown(value)}; leave it out."
    )


def made_optimizer(optimizer, x, expected):
    """Check what a method's callable returned; `x` is what it was called with."""
    if not isinstance(optimizer, expected) or not _same_arrays(optimizer.params, x):
        what = f"{type(x).__name__} of arrays" if isinstance(x, (dict, list)) else "array"
        raise TypeError(
            f"`method` must return a fastopt optimizer of the {what} it is called with, such as "
            f"fastopt.Adam(x), got {shown(optimizer)}."
        )
    return optimizer


def _same_arrays(one, other):
    """Whether these are the same arrays in the same structure."""
    if isinstance(other, dict):
        same = isinstance(one, dict) and [*one] == [*other]
        one, other = (one.values(), other.values()) if same else (one, other)
    else:
        same = isinstance(one, list) and isinstance(other, list) and len(one) == len(other)
    return all(map(operator.is_, one, other)) if same else one is other


def options(value):
    """Return a copy of the options."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"`options` must be a dict, got {type(value).__name__}.")
    return dict(value)


def tolerance(value):
    return None if value is None else real("tol", value, "[0, inf)")


def warn_unknown_options(given, known, of_optimizer=()):
    """SciPy's warning, for the caller of minimize(), and what the names may stand for.

    `of_optimizer` are hyper-parameters of an optimizer that goes on with its own.
    """
    from scipy.optimize import OptimizeWarning

    if given:
        hints = {
            name: "Assign it to the optimizer." if name in of_optimizer else names.hint(name, known).strip()
            for name in given[:MOST_LISTED]
        }
        listed = [f"{name} ({hint})" if hint else f"{name}" for name, hint in hints.items()]
        rest = ["..."] * (len(given) > MOST_LISTED)
        warn_caller(f"Unknown solver options: {', '.join(listed + rest)}", OptimizeWarning)


def warn_caller(message, category):
    """Warn at the line that called fastopt, directly or through SciPy."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("fastopt", "scipy"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def refuse_constraints():
    raise ValueError("`constraints` must be empty: fastopt methods keep bounds only; pass `bounds`.")


def warn_unused_derivative(name):
    """SciPy's warning for a second derivative, which is not used."""
    warn_caller(f"Method does not use Hessian information ({name}).", RuntimeWarning)
