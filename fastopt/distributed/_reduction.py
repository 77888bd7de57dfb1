"""Sums over ranks whose order is written down: over ranks, and over the parts that each of them has."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from .. import _validation
from .._sparse.gradients import RowSparse
from .._types import Gradient, in_structure
from ._agreement import Call
from ._collectives import exchange, gather_into, gathered_numbers, gathered_texts
from ._layout import even_bounds


def local_parts(parts: int, comm: Any) -> range:
    """Return which of the parts of a sum this rank computes: for `reduce_gradient` with the same number of parts.

    Parameters
    ----------
    parts : int
        In how many parts the samples of a step are cut, whatever the number of ranks: at least as many as there are
        ranks.
    comm : mpi4py.MPI.Comm
        The communicator.

    Returns
    -------
    range
        Consecutive parts, in the order of ranks.

    Examples
    --------
    With a communicator of one rank:

    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> fastopt.distributed.local_parts(4, MPI.COMM_SELF)  # doctest: +SKIP
    range(0, 4)
    """
    comm = _validation.distributed.communicator(comm)
    parts = _validation.distributed.number_of_parts(parts, comm.Get_size())
    bounds = even_bounds(parts, comm.Get_size())
    return range(*map(int, bounds[comm.Get_rank() :][:2]))


def reduce_gradient(grad: Gradient, comm: Any, *, reduce: str = "mean", parts: int | None = None) -> Gradient:
    """Return the sum or the mean of the gradients of all ranks: the same on all of them, to the last bit.

    A collective call: every rank makes it.

    Parameters
    ----------
    grad : ndarray or RowSparse, or list or dict of them
        This rank's gradient; on all ranks of the same structure, shapes and dtypes. With `parts`: the list of the
        gradients of this rank's parts, those that `local_parts` names. In a list or dict None counts as zeros; what is
        None on all ranks stays None.
    comm : mpi4py.MPI.Comm
        The communicator, or an object with the same buffer methods.
    reduce : {"mean", "sum"}, default="mean"
        Over ranks, or over parts.
    parts : int, optional
        In how many parts the samples of this step are cut. The parts are sent as they are and added in their order: the
        result has the same bits for every number of ranks up to `parts`. Each rank sends as many gradients as it has
        parts.

    Returns
    -------
    ndarray or RowSparse, or list or dict of them
        New arrays. Dense gradients are added in the order of ranks and parts; of a `RowSparse` the rows of one index
        are, in the order of ranks, parts and positions, and it comes back with each index once.

    Raises
    ------
    TypeError, ValueError
        On all ranks, when the gradient of one does not fit those of the others, or is none.
    RankError
        When another rank failed: the message has its reason.

    Notes
    -----
    Each rank adds one part of the entries: what it receives and sends is about twice the gradient, whatever the number
    of ranks.
    """
    comm = _validation.distributed.communicator(comm)
    with Call(comm) as call:
        with call.together():
            _validation.distributed.reduction(reduce)
            n_parts, mine = _parts_of(grad, parts, comm)
            flat, keys = zip(*map(_flat, mine), strict=True)
            kinds = [_validation.distributed.kinds_of_gradients(*each) for each in zip(flat, keys, strict=True)]
        kinds = agreed_kinds(comm, [reduce, parts], kinds)
        divisor = n_parts if reduce == "mean" else 1
        columns = zip(*flat, strict=True)
        reduced = [_reduced(comm, column, kind, divisor) for column, kind in zip(columns, kinds, strict=True)]
    return in_structure(reduced, keys[0])


def _parts_of(grad, parts, comm):
    """The number of gradients that are added, and the list of this rank's own."""
    if parts is None:
        return comm.Get_size(), [grad]
    return parts, _validation.distributed.gradients_of_parts(grad, len(local_parts(parts, comm)))


def _flat(grad):
    """Gradients in a list, and the structure that they had, as for `in_structure`."""
    if isinstance(grad, dict):
        return list(grad.values()), tuple(grad)
    if isinstance(grad, (list, tuple)):
        return list(grad), len(grad)
    return [grad], None


def agreed_kinds(comm, arguments, kinds):
    """The kind of each gradient, from those of the parts of all ranks, some of which may lack it; None where all do.

    Every rank looks at what all have, so that a refusal is one of all ranks.
    """
    texts = gathered_texts(comm, json.dumps([arguments, kinds]))
    given = [json.loads(text) for text in texts]
    for rank, (theirs, _) in enumerate(given):
        if theirs != given[0][0]:
            raise _validation.distributed.same_value("`reduce` and `parts`", given[0][0], theirs, rank)
    return _validation.distributed.merged_kinds([theirs for _, theirs in given])


def _reduced(comm, grads, kind, divisor):
    """One gradient over all parts of all ranks."""
    if kind is None:
        return None
    if kind[0] == "rows":
        return _reduced_rows(comm, [each for each in grads if each is not None], kind, divisor)
    _, dtype, shape = kind
    vectors = [np.zeros(math.prod(shape), dtype) if each is None else np.ravel(each) for each in grads]
    bounds = even_bounds(math.prod(shape), comm.Get_size())
    total = scattered_sum(comm, vectors, bounds)
    divide(total, divisor)
    whole = np.empty(shape, dtype)
    gather_into(comm, total, whole.reshape(-1), np.diff(bounds))
    return whole


def divide(total, divisor):
    """Make a mean of a sum, in place; what overflowed stays what it is."""
    if divisor != 1:
        with np.errstate(all="ignore"):
            np.divide(total, divisor, out=total)


def scattered_sum(comm, vectors, bounds, received=None):
    """This rank's range of the sum of the vectors of all ranks, in the order of ranks; any number from each.

    Parameters
    ----------
    comm : communicator
    vectors : list of ndarray
        One-dimensional and contiguous, of one dtype and one length on all ranks.
    bounds : ndarray of int64
        Where the range of each rank begins, and the end of the last.
    received : ndarray, optional
        Memory for what the ranks send, one vector each: a row for each of them. The sum is in the first.
    """
    n_ranks, rank = comm.Get_size(), comm.Get_rank()
    n_vectors = gathered_numbers(comm, len(vectors)) if received is None else np.ones(n_ranks, np.int64)
    mine = int(bounds[rank + 1] - bounds[rank])
    if len(vectors) == 1:
        packed = vectors[0]
    else:
        ranges = [slice(*bounds[each : each + 2]) for each in range(n_ranks)]
        packed = np.concatenate([vector[part] for part in ranges for vector in vectors])
    if received is None:
        received = np.empty((int(n_vectors.sum()), mine), packed.dtype)
    exchange(comm, packed, np.diff(bounds) * len(vectors), received, n_vectors * mine)
    with np.errstate(all="ignore"):
        for vector in received[1:]:
            np.add(received[0], vector, out=received[0])
    return received[0]


def _reduced_rows(comm, grads, kind, divisor):
    """The rows of all ranks with each index once."""
    _, dtype, shape = kind
    indices = np.concatenate([np.empty(0, np.int64), *(each.indices for each in grads)], dtype=np.int64)
    rows = np.concatenate([np.empty((0, *shape), dtype), *(each.rows for each in grads)])
    counts = gathered_numbers(comm, len(indices))
    all_indices, all_rows = np.empty(counts.sum(), np.int64), np.empty((counts.sum(), *shape), dtype)
    gather_into(comm, indices, all_indices, counts)
    gather_into(comm, rows, all_rows, counts * math.prod(shape))
    with np.errstate(all="ignore"):
        found = RowSparse(all_indices, all_rows).coalesced()
    divide(found.rows, divisor)
    return found
