"""Checks of what the ranks of a communicator are given, and their messages."""

from .scalars import count
from .text import shown

# What the collectives of fastopt call, of mpi4py's communicators.
METHODS = ("Get_rank", "Get_size", "Allgather", "Allgatherv", "Alltoall", "Alltoallv")


def communicator(comm):
    """Return a communicator, which has the methods that are called."""
    missing = [name for name in METHODS if not callable(getattr(comm, name, None))]
    if missing:
        raise TypeError(
            f"`comm` must be a communicator such as `mpi4py.MPI.COMM_WORLD`, got {shown(comm)}, which has no "
            f"method {', '.join(missing)}."
        )
    return comm


def same_value(name, first, other, rank):
    """The exception about a value that rank 0 and another rank do not have in common."""
    if other == first:
        other = "another one"
    return ValueError(f"`{name}` must be the same on all ranks, got {first} on rank 0 and {other} on rank {rank}.")


# --- samples of several ranks ----------------------------------------------------------------------------


def n_parts(value):
    """Return the number of parts in which all samples are cut, or None."""
    return None if value is None else count("parts", value, 1)


def whole_parts(starts, bounds, ends):
    """Refuse parts that lie on two ranks; `starts` are the first samples of ranks, `bounds` those of parts."""
    n, n_parts = int(bounds[-1]), len(bounds) - 1
    for rank, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if bounds[end] != start:
            raise ValueError(
                f"`parts` must not lie on two ranks: part {end - 1} is of the samples {bounds[end - 1]} to "
                f"{bounds[end] - 1}, and rank {rank} begins at {start}; cut the {n} samples of all ranks at multiples "
                f"of {n} / {n_parts}, rounded down, or leave `parts` out."
            )


def at_least_one_sample(n):
    """Refuse a run in which no rank has any samples."""
    if n == 0:
        raise ValueError("`fun` must have a sample on one rank at least, got none on any.")


def built_in(name, value, kind):
    """Refuse all but objects of fastopt.objectives."""
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be an object of fastopt.objectives, got {shown(value)}.")
