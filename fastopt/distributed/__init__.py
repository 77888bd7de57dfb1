"""Several processes that compute together, over MPI: what they must agree on, so that every one has the same bits.

Any object with the methods of mpi4py's communicators serves as `comm`; this package itself imports nothing of MPI.
"""

from ._agreement import RankError
from ._objective import objective

__all__ = ["RankError", "objective"]


def __dir__():
    return __all__
