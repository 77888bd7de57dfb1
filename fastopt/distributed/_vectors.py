"""Arrays that are sent and received together: those of one dtype, as one vector."""

import numpy as np


class Vector:
    """Arrays of one dtype, one after the other, of which each rank has a range.

    Parameters
    ----------
    members : list of int
        Which arrays.
    sizes : list of int
        Their entries.
    bounds : ndarray of int64
        Where the range of each rank begins, and the end of the last.
    rank : int
        The one whose memory for sums this is.
    dtype : str
    """

    def __init__(self, members, sizes, bounds, rank, dtype):
        self.members, self.sizes, self.bounds = members, sizes, bounds
        self.received = np.empty((len(bounds) - 1, int(bounds[rank + 1] - bounds[rank])), dtype)
        self._joined = np.empty(sum(sizes) if len(members) > 1 else 0, dtype)

    def buffer(self, arrays):
        """Memory for all entries: that of the array, if it is one."""
        return arrays[self.members[0]] if len(self.members) == 1 else self._joined

    def joined(self, arrays):
        """All entries, of arrays of which some may be missing, which counts as zeros."""
        if len(self.members) == 1 and arrays[self.members[0]] is not None:
            return arrays[self.members[0]]
        joined, at = self._joined if len(self.members) > 1 else np.zeros(self.sizes[0], self._joined.dtype), 0
        for k, size in zip(self.members, self.sizes, strict=True):
            joined[at : at + size] = 0 if arrays[k] is None else arrays[k]
            at += size
        return joined

    def split(self, joined, arrays):
        """Copy all entries to the arrays that they are of."""
        at = 0
        for k, size in zip(self.members, self.sizes, strict=True):
            if arrays[k] is not joined:
                arrays[k][...] = joined[at : at + size]
            at += size
