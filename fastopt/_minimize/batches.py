"""Where the samples of an iteration come from: shuffled epochs without replacement."""

import contextlib
import math
import operator

import numpy as np

from .._memory import frozen
from .._validation import samples as validation
from .._validation import saved_runs
from .csr_batches import CsrSamples
from .selection import in_any_order

# Least number of samples in one call when the objective is evaluated on all of them.
EVALUATION_SIZE = 1024


class BatchSource:
    """Base: batches of epochs whose number is known."""

    used_up = False  # whether the run has ended because there are no more batches
    read_once = False  # whether samples cannot be had a second time

    def begin(self):
        """A run begins."""

    def is_over(self, k, last):
        """Whether the epoch has no batch k. If the iteration before was the `last` of the run, none is needed."""
        return k == self.per_epoch

    def close(self):
        """The run is over."""


class NoSamples(BatchSource):
    """For an objective that has no samples, or draws its own.

    History, stopping and checkpoints count `length` iterations as an epoch.
    """

    n_samples = data = None
    all_at_once = True

    def __init__(self, length, rng):
        self.per_epoch, self.rng = length, rng

    def begin_epoch(self):
        """Nothing is drawn."""

    def arguments(self, k):
        return ()

    def samples_before(self, k):
        """The weight of the batches before the k-th of an epoch."""
        return k

    def weight(self, k):
        return 1

    def all_samples_in_order(self):
        yield (), 1

    def snapshot(self):
        return None

    def schema(self):
        """The check of a snapshot."""
        return saved_runs.nothing

    def restore(self, saved, done):
        """Nothing is kept."""

    def identity(self):
        """What a checkpoint and the call that resumes it must have in common."""
        return {"n_samples": None, "batch_size": None, "epoch_length": self.per_epoch, "read_once": None}


class Batches(BatchSource):
    """Batches of a shuffled epoch; the last one is short where `size` does not divide `n_samples`.

    Parameters
    ----------
    n_samples, size : int
        A batch of all samples is not shuffled.
    data : tuple of arrays or None
        Indexable along their first axis by an index array. Without them a batch is its indices.
    rng : numpy.random.Generator
        Gives one permutation per epoch.
    """

    def __init__(self, n_samples, size, data, rng):
        self.n_samples, self.size, self.data, self.rng = n_samples, size, data, rng
        self.per_epoch = -(-n_samples // size)
        if data is not None:
            self.data = tuple([CsrSamples(each) if _is_csr_matrix(each) else each for each in data])
            self.all_samples = self._all_samples(data) if size == n_samples else None
        self.order = frozen(np.arange(n_samples)) if size == n_samples else None
        self.state_before = rng.bit_generator.state

    def begin_epoch(self):
        """Shuffle."""
        self.state_before = self.rng.bit_generator.state
        if self.size < self.n_samples:
            self.order = validation.permutation(self.rng.permutation(self.n_samples), self.n_samples)

    def arguments(self, k):
        """The leading arguments of the objective for batch k of the epoch."""
        if self.data is None:
            return (self.order[k * self.size : (k + 1) * self.size],)
        if self.size == self.n_samples:
            return self.all_samples
        index = self.order[k * self.size : (k + 1) * self.size]
        return self._selected(operator.getitem, index)

    def _all_samples(self, data):
        """All samples of a kind that user code can compute with: what is read from a file becomes an array."""
        if all(isinstance(each, np.ndarray) or hasattr(each, "tocsr") for each in data):
            return tuple(data)
        read = self._selected(consecutive, 0, self.n_samples)
        return tuple([each if hasattr(each, "tocsr") else own for each, own in zip(data, read, strict=True)])

    def _selected(self, select, *which):
        """What `select` gives of each array, in another way from then on where it is refused in this one."""
        try:
            return tuple([select(array, *which) for array in self.data])
        except Exception:
            if not self._wrap():
                raise
            return tuple([select(array, *which) for array in self.data])

    def _wrap(self):
        """Put arrays whose samples cannot be selected in any order into wrappers; whether there were any."""
        before, self.data = self.data, tuple([in_any_order(each) for each in self.data])
        return any(own is not former for own, former in zip(self.data, before, strict=True))

    def weight(self, k):
        """Number of samples in batch k."""
        return min(self.size, self.n_samples - k * self.size)

    def samples_before(self, k):
        """Number of samples in the batches before the k-th of an epoch."""
        return min(k * self.size, self.n_samples)

    @property
    def all_at_once(self):
        """Whether each batch is of all samples."""
        return self.size == self.n_samples

    def all_samples_in_order(self):
        """Batches of all samples in their own order, large ones, each with the number of its samples."""
        size = max(self.size, EVALUATION_SIZE)
        for start in range(0, self.n_samples, size):
            stop = min(start + size, self.n_samples)
            if self.data is None:
                batch = (frozen(np.arange(start, stop)),)
            else:
                batch = self._selected(consecutive, start, stop)
            yield batch, stop - start

    def snapshot(self):
        """The generator's state before the running epoch was shuffled."""
        return self.state_before

    def schema(self):
        """The check of a snapshot."""
        return saved_runs.generator_state(self.rng.bit_generator)

    def restore(self, saved, done):
        """Shuffle the running epoch as it was; the run restores the generator's present state."""
        if done.in_epoch:
            self.rng.bit_generator.state = saved
            self.begin_epoch()

    def identity(self):
        """What a checkpoint and the call that resumes it must have in common."""
        return {"n_samples": self.n_samples, "batch_size": self.size, "epoch_length": None, "read_once": None}


def mean_over(batches, value):
    """Mean of an objective over batches that come with their weights, NaN without any; one is in memory at a time."""
    total = weight = 0.0
    with contextlib.closing(batches):  # or a thread would go on reading after an exception
        for batch, size in batches:
            total += value(batch) * size
            weight += size
            del batch  # before the next one is read
    return total / weight if weight else math.nan


def _is_csr_matrix(array):
    return getattr(array, "format", "") == "csr" and len(array.shape) == 2


def consecutive(array, start, stop):
    """Consecutive samples: as a slice, without a copy, of types whose slices are known to select samples."""
    plain = isinstance(array, (np.ndarray, CsrSamples)) or hasattr(array, "tocsr")
    return array[start:stop] if plain else array[np.arange(start, stop)]
