"""The program of each rank of scale_report.py: what messages and computing cost here, and whole steps of both.

    mpiexec -n 2 python asv_benchmarks/scale_measure.py FILE

The first rank writes seconds by name to a file of JSON: of each those of the fastest round, of the slowest rank.
"""

import json
import sys
import time

import numpy as np
from mpi4py import MPI
from scale_costs import FEW, N_ROWS, WIDTH, K, N

import fastopt
from fastopt.distributed import ShardedOptimizer, ShardedTable, reduce_gradient

ROUNDS, WARM_UP = 15, 2
SHORT = 50  # times that a short call is made in a round


def messages(comm):
    """Calls of MPI as fastopt makes them, and its own reduction for comparison."""
    p = comm.Get_size()
    byte, bytes_of_all = np.zeros(8, np.uint8), np.empty((p, 8), np.uint8)
    number, numbers = np.zeros(p, np.int64), np.empty(p, np.int64)
    sent, received = np.zeros(N, np.float32), np.empty(N, np.float32)
    bounds = np.array([N * rank // p for rank in range(p + 1)])
    counts, own = np.diff(bounds), int(np.diff(bounds)[comm.Get_rank()])
    return {
        "agreement": (lambda: comm.Allgather(byte, bytes_of_all), SHORT),
        "short exchange": (lambda: comm.Alltoall(number, numbers), SHORT),
        "exchange": (lambda: comm.Alltoallv([sent, counts], [received[: own * p], np.full(p, own)]), 1),
        "gather": (lambda: comm.Allgatherv(sent[:own], [received, counts]), 1),
        "allreduce": (lambda: comm.Allreduce(sent, received), 1),
        "reduce and scatter": (lambda: comm.Reduce_scatter(sent, received[:own], counts), 1),
    }


def computing(comm):
    """What each rank does by itself; all do it at once."""
    rng = np.random.default_rng(comm.Get_rank())
    vector, other = np.ones(N, np.float32), np.ones(N, np.float32)
    adam = fastopt.Adam(np.zeros(N, np.float32), 1e-3, num_threads=1)
    table = fastopt.RowwiseAdagrad(np.zeros((N_ROWS, WIDTH), np.float32), 1e-3, num_threads=1)
    rows, grads = rng.integers(0, N_ROWS, K), rng.standard_normal((K, WIDTH)).astype(np.float32)

    def order():
        owner = np.searchsorted([N_ROWS // 2], rows, side="right")
        places = np.argsort(owner, kind="stable")
        return rows[places], grads[places]

    return {
        "step": (lambda: adam.step(vector), 1),
        "add": (lambda: np.add(vector, other, out=vector), 1),
        "copy": (lambda: np.copyto(other, vector), 1),
        "copy to new memory": (lambda: vector.copy(), 1),
        "rows in order": (order, 5),
        "rows read": (lambda: table.gather(rows), 5),
        "rows stepped": (lambda: table.step(fastopt.RowSparse(rows, grads)), 5),
    }


def calls(comm):
    """Whole steps, with much to do; and with next to nothing, for what a call takes."""
    rng = np.random.default_rng(comm.Get_rank())
    found = {}
    for n, what, times in ((N, "", 1), (FEW, "few, ", 10), (8, "nothing, ", SHORT)):
        grad = np.ones(n, np.float32)
        adam = fastopt.Adam(np.zeros(n, np.float32), 1e-3, num_threads=1)
        sharded = ShardedOptimizer(fastopt.Adam, np.zeros(n, np.float32), comm, learning_rate=1e-3, num_threads=1)
        found[f"{what}data-parallel"] = lambda a=adam, g=grad: a.step(reduce_gradient(g, comm)), times
        found[f"{what}sharded"] = lambda s=sharded, g=grad: s.step(g), times
    table = ShardedTable(N_ROWS, WIDTH, fastopt.RowwiseAdagrad, comm, learning_rate=1e-3, num_threads=1)
    for k, what, times in ((K, "", 5), (1, "nothing, ", SHORT)):
        rows, grads = rng.integers(0, N_ROWS, k), rng.standard_normal((k, WIDTH)).astype(np.float32)
        found[f"{what}lookup"] = lambda r=rows: table.lookup(r), times
        found[f"{what}table"] = lambda r=rows, g=grads: table.step(r, g), times
    return found


def seconds(comm, call, times):
    """Of one call; of the slowest rank."""
    comm.Barrier()
    start = time.perf_counter()
    for _ in range(times):
        call()
    return max(comm.allgather((time.perf_counter() - start) / times))


def main(path):
    comm = MPI.COMM_WORLD
    tasks = messages(comm) | computing(comm) | calls(comm)
    found = {name: [] for name in tasks}
    for _ in range(WARM_UP + ROUNDS):
        for name, (call, times) in tasks.items():
            found[name].append(seconds(comm, call, times))
    if comm.Get_rank() == 0:
        with open(path, "w") as file:
            json.dump({name: min(each[WARM_UP:]) for name, each in found.items()}, file)


if __name__ == "__main__":
    main(sys.argv[1])
