"""Runs that several ranks make together, each with samples of its own."""

import contextlib
import io

import numpy as np

from .._interrupts import DeferredInterrupt
from .._validation import distributed as checks
from .._validation import shared_runs as validation
from ..distributed._collectives import all_finite, gathered
from ..distributed._objective import SharedObjective
from ..distributed._parts import Parts
from ..distributed._ranks import Ranks
from .shared_epochs import shared_kind
from .shared_functions import SharedGradient, SharedPair, SharedValue
from .shared_samples import SharedSamples
from .stopping import CALLBACK, Stop

#: What may raise StopIteration, by the number that ranks send.
CALLBACKS = (None, "callback", "epoch_callback")


class SharedRun(Ranks):
    """What `Alone` is for one rank; every method but `value`, `gradient` and `pair` is a collective call."""

    several = True

    def __init__(self, comm):
        super().__init__(checks.communicator(comm))
        self.is_first, self.where, self.n_parts = self.rank == 0, "", None
        self.gradients = []  # those of this rank that the last one of all ranks is the sum of
        self.interrupt = SharedInterrupt()

    def __enter__(self):
        self.interrupt.__enter__()
        self.interrupted = lambda: self.interrupt.pressed
        return self

    def __exit__(self, kind, error, where):
        try:
            super().__exit__(kind, error, where)
        finally:
            self.interrupt.__exit__()
        if error is None and self.interrupt.pressed:
            raise KeyboardInterrupt

    def interrupts(self, wanted):
        return DeferredInterrupt(False)  # Ctrl-C is deferred in the whole call

    def blame(self, rank):
        """Note which rank had what will end the run."""
        self.where = f" on rank {rank}"

    def blame_gradient(self):
        bad = np.flatnonzero(self.numbers(not all_finite(self.gradients)))
        if len(bad):  # else what ranks have is finite, and the sum is not
            self.blame(int(bad[0]))

    @contextlib.contextmanager
    def stops(self):
        stop = None
        try:
            yield
        except Stop as raised:
            stop = raised
        kinds = self.numbers(0 if stop is None else CALLBACKS.index(stop.by))
        if kinds.any():
            rank = int(np.flatnonzero(kinds)[0])
            self.blame(rank)
            raise Stop(CALLBACK, CALLBACKS[int(kinds[rank])])

    def generator(self, rng, given):
        seed = int(self.first(int(np.random.default_rng().integers(2**53))))
        self.same(rng=None if given is None else rng.bit_generator.state)
        return np.random.default_rng(seed) if given is None else rng

    def file(self, path):
        if path is None:
            return None
        with self.each():
            contents = _read(path) if self.is_first else b""
        file = io.BytesIO(gathered(self.comm, np.frombuffer(contents, np.uint8))[0].tobytes())
        file.name = str(path)
        return file

    def callbacks(self, callback, epoch_callback):
        """Each rank calls those that one of them has, and looks at the parameters: that may move them by a rounding."""
        if self.any(callback is not None):
            callback = _looks(callback or _nothing)
        if self.any(epoch_callback is not None):
            epoch_callback = epoch_callback or _nothing
        return callback, epoch_callback

    def whole(self, n):
        self.agree()
        parts = Parts(self.comm, n, self.n_parts)
        validation.at_least_one_sample(parts.total)
        return SharedSamples(self, parts)

    def value(self, fun, params):
        return SharedValue(fun, params, self)

    def gradient(self, fun, params):
        return SharedGradient(fun, params, self)

    def pair(self, fun, params):
        return SharedPair(fun, params, self)

    def epochs(self, optimizer, settings):
        return shared_kind(optimizer, settings)

    def objective(self, objective):
        self.agree()
        return SharedObjective(objective, self, self.n_parts)


class SharedInterrupt(DeferredInterrupt):
    """Ctrl-C on one rank: an exception where all agree next. A second one changes nothing, as others might wait."""

    def __init__(self):
        super().__init__(True)
        self.pressed = False

    def _note(self, number, frame):
        self.pressed = True


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _looks(callback):
    def call(x, *rest):
        x()
        callback(x, *rest)

    return call


def _nothing(*arguments):
    """A callback of other ranks."""
