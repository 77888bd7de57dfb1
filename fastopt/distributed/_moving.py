"""Samples of a part that begins on one rank and ends on another go to the first of them."""

import numpy as np

from .._validation import shared_runs as validation
from .._validation.objectives import csr_of
from ._collectives import gathered_numbers


def moved(ranks, parts, arrays):
    """The arrays with the samples of whole parts: the first samples of a rank may go to a rank before it.

    Parameters
    ----------
    ranks : Ranks
    parts : Parts
    arrays : sequence of ndarray or CSR matrix
        With a row for each sample of this rank.
    """
    if not parts.heads.any():
        return arrays
    for array in arrays:
        if not (hasattr(array, "tocsr") or isinstance(array, np.ndarray)) or array.dtype.hasobject:
            validation.refuse_moving(parts.n_parts, array)
    ranks.same(data=[(hasattr(each, "tocsr"), each.dtype.str, each.shape[1:]) for each in arrays])
    return tuple([_moved(parts, each) for each in arrays])


def _moved(parts, array):
    if hasattr(array, "tocsr"):
        return _moved_matrix(parts, array)
    return _joined(parts, array, parts.heads, parts.taken)


def _joined(parts, array, counts, taken):
    """What is left of an array without its first entries, and those that are taken of the first ones of all ranks."""
    head = counts[parts.rank]
    first = np.ascontiguousarray(array[:head])
    width = int(np.prod(array.shape[1:], dtype=np.int64))
    heads = np.empty((int(counts.sum()), *array.shape[1:]), array.dtype)
    parts.gather(first, heads, counts * width)
    return np.concatenate([array[head:], heads[taken]])


def _moved_matrix(parts, matrix):
    """The same of a CSR matrix: its entries, and how many each row has."""
    n_entries = np.diff(matrix.indptr).astype(np.int64)
    head = parts.heads[parts.rank]
    counts = gathered_numbers(parts.comm, n_entries[:head].sum())
    rows = np.empty(int(parts.heads.sum()), np.int64)
    parts.gather(n_entries[:head], rows, parts.heads)
    ends = np.concatenate([[0], np.cumsum(rows)])
    taken = slice(*(int(ends[row]) for row in (parts.taken.start, parts.taken.stop)))
    data = _joined(parts, matrix.data[: n_entries.sum()], counts, taken)
    indices = _joined(parts, matrix.indices[: n_entries.sum()].astype(np.int64), counts, taken)
    indptr = np.concatenate([[0], np.cumsum([*n_entries[head:], *rows[parts.taken]], dtype=np.int64)])
    return csr_of(type(matrix), data, indices, indptr, (len(indptr) - 1, matrix.shape[1]))
