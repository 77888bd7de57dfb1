"""Batches of an iterable, whose number need not be known: of data that come in chunks, or that do not end."""

import contextlib
import itertools
import math

import numpy as np

from .._validation import saved_runs
from .._validation import streams as validation
from .batches import EVALUATION_SIZE, Batches, BatchSource
from .prefetch import END, ReadAhead
from .stopping import BUDGET, Stop

# Most batches that are kept of what is read only once, where their samples cannot be counted.
MOST_KEPT = 32


class OneBatch:
    """An item that is a batch as it is; `n_samples` is its weight. It has the methods of `Batches`."""

    per_epoch = 1

    def __init__(self, arguments):
        self.given, self.n_samples = arguments, validation.weight(arguments)

    def begin_epoch(self):
        """There is nothing to shuffle."""

    def arguments(self, k):
        return self.given

    def weight(self, k):
        return self.n_samples

    def all_samples_in_order(self):
        return iter([(self.given, self.n_samples)])


class Stream(BatchSource):
    """Batches of the items of an iterable, which is iterated anew for each epoch, or only once.

    An item is a batch; with a size it is a chunk of samples, which are shuffled and cut into batches. One item is in
    memory at a time, with those that are read ahead, and with the first batches of what is read only once: they stand
    for all samples where the objective is evaluated.

    Parameters
    ----------
    opener : Opener
        Makes the iterator over the items of an epoch.
    size : int or None
        Samples in a batch, of which the last one of a chunk may have fewer.
    prefetch : int
        Number of items to read ahead.
    epoch_length : int or None
        Iterations that count as an epoch of what is read only once; None for all of it.
    rng : numpy.random.Generator
        Gives one number per pass, the seed of its shuffling: where the generator is used in between, and how far
        items are read ahead, plays no part.
    """

    n_samples = math.nan  # not known
    all_at_once = False
    per_epoch = None

    def __init__(self, opener, size, prefetch, epoch_length, rng):
        self.data, self.size, self.rng, self.prefetch = opener, size, rng, prefetch
        self.read_once = opener.read_once
        self.length = epoch_length if self.read_once else None
        self.state_before = rng.bit_generator.state
        self.epoch, self.seed, self.n_arrays = -1, 0, None
        self.to_drop = 0  # batches that the run had used before it was saved
        self.items = self.batches = self.upcoming = None
        self.kept, self.kept_weight = [], 0  # the first batches, with their weights, of what is read only once
        self.weight_of_last = 0

    # --- one pass ----------------------------------------------------------------------------------------

    def _open(self, epoch):
        """The items of an epoch, to be closed."""
        return ReadAhead(self.data.items(epoch), self.prefetch)

    def _parts(self, items):
        """Each item as what makes its batches; nothing here, or below, holds an item while the next one is read."""
        return filter(_has_samples, map(self._part, itertools.count(), items))

    def _part(self, number, item):
        arguments = validation.arguments(item, number, self.n_arrays)
        self.n_arrays = len(arguments)
        if self.size is None:
            return OneBatch(arguments)
        arrays, n = validation.chunk(arguments, number)
        return Batches(n, min(self.size, n), arrays, np.random.default_rng([self.seed, number])) if n else None

    def all_samples_in_order(self):
        """Batches of all samples in their own order, with their weights; the first ones of what is read only once."""
        if self.read_once:
            if not self.kept and self._peek() is not END:
                yield self.upcoming
            yield from self.kept
            return
        with contextlib.closing(self._open(0)) as items:
            yield from itertools.chain.from_iterable(map(_in_order, self._parts(items)))

    def count(self):
        """The number of batches of the first epoch, for which it is read."""
        with contextlib.closing(self._open(0)) as items:
            return sum(map(_number_of_batches, self._parts(items)))

    # --- epochs ------------------------------------------------------------------------------------------

    def begin(self):
        if self.read_once:
            self._shuffle()

    def begin_epoch(self):
        """Begin to read; a run whose data are used up is over."""
        self.epoch += 1
        if not self.read_once:
            self._shuffle()
        if self._peek() is not END:
            return
        validation.at_least_one_batch(self.epoch)
        self.used_up = True
        raise Stop(BUDGET)

    def _shuffle(self):
        self.close()
        self.state_before = self.rng.bit_generator.state
        if self.size is not None:
            self.seed = int(self.rng.integers(2**63))

    def _peek(self):
        """The next batch and its weight, or END; a file is opened when its samples are needed."""
        if self.batches is None:
            self.items = self._open(self.epoch)
            self.batches = itertools.chain.from_iterable(map(_batches_of, self._parts(self.items)))
            self._drop(self.to_drop)
        if self.upcoming is None:
            self.upcoming = next(self.batches, END)
        return self.upcoming

    def _drop(self, used):
        for k in range(used):
            batch = next(self.batches, END)
            if batch is END:
                validation.refuse_shorter(k, used)
            self._keep(batch)
        self.to_drop = 0

    def _keep(self, batch):
        """Keep a batch with its weight while there are few of them."""
        if self.read_once and self.kept_weight < EVALUATION_SIZE and len(self.kept) < MOST_KEPT:
            self.kept.append(batch)
            self.kept_weight += batch[1]

    def arguments(self, k):
        """The leading arguments of the objective for the next batch."""
        if self._peek() is END:  # where a run goes on that was saved before its first batch
            validation.at_least_one_batch(0)
        batch, self.upcoming = self.upcoming, None
        self._keep(batch)
        arguments, self.weight_of_last = batch
        return arguments

    def samples_before(self, k):
        """The weight of the batches before the k-th of an epoch is not known."""

    def weight(self, k):
        """The weight of the batch that was given last: its samples, or 1 where they cannot be counted."""
        return self.weight_of_last

    def is_over(self, k, last):
        if k == self.length:
            return True
        return not (last and self.read_once) and self._peek() is END

    def close(self):
        """Stop reading."""
        if self.items is not None:
            self.items.close()
        self.items = self.batches = self.upcoming = None

    # --- checkpoints -------------------------------------------------------------------------------------

    def snapshot(self):
        """The generator's state before the running pass was shuffled."""
        return self.state_before

    def schema(self):
        """The check of a snapshot."""
        return saved_runs.generator_state(self.rng.bit_generator)

    def restore(self, saved, done):
        """Shuffle the running pass as it was; what the run had used of it is read and dropped when it goes on."""
        self.epoch = done.nepoch - (0 if done.in_epoch else 1)
        if done.in_epoch or self.read_once:
            self.rng.bit_generator.state = saved
            self._shuffle()
            self.to_drop = done.nit if self.read_once else done.in_this_epoch

    def identity(self):
        """What a checkpoint and the call that resumes it must have in common."""
        return {"n_samples": None, "batch_size": self.size, "epoch_length": self.length, "read_once": self.read_once}


def _has_samples(part):
    return part is not None and part.n_samples > 0


def _batches_of(part):
    """Arguments and weight of each batch."""
    part.begin_epoch()
    for k in range(part.per_epoch):
        yield part.arguments(k), part.weight(k)


def _in_order(part):
    return part.all_samples_in_order()


def _number_of_batches(part):
    return part.per_epoch
