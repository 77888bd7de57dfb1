"""Where a run agrees with other ranks that make the same one: what is asked at each such place, and what if alone."""

import contextlib

from .._interrupts import DeferredInterrupt
from .batches import Batches


class Alone:
    """The only rank of a run: there is nothing to agree on. `SharedRun` in shared.py is for several.

    Attributes
    ----------
    is_first : bool
        Whether this rank writes files and shows progress.
    several : bool
    where : str
        Which rank had what ended the run, for its message.
    n_parts : int or None
        In how many parts sums are made.
    """

    is_first, several, where, n_parts = True, False, "", None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, where):
        """An exception passes through."""

    def interrupts(self, wanted):
        """What defers Ctrl-C to the end of an iteration, if that is wanted."""
        return DeferredInterrupt(wanted)

    def agree(self, interruptible=False):
        """Let others end the run here: they have an exception or, where the run may be saved, were interrupted."""

    def tell(self, interrupt):
        """Let others know of a KeyboardInterrupt that a function of the caller's may have raised on this rank alone."""

    def all(self, flag):
        """Whether all ranks have a flag."""
        return flag

    def each(self):
        """A context for what a rank does by itself, and may fail."""
        return contextlib.nullcontext()

    def stops(self):
        """A context in which callbacks may raise Stop."""
        return contextlib.nullcontext()

    def first(self, value):
        """A float that is known to each rank by itself: that of the first one."""
        return value

    def same(self, **values):
        """Refuse values that are others on other ranks."""

    def generator(self, rng, given):
        """The source of random numbers, given what the caller passed."""
        return rng

    def file(self, path):
        """What to read a file from."""
        return path

    def callbacks(self, callback, epoch_callback):
        """The callbacks, which each rank calls if one of them has them."""
        return callback, epoch_callback

    def whole(self, n):
        """All samples, given the number of those of this rank."""
        return OwnSamples(n)

    def value(self, fun, params):
        """The mean over the samples of all ranks, of a function that gives a value."""
        return fun

    def gradient(self, fun, params):
        """The same of one that gives a gradient."""
        return fun

    def pair(self, fun, params):
        """The same of one that gives both."""
        return fun

    def epochs(self, optimizer, settings):
        """The class of epochs in C of several ranks."""

    def objective(self, objective):
        """A built-in objective over the samples of all ranks."""
        return objective


class OwnSamples:
    """The samples of the only rank."""

    def __init__(self, n):
        self.total = n

    def batches(self, size, arrays, rng):
        """The source of batches."""
        return Batches(self.total, size, arrays, rng)


def ranks_of(comm):
    """The ranks of a communicator, or the only one."""
    if comm is None:
        return Alone()
    from .shared import SharedRun

    return SharedRun(comm)
