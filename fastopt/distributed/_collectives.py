"""What ranks send each other: the few collective calls that everything here is made of.

None of them computes. Sums are made by the receiver, in the order of ranks, as the order inside a reduction of MPI
depends on the library and on the number of ranks.
"""

import numpy as np


def gathered_numbers(comm, value):
    """One integer of every rank, as an array on all of them."""
    numbers = np.empty(comm.Get_size(), np.int64)
    comm.Allgather(np.array([value], np.int64), numbers)
    return numbers


def gathered(comm, array):
    """The one-dimensional arrays of all ranks, of one dtype and any lengths: a list in the order of ranks."""
    counts = gathered_numbers(comm, array.size)
    joined = np.empty(counts.sum(), array.dtype)
    comm.Allgatherv(np.ascontiguousarray(array), [joined, counts])
    return np.split(joined, np.cumsum(counts)[:-1])


def gathered_texts(comm, text):
    """One string of every rank: a list in the order of ranks."""
    parts = gathered(comm, np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8))
    return [part.tobytes().decode("utf-8", "surrogatepass") for part in parts]
