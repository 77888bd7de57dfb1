"""Which entries of which arrays a rank has: one contiguous range of all of them, in the order of ranks."""

import math

import numpy as np

from .. import _core


def even_bounds(size, n_ranks):
    """Where the ranges of `n_ranks` ranks in `size` entries begin, and the end: lengths differ by one at most."""
    return np.array([size * rank // n_ranks for rank in range(n_ranks + 1)], np.int64)


def granule(row_width):
    """Entries that are never divided: whole rows, and whole chunks of gradient statistics and of rounding."""
    return math.lcm(_core.STATS_ENTRIES, _core.GROUP_ENTRIES, row_width)


def first_entry(part):
    """Where a range or slice begins; one without entries may be anywhere, and is at the beginning."""
    return part.start if part.stop > part.start else 0


def rounding_granule(row_width, state_dtype):
    """Entries of a table that are never divided: whole rows, and whole groups where state is rounded in such."""
    return row_width if state_dtype is None else math.lcm(row_width, _core.GROUP_ENTRIES)


def shared_bounds(sizes, granules, n_ranks):
    """Where ranges begin in several arrays that are shared out together, one after the other.

    Parameters
    ----------
    sizes, granules : sequences of int
        Entries of each array, and those of it that stay together.
    n_ranks : int

    Returns
    -------
    ndarray of int64, shape (number of arrays, n_ranks + 1)
        Rank r has the entries from column r to column r + 1 of each array. All that it has, over all arrays, is
        contiguous.
    """
    sizes, granules = np.array(sizes, np.int64), np.array(granules, np.int64)
    units = -(-sizes // granules)
    first = np.cumsum(units) - units
    bounds = even_bounds(int(units.sum()), n_ranks)
    return np.minimum(np.maximum(bounds - first[:, None], 0) * granules[:, None], sizes[:, None])
