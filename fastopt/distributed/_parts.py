"""The samples of all ranks, one rank after the other, cut in parts; and sums over the parts in their order.

A sum that is made part after part has the same bits wherever the parts are. Without a number of parts those of a rank
are one: the ranks agree with each other, but other numbers of ranks have other roundings.
"""

import itertools

import numpy as np

from ._collectives import exchange, gather_into, gathered, gathered_numbers
from ._layout import even_bounds

# Entries of a vector up to which all parts are sent to every rank, which then adds them by itself: one message less.
SHORT = 4096


class Parts:
    """Which samples there are, and which of them this rank has.

    Parameters
    ----------
    comm : communicator
    n_own : int
        Samples of this rank.
    n_parts : int or None
        Number of parts, from i * n // n_parts to (i + 1) * n // n_parts of all n samples; None for one of each rank.

    Attributes
    ----------
    total : int
        Number of all samples.
    first, stop : int
        Those of this rank among them.
    bounds : ndarray of shape (n_parts + 1,)
        Where parts begin.
    own : range
        The parts of this rank: those whose first samples it was given.
    counts : ndarray of shape (n_ranks,)
        How many parts each rank has.
    heads : ndarray of shape (n_ranks,)
        How many of its first samples each rank gives to one before it, where the part began that they are of.
    taken : slice
        Which of all these samples this rank takes.
    """

    def __init__(self, comm, n_own, n_parts=None):
        self.comm, self.rank, self.n_parts = comm, comm.Get_rank(), n_parts
        starts = np.concatenate([[0], np.cumsum(gathered_numbers(comm, n_own))])
        self.total = int(starts[-1])
        self.bounds = starts if n_parts is None else even_bounds(self.total, n_parts)
        ends = np.arange(len(starts)) if n_parts is None else np.searchsorted(self.bounds[:-1], starts)
        ends[-1] = len(self.bounds) - 1  # parts without samples are anybody's
        self.counts, self.own = np.diff(ends), range(int(ends[self.rank]), int(ends[self.rank + 1]))
        self.first, self.stop = int(self.bounds[self.own.start]), int(self.bounds[self.own.stop])
        self.heads = np.minimum(self.bounds[ends[:-1]], starts[1:]) - starts[:-1]
        given = np.concatenate([np.arange(start, start + n) for start, n in zip(starts, self.heads, strict=False)])
        self.taken = slice(*np.searchsorted(given, [max(starts[self.rank + 1], self.first), self.stop]).tolist())

    def gather(self, array, joined, counts):
        """Arrays of all ranks, one after the other, into one that is large enough."""
        gather_into(self.comm, array, joined, counts)

    def of_own(self, part):
        """The samples of a part of this rank, as a range among those of the rank."""
        return range(int(self.bounds[part]) - self.first, int(self.bounds[part + 1]) - self.first)

    def rank_of(self, part):
        """The rank that has a part."""
        return int(np.searchsorted(np.cumsum(self.counts), part, side="right"))

    def gathered(self, values):
        """An array with a row for each part, given the rows of those of this rank."""
        values = np.ascontiguousarray(values)
        width = values.shape[1]
        joined = np.empty((self.counts.sum(), width), values.dtype)
        gather_into(self.comm, values, joined, self.counts * width)
        return joined

    def sum(self, vectors):
        """The sum of vectors, one for each part; given the rows of a matrix for those of this rank.

        Each rank adds the entries of its share of the places, unless there are few, and the shares are put together.
        """
        vectors = np.ascontiguousarray(vectors)
        size = vectors.shape[1]
        if len(self.counts) == 1:
            return _sum(vectors)
        if size <= SHORT:
            return _sum(self.gathered(vectors))
        ends = even_bounds(size, len(self.counts))
        widths = np.diff(ends)
        own = widths[self.rank]
        sent = np.concatenate([vectors[:, lo:hi].ravel() for lo, hi in itertools.pairwise(ends)])
        received, total = np.empty((self.counts.sum(), own), vectors.dtype), np.empty(size, vectors.dtype)
        exchange(self.comm, sent, widths * len(vectors), received, self.counts * own)
        gather_into(self.comm, _sum(received), total, widths)
        return total

    def joined(self, array):
        """The arrays of all ranks of one dtype, one after the other."""
        return np.concatenate(gathered(self.comm, array))


def _sum(rows):
    """The sum of rows, added one after the other."""
    total = rows[0].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for row in rows[1:]:
            total += row
    return total
