"""Lines of text as pairs of tokens, hashed to 2^22 rows of several processes: `mpiexec -n 2 python mpi_text.py`.

Which lines of Python's standard library are part of a docstring? Each process reads a share of the lines and owns a
part of the rows of the table. In each step it looks up the rows of its own lines, and sends their gradients back to the
owners. No process has the whole table.
"""

import itertools
import zlib

import numpy as np
import python_text
from mpi4py import MPI

import fastopt
from fastopt.distributed import ShardedTable

ROWS, WIDTH = 2**22, 1
BATCH, EPOCHS = 512, 3


def rows_of(tokens):
    """The rows of a line's tokens, and of pairs of neighbours."""
    words = [*tokens, *map(" ".join, itertools.pairwise(tokens))]
    return np.array([zlib.crc32(word.encode()) % ROWS for word in words], np.int64)


def margins(table, lines):
    """The sum of the rows of each line, and the rows."""
    rows = np.concatenate([np.empty(0, np.int64), *lines])
    line = np.repeat(np.arange(len(lines)), [len(each) for each in lines])
    return np.bincount(line, table.lookup(rows)[:, 0], len(lines)), rows, line


def main():
    comm = MPI.COMM_WORLD
    rank, n_ranks = comm.Get_rank(), comm.Get_size()
    sample = python_text.sample_lines(20_000, 40, np.random.default_rng(0))
    lines, labels = [rows_of(tokens) for tokens, _ in sample], python_text.labels(sample)
    test = np.arange(len(lines)) % 5 == 0
    table = ShardedTable(ROWS, WIDTH, fastopt.RowwiseAdagrad, comm, learning_rate=0.5)

    train, rng = np.flatnonzero(~test), np.random.default_rng(0)
    for _ in range(EPOCHS):
        order = rng.permutation(train)
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            mine = batch[rank::n_ranks]  # it may be none
            z, rows, line = margins(table, [lines[each] for each in mine])
            slope = (1 / (1 + np.exp(-z)) - labels[mine]) / len(batch)
            table.step(rows, slope[line, None].astype(np.float32))

    mine = np.flatnonzero(test)[rank::n_ranks]
    z = margins(table, [lines[each] for each in mine])[0]
    right = comm.allreduce(int(((z > 0) == labels[mine]).sum()))
    owned = comm.allreduce(table.n_local_rows)
    if rank == 0:
        print(f"{len(train)} lines, {owned} rows; {right / test.sum():.0%} of {test.sum()} others right")


if __name__ == "__main__":
    main()
