"""From the arguments of `minimize` to the parts of a run."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from .. import _checkpoint
from .._validation import approximations, checkpoint_paths, saved_runs, shared_runs
from .._validation import minimize as validation
from .._validation import samples as sample_checks
from .._validation import streams as stream_checks
from .._validation.scalars import count
from ..objectives._base import Objective
from .averages import Ema, Polyak
from .differences import ComplexSteps, Differences
from .evaluation import Combined, Native, NativePair, Separate
from .prefetch import PrefetchedBatches
from .spsa import Spsa
from .streams import Stream


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


def samples(data, n_samples, batch_size, settings, ranks):
    """A function that makes the source of batches of a random generator; None where there are no samples."""
    sample_checks.one_source(data, n_samples)
    if ranks.several:
        shared_runs.samples(data, n_samples, stream_checks.is_stream(data), settings.prefetch)
    if data is None:
        stream_checks.no_prefetch(settings.prefetch)
    if stream_checks.is_stream(data):
        size = None if batch_size is None else count("batch_size", batch_size, 1)
        return functools.partial(Stream, stream_checks.opener(data), size, settings.prefetch, settings.epoch_length)
    arrays, n = None, None
    if data is not None:
        arrays, n = sample_checks.sample_arrays(data, least=not ranks.several)
    elif n_samples is not None:
        n = sample_checks.n_samples(n_samples, least=not ranks.several)
    if n is None:
        return sample_checks.batch_size(batch_size, None)
    whole = ranks.whole(n)
    size = sample_checks.batch_size(batch_size, whole.total)
    if settings.prefetch:
        return functools.partial(PrefetchedBatches, n, size, arrays, prefetch=settings.prefetch)
    return functools.partial(whole.batches, size, arrays)


def known_limit(chosen, limit, settings, batches):
    """Most iterations, for a learning rate that is a function of them: data are read for it if it is not known."""
    if batches.per_epoch is not None:
        return limit
    if not chosen.needs_budget:
        return 0
    if batches.read_once and limit == math.inf:
        stream_checks.count_needed()
    epochs = settings.most_epochs(batches)
    return limit if batches.read_once or epochs == math.inf else min(limit, epochs * batches.count())


def evaluator(functions, params, batches, projection, settings, ranks):
    """What computes value and gradient of the user's objective at a vector."""
    from scipy import LowLevelCallable

    x, fun, jac, args = params.start, functions.fun, functions.jac, validation.extra_arguments(functions.args)
    relative_step = approximations.relative_step(settings.finite_diff_rel_step, x)
    if isinstance(fun, LowLevelCallable):
        validation.native_arguments(jac, args, batches)
    if ranks.several:
        shared_runs.function_of_samples(batches.data, batches.parts)
    if isinstance(fun, LowLevelCallable):
        return Combined(ranks.pair(NativePair(fun, params), params), ()) if ranks.several else Native(fun, x, batches)
    fun = params.function(validation.function("fun", fun))
    jac = approximations.jac(jac)
    if jac is True:
        return Combined(ranks.pair(fun, params), args)
    fun = ranks.value(fun, params)
    if callable(jac):
        return Separate(fun, ranks.gradient(params.function(jac), params), args)
    if jac == "spsa":
        return Spsa(fun, args, settings.spsa_step, batches.rng, projection)
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


def kinds(**given):
    """What arguments are, as text: ranks that have different ones would send each other different messages."""
    return {name: _kind(value) for name, value in given.items()}


def _kind(value):
    if value is None or isinstance(value, (bool, str)):
        return repr(value)
    if isinstance(value, Objective):
        return "objective"
    return "callable" if callable(value) else "samples"


def of_all_ranks(params, optimizer, projection, settings):
    """What all ranks of a run must have in common."""
    own = dataclasses.asdict(settings)
    return {
        "x0": params.start,
        "hyper-parameters": optimizer._values_of_arrays(),
        "state": optimizer._snapshot(),
        "bounds": None if projection is None else (projection.low, projection.high),
        **{name: own[name] for name in own if name not in ("disp", "progress")},
    }


def identity(params, optimizer, batches, settings):
    """What a checkpoint and the call that resumes it must have in common."""
    x = params.start
    return {
        "method": type(optimizer).__name__,
        "x0.dtype": x.dtype.name,
        "x0.size": x.size,
        "x0.shape": params.description(),
        "average": settings.average,
        **batches.identity(),
    }


def saved_run(path, ranks):
    """The checkpoint to resume from, checked as far as is needed to make a run like it."""
    path = ranks.file(checkpoint_paths.path("resume", path))
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
