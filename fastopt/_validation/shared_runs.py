"""Checks of objectives and runs over the samples of several ranks."""

from .scalars import count
from .text import shown


def samples(data, n_samples, is_stream, prefetch):
    """Refuse what ranks cannot share: no samples, or such that come one after the other."""
    if data is None and n_samples is None:
        raise ValueError("`data` or `n_samples` must be given with `comm`, got neither.")
    if is_stream:
        raise TypeError(f"`data` must be arrays with `comm`, got {type(data).__name__}.")
    if prefetch:
        raise ValueError(f"`prefetch` must be 0 with `comm`, got {prefetch}.")


def no_native(fun):
    """Refuse a compiled objective."""
    raise TypeError(f"`fun` must be a Python function or a built-in objective with `comm`, got {type(fun).__name__}.")


def finite_sum_method(name, needs_order, settings):
    """Refuse methods whose steps follow each other, and checkpoints of SVRG, of whose memory a rank has a part."""
    if needs_order:
        raise ValueError(f'`method` must be "svrg" with `comm`, of methods over single samples, got {name}.')
    if settings.checkpoint is not None:
        raise ValueError(f"`checkpoint` must be left out for {name} with `comm`, got {shown(settings.checkpoint)}.")


def local_steps(name, couples, storages):
    """Refuse an optimizer whose state cannot be averaged."""
    if couples or storages:
        what = "whose steps depend on all parameters" if couples else "with state in fewer bits"
        raise ValueError(f'`parallel` must be "batch" for {name} {what}, got "local".')


def settings(given, ranks):
    """Refuse options that are for one rank, or for several."""
    if ranks.several and given.parallel == "hogwild":
        raise ValueError('`parallel` must be "batch" or "local" with `comm`, got "hogwild".')
    if not ranks.several and given.parallel == "local":
        raise ValueError('`parallel` must be "batch" or "hogwild" without `comm`, got "local".')
    if not ranks.several and given.parts is not None:
        raise ValueError(f"`parts` must be left out without `comm`, got {given.parts}.")


# --- parts and objectives --------------------------------------------------------------------------------


def n_parts(value):
    """Return the number of parts in which all samples are cut, or None."""
    return None if value is None else count("parts", value, 1)


def function_of_samples(data, parts):
    """Refuse parts on two ranks for a function that looks samples up by their number on its rank."""
    if data is None and parts.heads.any():
        refuse_moving(parts.n_parts, None)


def refuse_moving(n_parts, array):
    """Raise for samples of a part on two ranks that cannot be sent."""
    what = "samples by number" if array is None else type(array).__name__
    raise TypeError(
        f"`data` must be NumPy arrays or CSR matrices, or each rank have whole `parts`, got {what}, and a part on two "
        f"ranks: the {n_parts} parts of all n samples begin at multiples of n / {n_parts}, rounded down."
    )


def at_least_one_sample(n):
    """Refuse a run in which no rank has any samples."""
    if n == 0:
        raise ValueError("`fun` and `validation` must have a sample on one rank at least, got none on any.")


def built_in(name, value, kind):
    """Refuse all but objects of fastopt.objectives."""
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be an object of fastopt.objectives, got {shown(value)}.")
