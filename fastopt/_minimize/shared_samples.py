"""Batches over the samples of all ranks: each rank is given those of its own that are in them."""

import operator
from typing import Any, NamedTuple

import numpy as np

from .._memory import frozen
from ..distributed._moving import moved
from .batches import EVALUATION_SIZE, Batches, consecutive


class Share(NamedTuple):
    """Some samples of a batch that one rank has.

    Attributes
    ----------
    part : int
        The part of all samples that they are of.
    weight : float
        How many there are, as a share of those of the batch.
    arguments : tuple
        The leading arguments of the objective for them.
    """

    part: int
    weight: float
    arguments: tuple[Any, ...]


class Shares:
    """What one rank has of a batch: an iterable of Shares, in the order of parts.

    Parameters
    ----------
    parts : Parts
        Of the samples that the batch is of.
    make : callable
        Returns an iterator over the Shares.
    """

    def __init__(self, parts, make):
        self.parts, self.make = parts, make

    def __iter__(self):
        return self.make()


class SharedSamples:
    """The samples of all ranks."""

    def __init__(self, ranks, parts):
        self.ranks, self.parts, self.total = ranks, parts, parts.total

    def batches(self, size, arrays, rng):
        """The source of batches."""
        return SharedBatches(self.parts, size, arrays and moved(self.ranks, self.parts, arrays), rng)


class SharedBatches(Batches):
    """Batches of the samples of all ranks, in one order on all of them.

    Parameters
    ----------
    parts : Parts
    size : int
        Samples in a batch, of all ranks together.
    data : tuple of arrays or None
        The samples of this rank.
    rng : numpy.random.Generator
        The same on all ranks.
    """

    def __init__(self, parts, size, data, rng):
        super().__init__(parts.total, size, None, rng)
        self.parts, self.data = parts, data
        self.own = Batches(parts.stop - parts.first, 1, data, rng)

    def arguments(self, k):
        """The shares of this rank in batch k of the epoch."""
        if self.all_at_once:
            return (Shares(self.parts, self._whole_parts),)
        return (Shares(self.parts, lambda: self._selected_shares(self.order[k * self.size : (k + 1) * self.size])),)

    def own_samples(self, k):
        """The samples of batch k among those of this rank, for each of its parts; and their number in the batch."""
        index = self.order[k * self.size : (k + 1) * self.size] - self.parts.first
        ranges = map(self.parts.of_own, self.parts.own)
        return [index[(index >= own.start) & (index < own.stop)] for own in ranges], len(index)

    def _selected_shares(self, index):
        n = len(index)
        index = index - self.parts.first
        for part in self.parts.own:
            own = self.parts.of_own(part)
            samples = index[(index >= own.start) & (index < own.stop)]
            if len(samples):
                arguments = self.own._selected(operator.getitem, samples) if self.data else (frozen(samples),)
                yield Share(part, len(samples) / n, arguments)

    def _whole_parts(self, size=None):
        """All samples of this rank, cut into shares of at most `size` of them."""
        for part in self.parts.own:
            own = self.parts.of_own(part)
            for start in range(own.start, own.stop, size or max(len(own), 1)):
                stop = min(start + size, own.stop) if size else own.stop
                chosen = (
                    self.own._selected(consecutive, start, stop) if self.data else (frozen(np.arange(start, stop)),)
                )
                yield Share(part, (stop - start) / self.n_samples, chosen)

    def all_samples_in_order(self):
        """All samples as one batch, whose shares are not large."""
        yield (Shares(self.parts, lambda: self._whole_parts(max(self.size, EVALUATION_SIZE))),), self.n_samples
