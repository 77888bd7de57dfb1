"""Checks of what the ranks of a communicator are given, and their messages."""

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
