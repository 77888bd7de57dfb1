"""Where the samples of an iteration come from: shuffled epochs without replacement."""

import numpy as np

from .._memory import frozen
from .._validation import samples as validation
from .._validation import saved_runs
from .csr_batches import CsrSamples

# Least number of samples in one call when the objective is evaluated on all of them.
EVALUATION_SIZE = 1024


class AscendingSamples:
    """Samples that can only be selected in ascending order, as from a data set of h5py."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, rows):
        order = np.argsort(rows)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self.array[rows[order]][back]


def ascending_where_needed(array):
    """The array, in a wrapper if it has refused samples and does so only where they do not ascend."""
    plain = isinstance(array, (np.ndarray, CsrSamples, AscendingSamples)) or hasattr(array, "tocsr")
    return array if plain or not _selects(array, [0, 1]) or _selects(array, [1, 0]) else AscendingSamples(array)


def _selects(array, rows):
    try:
        array[np.array(rows)]
    except Exception:  # whatever it says, its own refusal of the batch is the one to tell
        return False
    return True


class NoSamples:
    """For an objective that has no samples, or draws its own.

    History, stopping and checkpoints count `length` iterations as an epoch.
    """

    n_samples = data = None

    def __init__(self, length):
        self.per_epoch = length

    def begin_epoch(self):
        """Nothing is drawn."""

    def arguments(self, k):
        return ()

    def samples_before(self, k):
        """The weight of the batches before the k-th of an epoch."""
        return k

    def weight(self, k):
        return 1

    def mean_over_all(self, value):
        return value(())

    def snapshot(self):
        return None

    def schema(self):
        """The check of a snapshot."""
        return saved_runs.nothing

    def restore(self, saved):
        """Nothing is kept."""


class Batches:
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
            self.all_samples = tuple([_whole(each) for each in data]) if size == n_samples else None
            self.data = selectable(data)
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
        try:
            return tuple([array[index] for array in self.data])
        except Exception:
            if not self.ascend():
                raise
            return tuple([array[index] for array in self.data])

    def ascend(self):
        """Select in ascending order from now on where only that is possible; whether that is new."""
        before, self.data = self.data, tuple([ascending_where_needed(each) for each in self.data])
        return any(own is not former for own, former in zip(self.data, before, strict=True))

    def weight(self, k):
        """Number of samples in batch k."""
        return min(self.size, self.n_samples - k * self.size)

    def samples_before(self, k):
        """Number of samples in the batches before the k-th of an epoch."""
        return min(k * self.size, self.n_samples)

    def mean_over_all(self, value):
        """Mean over all samples of an objective that is a mean over a batch; samples in their own order."""
        return mean_over(self.data, self.n_samples, value, max(self.size, EVALUATION_SIZE))

    def snapshot(self):
        """The generator's state before the running epoch was shuffled."""
        return self.state_before

    def schema(self):
        """The check of a snapshot."""
        return saved_runs.generator_state(self.rng.bit_generator)

    def restore(self, saved):
        """Shuffle the running epoch as it was; the run restores the generator's present state."""
        self.rng.bit_generator.state = saved
        self.begin_epoch()


def selectable(arrays):
    """What samples are selected from: the arrays, CSR matrices in a form that checks each batch."""
    return tuple([CsrSamples(each) if _is_csr_matrix(each) else each for each in arrays])


def mean_over(data, n_samples, value, size=EVALUATION_SIZE):
    """Mean over samples, in their own order, of an objective that is a mean over a batch; these have up to `size`.

    Without data a batch is its indices.
    """
    total = 0.0
    for start in range(0, n_samples, size):
        stop = min(start + size, n_samples)
        if data is None:
            batch = (frozen(np.arange(start, stop)),)
        else:
            batch = tuple([_consecutive(array, start, stop) for array in data])
        total += value(batch) * (stop - start)
    return total / n_samples


def _whole(array):
    """All samples of a kind that user code can compute with: what is read from a file becomes an array."""
    plain = isinstance(array, np.ndarray) or hasattr(array, "tocsr")
    return array if plain else array[np.arange(array.shape[0])]


def _is_csr_matrix(array):
    return getattr(array, "format", "") == "csr" and len(array.shape) == 2


def _consecutive(array, start, stop):
    """Consecutive samples: as a slice, without a copy, of types whose slices are known to select samples."""
    plain = isinstance(array, (np.ndarray, CsrSamples)) or hasattr(array, "tocsr")
    return array[start:stop] if plain else array[np.arange(start, stop)]
