"""Several processes that compute together, over MPI: what they must agree on, so that every one has the same bits.

Any object with the methods of mpi4py's communicators serves as `comm`; this package itself imports nothing of MPI.
"""

from ._agreement import RankError
from ._objective import objective
from ._reduction import local_parts, reduce_gradient
from ._sharded_optimizer import ShardedOptimizer
from ._sharded_table import ShardedTable

__all__ = ["RankError", "ShardedOptimizer", "ShardedTable", "local_parts", "objective", "reduce_gradient"]


def __dir__():
    return __all__
