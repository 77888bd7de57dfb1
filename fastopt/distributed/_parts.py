"""The samples of all ranks, one rank after the other, cut in parts; and sums over the parts in their order.

A sum that is made part after part has the same bits wherever the parts are. Without a number of parts those of a rank
are one: the ranks agree with each other, but other numbers of ranks have other roundings.
"""

import itertools

import numpy as np

from .._validation import distributed as validation
from ._collectives import gathered, gathered_numbers

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
    total, first : int
        Number of all samples, and the first one of this rank among them.
    bounds : ndarray of shape (n_parts + 1,)
        Where parts begin.
    own : range
        The parts of this rank.
    counts : ndarray of shape (n_ranks,)
        How many parts each rank has.
    """

    def __init__(self, comm, n_own, n_parts=None):
        self.comm, rank = comm, comm.Get_rank()
        starts = np.concatenate([[0], np.cumsum(gathered_numbers(comm, n_own))])
        self.total, self.first, self.stop = int(starts[-1]), int(starts[rank]), int(starts[rank + 1])
        if n_parts is None:
            self.bounds, ends = starts, np.arange(len(starts))
        else:
            self.bounds = np.arange(n_parts + 1) * self.total // n_parts
            ends = np.searchsorted(self.bounds, starts)  # of parts without samples the first one
            validation.whole_parts(starts, self.bounds, ends)
            ends[-1] = n_parts
        self.counts, self.own = np.diff(ends), range(int(ends[rank]), int(ends[rank + 1]))

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
        self.comm.Allgatherv(values, [joined, self.counts * width])
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
        n_ranks, rank = len(self.counts), self.comm.Get_rank()
        ends = np.arange(n_ranks + 1) * size // n_ranks
        widths = np.diff(ends)
        sent = np.concatenate([vectors[:, lo:hi].ravel() for lo, hi in itertools.pairwise(ends)])
        received = np.empty((self.counts.sum(), widths[rank]), vectors.dtype)
        self.comm.Alltoallv([sent, _places(widths * len(vectors))], [received, _places(self.counts * widths[rank])])
        total = np.empty(size, vectors.dtype)
        self.comm.Allgatherv(_sum(received), [total, _places(widths)])
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


def _places(counts):
    """Counts, and where each begins."""
    return counts, np.concatenate([[0], np.cumsum(counts)[:-1]])
