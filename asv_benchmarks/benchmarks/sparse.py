"""Sparse steps: rows of a table, entries of a vector, duplicates, formats."""

import numpy as np
import problems
import scipy.sparse
from registry import OPTIMIZERS

from ._settings import REPEAT, ROUNDS, kept

TABLE, ROWS = (1_000_000, 64), 8192
VECTOR, ENTRIES = (5_000_000,), 100_000
COALESCED = {"entries": (VECTOR, ENTRIES), "rows": ((100_000, 64), ROWS)}
GRADIENTS = 8  # in turns, so that what one step touches has left the caches when its turn comes again
THREADS = [1, 2]


@kept
def _steps(optimizer, shape, k, threads):
    indices = problems.distinct_positions(shape[0], k, GRADIENTS)
    return problems.sparse_steps(optimizer, shape, indices, num_threads=threads, unique=True)


class Rows:
    """8,192 random rows of 1,000,000 x 64."""

    params = (OPTIMIZERS, THREADS)
    param_names = ("optimizer", "threads")
    repeat, rounds = REPEAT, ROUNDS
    timeout = 120

    def setup(self, optimizer, threads):
        self.run = _steps(optimizer, TABLE, ROWS, threads)

    def time_8_steps(self, optimizer, threads):
        self.run(8)


class Elements:
    """100,000 random entries of 5,000,000."""

    params = (OPTIMIZERS, THREADS)
    param_names = ("optimizer", "threads")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, optimizer, threads):
        self.run = _steps(optimizer, VECTOR, ENTRIES, threads)

    def time_8_steps(self, optimizer, threads):
        self.run(8)


@kept
def _coalescing_steps(duplicates, shape, k, threads):
    index = problems.DUPLICATES[duplicates](shape[0], k)
    return problems.sparse_steps("sgd", shape, [index], num_threads=threads)


class Coalescing:
    """Steps of SGD, which costs least itself, whose gradient is not promised to be without duplicates."""

    params = (list(COALESCED), list(problems.DUPLICATES), THREADS)
    param_names = ("of", "duplicates", "threads")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, of, duplicates, threads):
        self.run = _coalescing_steps(duplicates, *COALESCED[of], threads)

    def time_8_steps(self, of, duplicates, threads):
        self.run(8)


@kept
def _format_steps(format, n=10_000_000, k=100):
    problems.feature("RowSparse")  # the others came with it
    (index,) = problems.distinct_positions(n, k)
    index.sort()
    if format == "RowSparse":
        return problems.sparse_steps("adagrad", (n,), [index])
    row = scipy.sparse.csr_array((np.ones(k, np.float32), index, [0, k]), shape=(1, n))
    grad = row.T if format == "csc" else row.asformat(format)  # a column, or its row ends would be as many as columns
    return problems.repeated_step(problems.optimizer("adagrad", problems.constant((n,)), num_threads=1), [grad])


class Formats:
    """100 entries of 10,000,000: the cost of a call does not depend on the size of the parameter."""

    params = (["RowSparse", "csr", "csc", "coo"],)
    param_names = ("format",)
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, format):
        self.run = _format_steps(format)

    def time_1000_steps(self, format):
        self.run(1000)


@kept
def _exact_steps(optimizer, n, k):
    indices = problems.distinct_positions(n, k, GRADIENTS)
    return problems.sparse_steps(optimizer, (n,), indices, unique=True, sparse="exact")


class Exact:
    """Steps with the same result as dense ones: by what was missed where the rule allows it, else by dense passes."""

    params = (OPTIMIZERS, [100_000], [100])
    param_names = ("optimizer", "n", "entries")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, optimizer, n, entries):
        self.run = _exact_steps(optimizer, n, entries)

    def time_8_steps(self, optimizer, n, entries):
        self.run(8)


@kept
def _deferred_steps(optimizer, n, k):
    indices = problems.distinct_positions(n, k, GRADIENTS)
    hyper = {"adamw": {"weight_decay": 0.01}, "sgd": {"momentum": 0.9}}.get(optimizer, {})
    return problems.sparse_steps(optimizer, (n,), indices, unique=True, sparse="deferred", **hyper)


class Deferred:
    """Steps with the result of dense ones, whose entries make up for what they missed: whatever n is."""

    params = (["adam", "adamw", "sgd"], [100_000, 10_000_000], [100])
    param_names = ("optimizer", "n", "entries")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, optimizer, n, entries):
        self.run = _deferred_steps(optimizer, n, entries)

    def time_8_steps(self, optimizer, n, entries):
        self.run(8)
