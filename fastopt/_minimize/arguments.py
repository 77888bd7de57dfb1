"""From the arguments of `minimize` to the parts of a run."""

from typing import Any, NamedTuple

import numpy as np

from .. import _checkpoint
from .._validation import minimize as validation
from .._validation import samples as sample_checks
from .._validation import saved_runs
from .averages import Ema, Polyak
from .differences import ComplexSteps, Differences
from .evaluation import Combined, Native, Separate
from .spsa import Spsa


class UserFunctions(NamedTuple):
    """The objective as the user gives it.

    Attributes
    ----------
    fun, jac : object
        As in `minimize`; not yet checked.
    args : tuple
        Further arguments of both.
    """

    fun: Any
    jac: Any
    args: Any


def samples(data, n_samples, batch_size):
    """None, or number of samples, size of a batch and the arrays of the samples, None for indices."""
    sample_checks.one_source(data, n_samples)
    arrays, n = None, None
    if data is not None:
        arrays, n = sample_checks.sample_arrays(data)
    elif n_samples is not None:
        n = sample_checks.n_samples(n_samples)
    size = sample_checks.batch_size(batch_size, n)
    return None if n is None else (n, size, arrays)


def evaluator(functions, params, batches, projection, settings, generator):
    """What computes value and gradient of the user's objective at a vector."""
    from scipy import LowLevelCallable

    x, fun, jac, args = params.vector, functions.fun, functions.jac, validation.extra_arguments(functions.args)
    relative_step = validation.relative_step(settings.finite_diff_rel_step, x)
    if isinstance(fun, LowLevelCallable):
        validation.native_arguments(jac, args, batches)
        return Native(fun, x, batches)
    fun = params.function(validation.function("fun", fun))
    jac = validation.jac(jac)
    if jac is True:
        return Combined(fun, args)
    if callable(jac):
        return Separate(fun, params.function(jac), args)
    if jac == "spsa":
        return Spsa(fun, args, settings.spsa_step, generator, projection)
    if jac == "cs":
        return ComplexSteps(fun, args, x, relative_step)
    return Differences(fun, args, x, jac, relative_step, projection)


def average(settings, x, optimizer):
    """The average of the iterates that was asked for, or None."""
    if settings.average is None:
        return None
    if optimizer._reads_off:
        validation.refuse_second_average(settings.average, type(optimizer).__name__)
    return Polyak(x) if settings.average == "polyak" else Ema(x, settings.average_decay)


def identity(params, optimizer, batches, settings):
    """What a checkpoint and the call that resumes it must have in common."""
    x = params.vector
    return {
        "method": type(optimizer).__name__,
        "x0.dtype": x.dtype.name,
        "x0.size": x.size,
        "x0.shape": params.description(),
        "n_samples": batches.n_samples,
        "batch_size": None if batches.n_samples is None else batches.size,
        "epoch_length": batches.per_epoch if batches.n_samples is None else None,
        "average": settings.average,
    }


def saved_run(path):
    """The checkpoint to resume from, checked as far as is needed to make a run like it."""
    path = validation.path("resume", path)
    saved = _checkpoint.read(path, "minimize")
    with _checkpoint.contents_of(path):
        saved_runs.entries("checkpoint", saved, ("identity", "run"))
        saved_runs.entries("identity", saved["identity"], ())
        saved_runs.bit_generator_kind(saved["run"])
    return saved


def resumed_generator(rng, kind):
    """The caller's generator if it is of the checkpoint's kind, else a new one; its state is restored later."""
    if isinstance(rng, np.random.Generator) and type(rng.bit_generator).__name__ == kind:
        return rng
    return np.random.Generator(saved_runs.bit_generator(kind)())
