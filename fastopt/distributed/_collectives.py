"""What ranks send each other: the few collective calls that everything here is made of.

None of them computes. Sums are made by the receiver, in the order of ranks, as the order inside a reduction of MPI
depends on the library and on the number of ranks.
"""

import math

import numpy as np


def all_finite(arrays):
    """Whether no entry of these is NaN or infinite."""
    return all(np.isfinite(array).all() for array in arrays)


def gathered_numbers(comm, value):
    """One integer of every rank, as an array on all of them."""
    return gathered_records(comm, np.array([value], np.int64))[:, 0]


def gathered_records(comm, record):
    """One-dimensional arrays of one dtype and one length: an array with a row for each rank."""
    rows = np.empty((comm.Get_size(), len(record)), record.dtype)
    comm.Allgather(record, rows)
    return rows


def gathered(comm, array):
    """The one-dimensional arrays of all ranks, of one dtype and any lengths: a list in the order of ranks."""
    counts = gathered_numbers(comm, array.size)
    joined = np.empty(counts.sum(), array.dtype)
    gather_into(comm, np.ascontiguousarray(array), joined, counts)
    return np.split(joined, np.cumsum(counts)[:-1])


def gather_into(comm, array, joined, counts):
    """The same into an array, where the lengths are known."""
    comm.Allgatherv(array, [joined, counts])


def gathered_texts(comm, text):
    """One string of every rank: a list in the order of ranks."""
    parts = gathered(comm, np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8))
    return [part.tobytes().decode("utf-8", "surrogatepass") for part in parts]


def exchanged_counts(comm, counts):
    """How much each rank sends this one, from how much this one sends each."""
    received = np.empty(comm.Get_size(), np.int64)
    comm.Alltoall(np.ascontiguousarray(counts, np.int64), received)
    return received


def exchange(comm, array, counts, received, received_counts):
    """Send `counts` entries of an array to each rank, in order; what they send stands in `received` by rank."""
    comm.Alltoallv([array, counts], [received, received_counts])


def exchanged_rows(comm, array, counts, received_counts):
    """Rows for each rank, in order, for rows from each rank: a new array."""
    width = math.prod(array.shape[1:])
    received = np.empty((received_counts.sum(), *array.shape[1:]), array.dtype)
    exchange(comm, array, counts * width, received, received_counts * width)
    return received
